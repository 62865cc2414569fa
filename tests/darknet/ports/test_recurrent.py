"""Recurrent networks: what the real Darknet gave for sequences, in every target, a step at a time and whole."""

import json
import re

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.ports.check import check_network
from layoutbridge.darknet.ports.port import next_state, state_shapes
from layoutbridge.darknet.ports.table import port
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.reference.recorded import read_recorded
from layoutbridge.errors import CfgError, LayoutBridgeError, ParameterError, ShapeError, UnsupportedError
from tests.darknet_files import RECURRENT, SEQUENCES, built, made
from tests.targets import EVERY_TARGET, parameter

TOLERANCE = 1e-5  # of a layer's largest value
HALF = 5e-3
NET = "[net]\nwidth=6\nheight=4\nchannels=2\n"
FLAT = "[net]\ninputs=5\n"
TEXTS = {  # what no recording has: options, several in a row, sizes of 1
    "rnn logistic": FLAT + "[rnn]\noutput=3\nhidden=4\nlogistic=1\nactivation=leaky\n",
    "rnn loggy": FLAT + "[rnn]\noutput=3\nhidden=1\nlogistic=2\nactivation=relu\nshortcut=1\n",
    "crnn groups": NET + "[crnn]\noutput=4\nhidden=2\nsize=1\ngroups=2\nactivation=tanh\nshortcut=1\n",
    "crnn dilation": NET
    + "[crnn]\noutput=2\nhidden=3\nsize=3\npad=1\ndilation=2\nactivation=leaky\nbatch_normalize=1\n",
    "conv_lstm peephole": NET + "[conv_lstm]\noutput=2\nsize=3\npad=1\npeephole=1\nbatch_normalize=1\n",
    "conv_lstm groups": NET
    + "[conv_lstm]\noutput=4\nsize=1\ngroups=2\nactivation=leaky\n[conv_lstm]\noutput=1\npad=1\n",
    "conv_lstm leaky": NET + "[conv_lstm]\noutput=2\npad=1\nlstm_activation=leaky\nstate_constrain=1\n",
    "picture to lstm": NET
    + "[conv_lstm]\noutput=2\npad=1\n[max]\nsize=2\nstride=2\n[lstm]\noutput=3\n[gru]\noutput=2\n",
}
ORIGINAL = {
    "gru tanh": FLAT + "[gru]\noutput=3\ntanh=1\nbatch_normalize=1\n",
    "crnn turned": NET + "[crnn]\noutput_filters=3\nhidden_filters=2\nbatch_normalize=1\nactivation=leaky\n",
}
DRAWN = [*(("alexey", name) for name in TEXTS), *(("pjreddie", name) for name in ORIGINAL)]


def recorded(name, file="outputs_batch2.npz"):
    """The network, its input [T, N, ...] and the layers' outputs [T, N, ...]."""
    folder = RECURRENT / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0], strict=True)
    held = read_recorded(folder / file, net.network)
    return net, held.input, held.layers


def deviations(found, wanted):
    assert [a.shape for a in found] == [b.shape for b in wanted]
    return [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, wanted, strict=True)]


def drawn(flavor, name, folder):
    """A network that no recording has, and a sequence for it."""
    net = made((TEXTS | ORIGINAL)[name], folder, flavor, seed=3)
    return net, np.random.default_rng(1).uniform(-1, 1, (4, 2, *net.network.in_shape)).astype(np.float32)


# ---------------------------------------------------------------------- a step at a time


@pytest.mark.sample(6, slow=20)
@pytest.mark.parametrize("target", ["reference", *EVERY_TARGET])
@pytest.mark.parametrize("file", [pytest.param("outputs.npz", marks=pytest.mark.slow), "outputs_batch2.npz"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_are_darknets(name, file, target):
    net, x, layers = recorded(name, file)
    found = net.run_sequence(x, framework=target, every_layer=True)
    assert max(deviations(found, layers)) < TOLERANCE
    np.testing.assert_array_equal(net.run_sequence(x, framework=target), found[-1])


@pytest.mark.sample(6, slow=4)
@pytest.mark.parametrize("target", [parameter("onnx-half"), parameter("openvino-half"), parameter("tflite-half")])
@pytest.mark.parametrize("name", SEQUENCES)
def test_in_float16_they_are_near(name, target):
    net, x, layers = recorded(name)
    assert max(deviations(net.run_sequence(x, framework=target, every_layer=True), layers)) < HALF


@pytest.mark.sample(10, slow=8)
@pytest.mark.parametrize("target", ["reference", *EVERY_TARGET])
@pytest.mark.parametrize("name", SEQUENCES[::3])
def test_one_run_is_the_first_step(name, target):
    net, x, layers = recorded(name)
    assert (
        max(deviations(net.run(x[0], framework=target, every_layer=True), [layer[0] for layer in layers])) < TOLERANCE
    )


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize(("flavor", "name"), DRAWN)
def test_every_option_in_every_target(flavor, name, target, tmp_path):
    net, x = drawn(flavor, name, tmp_path)
    wanted = net.run_sequence(x, every_layer=True)
    assert max(deviations(net.run_sequence(x, framework=target, every_layer=True), wanted)) < TOLERANCE


@pytest.mark.parametrize(("flavor", "name"), DRAWN)
def test_a_sequence_in_one_pass_is_the_same(flavor, name, tmp_path):
    net, x = drawn(flavor, name, tmp_path)
    whole = forward(net.network, net.parameters, x.reshape(-1, *x.shape[2:]), steps=len(x))
    stepped = net.run_sequence(x, every_layer=True)
    for a, b in zip(whole, stepped, strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=0, atol=1e-12)


def test_the_state_is_held_within_its_bounds(tmp_path):
    text = NET + "[conv_lstm]\noutput=2\npad=1\nstate_constrain={0}\n"
    net = made(text.format(1), tmp_path)
    x = np.full((20, 1, 2, 4, 6), 5, np.float32)
    held, states = net.run_sequence(x), {}
    for step in x:
        forward(net.network, net.parameters, step, states=states)
    assert np.abs(states[0, "cell"]).max() == 1
    free = made(text.format(0), tmp_path)
    assert np.abs(free.run_sequence(x) - held).max() > 0.01


def test_steps_without_a_state_are_a_batch(tmp_path):
    net = made(NET + "[convolutional]\nfilters=3\n", tmp_path)
    x = np.random.default_rng(0).random((3, 2, 2, 4, 6), np.float32)
    every = net.run_sequence(x, framework="reference", every_layer=True)
    np.testing.assert_array_equal(every[0].reshape(6, 3, 4, 6), net.run(x.reshape(6, 2, 4, 6)))


def test_history_keeps_nothing_from_call_to_call_and_all_within_a_pass(tmp_path):
    net = made(NET + "[history]\nhistory_size=3\n", tmp_path)
    assert "keeps nothing from call to call" in net.warnings[0] and "line 5" in net.warnings[0]
    x = np.random.default_rng(0).random((4, 2, 2, 4, 6), np.float32)
    stepped = net.run_sequence(x)
    np.testing.assert_array_equal(stepped[:, :, :2], x)
    assert not stepped[:, :, 2:].any()
    (whole,) = forward(net.network, net.parameters, x.reshape(8, 2, 4, 6), steps=4)
    for step, given in enumerate(whole.reshape(4, 2, 6, 4, 6)):
        before = [x[step - age] if age <= step else np.zeros_like(x[0]) for age in range(3)]
        np.testing.assert_array_equal(given, np.concatenate(before, axis=1))


def test_inputs_that_are_no_sequences(tmp_path):
    net = made(TEXTS["rnn logistic"], tmp_path)
    for wrong in (np.zeros((3, 5)), np.zeros((3, 1, 4)), np.zeros((0, 1, 5)), np.zeros((1, 0, 5)), np.zeros(5)):
        said = re.escape(f"must be [T, N, 5], not {list(wrong.shape)}")
        with pytest.raises(ShapeError, match=said):
            net.run_sequence(wrong)
        with pytest.raises(ShapeError, match=said):
            check_network(net.network, net.parameters, x=wrong)
    with pytest.raises(ShapeError, match=r"must be \[N, 5\], not \[2, 4\]"):
        net.run(np.zeros((2, 4)))
    with pytest.raises(ShapeError, match="real numbers, not complex128"):
        net.run_sequence(np.zeros((2, 1, 5), complex))


# ---------------------------------------------------------------------- whole sequences in files


def as_keras(x):
    """[T, N, ...] as Keras' models take and give sequences."""
    turned = np.swapaxes(x, 0, 1)
    return turned.transpose(0, 1, 3, 4, 2) if turned.ndim == 5 else turned


def from_keras(y):
    turned = np.swapaxes(np.asarray(y), 0, 1)
    return turned.transpose(0, 1, 4, 2, 3) if turned.ndim == 5 else turned


def run_file(target, path, x):
    """The one output [T, N, ...] of a file of whole sequences."""
    if target == "onnx":
        from layoutbridge.frameworks.onnx.sessions import open_session

        return open_session(path).run(None, {"input": x})[0]
    if target == "torch":
        import torch

        return torch.export.load(path).module()(torch.from_numpy(x)).detach().numpy()
    if target == "keras":
        from layoutbridge.frameworks.tensorflow.files import load_keras_file

        return from_keras(load_keras_file(path)(as_keras(x)))
    if target == "tflite":
        from layoutbridge.darknet.ports.tflite import run_tflite

        (found,) = run_tflite(path, as_keras(x)).values()
        return from_keras(found)
    from layoutbridge.darknet.ports.openvino import run_openvino_files

    (found,) = run_openvino_files(path, x).values()
    return found


FILES = {"onnx": "a.onnx", "torch": "a.pt2", "keras": "a.keras", "tflite": "a.tflite", "openvino": "a.xml"}
WITH_STEPS = [parameter(target) for target in FILES]


@pytest.mark.sample(2, slow=1)
@pytest.mark.parametrize("target", WITH_STEPS)
@pytest.mark.parametrize("name", SEQUENCES)
def test_whole_sequences(name, target, tmp_path):
    net, x, layers = recorded(name)
    batch = {"batch": 2} if target == "tflite" else {}
    written = port(target).write(net.network, net.parameters, tmp_path / FILES[target], steps=5, **batch)
    assert (written.steps, dict(written.states)) == (5, {})
    assert max(deviations([run_file(target, written.path, x)], layers[-1:])) < TOLERANCE


@pytest.mark.sample(slow=12)
@pytest.mark.parametrize("target", WITH_STEPS)
@pytest.mark.parametrize(("flavor", "name"), DRAWN)
def test_whole_sequences_of_every_option(flavor, name, target, tmp_path):
    net, x = drawn(flavor, name, tmp_path)
    batch = {"batch": 2} if target == "tflite" else {}
    written = port(target).write(net.network, net.parameters, tmp_path / FILES[target], steps=4, **batch)
    assert max(deviations([run_file(target, written.path, x)], [net.run_sequence(x)])) < TOLERANCE


@pytest.mark.parametrize("target", WITH_STEPS)
def test_history_in_whole_sequences(target, tmp_path):
    net = made(NET + "[convolutional]\nfilters=2\n[history]\nhistory_size=3\n", tmp_path)
    x = np.random.default_rng(0).random((4, 1, 2, 4, 6), np.float32)
    written = port(target).write(net.network, net.parameters, tmp_path / FILES[target], steps=4)
    wanted = forward(net.network, net.parameters, x[:, 0], steps=4)[-1][:, None]
    assert max(deviations([run_file(target, written.path, x)], [wanted])) < TOLERANCE


def test_boxes_of_whole_sequences(tmp_path):
    pytest.importorskip("onnxruntime")
    from layoutbridge.frameworks.onnx.sessions import open_session

    net, x, _ = recorded("alexey/conv_lstm_yolo")
    net.to_onnx(tmp_path / "whole.onnx", head="boxes", steps=5)
    net.to_onnx(tmp_path / "step.onnx", head="boxes")
    (whole,) = open_session(tmp_path / "whole.onnx").run(None, {"input": x})
    step = open_session(tmp_path / "step.onnx")
    states = {name: np.zeros((2, *shape), np.float32) for name, shape in state_shapes(net.network).items()}
    for given, wanted in zip(x, whole, strict=True):
        boxes, *after = step.run(["boxes", *map(next_state, states)], {"input": given, **states})
        states = dict(zip(states, after, strict=True))
        np.testing.assert_allclose(boxes, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("target", WITH_STEPS)
def test_steps_that_cannot_be(target, tmp_path):
    net = made(NET + "[convolutional]\nfilters=2\n", tmp_path)
    path = tmp_path / FILES[target]
    with pytest.raises(ParameterError, match="no recurrent layer"):
        port(target).write(net.network, net.parameters, path, steps=3)
    net = made(TEXTS["rnn loggy"], tmp_path)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ParameterError, match="steps"):
            port(target).write(net.network, net.parameters, path, steps=wrong)
    assert not path.exists()


# ---------------------------------------------------------------------- states of files


def test_an_onnx_file_names_its_states(tmp_path):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_model
    from layoutbridge.frameworks.onnx.sessions import open_session

    net, x, layers = recorded("alexey/lstm")
    written = net.to_onnx(tmp_path / "a.onnx")
    names = ["state_0_lstm_hidden", "state_0_lstm_cell", "state_1_lstm_hidden", "state_1_lstm_cell"]
    assert dict(written.states) == dict(zip(names, [(8,), (8,), (6,), (6,)], strict=True))
    session = open_session(written.path)
    assert [each.name for each in session.get_inputs()] == ["input", *names]
    assert [each.name for each in session.get_outputs()] == ["3_softmax", *map(next_state, names)]
    assert json.loads(session.get_modelmeta().custom_metadata_map["states"]) == names
    (first, *_) = run_model(written.path, x[0])  # states of zeros
    np.testing.assert_allclose(first.reshape(layers[-1][0].shape), layers[-1][0], rtol=0, atol=1e-6)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["alexey/lstm", "alexey/gru", "alexey/conv_lstm_yolo", "pjreddie/crnn_shortcut"])
def test_a_keras_file_names_its_states(name, tmp_path):
    pytest.importorskip("keras")
    from layoutbridge.frameworks.tensorflow.files import load_keras_file

    net, x, layers = recorded(name)
    written = port("keras").write(net.network, net.parameters, tmp_path / "a.keras")
    model, states = load_keras_file(written.path), list(written.states)
    assert [each.name for each in model.inputs] == ["input", *states]
    assert model.output_names[1:] == [next_state(state) for state in states]
    held = [np.zeros((2, *shape), np.float32) for shape in written.states.values()]
    for given, wanted in zip(x, layers[-1], strict=True):
        first = given.transpose(0, 2, 3, 1) if given.ndim == 4 else given
        output, *held = (np.asarray(made) for made in model([first, *held]))
        found = output.transpose(0, 3, 1, 2) if output.ndim == 4 else output
        assert np.abs(found.reshape(wanted.shape) - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def test_onnx_has_its_own_operators_for_gated_layers(tmp_path):
    onnx = pytest.importorskip("onnx")
    for name, operator in (("alexey/lstm", "LSTM"), ("alexey/gru", "GRU"), ("pjreddie/gru", "GRU")):
        net, _, _ = recorded(name)
        net.to_onnx(tmp_path / "a.onnx")
        kinds = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
        assert kinds.count(operator) == 2
        net.to_onnx(tmp_path / "b.onnx", keep_batch_norm=True)
        kinds = [node.op_type for node in onnx.load(tmp_path / "b.onnx").graph.node]
        assert (kinds.count(operator), kinds.count("BatchNormalization")) == (1, 6 if operator == "GRU" else 8)


@pytest.mark.parametrize("name", SEQUENCES)
def test_kept_batch_norm(name):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_onnx_sequence

    net, x, layers = recorded(name)
    found = run_onnx_sequence(net.network, net.parameters, x, True, keep_batch_norm=True)
    assert max(deviations(found, layers)) < TOLERANCE


def test_ncnn_has_no_sequences(tmp_path):
    net, _, _ = recorded("alexey/conv_lstm")
    written = net.to_ncnn(tmp_path / "a.param")
    assert list(written.states) == ["state_1_conv_lstm_hidden", "state_1_conv_lstm_cell"]
    text = written.path.read_text()
    assert (
        "\nInput state_1_conv_lstm_cell 0 1 state_1_conv_lstm_cell 2=5 1=8 0=10\n" in text
        and "state_1_conv_lstm_cell_next" in text
    )


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("name", SEQUENCES)
def test_gradients_reach_every_parameter(name):
    torch = pytest.importorskip("torch")
    net, x, _ = recorded(name)
    module = net.to_torch(steps=5).double()
    given = torch.from_numpy(x).double().requires_grad_()
    module(given).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    assert given.grad.flatten(1).any(1).all()
    parameter = next(p for key, p in module.named_parameters() if key.endswith("_weights"))
    step = 1e-6
    with torch.no_grad():
        parameter.view(-1)[0] += step
        more = module(given).square().sum()
        parameter.view(-1)[0] -= 2 * step
        less = module(given).square().sum()
    assert float((more - less) / (2 * step)) == pytest.approx(float(parameter.grad.view(-1)[0]), rel=1e-4, abs=1e-7)


def test_a_module_steps_and_takes_states():
    torch = pytest.importorskip("torch")
    net, x, layers = recorded("pjreddie/crnn_shortcut")
    module, states = net.to_torch(), None
    for given, wanted in zip(x, layers[-1], strict=True):
        output, states = module.step(torch.from_numpy(given), states)
        np.testing.assert_allclose(output.detach().numpy(), wanted, rtol=0, atol=2e-5)
    assert list(states) == ["state_1_crnn_hidden"]
    with pytest.raises(ShapeError, match=r"state_1_crnn_hidden must be \[2, 4, 10, 8\], not \[1, 4, 10, 8\]"):
        module.step(torch.from_numpy(x[0]), {"state_1_crnn_hidden": states["state_1_crnn_hidden"][:1]})
    for wrong in ({}, {"hidden": states["state_1_crnn_hidden"]}, {**states, "more": states["state_1_crnn_hidden"]}):
        with pytest.raises(ParameterError, match="the states must be state_1_crnn_hidden, not"):
            module.step(torch.from_numpy(x[0]), wrong)
    with pytest.raises(ParameterError, match="sequences of 2 steps"):  # a batch of 2 is no sequence of 2
        net.to_torch(steps=2).step(torch.from_numpy(x[0]))
    with pytest.raises(ShapeError, match=r"must be \[5, N, 3, 8, 10\]"):
        net.to_torch(steps=5)(torch.from_numpy(x[0]))


def test_weights_survive_training_and_the_file(tmp_path):
    pytest.importorskip("torch")
    for name in SEQUENCES:
        net, _, _ = recorded(name)
        net.to_torch().save_darknet(tmp_path / "again.weights")
        assert (tmp_path / "again.weights").read_bytes() == (RECURRENT / name / "net.weights").read_bytes()


def test_a_keras_model_trains_through_its_steps():
    keras = pytest.importorskip("keras")
    net, x, _ = recorded("alexey/gru")
    model = net.to_keras(steps=5)
    assert len(model.trainable_variables) == sum(
        not parameter.name.endswith(("means", "variances")) for layer in net.layers for parameter in layer.parameters
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    target = np.zeros((2, 5, 5), np.float32)
    before = model.evaluate(as_keras(x), target, verbose=0)
    model.fit(as_keras(x), target, epochs=3, verbose=0)
    assert model.evaluate(as_keras(x), target, verbose=0) < before


# ---------------------------------------------------------------------- checks, and what is refused


@pytest.mark.slow
def test_check_runs_several_steps(tmp_path):
    pytest.importorskip("onnxruntime")
    net, _, _ = recorded("alexey/conv_lstm")
    result = check_network(net.network, net.parameters)
    assert result.ok and "onnx" in {target.name for target in result.targets}
    state_only = made(NET + "[conv_lstm]\noutput=2\npad=1\n", tmp_path)
    x = np.zeros((1, 1, 2, 4, 6), np.float32)
    assert check_network(state_only.network, state_only.parameters, ["onnx"], x=x).ok
    with pytest.raises(ShapeError, match="T, N"):
        check_network(state_only.network, state_only.parameters, ["onnx"], x=x[0])


@pytest.mark.parametrize("file", ["outputs.npz", "outputs_batch2.npz"])
def test_check_against_recorded_sequences(file):
    pytest.importorskip("onnxruntime")
    folder = RECURRENT / "alexey/lstm"
    net = load(folder / "net.cfg", folder / "net.weights")
    held = read_recorded(folder / file, net.network)
    assert held.input.shape == (5, 2 if "2" in file else 1, 12)
    assert check_network(net.network, net.parameters, ["onnx"], against=held).ok


REFUSED = [
    (NET + "[crnn]\noutput=2\nhidden=2\npad=1\nstride=2\n", "line 9: [crnn] stride=2 cannot be run"),
    (
        NET + "[crnn]\noutput=2\nhidden=2\n",
        "line 5: [crnn] padding 0 at size=3 changes the size 2×4×6 of the picture from step to step, and Darknet "
        "itself stops there: give pad=1 and an odd size",
    ),
    (
        NET + "[crnn]\noutput_filters=2\n",
        "stops there: output_filters is the original Darknet's: read the cfg with flavor 'pjreddie'",
    ),
    (NET + "[crnn]\nhidden_filters=2\n", "hidden_filters is the original Darknet's: read the cfg with flavor"),
    (NET + "[conv_lstm]\noutput_filters=2\n", "Darknet itself stops there: give pad=1 and an odd size"),
    (NET + "[conv_lstm]\noutput=2\npad=1\nstride=2\n", "line 8: [conv_lstm] stride=2 cannot be run"),
    (NET + "[conv_lstm]\noutput=2\npad=1\nbottleneck=1\n", "line 8: [conv_lstm] bottleneck=1 cannot be run"),
    (
        NET + "[conv_lstm]\noutput=3\npad=1\ngroups=2\n",
        "line 8: [conv_lstm] input channels 3 of its part wf cannot be split",
    ),
    (NET + "[lstm]\noutput=0\n", "line 6: [lstm] output=0 must be at least 1"),
    (FLAT + "[crnn]\noutput=2\n", "needs a picture"),
    (FLAT + "[history]\n", "needs a picture"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_darknet_cannot_run_is_refused(text, said):
    with pytest.raises(CfgError) as caught:
        built(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["[conv_lstm]\noutput=2\n", "[history]\n"])
def test_what_the_original_does_not_know(text):
    with pytest.raises(CfgError, match="only in Darknet's main fork"):
        built(NET + text, "pjreddie")


def test_what_is_told():
    warned = built(NET + "[conv_lstm]\noutput=2\npad=1\nlstm_activation=leaky\n").warnings
    assert warned == (
        "net.cfg, line 8: [conv_lstm] Darknet computes lstm_activation=leaky on GPUs alone, and tanh on CPUs",
    )
    assert built(FLAT + "[gru]\noutput=2\ntanh=1\n").warnings == ("net.cfg, line 5: [gru] does not use 'tanh' (1)",)


def test_operations_are_those_of_the_parts(tmp_path):
    """As crnn_layer.c and conv_lstm_layer.c count them: 2·weights·places a convolution, and 9 or 12 a value."""

    def flops(text):
        return made(text, tmp_path).summary()[0].flops

    assert flops(NET + "[crnn]\noutput=4\nhidden=2\npad=1\n") == 2 * 9 * (2 * 2 + 2 * 2 + 2 * 4) * 24
    of_gates = 4 * 2 * 9 * (2 * 3 + 3 * 3) * 24
    assert flops(NET + "[conv_lstm]\noutput=3\npad=1\n") == of_gates + 9 * 3 * 24
    of_cell = 3 * 2 * 9 * 3 * 3 * 24
    assert flops(NET + "[conv_lstm]\noutput=3\npad=1\npeephole=1\n") == of_gates + of_cell + 12 * 3 * 24
    assert flops(FLAT + "[lstm]\noutput=3\n") == 4 * 2 * (5 * 3 + 3 * 3)
    assert flops(NET + "[history]\n") == 0


def test_weights_that_are_too_short_name_the_part(tmp_path):
    net = made(TEXTS["picture to lstm"], tmp_path)
    whole = (tmp_path / "net.weights").read_bytes()
    (tmp_path / "net.weights").write_bytes(whole[:-4])
    with pytest.raises(LayoutBridgeError, match=r"uh_weights of layer 3_gru|wh_weights of layer 3_gru"):
        load(tmp_path / "net.cfg", tmp_path / "net.weights")
    assert net.summary()[2].parameters == 4 * (3 * 3 + 3) + 4 * (12 * 3 + 3)


def test_steps_are_refused_where_there_is_no_batch(tmp_path):
    from layoutbridge.frameworks.ncnn.target import NcnnTarget

    target = NcnnTarget((3,))
    with pytest.raises(UnsupportedError, match="one step, with its states"):
        target.unstacked(target.input, 2)
