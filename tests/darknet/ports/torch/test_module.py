"""Darknet networks in PyTorch: outputs and gradients against the real Darknet, and what a module must survive."""

import copy
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.meaning import Context
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.settings import Settings
from layoutbridge.errors import MissingFrameworkError, ParameterError, ShapeError, UnsupportedError, WeightsError
from layoutbridge.frameworks.primitives import LazyArray
from tests.darknet_files import (
    GOLDEN,
    NETS,
    ROOT,
    WHERE_ZOO,
    ZOO,
    load_synthesizer,
    made,
    moving_layers,
    read,
    real_network,
)

torch = pytest.importorskip("torch")

from layoutbridge.darknet.ports.torch import run_torch, write_torch  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value
GRADIENTS = sorted(f"{path.parent.name}/{path.name}" for path in (ROOT / "fixtures" / "gradients").glob("*/*"))
SOME = [
    "alexey/residual",
    "alexey/yolo_scaled",
    "alexey/antialias",
    "alexey/implicit",
    "alexey/shortcut_per_channel_softmax",
    "alexey/gaussian_yolo",
    "alexey/maxpool_depth",
    "alexey/lrn",
    "alexey/spp",
    "alexey/passthrough3d",
    "pjreddie/residual",
    "pjreddie/passthrough",
    "pjreddie/deconv_bn",
    "pjreddie/local",
    "pjreddie/region_background",
    "pjreddie/connected",
]


def near(found, wanted, tolerance=TOLERANCE):
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


# ---------------------------------------------------------------------- outputs


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name):
    net, x, recorded = read(name)
    outputs = net.run(np.stack([x, x]), framework="torch", every_layer=True)
    assert len(outputs) == len(recorded) == len(net.layers)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.dtype == np.float32
        assert output.shape == (2, *layer.out_shape), layer.name
        for picture in output:
            assert near(picture, wanted), layer.name
    last = net.run(x[None], framework="torch")
    assert near(last[0], recorded[-1])


@pytest.mark.parametrize(("name", "index"), list(moving_layers()))
def test_moving_layers_are_bit_for_bit(name, index):
    """Each by itself, on Darknet's own output before it."""
    net, x, recorded = read(name)
    module = net.to_torch().layers[index]
    sources = [torch.from_numpy(x if k < 0 else recorded[k])[None] for k in net.layers[index].inputs]
    found = module(*sources)[0].numpy()
    np.testing.assert_array_equal(found.reshape(recorded[index].shape), recorded[index])


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_darknets(name):
    folder = ROOT / "fixtures" / "gradients" / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0], strict=True)
    module = net.to_torch().train()
    with np.load(folder / "gradients.npz") as recorded:
        x = torch.from_numpy(recorded["input"])[None].requires_grad_()
        output = module(x)
        assert near(output[0].detach().numpy(), recorded["output"])
        output.backward(torch.from_numpy(recorded["output_gradient"])[None])
        assert near(x.grad[0].numpy(), recorded["input_gradient"])
        compared = 0
        for index, layer in enumerate(module.layers):
            for mine, theirs in (("weights", "weight"), ("biases", "bias")):
                if f"layer{index:02d}_{theirs}_gradient" in recorded:
                    wanted = recorded[f"layer{index:02d}_{theirs}_gradient"]
                    assert near(in_file_order(getattr(layer, mine).grad, layer, mine), wanted)
                    compared += 1
        assert compared == sum(key.startswith("layer") for key in recorded.files)


def in_file_order(gradient, layer, name):
    (parameter,) = (p for p in layer.in_file if p.name == name)
    values = gradient.numpy()
    return (values.reshape(len(values), -1).T if parameter.flipped else values).ravel()


# ---------------------------------------------------------------------- what a module must survive


@pytest.mark.parametrize("name", GOLDEN)
def test_a_module_writes_the_same_file(name, tmp_path):
    net, _, _ = read(name)
    module = net.to_torch()
    module.save_darknet(tmp_path / "module.weights")
    written = (tmp_path / "module.weights").read_bytes()
    assert written == (NETS / name / "net.weights").read_bytes()
    net.from_torch(module).save_weights(tmp_path / "net.weights")
    assert (tmp_path / "net.weights").read_bytes() == written


@pytest.mark.sample(8, slow=8)
@pytest.mark.parametrize("name", GOLDEN)
def test_torch_export_and_its_file(name, tmp_path):
    net, x, recorded = read(name)
    write_torch(net.network, net.parameters, tmp_path / "net.pt2")
    extra = {"layoutbridge.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra).module()
    assert f'"flavor": "{net.network.flavor}"' in extra["layoutbridge.json"]
    for batch in (1, 3):
        outputs = program(torch.from_numpy(np.stack([x] * batch)))
        output = outputs[-1] if isinstance(outputs, tuple) else outputs  # the last of several detection layers
        assert output.shape == (batch, *net.layers[-1].out_shape)
        assert near(output[-1].detach().numpy(), recorded[-1])


@pytest.mark.parametrize("name", SOME[::4])
def test_a_static_export_of_every_layer(name, tmp_path):
    net, x, recorded = read(name)
    write_torch(net.network, net.parameters, tmp_path / "net.pt2", batch=1, every_layer=True)
    outputs = torch.export.load(tmp_path / "net.pt2").module()(torch.from_numpy(x)[None])
    assert len(outputs) == len(recorded)
    assert all(near(output[0].detach().numpy(), wanted) for output, wanted in zip(outputs, recorded, strict=True))


@pytest.mark.sample(4, slow=4)
@pytest.mark.parametrize("name", SOME)
def test_torch_compile_without_a_break(name):
    compare_compiled(name, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("alexey/residual", marks=pytest.mark.thorough), "pjreddie/passthrough"])
def test_torch_compile_by_inductor(name):
    compare_compiled(name, "inductor")


def compare_compiled(name, backend):
    net, x, recorded = read(name)
    module = net.to_torch()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    picture = torch.from_numpy(x)[None].requires_grad_()
    output = compiled(picture)
    assert near(output[0].detach().numpy(), recorded[-1])
    output.sum().backward()
    ours = torch.from_numpy(x)[None].requires_grad_()
    module.zero_grad()
    module(ours).sum().backward()
    torch.testing.assert_close(picture.grad, ours.grad, rtol=1e-4, atol=1e-5)
    assert net.from_torch(compiled).network is net.network
    torch._dynamo.reset()


@pytest.mark.parametrize("name", SOME)
def test_state_dicts_copies_and_dtypes(name, tmp_path):
    net, x, recorded = read(name)
    module = net.to_torch()
    picture = torch.from_numpy(x)[None]
    wanted = module(picture)
    names = {f"{layer.name}.{p.name}" for layer in net.layers for p in layer.parameters}
    assert set(module.state_dict()) == names
    pickled = pickle.loads(pickle.dumps(module))  # as programs that are started for several devices get it
    torch.testing.assert_close(pickled(picture), wanted, rtol=0, atol=0)
    copied = copy.deepcopy(module)
    torch.testing.assert_close(copied(picture), wanted, rtol=0, atol=0)
    for parameter in copied.parameters():
        parameter.data.zero_()
    copied.load_state_dict(module.state_dict())
    torch.testing.assert_close(copied(picture), wanted, rtol=0, atol=0)
    double = copied.double()(picture.double())
    assert double.dtype == torch.float64
    assert near(double[0].detach().numpy(), recorded[-1])
    copied.float().save_darknet(tmp_path / "copied.weights")
    assert (tmp_path / "copied.weights").read_bytes() == (NETS / name / "net.weights").read_bytes()
    half = module.to(torch.bfloat16)(picture.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert module.float().to("meta")(picture.to("meta")).shape == wanted.shape


# ---------------------------------------------------------------------- training


def test_parameters_have_darknets_names_and_kinds():
    net, _, _ = read("alexey/residual")
    module = net.to_torch()
    assert [name for name, _ in module.named_children()] == [layer.name for layer in net.layers]
    first = module.get_submodule("0_convolutional")
    assert [name for name, _ in first.named_parameters()] == ["biases", "scales", "weights"]
    assert [name for name, _ in first.named_buffers()] == ["means", "variances"]
    assert "0_convolutional): convolutional(" in repr(module)


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_a_step_of_sgd(flavor, tmp_path):
    """The same step as gradients by differences of the float64 reference give; then the file is read back."""
    net = made(SMALL, tmp_path, flavor)
    module = net.to_torch().train()
    x = np.random.default_rng(1).random((2, *net.network.in_shape), np.float32)
    upstream = np.random.default_rng(2).standard_normal((2, *net.layers[-1].out_shape))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    (module(torch.from_numpy(x)) * torch.from_numpy(upstream).float()).sum().backward()
    optimizer.step()
    trained = net.from_torch(module)
    rng = np.random.default_rng(3)
    for (index, name), before in net.parameters.items():
        after = trained.parameters[index, name]
        if name in ("means", "variances"):
            np.testing.assert_array_equal(after, before)
            continue
        direction = rng.standard_normal(before.shape)
        slope = difference(net, (index, name), direction, x, upstream)
        found = float(((before.astype(np.float64) - after) * direction).sum()) / 0.01
        assert abs(found - slope) <= 1e-3 * (abs(slope) + 1), (index, name)
    module.save_darknet(tmp_path / "trained.weights")
    again = load(tmp_path / "net.cfg", tmp_path / "trained.weights", flavor=flavor, strict=True)
    assert again.weights.header.seen == 12345
    assert near(again.run(x, framework="torch"), module(torch.from_numpy(x)).detach().numpy(), 1e-6)
    assert not np.array_equal(again.parameters[0, "weights"], net.parameters[0, "weights"])


SMALL = """[net]
width=6
height=6
channels=4
[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=logistic
[convolutional]
filters=4
size=1
activation=leaky
[shortcut]
from=-2
activation=linear
[reorg]
stride=2
[connected]
batch_normalize=1
output=5
activation=logistic
"""


def difference(net, key, direction, x, upstream):
    """The derivative of the sum of upstream·output along `direction`, by central differences in float64."""
    step = 1e-5
    sums = []
    for sign in (1, -1):
        moved = dict(net.parameters)
        moved[key] = net.parameters[key].astype(np.float64) + sign * step * direction
        sums.append(float((forward(net.network, moved, x)[-1] * upstream).sum()))
    return (sums[0] - sums[1]) / (2 * step)


@pytest.mark.parametrize("name", [name for name in GOLDEN if "shortcut_per" in name])
def test_weights_of_a_shortcut_are_trained(name):
    """Their gradient goes through the normalisation: compared with differences in float64."""
    net, x, _ = read(name)
    module = net.to_torch().double()
    picture = torch.from_numpy(x)[None].double()
    module(picture).square().sum().backward()
    found = 0
    for layer in module.layers:
        if layer.kind != "shortcut" or not layer.in_file:
            continue
        weights, gradient = layer.weights.data, layer.weights.grad.clone()
        direction = torch.from_numpy(np.random.default_rng(0).standard_normal(weights.shape))
        sums = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                weights += step * direction
                sums.append(float(module(picture).square().sum()))
            weights += 1e-6 * direction
        slope = (sums[0] - sums[1]) / 2e-6
        assert abs(float((gradient * direction).sum()) - slope) <= 1e-5 * abs(slope) + 1e-6
        found += bool(gradient.abs().sum() > 0)
    assert found


def test_gradients_reach_every_parameter():
    for name in GOLDEN:
        net, x, _ = read(name)
        module = net.to_torch()
        outputs = module(torch.from_numpy(x)[None], every_layer=True)
        total = sum(output.square().sum() for output in outputs)
        for path, parameter in module.named_parameters():
            (gradient,) = torch.autograd.grad(total, parameter, retain_graph=True)
            assert gradient.abs().sum() > 0, (name, path)


SHARED = """[net]
width=6
height=6
channels=4
[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky
[convolutional]
share_index=0
batch_normalize=1
filters=4
size=3
pad=1
activation=linear
"""


def test_shared_parameters_are_one_tensor(tmp_path):
    net = made(SHARED, tmp_path)
    module = net.to_torch()
    first, second = module.layers
    assert first.weights is second.weights
    assert len(list(module.parameters())) == 3
    x = torch.rand(1, 4, 6, 6)
    module(x).sum().backward()
    torch.optim.SGD(module.parameters(), 0.1).step()
    copied = copy.deepcopy(module).double().float()
    assert copied.layers[0].weights is copied.layers[1].weights
    assert copied.layers[0].weights is not first.weights
    for each in (module, copied):
        each.save_darknet(tmp_path / "trained.weights")
        again = load(tmp_path / "net.cfg", tmp_path / "trained.weights", strict=True)
        torch.testing.assert_close(again.to_torch()(x), module(x), rtol=0, atol=0)


def test_what_a_file_has_no_room_for_is_refused(tmp_path):
    net = made(SMALL.replace("size=3\n", "size=3\ndontloadscales=1\n"), tmp_path)
    module = net.to_torch()
    module.save_darknet(tmp_path / "same.weights")
    assert (tmp_path / "same.weights").read_bytes() == (tmp_path / "net.weights").read_bytes()
    module.layers[0].scales.data += 1
    with pytest.raises(WeightsError, match=r"scales of layer 0_convolutional were trained.*dontloadscales"):
        module.save_darknet(tmp_path / "same.weights")
    module.layers[0].scales.data -= 1
    module.layers[0].weights.data[0] = float("nan")
    with pytest.raises(WeightsError, match="weights of layer 0_convolutional hold NaN"):
        net.from_torch(module)
    assert (tmp_path / "same.weights").read_bytes() == (tmp_path / "net.weights").read_bytes()


# ---------------------------------------------------------------------- what is refused


def test_inputs_that_do_not_fit(tmp_path):
    net = made(SMALL, tmp_path)
    module = net.to_torch()
    for shape in ((4, 6, 6), (1, 3, 6, 6), (1, 4, 6, 7), (1, 4, 36)):
        with pytest.raises(ShapeError, match=r"must be \[N, 4, 6, 6\], not"):
            module(torch.zeros(shape))
    with pytest.raises(ParameterError, match="floats"):
        module(torch.zeros(1, 4, 6, 6, dtype=torch.uint8))


def test_modules_that_do_not_fit(tmp_path):
    net = made(SMALL, tmp_path)
    with pytest.raises(WeightsError, match=r"the model has 1 layer with weights, and net\.cfg 3: nothing is there for"):
        net.from_torch(torch.nn.Linear(1, 1))
    other = made(SMALL.replace("output=5", "output=6"), tmp_path)
    with pytest.raises(WeightsError, match=r"net.cfg, line \d+: the parameters of 4_connected"):
        net.from_torch(other.to_torch())
    shorter = made(SMALL.partition("[connected]")[0], tmp_path)
    with pytest.raises(WeightsError, match=r"the module has 4 layers, and net\.cfg 5"):
        net.from_torch(shorter.to_torch())
    with pytest.raises(WeightsError, match="without weights"):
        load(tmp_path / "net.cfg").to_torch()


def test_files_that_cannot_be_written(tmp_path):
    net = made(SMALL, tmp_path)
    with pytest.raises(ParameterError, match=r"must end in \.pt2"):
        write_torch(net.network, net.parameters, tmp_path / "net.onnx")
    for batch in (0, True, 1.5):
        with pytest.raises(ParameterError, match="batch"):
            write_torch(net.network, net.parameters, tmp_path / "net.pt2", batch=batch)
    with pytest.raises(ValueError, match="cannot write"):
        write_torch(net.network, net.parameters, tmp_path / "none" / "net.pt2")


def test_parameters_do_not_become_plain_numbers(tmp_path):
    """A meaning that would freeze a parameter, or does what is not recorded, fails when the module is made."""
    from layoutbridge.darknet.ports.torch_module import _TorchContext
    from layoutbridge.frameworks.torch.target import TorchTarget

    net = made(SMALL, tmp_path)
    place = _TorchContext(TorchTarget([(4, 6, 6)]), net.network, net.layers[0], (), net.parameters)
    assert isinstance(place, Context)
    for wrong in (np.asarray, np.cos, lambda w: w.astype(int), lambda w: 1 / w, lambda w: np.add.reduce(w)):
        with pytest.raises(TypeError, match="parameter"):
            wrong(place.array("weights"))
    squared = (2.0 * place.array("scales") - 1.0) ** 2
    np.testing.assert_allclose(squared.value, (2 * net.parameters[0, "scales"] - 1) ** 2, rtol=1e-6)


def test_a_missing_torch_names_the_extra(monkeypatch, tmp_path):
    net = made(SMALL, tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python marks what cannot be imported
    for call in (net.to_torch, lambda: run_torch(net.network, net.parameters, np.zeros((1, 4, 6, 6)))):
        with pytest.raises(MissingFrameworkError, match=r"pip install .*\[torch\]'"):
            call()


def test_a_kind_without_a_meaning_names_its_line(tmp_path):
    class Unwritten(Settings):
        kind = "unwritten"

    net = made(SMALL, tmp_path)
    layers = (*net.layers[:-1], replace(net.layers[-1], settings=Unwritten()))
    strange = DarknetNetwork(replace(net.network, layers=layers), net.weights)
    with pytest.raises(UnsupportedError, match=rf"net.cfg, line {layers[-1].line}: \[unwritten\]"):
        strange.to_torch()


def test_torch_is_imported_by_nothing_else(tmp_path):
    made(SMALL, tmp_path)
    program = (
        "import sys, layoutbridge as lb; net = lb.darknet.load('net.cfg', 'net.weights'); "
        "import layoutbridge.darknet.ports.torch; net.to_onnx('net.onnx'); assert 'torch' not in sys.modules"
    )
    pytest.importorskip("onnx")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=120)


# ---------------------------------------------------------------------- real networks


def networks():
    """Every third network by size; the two smallest of them in the default set, the largest third to be thorough."""
    manifests = sorted(ZOO.glob("*/*/manifest.json"))
    sizes = {path: sum(part["count"] for part in json.loads(path.read_text())["segments"]) for path in manifests}
    chosen = sorted(manifests, key=lambda path: sizes[path])[::3]
    for place, path in enumerate(chosen):
        mark = pytest.mark.thorough if 3 * place >= 2 * len(chosen) else pytest.mark.slow
        name = f"{path.parent.parent.name}/{path.parent.name}"
        yield pytest.param(path.parent, id=name, marks=() if place < 2 else mark)


NETWORKS = list(networks()) or [pytest.param(None, marks=pytest.mark.skip(reason=WHERE_ZOO))]


@pytest.mark.parametrize("folder", NETWORKS)
def test_every_layer_of_a_real_network(folder, tmp_path):
    """Against the float64 reference; saturated layers may stray further where the reference in float32 does too."""
    net, x = real_network(folder, tmp_path / "net.weights")
    outputs = net.run(x, framework="torch", every_layer=True)
    exact = forward(net.network, net.parameters, x)
    pairs = zip(outputs, exact, strict=True)
    stray = [index for index, (found, wanted) in enumerate(pairs) if not near(found, wanted, 5e-5)]
    rounded = forward(net.network, net.parameters, x, dtype=np.float32) if stray else []
    for index in stray:
        ours, float32s = (np.abs(each[index] - exact[index]).max() for each in (outputs, rounded))
        assert not near(rounded[index], exact[index], 5e-5), net.layers[index].name
        assert ours <= 2 * float32s, net.layers[index].name
    del outputs
    (tmp_path / "net.weights").unlink()  # up to 1.1 GB


MEASURED = """
import resource, sys
import torch
import layoutbridge as lb
import layoutbridge.darknet.ports.torch_module

net = lb.darknet.load(sys.argv[1], sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
net.to_torch()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not ZOO.exists(), reason=WHERE_ZOO)
def test_making_yolov4_takes_the_memory_of_its_weights(tmp_path):
    folder = ZOO / "alexey" / "yolov4"
    weights = tmp_path / "net.weights"
    load_synthesizer().write_weights(json.loads((folder / "manifest.json").read_text()), weights)
    call = [sys.executable, "-c", MEASURED, str(folder / "net.cfg"), str(weights)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(call, env=environment, check=True, timeout=120, capture_output=True, text=True)
    assert float(done.stdout) <= weights.stat().st_size / 2**20 + 600
    weights.unlink()


# ---------------------------------------------------------------------- primitives that no recorded network reaches


def run_primitive(function, *inputs):
    from layoutbridge.frameworks.torch.program import ProgramModule
    from layoutbridge.frameworks.torch.target import TorchTarget

    target = TorchTarget([x.shape[1:] for x in inputs])
    value = target.with_batch(function(target, *target.inputs))
    result = ProgramModule(target.program, value.number)(*inputs)
    assert result.shape[1:] == value.shape
    return result


def test_paddings_that_differ_from_side_to_side():
    from torch.nn import functional

    x, weights = torch.rand(2, 3, 5, 6), torch.rand(3, 4, 3, 3)
    held = LazyArray.of("weights", weights.numpy())
    sides = {"stride": (2, 2), "padding": (0, 1, 2, 0)}
    whole = functional.conv_transpose2d(x, weights, stride=2)
    found = run_primitive(lambda t, v: t.conv_transpose2d(v, held, **sides), x)
    torch.testing.assert_close(found, whole[:, :, :-2, 1:])
    padded = functional.pad(x, (1, 0, 0, 2))
    swapped = LazyArray.of("weights", weights.transpose(0, 1).contiguous().numpy())
    found = run_primitive(lambda t, v: t.conv2d(v, swapped, **sides), x)
    torch.testing.assert_close(found, functional.conv2d(padded, weights.transpose(0, 1), stride=2))
    pooled = functional.avg_pool2d(padded, 3, 2) / functional.avg_pool2d(functional.pad(x * 0 + 1, (1, 0, 0, 2)), 3, 2)
    torch.testing.assert_close(run_primitive(lambda t, v: t.average_pool(v, size=(3, 3), **sides), x), pooled)
    largest = functional.max_pool2d(functional.pad(-x, (1, 0, 0, 2), value=-9), 3, 2)
    torch.testing.assert_close(run_primitive(lambda t, v: t.max_pool(v, size=(3, 3), **sides), -x), largest)


def test_a_constant_is_joined_to_every_picture():
    x, extra = torch.rand(3, 2, 4, 4), np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    found = run_primitive(lambda t, v: t.concat([t.constant(LazyArray.of("extra", extra)), v]), x)
    torch.testing.assert_close(found[:, 1:], x)
    np.testing.assert_array_equal(found[:, 0], np.broadcast_to(extra, (3, 4, 4)))


def test_a_picture_with_channels_last_in_memory():
    for name in SOME:
        net, x, recorded = read(name)
        if x.ndim == 3:
            picture = torch.from_numpy(x)[None].to(memory_format=torch.channels_last)
            assert near(net.to_torch()(picture)[0].detach().numpy(), recorded[-1]), name
