"""Networks at opsets below the usual one: every layer and head in a form of that opset, checked and run."""

from functools import cache

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.activations import ACTIVATIONS
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.errors import ParameterError, UnsupportedError
from tests.constructed_layers import CASES, CONV, NET, TREE
from tests.darknet_files import GOLDEN, NETS, RECURRENT, SEQUENCES, check_onnx, made, read

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, run_onnx_sequence, write_onnx  # noqa: E402

TOLERANCE = 1e-5  # of an output's largest value
OLD = (11, *(pytest.param(number, marks=pytest.mark.slow) for number in (9, 10, 12)))


@cache
def detectors():
    return [name for name in GOLDEN if isinstance(read(name)[0].layers[-1].settings, Head)]


def assert_checked(path, opset):
    model = onnx.load(path)
    assert [(held.domain, held.version) for held in model.opset_import] == [("", opset)]
    onnx.checker.check_model(str(path), full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


@pytest.mark.parametrize("opset", OLD)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name, opset, tmp_path):
    net, x, recorded = read(name)
    path = tmp_path / "net.onnx"
    try:
        write_onnx(net.network, net.parameters, path, opset=opset, every_layer=True, keep_batch_norm=opset == 12)
    except UnsupportedError as error:
        assert opset == 9 and "takes places at steps, which Slice does from opset 10 on: opset is 9" in str(error)
        return
    assert_checked(path, opset)
    outputs = run_model(path, x[None], [layer.name for layer in net.layers])
    for layer, (output,), wanted in zip(net.layers, outputs, recorded, strict=True):
        assert np.abs(output - wanted).max() <= TOLERANCE * np.abs(wanted).max(), layer.name


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("opset", OLD)
@pytest.mark.parametrize(
    "options",
    [
        {"head": "raw"},
        {"head": "boxes", "nms": True, "nms_kind": "default"},
        {"head": "boxes", "nms": True, "nms_kind": "diounms"},
        {"head": "yolov5"},
        {"head": "yolov8", "half": True},
    ],
    ids=str,
)
def test_heads_are_those_of_the_usual_opset(options, opset, tmp_path):
    number = {"threshold": 0.05} if options.get("nms") else {}
    for name in detectors():
        net, x, _ = read(name)
        path, batch = tmp_path / "net.onnx", np.stack([x, 1 - x])
        write_onnx(net.network, net.parameters, path, **options, **number)
        wanted = run_model(path, batch)
        try:
            write_onnx(net.network, net.parameters, path, opset=opset, **options, **number)
        except UnsupportedError as error:
            assert (
                opset < 11 and f"from opset {opset + 1} on: opset is {opset}" in str(error)
            ) or "opset 11 on" in str(error)
            continue
        assert_checked(path, opset)
        for made_, plain in zip(run_model(path, batch), wanted, strict=True):
            assert made_.shape == plain.shape
            near = 3e-3 if "half" in options else 1e-6  # of float16 runtimes keep other parts in float32
            assert np.abs(made_ - plain).max(initial=0) <= near * np.abs(plain).max(initial=1e-9), name


@pytest.mark.parametrize("opset", OLD)
@pytest.mark.parametrize("name", SEQUENCES)
def test_steps_and_whole_sequences(name, opset, tmp_path):
    net = load(RECURRENT / name / "net.cfg", RECURRENT / name / "net.weights", flavor=name.split("/", maxsplit=1)[0])
    x = np.random.default_rng(0).random((3, 2, *net.network.in_shape), np.float32)
    (wanted,) = run_onnx_sequence(net.network, net.parameters, x)
    (stepped,) = run_onnx_sequence(net.network, net.parameters, x, opset=opset)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", opset=opset, steps=3, head="darknet")
    assert_checked(tmp_path / "net.onnx", opset)
    (whole,) = run_model(tmp_path / "net.onnx", x)
    for found in (stepped, whole):
        assert np.abs(found - wanted).max() <= 2e-6 * np.abs(wanted).max()


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize(("text", "flavor"), CASES)
def test_layers_that_no_recording_has(text, flavor, tmp_path):
    net = made(NET + text, tmp_path, flavor)
    assert check_onnx(net.network, net.parameters, tolerance=5e-6, batch=2, opset=11).ok


@pytest.mark.slow
def test_every_activation_and_trees(tmp_path):
    (tmp_path / "classes.tree").write_text(TREE)
    region = CONV.replace("filters=6", "filters=26") + "[region]\nclasses=8\ncoords=4\nnum=2\nsoftmax=1\n"
    texts = [f"[activation]\nactivation={name}\n" for name in ACTIVATIONS]
    for text in (*texts, region + "anchors=1,1,2,2\ntree=classes.tree\n", "[softmax]\ntree=classes.tree\n"):
        shape = "[net]\nwidth=2\nheight=2\nchannels=2\n" if text.startswith("[softmax]") else NET
        net = made(shape + text, tmp_path)
        assert check_onnx(net.network, net.parameters, tolerance=5e-6, opset=11).ok, text


def test_lower_ones_are_refused(tmp_path):
    folder = NETS / "alexey" / "residual"
    net = load(folder / "net.cfg", folder / "net.weights")
    for opset in (8, 1, 0):
        with pytest.raises(ParameterError, match=rf"the opset of a network must be from 9 to \d+ .*, not {opset}$"):
            write_onnx(net.network, net.parameters, tmp_path / "net.onnx", opset=opset)
    with pytest.raises(UnsupportedError, match="needs Loop"):
        yolo = load(NETS / "alexey" / "yolo_head" / "net.cfg", NETS / "alexey" / "yolo_head" / "net.weights")
        options = {"head": "boxes", "nms": True, "nms_kind": "diounms", "without": ["Loop"]}
        write_onnx(yolo.network, yolo.parameters, tmp_path / "net.onnx", opset=11, **options)
    assert list(tmp_path.iterdir()) == []
