"""Ports that choose among their boxes: what they choose from is judged, and how they choose is not."""

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.comparing.decoding_ports import decoding  # noqa: E402
from tests.comparing.test_several_heads import CFG  # noqa: E402
from tests.darknet_files import made  # noqa: E402


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return made(CFG, tmp_path_factory.mktemp("two"))


def chosen(net, *, suppressed=True, **faults):
    """A port with corners and scores, and behind them a suppression, or the best twenty boxes."""
    model = decoding(net, form="corners", together="parts", confidence="scores", **faults)
    graph = model.graph
    boxes, scores = (output.name for output in graph.output)
    numbers = {"axes": np.int64([0]), "class": np.int64([1]), "most": np.int64([20]), "ends": np.int64([3]),
               "start": np.int64([2]), "overlap": np.float32([0.45]), "least": np.float32([0.01])}  # fmt: skip
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in numbers.items())
    nodes = [
        helper.make_node("Transpose", [scores], ["by class"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", [boxes, "by class", "most", "overlap", "least"], ["kept"]),
        helper.make_node("Slice", ["kept", "start", "ends", "class"], ["column"]),
        helper.make_node("Squeeze", ["column", "class"], ["which"]),
    ] if suppressed else [
        helper.make_node("ReduceMax", [scores], ["best"], axes=[2], keepdims=0),
        helper.make_node("TopK", ["best", "most"], ["values", "places"], axis=1),
        helper.make_node("Squeeze", ["places", "axes"], ["which"]),
    ]  # fmt: skip
    nodes.append(helper.make_node("Gather", [boxes, "which"], ["result"], axis=1))
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, "K", 4]))
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("suppressed", [True, False])
def test_right_boxes(net, suppressed):
    found = lb.compare(net, chosen(net, suppressed=suppressed))
    assert found.equal, (found.first, found.notes)
    (note,) = found.notes
    assert "boxes that the model chooses; how is not judged" in note


@pytest.mark.parametrize("suppressed", [True, False])
def test_what_is_chosen_from(net, suppressed):
    found = lb.compare(net, chosen(net, suppressed=suppressed, **{"no exp": {10: True}}))
    assert found.first.reference == "10_yolo"
    (cause,) = found.causes
    assert (cause.cause, cause.at) == ("head", "10_yolo")
    assert "w, h: no exp" in cause.found


def test_a_fault_in_front(net):
    resize = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    (cause,) = lb.compare(net, chosen(net, resize=resize)).causes
    assert (cause.cause, cause.at) == ("upsampling", "6_upsample")
