"""The same ONNX files in OpenVINO and in OpenCV 5, which dropped its own Darknet importer: equal to onnxruntime."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from layoutbridge.darknet import load
from tests.darknet_files import GOLDEN, NETS, WHERE_ZOO, ZOO, real_network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, write_onnx

TOLERANCE = 1e-5  # of an output's largest value
REAL = ("alexey/yolov4-tiny", "alexey/yolov7-tiny", "alexey/efficientnet_b0", "pjreddie/yolov2-tiny")


def run_in_openvino(path, x):
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([x])
    return [np.asarray(results[output]) for output in compiled.outputs]


def run_in_opencv(path, x):
    cv2 = pytest.importorskip("cv2")
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x)
    return list(net.forward(net.getUnconnectedOutLayersNames()))


def installed(*distributions):
    for name in distributions:
        with suppress(PackageNotFoundError):
            return tuple(map(int, version(name).split(".")[:2]))
    return (0, 0)


AVAILABLE = []
MISSING = []
if installed("openvino") >= (2024, 0):
    AVAILABLE.append(run_in_openvino)
else:
    MISSING.append("OpenVINO is not installed (pip install 'openvino>=2024.0')")
if installed("opencv-python-headless", "opencv-python") >= (5, 0):
    AVAILABLE.append(run_in_opencv)
else:
    MISSING.append("OpenCV 5 is not installed (pip install 'opencv-python-headless>=5')")
RUNTIMES = pytest.mark.parametrize("run", AVAILABLE)
if not AVAILABLE:
    pytest.skip(" and ".join(MISSING), allow_module_level=True)


@pytest.mark.parametrize("reason", MISSING)
def test_what_is_left_out(reason):
    pytest.skip(reason)


def assert_same(run, path, x):
    wanted = run_model(path, x)
    found = run(path, x)
    assert len(found) == len(wanted)
    for ours, theirs in zip(wanted, found, strict=True):
        assert theirs.size == ours.size
        assert np.abs(theirs.reshape(ours.shape) - ours).max() <= TOLERANCE * np.abs(ours).max()


@RUNTIMES
@pytest.mark.parametrize("name", GOLDEN)
def test_small_networks(name, run, tmp_path):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    with np.load(folder / "outputs.npz") as recorded:
        x = recorded["input"][None]
    for options in ({}, {"batch": 1, "every_layer": True}, {"keep_batch_norm": True}):
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", **options)
        assert_same(run, tmp_path / "net.onnx", x)


@RUNTIMES
@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", [name for name in GOLDEN if "yolo_" in name or "region" in name or "_v1" in name])
def test_heads_of_boxes(name, head, run, tmp_path):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    with np.load(folder / "outputs.npz") as recorded:
        x = recorded["input"][None]
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", head=head)
    assert_same(run, tmp_path / "net.onnx", x)


@pytest.mark.slow
@RUNTIMES
@pytest.mark.parametrize("name", REAL)
def test_real_networks(name, run, tmp_path):
    folder = ZOO / name
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    net, x = real_network(folder, tmp_path / "net.weights")
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    assert_same(run, tmp_path / "net.onnx", x)
