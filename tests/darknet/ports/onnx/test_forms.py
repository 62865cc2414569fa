"""The forms that a runtime runs fastest: as right as the plain ones, in that very runtime."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import UnknownNameError
from tests.constructed_layers import JOINED, NET, SIGNS
from tests.darknet_files import GOLDEN, NETS, built, made
from tests.onnx_runtimes import NEEDS, RUN_IN

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, write_onnx  # noqa: E402
from layoutbridge.frameworks.onnx.programs.forms import RUNTIMES  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value
MISH = "[net]\nwidth=40\nheight=40\nchannels=1\n[activation]\nactivation=mish\n"


RUNNERS = {"onnxruntime": run_model} | RUN_IN
RUNTIMES_HERE = [pytest.param(name, marks=NEEDS.get(name, ())) for name in RUNTIMES]


@pytest.mark.sample(60)
@pytest.mark.parametrize("runtime", RUNTIMES_HERE)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name, runtime, tmp_path):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    with np.load(folder / "outputs.npz") as arrays:
        x, recorded = arrays["input"], [arrays[f"layer{k:02d}"] for k in range(len(net.layers))]
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", runtime=runtime, every_layer=True, batch=1)
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    outputs = dict(zip(export.outputs, RUNNERS[runtime](tmp_path / "net.onnx", x[None]), strict=True))
    for layer, wanted in zip(net.layers, recorded, strict=True):
        deviation = np.abs(outputs[layer.name].reshape(wanted.shape) - wanted).max()
        assert deviation <= TOLERANCE * np.abs(wanted).max(), layer.name


@pytest.mark.parametrize("runtime", RUNTIMES_HERE)
@pytest.mark.parametrize("reach", [1.0, 20.0, 100.0, 1000.0])
def test_mish_wherever_exp_ends(runtime, reach, tmp_path):
    """exp is infinite in float32 from 89 on, and 0 below −104; what is small beside x is held to 1e-7 of x."""
    write_onnx(built(MISH), {}, tmp_path / "mish.onnx", runtime=runtime)
    x = np.linspace(-reach, reach, 1600, dtype=np.float32).reshape(1, 1, 40, 40)
    exact = x * np.tanh(np.logaddexp(0, x.astype(np.float64)))
    found = RUNNERS[runtime](tmp_path / "mish.onnx", x)[0]
    assert (np.abs(found - exact) <= 3e-7 * np.maximum(np.abs(x), 1)).all()


def test_onnxruntime_gets_no_softplus(tmp_path):
    for runtime, wanted in ((None, True), ("openvino", True), ("onnxruntime", False)):
        write_onnx(built(MISH), {}, tmp_path / "mish.onnx", runtime=runtime)
        assert ("Softplus" in {node.op_type for node in onnx.load(tmp_path / "mish.onnx").graph.node}) == wanted


def test_mish_in_half_precision(tmp_path):
    cfg = MISH.replace("[activation]", "[convolutional]\nfilters=1\nsize=1\nstride=1")
    parameters = {(0, "weights"): np.full((1, 1, 1, 1), 30, np.float32), (0, "biases"): np.zeros(1, np.float32)}
    write_onnx(built(cfg), parameters, tmp_path / "mish.onnx", runtime="onnxruntime", half=True)
    x = np.linspace(-1, 1, 1600, dtype=np.float32).reshape(1, 1, 40, 40)
    exact = 30 * x * np.tanh(np.logaddexp(0, 30.0 * x))
    assert np.abs(run_model(tmp_path / "mish.onnx", x)[0] - exact).max() <= 30 * 2e-3


def test_names(tmp_path):
    with pytest.raises(UnknownNameError, match="'tvm'; there is onnxruntime, openvino, opencv"):
        write_onnx(built(MISH), {}, tmp_path / "net.onnx", runtime="tvm")
    with pytest.raises(UnknownNameError, match="no runtime of ONNX models is called 'litert'"):
        write_onnx(built(MISH), {}, tmp_path / "net.onnx", runtime="litert")
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize(("runtime", "reads"), [("opencv45", False), ("opencv46", True), (None, True)])
def test_an_output_is_copied_before_it_is_joined(runtime, reads, tmp_path):
    """OpenCV 4.5 writes what is joined alone into the Concat, and reads the output where nobody wrote."""
    net, path = made(NET + JOINED, tmp_path), tmp_path / "net.onnx"
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    results = []
    for name in (None, runtime):
        write_onnx(net.network, net.parameters, path, runtime=name, every_layer=True, batch=1)
        onnx.checker.check_model(str(path), full_check=True)
        results.append(run_model(path, x))
    graph = onnx.load(path).graph
    joined = {name for node in graph.node if node.op_type == "Concat" for name in node.input}
    assert bool(joined & {value.name for value in graph.output}) == reads
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True))


def test_signs_without_clip(tmp_path):
    """OpenCV 4.5 and 4.6 repeat no number for several pictures in Greater."""
    net, path = made(NET + SIGNS, tmp_path), tmp_path / "net.onnx"
    x = np.random.default_rng(0).uniform(-1, 1, (2, *net.network.in_shape)).astype(np.float32)
    write_onnx(net.network, net.parameters, path, batch=2)
    [wanted] = run_model(path, x)
    for runtime in ("opencv45", "opencv46"):
        write_onnx(net.network, net.parameters, path, runtime=runtime, batch=2)
        assert not {"Greater", "Clip"} & {node.op_type for node in onnx.load(path).graph.node}
        assert np.abs(run_model(path, x)[0] - wanted).max() <= TOLERANCE * np.abs(wanted).max()
