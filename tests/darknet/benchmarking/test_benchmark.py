"""A network measured in every format, and model files: real runtimes, each in a process of its own."""

import json
import os
import signal

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.benchmarking.formats import _size_of_model, boxes_apart
from layoutbridge.darknet.benchmarking.processes import Process
from layoutbridge.darknet.ports.table import TARGETS
from layoutbridge.errors import ParameterError, UnknownNameError, UnusableInputError
from tests.command_line import refused, run

pytest.importorskip("onnxruntime")
YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
CLASSIFIER = ("fixtures/nets/alexey/classifier/net.cfg", "fixtures/nets/alexey/classifier/net.weights")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(path)
    return str(path)


@pytest.mark.slow
def test_a_network_is_measured(picture):
    found = lb.darknet.benchmark(*YOLO, targets=["onnx"], pictures=[picture], rounds=2, threads=1)
    assert [row.name for row in sorted(found.rows, key=lambda row: row.name)] == ["onnx", "onnx-winograd"]
    for row in found.rows:
        assert row.reason == "" and row.framework == "onnx"
        assert row.seconds > 0 and row.load_seconds > 0 and row.bytes > 1000 and row.deviation < 1e-4
        assert 10e6 < row.memory < 1e9
        assert row.boxes_differ == 0
    assert str(found).startswith("net.cfg: onnx")
    assert json.loads(found.to_json())["threads"] == 1


@pytest.mark.thorough
def test_every_format(picture):
    for target in TARGETS:
        pytest.importorskip({"keras": "tensorflow", "tflite": "ai_edge_litert"}.get(target, target))
    found = lb.darknet.benchmark(*YOLO, forms=("winograd", "half"), pictures=[picture], rounds=1)
    assert {row.framework for row in found.rows} == set(TARGETS)
    assert all(row.seconds is not None and row.boxes_differ is not None for row in found.rows), found.rows
    assert {row.name for row in found.rows} >= {"onnx-half", "onnx-winograd", "tflite-half", "ncnn"}


@pytest.mark.slow
def test_a_classifier_and_models(tmp_path):
    found = lb.darknet.benchmark(*CLASSIFIER, targets=["onnx"], forms=(), rounds=1)
    assert found.rows[0].deviation < 1e-5 and found.rows[0].boxes is None
    net = lb.darknet.load(*YOLO)
    paths = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for path in paths:
        net.to_onnx(path, head="boxes")
    (tmp_path / "c.onnx").write_bytes(b"no model")
    found = lb.darknet.benchmark([*paths, tmp_path / "c.onnx"], rounds=1)
    assert [row.seconds is None for row in found.rows] == [False, False, True]
    assert "c.onnx" in found.rows[2].reason


@pytest.mark.parametrize(
    "names",
    [("net.param", "net.bin", "net.json"), ("net.xml", "net.bin"), ("net.onnx", "net.onnx.data"), ("net.tflite",)],
)
def test_the_size_of_a_model_is_that_of_all_its_files(tmp_path, names):
    for number, name in enumerate((*names, "another.bin")):
        (tmp_path / name).write_bytes(bytes(10**number))
    found = _size_of_model(tmp_path / names[0])
    assert found == sum(10**number for number in range(len(names)))


def test_the_size_of_models_is_told(tmp_path):
    net = lb.darknet.load(*YOLO)
    net.to_onnx(tmp_path / "net.onnx", head="boxes", winograd=True, store_winograd=True)
    found = lb.darknet.benchmark(tmp_path / "net.onnx", rounds=1)
    assert found.rows[0].bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert len([*tmp_path.iterdir()]) == 2


def test_a_process_that_ends_costs_its_own_row(tmp_path, monkeypatch):
    net = lb.darknet.load(*YOLO)
    net.to_onnx(tmp_path / "a.onnx", head="boxes")
    net.to_onnx(tmp_path / "b.onnx", head="boxes")
    asked = Process.ask

    def ask(self, what):
        if what == 1 and self is not killed[0]:
            os.kill(self._process.pid, signal.SIGKILL)
        return asked(self, what)

    killed = []
    entered = Process.__enter__
    monkeypatch.setattr(Process, "__enter__", lambda self: killed.append(self) or entered(self))
    monkeypatch.setattr(Process, "ask", ask)
    found = lb.darknet.benchmark([tmp_path / "a.onnx", tmp_path / "b.onnx"], rounds=2)
    assert [row.name.endswith("a.onnx") for row in found.rows] == [True, False]
    assert found.rows[0].seconds > 0 and "its process ended" in found.rows[1].reason


def test_boxes_that_only_one_has():
    boxes = np.array([[5, 5, 10, 10], [25, 25, 10, 10], [5, 5, 10, 10]], np.float32)  # centres and sizes
    classes = np.array([1, 1, 2])
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, int))
    assert boxes_apart((boxes, classes), (boxes[::-1], classes[::-1])) == 0
    assert boxes_apart((boxes, classes), nothing) == boxes_apart(nothing, (boxes, classes)) == 3
    assert boxes_apart(nothing, nothing) == 0
    assert boxes_apart((boxes[:1], classes[:1]), (boxes[:1] + np.float32([6, 6, 0, 0]), classes[:1])) == 2
    twice = (boxes[[0, 0]], classes[[0, 0]])
    assert boxes_apart(twice, (boxes[:1], classes[:1])) == 1


@pytest.mark.slow
def test_the_command(capfd, picture):
    code, out, _ = run(capfd, "benchmark", *YOLO, "--targets", "onnx", "--rounds", "1", "--picture", picture)
    assert code == 0
    assert out.split()[:8] == ["format", "size", "load", "ms", "±", "memory", "deviation", "boxes"]
    assert " 0 of " in out and "onnx-winograd" in out
    code, out, _ = run(capfd, "benchmark", *YOLO, "--targets", "onnx", "--rounds", "1", "--json")
    assert code == 0 and {row["name"] for row in json.loads(out)["rows"]} == {"onnx", "onnx-winograd"}


def test_what_cannot_be_measured(capfd, tmp_path):
    assert "NET.weights" in refused(capfd, "benchmark", YOLO[0]) or "FILE.weights" in refused(
        capfd, "benchmark", YOLO[0]
    )
    assert "--half is for a network" in refused(capfd, "benchmark", "a.onnx", "--half")
    assert "nothing ran of none.onnx: " in refused(capfd, "benchmark", "none.onnx", "--rounds", "1")
    assert "caffe" in refused(capfd, "benchmark", *YOLO, "--targets", "caffe")
    assert "--rounds must be between 1 and" in refused(capfd, "benchmark", *YOLO, "--rounds", "0")
    with pytest.raises(ParameterError, match="forms are half and winograd, not 'int3'"):
        lb.darknet.benchmark(*YOLO, forms=("int3",))
    with pytest.raises(ParameterError, match="weights go with a"):
        lb.darknet.benchmark("a.onnx", "b.weights")
    with pytest.raises(UnknownNameError):
        lb.darknet.benchmark(*YOLO, targets=("caffe",))
    with pytest.raises(UnusableInputError, match="nothing ran"):
        lb.darknet.benchmark([tmp_path / "none.onnx"], rounds=1)


def test_pictures_that_cannot_be_looked_at_are_told_first(capfd, picture, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    assert "no picture that can be read" in refused(
        capfd, "benchmark", *YOLO, "--picture", picture, "--picture", str(tmp_path / "text.png")
    )
    assert "there is no picture 'none.png'" in refused(capfd, "benchmark", "a.onnx", "--picture", "none.png")
    assert "gives no boxes" in refused(capfd, "benchmark", *CLASSIFIER, "--picture", picture)


def test_a_model_whose_boxes_cannot_be_read_says_why(capfd, picture, tmp_path):
    lb.darknet.load(*YOLO).to_onnx(tmp_path / "net.onnx")  # the head darknet, whose anchors stand in the cfg
    path, page = str(tmp_path / "net.onnx"), tmp_path / "page.html"
    code, out, _ = run(capfd, "benchmark", path, "--rounds", "1", "--picture", picture, "--html", str(page))
    assert code == 0
    assert f"{path}: " in out and "cfg" in out.splitlines()[-1]
    assert "Not measured" in page.read_text(encoding="utf-8")
