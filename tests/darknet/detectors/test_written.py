"""What was written is run at once, beside the float64 reference: right files of every format and head, wrong ones."""

import json
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.written import check_written
from layoutbridge.darknet.ports.port import FLOAT16
from layoutbridge.darknet.ports.table import TARGETS, port
from layoutbridge.errors import UnsupportedError
from tests.command_line import run
from tests.darknet_files import GOLDEN, RECURRENT, SEQUENCES, read

YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
HEADS = ("darknet", "raw", "boxes", "yolov5", "yolov8")


def written(target, net, folder, **options):
    record = port(target)
    path = folder / f"net{record.endings[0]}"
    record.write(net.network, net.parameters, path, **options)
    return path


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("target", TARGETS)
def test_every_format_with_every_head(target, tmp_path):
    pytest.importorskip({"keras": "tensorflow", "tflite": "ai_edge_litert", "onnx": "onnxruntime"}.get(target, target))
    net = lb.darknet.load(*YOLO)
    for head in HEADS:
        path = written(target, net, tmp_path, head=head)
        found = check_written(path, net.network, net.parameters, head)
        assert found.reason == "" and found.ok and found.deviation < 1e-6, (head, found)


@pytest.mark.sample(slow=40)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_network_with_every_head(name, tmp_path):
    pytest.importorskip("onnxruntime")
    net = read(name)[0]
    for head in HEADS:
        try:
            path = written("onnx", net, tmp_path, head=head)
        except UnsupportedError:
            assert head not in ("darknet", "raw")
            continue
        found = check_written(path, net.network, net.parameters, head)
        assert found.ok and (found.deviation is not None or found.reason), (head, found)


@pytest.mark.parametrize("head", HEADS)
def test_a_wrong_file_is_told(head, tmp_path):
    pytest.importorskip("onnxruntime")
    net = lb.darknet.load(*YOLO)
    path = written("onnx", net, tmp_path, head=head)
    others = {key: np.where(np.arange(value.size).reshape(value.shape) == 0, value + 1, value) for key, value in
              net.parameters.items()}  # fmt: skip
    found = check_written(path, net.network, others, head)
    assert not found.ok and found.deviation > found.tolerance


def test_half_has_its_own_tolerance(tmp_path):
    pytest.importorskip("onnxruntime")
    net = lb.darknet.load(*YOLO)
    path = written("onnx", net, tmp_path, half=True)
    found = check_written(path, net.network, net.parameters)
    assert found.deviation > found.tolerance and not found.ok
    assert check_written(path, net.network, net.parameters, tolerance=FLOAT16).ok


def test_what_cannot_be_run_says_why(tmp_path):
    pytest.importorskip("onnxruntime")
    net = lb.darknet.load(*YOLO)
    path = written("onnx", net, tmp_path, dynamic_size=True)
    found = check_written(path, net.network, net.parameters)
    assert found.ok and found.deviation is None and "a fixed size" in found.reason
    sized = check_written(path, net.network, net.parameters, open_size=True)
    assert sized.ok and sized.deviation is not None
    folder = RECURRENT / SEQUENCES[0]
    flavor = SEQUENCES[0].split("/")[0]
    recurrent = lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=flavor)
    found = check_written(path, recurrent.network, recurrent.parameters)
    assert found.deviation is None and "layoutbridge check" in found.reason


def test_the_command_checks_and_tells(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    path = str(tmp_path / "net.onnx")
    code, out, err = run(capfd, "export", *YOLO, "-o", path, "--head", "boxes", "--json")
    record = json.loads(out)
    assert code == 0 and record["ok"] and record["checked"] and record["deviation"] < 1e-6
    assert record["outputs"] == {"boxes": [None, 192, 9]} and record["files"] == [path]
    assert record["bytes"] == (tmp_path / "net.onnx").stat().st_size
    assert "run on a random picture: " in err and f"next: layoutbridge detect {path} PICTURES" in err
    code, out, err = run(capfd, "export", *YOLO, "-o", path, "--no-check")
    assert (code, out) == (0, "") and "random picture" not in err and "next:" not in err


def test_the_command_ends_with_a_finding_where_the_file_is_wrong(capfd, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports import onnx as module

    @wraps(module.PORT.write)
    def wrong(network, parameters, path, **options):
        return right(network, {key: value[::-1] for key, value in parameters.items()}, path, **options)

    right = module.PORT.write
    monkeypatch.setattr(module, "PORT", replace(module.PORT, write=wrong))
    path = str(tmp_path / "net.onnx")
    code, _, err = run(capfd, "export", *YOLO, "-o", path)
    assert code == 1 and "more than the 5e-05 that a right file stays within" in err
    assert f"layoutbridge compare {YOLO[0]} {YOLO[1]} {path}" in err
