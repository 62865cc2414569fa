"""One network in every format and with every head: each way in finds what the reference finds."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load
from layoutbridge.darknet.ports.table import port
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError
from tests.conftest import FIXTURES

pytest.importorskip("PIL", reason="Pillow is not installed")

NETS = FIXTURES / "nets"
PACKAGES = {"onnx": "onnxruntime", "keras": "tensorflow", "tflite": "tensorflow"}  # others are called as imported
ENDINGS = {
    "onnx": (".onnx",),
    "openvino": (".xml",),
    "ncnn": (".param",),
    "torch": (".pt2",),
    "keras": (".keras", ".h5", ""),
    "tflite": (".tflite",),
}
WITHIN, GIVEN = ("boxes", "yolov5", "yolov8"), ("darknet", "raw")  # what tells its anchors, and what does not
FOLDERS = {
    "alexey/yolo_head": "alexey",
    "alexey/gaussian_yolo": "alexey",
    "alexey/passthrough": "alexey",
    "pjreddie/region_logistic": "pjreddie",
    "pjreddie/detection_v1": "pjreddie",
}
SLOW = {"keras", "tflite", "torch"}


@cache
def net_of(name: str):
    return load(NETS / name / "net.cfg", NETS / name / "net.weights", flavor=FOLDERS[name])


def picture(width: int = 60, height: int = 40):
    return np.random.default_rng(9).integers(0, 255, (height, width, 3), dtype=np.uint8)


@cache
def wanted(name: str):
    return rows_of(Detector(net_of(name), framework="reference"))


def rows_of(detector):
    found = detector.detect(picture(), confidence=0.01, nms=None)
    return np.array([(one.class_index, one.score, one.left, one.top, one.width, one.height) for one in found])


def assert_same(found, expected):
    assert found.shape == expected.shape and len(expected) > 5
    order = [np.lexsort(rows.round(2).T) for rows in (found, expected)]
    assert np.allclose(found[order[0]], expected[order[1]], rtol=2e-3, atol=2e-3)


def installed(framework):
    package = PACKAGES.get(framework, framework)
    pytest.importorskip(package, reason=f"{package} is not installed")
    if framework in ("onnx", "openvino"):
        pytest.importorskip("onnx", reason="onnx is not installed")


def cases():
    for name in FOLDERS:
        if (NETS / name / "net.weights").exists():
            for framework in ENDINGS:
                marks = [pytest.mark.slow] if framework in SLOW and name != "alexey/yolo_head" else []
                yield pytest.param(name, framework, marks=marks, id=f"{name.replace('/', '-')}-{framework}")


@pytest.mark.sample(2, slow=3)
@pytest.mark.parametrize(("name", "framework"), [*cases()])
def test_every_head_in_every_format(name, framework, tmp_path):
    installed(framework)
    net, cfg = net_of(name), NETS / name / "net.cfg"
    tried = []
    for ending in ENDINGS[framework]:
        for head in (*WITHIN, *GIVEN):
            path = tmp_path / f"{head}{ending}"
            try:
                port(framework).write(net.network, net.parameters, path, head=head)
            except UnsupportedError:
                continue  # tests of the ports say what each cannot express
            detector = Detector(path, cfg=cfg if head in GIVEN else None, flavor=FOLDERS[name])
            assert detector.framework == framework and len(detector.names) == detector.rules.classes
            assert_same(rows_of(detector), wanted(name))
            tried.append(head)
    assert {*GIVEN} <= {*tried}


@pytest.mark.parametrize("framework", [None, *ENDINGS])
def test_a_cfg_runs_in_every_framework(framework):
    if framework is None:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    else:
        installed(framework)
    folder = NETS / "alexey/yolo_head"
    detector = Detector(folder / "net.cfg", folder / "net.weights", framework=framework, threads=1)
    assert framework in (None, detector.framework)
    assert_same(rows_of(detector), wanted("alexey/yolo_head"))
    assert repr(detector).startswith(f"<Detector net.cfg in {detector.framework}: 16x16, 4 classes")


@pytest.mark.sample(2)
@pytest.mark.parametrize("framework", ENDINGS)
def test_names_travel_in_the_file(framework, tmp_path):
    installed(framework)
    net = net_of("alexey/yolo_head")
    names = ["собака", "cat", 'a "bird"', "traffic light"]
    for ending in ENDINGS[framework]:
        path = tmp_path / f"net{ending}"
        port(framework).write(net.network, net.parameters, path, head="boxes", names=names)
        assert Detector(path).names == names
        assert Detector(path, names=list("abcd")).names == list("abcd")


def test_what_does_not_go_together(tmp_path: Path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    folder, net = NETS / "alexey/yolo_head", net_of("alexey/yolo_head")
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    path, raw = tmp_path / "a.onnx", tmp_path / "raw.onnx"
    net.to_onnx(path, head="boxes")
    net.to_onnx(raw, head="raw")
    with pytest.raises(ParameterError, match="needs its weights: give both, or what load"):
        Detector(cfg)
    with pytest.raises(ParameterError, match=r"weights go with a \.cfg"):
        Detector(path, weights)
    with pytest.raises(ParameterError, match="runs in onnx, not in 'ncnn'"):
        Detector(path, framework="ncnn")
    with pytest.raises(ParameterError, match="this one is a network already"):
        Detector(net, cfg=cfg)
    with pytest.raises(UnusableInputError, match="whose anchors are in the cfg"):
        Detector(raw)
    other = NETS / "alexey/gaussian_yolo/net.cfg"
    with pytest.raises(UnusableInputError, match=r"gives \[1, 27, 8, 8\] where the cfg has \[39, 8, 8\]"):
        Detector(raw, cfg=other).detect(picture())
    with pytest.raises(UnusableInputError, match=r"give a \.cfg with its \.weights"):
        Detector(weights)
    with pytest.raises(UnusableInputError, match="is a folder without a SavedModel"):
        Detector(tmp_path)
    with pytest.raises(UnusableInputError, match="there is no"):
        Detector(tmp_path / "none.onnx")
    with pytest.raises(UnsupportedError, match="no detection layer"):
        Detector(NETS / "alexey/softmax_groups/net.cfg", NETS / "alexey/softmax_groups/net.weights", framework="onnx")


@pytest.mark.parametrize("framework", ["onnx", "openvino", "ncnn"])
@pytest.mark.parametrize("head", GIVEN)
def test_a_cfg_that_is_read_as_the_other_fork_is_refused(framework, head, tmp_path):
    installed(framework)
    net, cfg = net_of("pjreddie/region_logistic"), NETS / "pjreddie/region_logistic/net.cfg"
    path = tmp_path / f"net{ENDINGS[framework][0]}"
    port(framework).write(net.network, net.parameters, path, head=head)
    with pytest.raises(UnusableInputError, match=r"is of the flavor 'pjreddie', .* give flavor 'pjreddie'"):
        Detector(path, cfg=cfg)
    Detector(path, cfg=cfg, flavor="pjreddie")
