"""More recorded networks of the real Darknet, in every target: batches, xnor, trees, shared weights, numload."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.ports.check import check_network
from layoutbridge.errors import CfgError
from tests.darknet_files import MORE, MORE_NETS, built, made
from tests.targets import EVERY_TARGET, IN_WINOGRADS_FORM, parameter

TOLERANCE = 1e-5  # of a layer's largest value
NOT_A_NUMBER = {("pjreddie/region_tree_batch3", 2)}  # in Darknet itself
NET = "[net]\nwidth=7\nheight=5\nchannels={0}\n"
XNOR = "[convolutional]\nfilters=4\nsize=3\npad=1\nxnor=1\n"


def recorded(name):
    """The network, its input [N, ...] and what Darknet's layers gave; of a layer with fewer filters those it has."""
    net = load(MORE / name / "net.cfg", MORE / name / "net.weights", flavor=name.split("/")[0], strict=True)
    with np.load(MORE / name / "outputs.npz") as held:
        x, layers = held["input"], [held[f"layer{layer.index:02d}"] for layer in net.layers]
    single = x.shape == net.network.in_shape
    return net, x[None] if single else x, [layer[None] if single else layer for layer in layers]


@pytest.mark.sample(16)
@pytest.mark.parametrize("target", ["reference", *EVERY_TARGET, *IN_WINOGRADS_FORM])
@pytest.mark.parametrize("name", MORE_NETS)
def test_every_layer_is_darknets(name, target):
    net, x, layers = recorded(name)
    outputs = net.run(x, framework=target, every_layer=True)
    for layer, found, wanted in zip(net.layers, outputs, layers, strict=True):
        if (name, layer.index) in NOT_A_NUMBER:
            assert np.isnan(wanted).any()
            continue
        found = found.reshape(len(x), *wanted.shape[1:]) if found.size == wanted.size else found[:, : wanted.shape[1]]
        assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max(), layer.name


@pytest.mark.parametrize("name", [name for name in MORE_NETS if "numload" not in name and "tree_batch3" not in name])
def test_trained_weights_go_back_into_the_file(name, tmp_path):
    pytest.importorskip("torch")
    net, _, _ = recorded(name)
    net.to_torch().save_darknet(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (MORE / name / "net.weights").read_bytes()


# ---------------------------------------------------------------------- xnor


@pytest.mark.sample(12)
@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("rest", ["", "batch_normalize=1\n", "batch_normalize=1\nactivation=leaky\n"])
def test_signs_of_every_kind_of_input(rest, flavor, target, tmp_path):
    """0 counts as negative, as do numbers below it; the smallest number that float32 holds in full is positive."""
    net = made(NET.format(3) + XNOR + rest, tmp_path, flavor)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5, 7)).astype(np.float32)
    x[0, :, :2] = 0
    x[1, :, :2] = np.float32(1.2e-38) * np.sign(x[1, :, :2])
    x[1, :, 4] *= np.float32(1e30)
    wanted = net.run(x)
    assert np.abs(net.run(x, framework=target) - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize("target", [parameter("onnx-half"), parameter("openvino-half"), parameter("tflite-half")])
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_signs_in_float16(flavor, target, tmp_path):
    net = made(NET.format(3) + XNOR + "batch_normalize=1\n", tmp_path, flavor)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 5, 7)).astype(np.float32)
    wanted = net.run(x)
    assert np.abs(net.run(x, framework=target) - wanted).max() <= 5e-3 * np.abs(wanted).max()


def test_the_forks_frame_is_negative(tmp_path):
    x = -np.ones((1, 3, 5, 7), np.float32)
    fork = made(NET.format(3) + XNOR + "activation=linear\n", tmp_path, "alexey")
    places = fork.run(x)[0]
    np.testing.assert_allclose(places, np.broadcast_to(places[:, 2:3, 3:4], places.shape), rtol=1e-12)
    original = made(NET.format(3) + XNOR + "activation=linear\n", tmp_path, "pjreddie").run(x)[0]
    np.testing.assert_allclose(original[:, 2, 3], places[:, 2, 3], rtol=1e-12)
    assert np.abs(original[:, 0, 0] - places[:, 0, 0]).max() > 0.01


def test_batch_norm_turns_signs_in_the_fork_alone(tmp_path):
    """A negative scale: the fork takes the signs of the folded weights."""
    text = NET.format(3) + XNOR + "batch_normalize=1\nactivation=linear\n"
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 5, 7)).astype(np.float32)
    fork, original = (made(text, tmp_path, flavor, seed=5) for flavor in ("alexey", "pjreddie"))
    assert (fork.parameters[0, "scales"] < 0).any()
    inner = (..., slice(1, -1), slice(1, -1))  # without the frame
    np.testing.assert_allclose(fork.run(x)[inner], original.run(x)[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_the_size_may_be_open(flavor, tmp_path):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_model, write_onnx

    made(NET.format(3) + XNOR + "batch_normalize=1\n", tmp_path, flavor)
    small, large = (
        load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor, size=size) for size in ((7, 5), (9, 8))
    )
    write_onnx(small.network, small.parameters, tmp_path / "net.onnx", dynamic_size=True)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 9)).astype(np.float32)
    wanted = large.run(x)
    assert np.abs(run_model(tmp_path / "net.onnx", x)[0] - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def hand_made_gradients(net, x, above):
    """Of the sum of output · above: of the input, through signs as if they were x within −1 and 1; of the weights."""
    weights = net.parameters[0, "weights"].astype(np.float64)
    each = weights[0].size
    magnitudes = np.abs(weights).mean(axis=(1, 2, 3), keepdims=True)
    signs, filters = np.where(x > 0, 1.0, -1.0), np.where(weights > 0, 1.0, -1.0)
    frame = -1 if net.network.flavor == "alexey" else 0
    framed = np.pad(signs, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=frame)
    of_input, of_filters = np.zeros(framed.shape), np.zeros(weights.shape)
    for row in range(3):
        for column in range(3):
            seen = (..., slice(row, row + x.shape[2]), slice(column, column + x.shape[3]))
            of_input[seen] += np.einsum("nfhw,fc->nchw", above, (magnitudes * filters)[:, :, row, column])
            of_filters[:, :, row, column] = np.einsum("nfhw,nchw->fc", above, framed[seen])
    mean = (of_filters * filters).sum(axis=(1, 2, 3), keepdims=True) / each
    return of_input[..., 1:-1, 1:-1] * (np.abs(x) < 1), of_filters * magnitudes + mean * filters


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_gradients_go_straight_through_signs(framework, flavor, tmp_path):
    """All weights are within −1 and 1."""
    pytest.importorskip("tensorflow" if framework == "keras" else "torch")
    net = made(NET.format(3) + XNOR + "activation=linear\n", tmp_path, flavor)
    rng = np.random.default_rng(0)
    x, above = (rng.normal(size=(2, count, 5, 7)).astype(np.float32) for count in (3, 4))
    if framework == "torch":
        import torch

        module, given = net.to_torch(), torch.from_numpy(x).requires_grad_()
        module(given).backward(torch.from_numpy(above))
        found = given.grad.numpy(), module.layers[0].weights.grad.numpy()
    else:
        import tensorflow as tf

        model, given = net.to_keras(data_format="channels_first"), tf.constant(x)
        (weights,) = [variable for variable in model.trainable_variables if len(variable.shape) == 4]
        with tf.GradientTape() as tape:
            tape.watch(given)
            result = model(given, training=True)
        found = [gradient.numpy() for gradient in tape.gradient(result, [given, weights.value], above)]
    for mine, wanted in zip(found, hand_made_gradients(net, x, above), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


BINARY = XNOR + "bin_output=1\nactivation=leaky\n"
CONV = "[convolutional]\nfilters=4\nsize=1\n"


@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        (CONV, "linear"),
        (CONV + "[route]\nlayers=-1\n", "linear"),
        ("[route]\nlayers=-1\n", "leaky"),
        (CONV + "[route]\nlayers=-1,0\n", "leaky"),
        (CONV + "[shortcut]\nfrom=0\n", "leaky"),
        ("[shortcut]\nfrom=0\n", "leaky"),
        (CONV + CONV + "[shortcut]\nfrom=-2,0\n", "linear"),
        (CONV + "[sam]\nfrom=0\n", "leaky"),
        (CONV + "[scale_channels]\nfrom=0\nscale_wh=1\n".replace("scale_wh=1\n", ""), None),
    ],
)
def test_bin_output_drops_the_activation_but_before_what_joins(behind, kept):
    if kept is None:
        behind, kept = "[avgpool]\n[scale_channels]\nfrom=0\n", "leaky"
    text = NET.format(32).replace("width=7\nheight=5", "width=5\nheight=5") + BINARY + behind
    assert built(text).layers[0].settings.activation == kept
    assert built(NET.format(32) + BINARY + CONV, "pjreddie").layers[0].settings.activation == "leaky"


REFUSED = [
    (NET.format(8) + XNOR.replace("size=3\npad=1\n", "size=1\n"), "xnor=1 of 8 input channels at size=1"),
    (NET.format(3) + XNOR + "stride=2\n", "xnor=1 of 3 input channels at size=3, stride=2"),
    (NET.format(32) + XNOR + "groups=2\n", "xnor=1 with groups=2 cannot be run"),
    (NET.format(32) + XNOR + "dilation=2\n", "xnor=1 with dilation=2 cannot be run"),
    (NET.format(32) + XNOR + "antialiasing=1\n", "xnor=1 with antialiasing=1 cannot be run"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_the_forks_xnor_cannot_do(text, said):
    with pytest.raises(CfgError) as caught:
        built(text)
    assert said in str(caught.value) and "line" in str(caught.value)
    if "antialiasing" not in text and "dilation" not in text:
        assert built(text, "pjreddie").layers[0].settings.xnor


def test_what_xnor_and_binary_tell():
    said = built(NET.format(32) + XNOR + "stride_x=2\nstride_y=1\n")
    assert not said.layers[0].settings.xnor and "xnor=1 is ignored, as in Darknet" in said.warnings[0]
    for flavor in ("alexey", "pjreddie"):
        said = built(NET.format(3) + CONV + "binary=1\n", flavor)
        assert "line 8: [convolutional] binary=1 is ignored without xnor=1" in said.warnings[0]


# ---------------------------------------------------------------------- shared weights


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize(
    "second",
    ["stride=2\n", "size=3\npad=0\n", "batch_normalize=1\nstride=2\n", "batch_normalize=1\nactivation=mish\n"],
)
def test_weights_shared_in_another_way(second, target, tmp_path):
    first = "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\n"
    other = "[convolutional]\nfilters=3\n" + ("" if "size" in second else "size=3\npad=1\n") + second
    net = made(NET.format(3) + first + other + "share_index=0\n" + other + "share_index=-2\n", tmp_path)
    assert check_network(net.network, net.parameters, [target], tolerance=TOLERANCE, batch=2).ok


def test_shared_weights_are_trained_once():
    keras = pytest.importorskip("keras")
    net, x, _ = recorded("alexey/share_index_other_bn")
    model = net.to_keras()
    wanted = sum(
        p.shared_with is None and p.name not in ("means", "variances") for layer in net.layers for p in layer.parameters
    )
    assert len(model.trainable_variables) == wanted
    given = x.transpose(0, 2, 3, 1)
    target = np.zeros_like(model(given))
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    before = model.evaluate(given, target, verbose=0)
    model.fit(given, target, epochs=2, verbose=0)
    assert model.evaluate(given, target, verbose=0) < before
