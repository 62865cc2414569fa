"""The same ONNX files in OpenVINO and in OpenCV 5, which dropped its own Darknet importer: equal to onnxruntime."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from tests.darknet_files import GOLDEN, NETS, WHERE_ZOO, ZOO, real_network
from tests.onnx_runtimes import OTHER_RUNTIMES, RUN_IN

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, write_onnx

TOLERANCE = 1e-5  # of an output's largest value
REAL = ("alexey/yolov4-tiny", "alexey/yolov7-tiny", "alexey/efficientnet_b0", "pjreddie/yolov2-tiny")


def assert_same(run, path, x):
    wanted = run_model(path, x)
    found = run(path, x)
    assert len(found) == len(wanted)
    for ours, theirs in zip(wanted, found, strict=True):
        assert theirs.size == ours.size
        assert np.abs(theirs.reshape(ours.shape) - ours).max() <= TOLERANCE * np.abs(ours).max()


@pytest.mark.sample(10)
@pytest.mark.parametrize("runtime", OTHER_RUNTIMES)
@pytest.mark.parametrize("name", GOLDEN)
def test_small_networks(name, runtime, tmp_path):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    with np.load(folder / "outputs.npz") as recorded:
        x = recorded["input"][None]
    for options in ({}, {"batch": 1, "every_layer": True}, {"keep_batch_norm": True}):
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", **options)
        assert_same(RUN_IN[runtime], tmp_path / "net.onnx", x)


@pytest.mark.sample(25)
@pytest.mark.parametrize("runtime", OTHER_RUNTIMES)
@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", [name for name in GOLDEN if "yolo_" in name or "region" in name or "_v1" in name])
def test_heads_of_boxes(name, head, runtime, tmp_path):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    with np.load(folder / "outputs.npz") as recorded:
        x = recorded["input"][None]
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", head=head)
    assert_same(RUN_IN[runtime], tmp_path / "net.onnx", x)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", OTHER_RUNTIMES)
@pytest.mark.parametrize("name", REAL)
def test_real_networks(name, runtime, tmp_path):
    folder = ZOO / name
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    net, x = real_network(folder, tmp_path / "net.weights")
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    assert_same(RUN_IN[runtime], tmp_path / "net.onnx", x)
