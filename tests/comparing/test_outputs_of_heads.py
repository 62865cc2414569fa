"""Ports that leave boxes as heads leave them, that give whole numbers beside them, or what cannot be judged."""

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from tests.comparing.decoding_ports import decoding  # noqa: E402
from tests.darknet_files import NETS  # noqa: E402


def network(name):
    fork, folder = name.split("/")[0], NETS / name
    return lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=fork)


SCALED = "alexey/yolo_scaled"
NAMES = (SCALED, "alexey/dense_tiny", "pjreddie/region_logistic", "alexey/gaussian_yolo")
UNDECODED = {
    "as fed": {"raw": "all"},
    "as fed, in parts": {"raw": "all", "together": "parts"},
    "as fed, turned": {"raw": "all", "layout": "turned", "order": "row, column, box"},
    "logistics done": {"raw": "entries", "unit": "places"},
    "logistics done, in parts": {"raw": "entries", "unit": "places", "together": "parts"},
    "powers taken": {"raw": "powers", "unit": "places", "together": "parts"},
}


@pytest.mark.parametrize("style", UNDECODED)
@pytest.mark.parametrize("name", NAMES)
def test_entries_that_are_not_decoded(name, style):
    net = network(name)
    found = lb.compare(net, decoding(net, **UNDECODED[style]))
    assert found.equal, (found.first, found.causes)


@pytest.mark.parametrize("together", ["one", "parts"])
def test_raw_boxes_beside_confidences_that_are_not(together):
    net = network(SCALED)
    found = lb.compare(net, decoding(net, raw="boxes", unit="places", together=together))
    assert [each.found for each in found.causes] == ["x, y: no logistic"]


def with_output(model, name, type_=TensorProto.FLOAT):
    model.graph.output.append(helper.make_tensor_value_info(name, type_, None))
    return model


def test_vectors_of_the_first_yolo_in_parts():
    """The three parts of the vector as three outputs: classes are those of places, not of boxes."""
    net = network("alexey/detection_v1")
    model = decoding(net)
    parts = [node for node in model.graph.node if node.op_type == "Slice"][:3]
    del model.graph.output[:]
    for node in parts:
        with_output(model, node.output[0])
    assert lb.compare(net, model).equal


WHOLE = {"least": "whole numbers, which are not judged", "which": "how is not judged"}


@pytest.mark.parametrize(("output", "told"), WHOLE.items())
def test_whole_numbers_that_are_not_judged(output, told):
    net = network(SCALED)
    model = decoding(net)
    (boxes,) = (each.name for each in model.graph.output)
    model.graph.node.append(helper.make_node("ArgMin", [boxes], ["least"], axis=2))
    model.graph.node.append(helper.make_node("TopK", [boxes, "three"], ["most", "which"], axis=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3]), "three"))
    with_output(model, output, TensorProto.INT64)
    found = lb.compare(net, model)
    assert found.equal
    assert [told in note for note in found.notes] == [True]


def test_an_output_that_is_no_boxes():
    net = network(SCALED)
    model = decoding(net)
    (boxes,) = (each.name for each in model.graph.output)
    model.graph.node.append(helper.make_node("ReduceSum", [boxes], ["sum_of_boxes"], keepdims=1))
    found = lb.compare(net, with_output(model, "sum_of_boxes"))
    assert not found.equal
    assert found.causes == ()
    assert "holds no boxes of any kind that is known" in found.notes[0]


def test_boxes_of_which_some_columns_are_right():
    net = network(SCALED)
    found = lb.compare(net, decoding(net, anchors=lambda own: np.sqrt(own), form="yx"))
    assert not found.equal
    assert found.causes == ()
    assert "its columns y, x, objectness, classes are right, h, w of no kind that is known" in found.notes[0]


def test_half_precision():
    torch = pytest.importorskip("torch")
    from tests.comparing.test_decoded_heads import Decoding

    net = network(SCALED)
    for dtype in (torch.float16, torch.bfloat16):
        assert lb.compare(net, Decoding(net, corners=True).to(dtype).eval()).equal
    found = lb.compare(net, Decoding(net, no_exp=True).half().eval())
    assert [each.found for each in found.causes] == ["w, h: no exp"]


def test_recorded_boxes(tmp_path):
    """Boxes alone, of which nothing else is known: what the head is fed is the original's, and rounded otherwise."""
    net = network("alexey/dense_tiny")
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    net.to_onnx(tmp_path / "net.onnx", head="yolov5")
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (boxes,) = session.run(None, {session.get_inputs()[0].name: x})
    np.savez(tmp_path / "right.npz", input=x, boxes=boxes)
    boxes = boxes.copy()
    boxes[..., 2] = np.log(boxes[..., 2])
    np.savez(tmp_path / "wrong.npz", input=x, boxes=boxes)
    assert lb.compare(net, tmp_path / "right.npz").equal
    assert not lb.compare(net, tmp_path / "wrong.npz").equal
