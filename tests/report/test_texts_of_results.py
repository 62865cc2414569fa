"""`str()` of what users get: one short line, whatever is in it."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.detector import Detector
from tests.darknet_files import NETS

NET = NETS / "alexey/region_logistic"


def network():
    return lb.darknet.load(NET / "net.cfg", NET / "net.weights")


def test_an_export_tells_its_files_and_outputs(tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    assert str(network().to_onnx(path)) == f"{path}: opset 17, output 2_region [N, 27, 8, 8]"
    weights = tmp_path / "net.onnx.data"
    told = str(network().to_onnx(path, every_layer=True, batch=2, external_data=True))
    assert told.startswith(f"{path} and {weights}: opset 17, outputs ") and "[2, " in told


def test_pictures_tell_how_many_there_are_and_what_was_found():
    pytest.importorskip("onnxruntime")
    picture = np.zeros((16, 16, 3), np.uint8)
    found = Detector(network()).detect([picture, picture], confidence=0.99)
    assert str(found) == "2 pictures, 0 detections"
    found.unreadable.append("b.png: no picture")
    assert str(found) == "2 pictures, 0 detections, 1 unreadable"


def test_weights_that_came_back_tell_how_they_were_found():
    net = network()
    state = {f"{net.layers[i].name}.{name}": values for (i, name), values in net.parameters.items()}
    back = lb.back_to_darknet(net, state)
    assert str(back).endswith("net.cfg, found by names; not proven: nothing was run") and "\n" not in str(back)


def test_int8_tells_what_it_costs(tmp_path):
    pytest.importorskip("onnxruntime")
    pictures = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    made = lb.darknet.quantize(network(), tmp_path / "net.onnx", pictures)
    told = str(made)
    assert told.startswith(f"{made.export}; ") and told.endswith(" change") and len(told) < 300
