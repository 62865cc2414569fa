"""Model files that leave the size of pictures open, looked at in a size that is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layoutbridge.cli.running import main
from layoutbridge.darknet import Classifier, Detector, load
from layoutbridge.darknet.ports.table import port
from layoutbridge.errors import ParameterError, UnsupportedError
from tests.darknet_files import HEADER

NET = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
PICTURE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


def _written(folder: Path, target: str, files: tuple[str, str] = NET, **options: Any) -> str:
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[target])
    pytest.importorskip("onnx")
    path = folder / {"onnx": "net.onnx", "openvino": "net.xml"}[target]
    net = load(*files)
    port(target).write(net.network, net.parameters, path, **{"head": "darknet"} | options)
    return str(path)


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_an_open_file_finds_what_the_network_of_that_size_finds(target: str, size: Any, tmp_path: Path) -> None:
    path = _written(tmp_path, target, dynamic_size=True)
    detector = Detector(path, cfg=NET[0], size=size)
    assert detector.size == size
    found = detector.detect(PICTURE, confidence=0.3)
    wanted = Detector(load(*NET, size=size), framework="reference").detect(PICTURE, confidence=0.3)
    assert len(found) == len(wanted) > 0
    assert found.classes.tolist() == wanted.classes.tolist()
    assert np.allclose(found.xyxy, wanted.xyxy, atol=0.05)


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_an_open_classifier_says_what_the_network_of_that_size_says(
    target: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.cfg").write_text(
        "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nfilters=5\nsize=3\npad=1\nactivation=leaky\n"
        "[avgpool]\n[softmax]\n"
    )
    values = np.random.default_rng(0).normal(size=5 + 5 * 27).astype("<f4")
    (tmp_path / "net.weights").write_bytes(HEADER + values.tobytes())
    files = str(tmp_path / "net.cfg"), str(tmp_path / "net.weights")
    path = _written(tmp_path, target, files, dynamic_size=True)
    shown = Classifier(path, size=(32, 48)).classify(PICTURE)
    wanted = Classifier(load(*files, size=(32, 48)), framework="reference").classify(PICTURE)
    assert np.allclose(shown.probabilities, wanted.probabilities, atol=1e-5)
    with pytest.raises(UnsupportedError, match="--size 416x416"):
        Classifier(path)
    picture = tmp_path / "a.ppm"
    picture.write_bytes(b"P6 60 40 255\n" + PICTURE.tobytes())
    assert main(["classify", path, str(picture), "--size", "32x48"]) == 0
    assert f"{shown[0].score:.6f}" in capfd.readouterr().out


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_sizes_that_do_not_go_with_a_file_are_refused(target: str, tmp_path: Path) -> None:
    is_open = _written(tmp_path, target, dynamic_size=True)
    with pytest.raises(UnsupportedError, match=r"a picture of a fixed size.* --size 416x416"):
        Detector(is_open, cfg=NET[0])
    with pytest.raises(ParameterError, match="values, over"):
        Detector(is_open, size=(10**6, 10**6))
    fixed = _written(tmp_path, target, head="boxes")
    assert Detector(fixed, size=(16, 16)).size == (16, 16)
    with pytest.raises(ParameterError, match=r"takes pictures of 16 x 16 \(width x height\), not of 32 x 16"):
        Detector(fixed, size=(32, 16))


def test_a_size_is_for_files_that_may_leave_it_open() -> None:
    with pytest.raises(ParameterError, match="size is for model files"):
        Detector(load(*NET), size=(16, 16))
    with pytest.raises(ParameterError, match="has its own size"):
        Detector("net.tflite", size=(16, 16))


def test_the_command_line_tells_the_size(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = _written(tmp_path, "onnx", dynamic_size=True)
    picture = tmp_path / "a.ppm"
    picture.write_bytes(b"P6 60 40 255\n" + PICTURE.tobytes())
    for words, code, says in (
        (["--size", "32x48"], 0, "class"),
        ([], 2, "--size 416x416"),
        (["--size", "32"], 2, "WIDTHxHEIGHT"),
    ):
        assert main(["detect", path, str(picture), "--cfg", NET[0], "--threshold", "0.3", *words]) == code
        assert says in "".join(capfd.readouterr())
