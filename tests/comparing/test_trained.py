"""Ports of a network with trained weights, among them dead channels and faults under the tolerance."""

from pathlib import Path

import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch")

from tests.comparing.ports import Port  # noqa: E402

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "real" / "yoloface-50k"
pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the trained network {FOLDER} is not there"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def net():
    return lb.darknet.load(FOLDER / "net.cfg", FOLDER / "net.weights")


def test_a_right_port(net):
    found = lb.compare(net, Port(net).eval())
    assert found.equal, found.first


FAULTS = {
    "epsilon": ({"epsilon": 1e-3}, "0_convolutional", "batch_norm", "0.001"),
    "one epsilon": ({"epsilon": {16: 1e-3}}, "16_convolutional", "batch_norm", "0.001"),
    "relu behind a linear layer": ({"activation": {16: torch.relu}}, "16_convolutional", "activation", "relu"),
    "turned": ({"weights": {15: lambda w: w.flip(2, 3)}}, "15_convolutional", "weight_layout", "half turn"),
    "no means": ({"no_means": {31: True}}, "31_convolutional", "batch_norm", "no means"),  # others are next to nothing
    "bgr": ({"bgr": True}, "0_convolutional", "channel_order", "BGR"),
    "concat": ({"concat": True}, "13_route", "concat_order", "input 2, input 1"),
    "no sum": ({"no_sum": True}, "9_shortcut", "sum", "alone"),
    "logistic": ({"all_logistic": True}, "33_yolo", "head", "all entries"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(net, name):
    faults, at, cause, words = FAULTS[name]
    found = lb.compare(net, Port(net, **faults).eval())
    assert found.first.reference == at
    assert [(each.cause, each.at) for each in found.causes] == [(cause, at)]
    assert words in found.causes[0].found
    if all(isinstance(where, dict) for where in faults.values()):
        assert found.causes[0].everywhere == ()


@pytest.mark.parametrize("layout", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", ["yoloface-50k", "yolo-fastest-1.1", "mobilenet-yolo-fastest-voc-v2"])
def test_decoded_boxes(name, layout, tmp_path):
    """Most probabilities of trained heads are next to nothing: what a logistic is off by is no share of these."""
    pytest.importorskip("onnxruntime")
    net = lb.darknet.load(FOLDER.parent / name / "net.cfg", FOLDER.parent / name / "net.weights")
    net.to_onnx(tmp_path / "net.onnx", head=layout)
    found = lb.compare(net, str(tmp_path / "net.onnx"))
    assert found.equal, (found.first, found.causes, found.notes)
