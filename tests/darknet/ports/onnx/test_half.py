"""ONNX models in float16: how far from the real Darknet, what stays in float32, what the files hold."""

from collections import Counter

import numpy as np
import pytest

from layoutbridge.darknet.reference import forward
from tests.darknet_files import (
    GOLDEN,
    WHERE_ZOO,
    ZOO,
    deviation_table,
    made,
    read,
    real_network,
)

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, numpy_helper  # noqa: E402

from layoutbridge.darknet.meaning.normalization import folded  # noqa: E402
from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx  # noqa: E402

TOLERANCE = 2e-3  # of a layer's largest value: four roundings to 11 bits
ROUNDED_TOLERANCE = 5e-3  # with every result rounded
DECODED = 2e-2  # of boxes: exp magnifies
REAL_TOLERANCE = 1e-2  # of networks of a hundred layers
REAL = (
    "pjreddie/yolov2",
    "pjreddie/yolov3",
    "alexey/yolov4",
    "alexey/yolov4-tiny",
    "alexey/darknet19_448",
    "pjreddie/darknet53",
)
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def changed(text, folder, parameters=None):
    """The network of a cfg's text and its random parameters, but for those given."""
    net = made(text, folder)
    return net.network, dict(net.parameters) | (parameters or {})


def assert_near(found, wanted, tolerance=TOLERANCE):
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    deviation = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert deviation <= tolerance, f"{deviation:.1e}"


EXACT = ("Reshape", "Transpose", "Split", "Concat", "Slice", "Identity", "SpaceToDepth", "DepthToSpace", "Gather",
         "MaxPool", "Expand", "Resize", "Pad", "Relu", "Clip", "Max", "ReduceMax", "Floor")  # fmt: skip
_SPLITTER = np.float32(2**13 + 1)  # c = x·(2¹³ + 1), then c − (c − x) has the leading 24 − 13 = 11 bits of x


def rounding_everywhere(path):
    """The model at `path` with float32 throughout, and each result that was float16 rounded to 11 bits.

    onnxruntime's CPU has no kernels of float16 for most operators, computes them in float32 and leaves out the
    roundings in between. Here they are all made, by arithmetic that it does not leave out; nothing overflows here.
    """
    model = onnx.load(path)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    halves = {v.name for v in (*graph.value_info, *graph.output) if v.type.tensor_type.elem_type == HALF}
    del model.graph.value_info[:]
    held = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    names = [tensor.name for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    for name, array in zip([*names, "splitter"], [*held, _SPLITTER], strict=True):
        array = array.astype(np.float32) if array.dtype == np.float16 else np.asarray(array)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    add = onnx.helper.make_node
    for node in nodes:
        exact = node.op_type in EXACT
        if node.op_type == "Cast":
            node = add("Identity", node.input, node.output)
        model.graph.node.append(node)
        for place, name in enumerate(node.output):
            if name in halves and not exact:
                model.graph.node[-1].output[place] = whole = f"{name}/whole"
                more = [
                    add("Mul", [whole, "splitter"], [f"{name}/c"]),
                    add("Sub", [f"{name}/c", whole], [f"{name}/d"]),
                    add("Sub", [f"{name}/c", f"{name}/d"], [name]),
                ]
                assert len(node.output) == 1
                model.graph.node.extend(more)
    onnx.save(model, path)


def run_rounded(net, x, path, **options):
    """The outputs of all layers by name, every result of float16 rounded."""
    export = write_onnx(net.network, net.parameters, path, half=True, every_layer=True, **options)
    rounding_everywhere(path)
    return dict(zip(export.outputs, run_model(path, x), strict=True))


# ---------------------------------------------------------------------- how far from Darknet


@pytest.mark.sample(30)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_near_darknets_with_every_rounding(name, tmp_path):
    net, x, recorded = read(name)
    outputs = run_rounded(net, x[None], tmp_path / "net.onnx")
    for layer, wanted in zip(net.layers, recorded, strict=True):
        assert_near(outputs[layer.name][0], wanted, ROUNDED_TOLERANCE)
        if layer.kind == "convolutional" and not layer.settings.activation_in_float32:
            half = outputs[layer.name].astype(np.float16)
            np.testing.assert_allclose(half, outputs[layer.name], rtol=0, atol=2**-24)  # below 2^-14 it has less digits


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_near_darknets(name, tmp_path):
    net, x, recorded = read(name)
    path = tmp_path / "net.onnx"
    export = write_onnx(net.network, net.parameters, path, half=True, every_layer=True)
    assert not export.warnings
    onnx.checker.check_model(str(path), full_check=True)
    batch = np.stack([x, x])
    outputs = dict(zip(export.outputs, run_model(path, batch), strict=True))
    for layer, wanted in zip(net.layers, recorded, strict=True):
        for picture in outputs[layer.name]:
            assert_near(picture, wanted)


@pytest.mark.sample(30)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_near_darknets_in_openvino(name, tmp_path):
    openvino = pytest.importorskip("openvino")
    net, x, recorded = read(name)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", half=True, every_layer=True, batch=1)
    compiled = openvino.Core().compile_model(tmp_path / "net.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([x[None]])
    for layer, wanted in zip(net.layers, recorded, strict=True):
        assert_near(np.asarray(results[layer.name])[0].reshape(wanted.shape), wanted)


@pytest.mark.sample(40)
@pytest.mark.parametrize(
    "options",
    [
        {"keep_batch_norm": True},
        {"opset": 11},
        {"opset": 18},
        {"opset": 23},
        {"external_data": True},
        {"batch": 1},
        {"runtime": "openvino"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", [*GOLDEN[::6], "alexey/activations_alexey"])
def test_the_same_under_every_option(name, options):
    net, x, recorded = read(name)
    outputs = run_onnx(net.network, net.parameters, x[None], every_layer=True, half=True, **options)
    for output, wanted in zip(outputs, recorded, strict=True):
        assert_near(output[0], wanted)


@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", [name for name in GOLDEN if "yolo_" in name or "region" in name or "_v1" in name])
def test_boxes(name, head, tmp_path):
    net, x, _ = read(name)
    found = []
    for half in (False, True):
        export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", half=half, head=head, nms=half)
        onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
        found.append(run_model(tmp_path / "net.onnx", x[None])[0])
    assert list(export.outputs) == [head, "nms"]
    assert_near(found[1], found[0], DECODED)


def test_a_size_that_is_left_open(tmp_path):
    net, _, _ = read("alexey/residual")
    for half in (False, True):
        write_onnx(net.network, net.parameters, tmp_path / f"{half}.onnx", half=half, dynamic_size=True)
    channels, height, width = net.network.in_shape
    x = np.random.default_rng(0).random((2, channels, 2 * height, width + 32), np.float32)
    assert_near(*(run_model(tmp_path / f"{half}.onnx", x)[0] for half in (True, False)))


# ---------------------------------------------------------------------- what the file holds


@pytest.mark.parametrize("name", ["alexey/dense_tiny", "alexey/yolo_head", "pjreddie/region_logistic", "alexey/lrn"])
def test_types(name, tmp_path):
    """Inputs and outputs float32, detection layers and normalisations computed so, weights float16."""
    net, _, _ = read(name)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", half=True)
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "net.onnx"), strict_mode=True)
    graph = model.graph
    assert all(value.type.tensor_type.elem_type == FLOAT for value in (*graph.input, *graph.output))
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    precise = {layer.name for layer in net.layers if layer.kind in ("yolo", "region", "lrn", "detection", "softmax")}
    casts = Counter()
    for node in graph.node:
        if node.op_type == "Cast":
            casts[node.input[0], node.attribute[0].i] += 1
            continue
        for output in node.output:
            assert types[output] == (FLOAT if node.name.split("/")[0] in precise else HALF), node.name
    assert set(casts.values()) == {1}
    assert ("input", HALF) in casts
    held = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [name for name in held if name.endswith(("/weights", "/biases"))]
    assert weights
    assert all(held[name] == HALF for name in weights)


def test_outputs_of_every_layer_are_float32(tmp_path):
    net, _, _ = read("alexey/residual")
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", half=True, every_layer=True)
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [value.name for value in graph.output] == list(export.outputs)
    assert all(value.type.tensor_type.elem_type == FLOAT for value in graph.output)
    readers = {name for node in graph.node if node.op_type != "Cast" for name in node.input}
    assert readers.isdisjoint(export.outputs)  # the layers go on in float16


@pytest.mark.parametrize("external_data", [False, True])
def test_the_file_is_half_as_large(external_data, tmp_path):
    text = "[net]\nwidth=8\nheight=8\nchannels=64\n" + "[convolutional]\nfilters=128\nsize=3\nbatch_normalize=1\n" * 3
    network, parameters = changed(text, tmp_path)
    sizes = []
    for half in (False, True):
        path = tmp_path / "net.onnx"
        export = write_onnx(network, parameters, path, half=half, external_data=external_data)
        sizes.append(path.stat().st_size + (export.data_path.stat().st_size if export.data_path else 0))
    assert sizes[1] <= 0.5 * sizes[0] + 4096


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_weights_are_folded_and_rounded_once(flavor, tmp_path):
    """The nearest float16 to the fold in float64, bit for bit: also where float32 lies between."""
    net, _, _ = read(f"{flavor}/dense_tiny")
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", half=True)
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "net.onnx").graph.initializer}
    for layer in net.layers:
        if layer.kind == "convolutional" and layer.settings.batch_normalize:
            scales, means, variances, biases, weights = (
                net.parameters[layer.index, name].astype(np.float64)
                for name in ("scales", "means", "variances", "biases", "weights")
            )
            divisor = np.sqrt(variances + 1e-5) if flavor == "alexey" else np.sqrt(variances) + 1e-6
            factor = scales / divisor
            wanted = weights * factor.reshape(-1, 1, 1, 1)
            np.testing.assert_array_equal(held[f"{layer.name}/weights"], wanted.astype(np.float16))
            np.testing.assert_array_equal(held[f"{layer.name}/biases"], (biases - means * factor).astype(np.float16))


def test_rounding_once_differs_from_rounding_twice():
    """A product just above the middle of two numbers of float16, which float32 puts onto that middle."""
    weights = np.full((1, 1, 1, 1), 1 + 2**-11, np.float32)
    lazy = folded(weights, np.array([1 + 2.0**-40]), "weights")
    (once,) = lazy.chunks(dtype=np.float16)
    assert once.item() == 1 + 2**-10
    assert lazy.read().astype(np.float16).item() == 1.0


# ---------------------------------------------------------------------- what float16 cannot hold

CHAIN = (
    "[net]\nwidth=4\nheight=4\nchannels=3\n[convolutional]\nfilters=4\nsize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=4\nsize=1\nactivation=logistic\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
)


@pytest.mark.parametrize("factor", [1e6, 1e-6], ids=["too_large", "too_small"])
def test_a_layer_whose_weights_do_not_fit_stays_float32(factor, tmp_path):
    _, given = changed(CHAIN, tmp_path)
    weights = {(1, "weights"): given[1, "weights"] * np.float32(factor)}
    network, parameters = changed(CHAIN, tmp_path, weights)
    export = write_onnx(network, parameters, tmp_path / "net.onnx", half=True, every_layer=True)
    (warning,) = export.warnings
    assert warning.startswith("net.cfg, line 9: 1_convolutional stays in float32: '1_convolutional/weights' reaches")
    held = {t.name: t.data_type for t in onnx.load(tmp_path / "net.onnx").graph.initializer}
    kinds = [held[f"{k}_convolutional/{name}"] for k in range(3) for name in ("weights", "biases")]
    assert kinds == [HALF, HALF, FLOAT, FLOAT, HALF, HALF]
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    x = np.random.default_rng(1).random((1, 3, 4, 4), np.float32)
    outputs = dict(zip(export.outputs, run_model(tmp_path / "net.onnx", x), strict=True))
    exact = forward(network, parameters, x)
    assert_near(outputs["2_convolutional"], exact[2], 5e-3)


def test_small_biases_are_no_reason(tmp_path):
    _, given = changed(CHAIN, tmp_path)
    network, parameters = changed(CHAIN, tmp_path, {(1, "biases"): given[1, "biases"] * np.float32(1e-6)})
    assert not write_onnx(network, parameters, tmp_path / "net.onnx", half=True).warnings


def test_the_largest_number_of_float16_fits(tmp_path):
    for value, fits in ((65504.0, True), (65519.0, True), (65520.0, False), (-65520.0, False)):
        network, parameters = changed(CHAIN, tmp_path, {(0, "biases"): np.full(4, value, np.float32)})
        export = write_onnx(network, parameters, tmp_path / "net.onnx", half=True)
        assert bool(export.warnings) is not fits


def test_without_half_nothing_is_float16(tmp_path):
    net, _, _ = read("alexey/dense_tiny")
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert not any(node.op_type == "Cast" for node in graph.node)
    assert not any(tensor.data_type == HALF for tensor in graph.initializer)


# ---------------------------------------------------------------------- real networks


@pytest.fixture(scope="module")
def table(request):
    yield from deviation_table(request, "ONNX in float16: largest deviation from float64")


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_every_layer_of_a_real_network(name, tmp_path, table):
    folder = ZOO / name
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    net, x = real_network(folder, tmp_path / "net.weights")
    exact = forward(net.network, net.parameters, x)
    outputs = run_rounded(net, x, tmp_path / "net.onnx")
    found = {
        layer.name: float(np.abs(outputs[layer.name] - wanted).max() / np.abs(wanted).max())
        for layer, wanted in zip(net.layers, exact, strict=True)
    }
    worst = max(found, key=found.__getitem__)
    table.append((name, found[worst], worst))
    assert found[worst] <= REAL_TOLERANCE
    (tmp_path / "net.weights").unlink()
