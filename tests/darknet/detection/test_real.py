"""Trained networks on real pictures: what is found must be what the real Darknet found, no more and no less."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection.boxes import decode, undo_letterbox
from layoutbridge.darknet.detection.pictures import open_picture, pixels_of
from layoutbridge.darknet.detection.resizing import letterbox, letterbox_size, resize
from layoutbridge.darknet.detectors.detector import Detector
from layoutbridge.darknet.ports.table import TARGETS
from tests.darknet_files import SHARED

pytest.importorskip("PIL", reason="Pillow is not installed")

REAL = SHARED / "real"
if not REAL.is_dir():
    pytest.skip(f"the trained networks (other people's, not copied here) are not at {REAL}", allow_module_level=True)

PACKAGES = {"onnx": "onnxruntime", "keras": "tensorflow", "tflite": "ai_edge_litert"}  # others are called as imported
PLACE, SCORE = 0.004, 0.006  # how far a number may be off
Found = tuple[float, ...]  # class, score, x, y, w, h, as shares of the picture

FOLDERS = sorted(path.parent for path in REAL.glob("*/net.cfg"))
each_network = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@cache
def net_of(folder: Path) -> Any:
    return load(folder / "net.cfg", folder / "net.weights")


@cache
def answers_of(folder: Path) -> list[tuple[str, bool, float, list[Found]]]:
    """Picture, whether it was letterboxed, threshold, and what Darknet found."""
    answers = json.loads((folder / "detections.json").read_text())
    return [
        (picture, how.split()[0] == "letterbox", float(how.split()[1]), [tuple(row) for row in rows])
        for picture, all_rows in answers.items()
        for how, rows in all_rows.items()
    ]


@cache
def input_of(folder: Path, picture: str, boxed: bool) -> Any:
    network = net_of(folder).network
    pixels = pixels_of(open_picture(REAL / "pictures" / f"{picture}.png"), network.channels)
    return (letterbox if boxed else resize)(pixels, network.width, network.height)[None]


def size_of(picture: str) -> tuple[int, int]:
    return open_picture(REAL / "pictures" / f"{picture}.png").size


def fits(found: Found, wanted: Found) -> bool:
    places = np.abs(np.array(found[2:]) - wanted[2:])
    return found[0] == wanted[0] and abs(found[1] - wanted[1]) <= SCORE and bool(places.max() <= PLACE)


def assert_same(found: Sequence[Found], wanted: Sequence[Found], told: str) -> None:
    """Every one of either has its own partner in the other."""
    left, lost = list(found), []
    for row in wanted:
        partner = next((other for other in left if fits(other, row)), None)
        if partner is None:
            lost.append(row)
        else:
            left.remove(partner)
    assert (lost, left) == ([], []), told


def all_found(folder: Path, detector: Detector, **options: Any) -> None:
    for picture, boxed, threshold, wanted in answers_of(folder):
        path = REAL / "pictures" / f"{picture}.png"
        found = detector.detect(path, confidence=threshold, letterbox=boxed, **options)
        width, height = found.picture_size
        rows = [
            (one.class_index, one.score, one.center_x / width, one.center_y / height, one.width / width,
             one.height / height)
            for one in found
        ]  # fmt: skip
        assert_same(rows, wanted, f"{folder.name}, {picture}, letterboxed {boxed}, over {threshold}")


def remembering(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`run`, but once for each input: two thresholds need no second run."""
    known: dict[bytes, Any] = {}

    def remembered(x: Any) -> Any:
        key = x.tobytes()
        if key not in known:
            known[key] = run(x)
        return known[key]

    return remembered


def test_the_pictures_and_networks_are_there() -> None:
    assert len(FOLDERS) >= 3
    assert sum(len(rows) for folder in FOLDERS for *_, rows in answers_of(folder)) >= 400
    kinds = {net_of(folder).network.layers[-1].settings.nms_kind for folder in FOLDERS}
    assert {"default", "greedynms"} <= kinds


@each_network
@pytest.mark.parametrize("target", ["reference", *TARGETS])
def test_a_network_finds_what_darknet_found(folder: Path, target: str) -> None:
    if target != "reference":
        package = PACKAGES.get(target, target)
        pytest.importorskip(package, reason=f"{package} is not installed")
    net = net_of(folder)
    inputs = list(dict.fromkeys((picture, boxed) for picture, boxed, *_ in answers_of(folder)))
    together = np.concatenate([input_of(folder, *one) for one in inputs])
    outputs = net.run(together, target, every_layer=True)  # one model for all of them
    rows = {x.tobytes(): decode(net.network, [layer[[n]] for layer in outputs]) for n, x in enumerate(together)}
    detector = Detector(net, framework="reference")
    vars(detector)["rows"] = lambda x: rows[x.tobytes()]
    all_found(folder, detector)


@each_network
def test_an_exported_model_finds_what_darknet_found(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    net_of(folder).to_onnx(tmp_path / "net.onnx", head="boxes")
    detector = Detector(tmp_path / "net.onnx")
    vars(detector)["rows"] = remembering(detector.rows)
    all_found(folder, detector)


@each_network
def test_plain_overlaps_are_what_older_forks_used(folder: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network = net_of(folder).network
    detector = Detector(net_of(folder), framework="onnx")
    vars(detector)["rows"] = remembering(detector.rows)
    if network.layers[-1].settings.nms_kind == "default":
        all_found(folder, detector, nms_kind="greedynms-iou")
        return
    with pytest.raises(AssertionError):
        all_found(folder, detector, nms_kind="greedynms-iou")


@each_network
@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("threshold", [0.25, 0.05])
def test_the_graphs_own_suppression_keeps_what_darknet_kept(
    folder: Path, head: str, threshold: float, tmp_path: Path
) -> None:
    """All pictures in one batch, each with its own shape."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    net = net_of(folder)
    size = (net.network.width, net.network.height)
    net.to_onnx(tmp_path / "net.onnx", head=head, nms=True, threshold=threshold)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"])
    answers = [answer for answer in answers_of(folder) if answer[2] == threshold]
    feeds = {"input": np.concatenate([input_of(folder, picture, boxed) for picture, boxed, *_ in answers])}
    if session.get_overridable_initializers():
        feeds["picture_share"] = np.array(
            [np.divide(letterbox_size(size_of(name), size) if boxed else size, size) for name, boxed, *_ in answers],
            np.float32,
        )
    given, kept = session.run(None, feeds)
    for number, (picture, boxed, _, wanted) in enumerate(answers):
        rows = given[number].T if head == "yolov8" else given[number]
        places = rows[:, :4] if head == "boxes" else rows[:, :4] / np.array([*size, *size], np.float32)
        if boxed:
            places = undo_letterbox(places, size_of(picture), size)
        scores = rows[:, 4:] if head == "yolov8" else rows[:, 5:]
        if head == "yolov5":
            scores = scores * rows[:, 4:5]
        found = [(int(c), float(scores[b, c]), *map(float, places[b])) for n, c, b in kept if n == number]
        assert_same(found, wanted, f"{folder.name}, {picture}, letterboxed {boxed}, over {threshold}")
