"""Pictures a second of `detect` beside those of the bare runtime on ready arrays, with the same threads; and crowds.

    python -m pytest benchmarks/test_detect_speed.py -q -s

The pictures are JPEG files of 640×480, which are read, decoded and fitted; the network is YOLOv4-tiny with drawn
weights, at sizes from small to large. Reading, decoding and fitting take the processor some milliseconds, so the least
ratio is what that leaves of it: told is also which part of the processor's time in `detect` is the network's.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.detectors import write_detector
from layoutbridge.darknet import Detector, draw
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.darknet.detection.suppression import suppress
from tests.darknets_suppression import many

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # for ncnn, as the command line does: before OpenMP is loaded

THREADS, PICTURES, ROUNDS = 2, 100, 5
LEAST = {608: 0.8, 320: 0.8, 160: 0.8}  # of the bare runtime's pictures a second, by the side of the network's input
ALONE = {"onnx", "openvino"}  # these compute several pictures at once
SURE = 0.999  # of drawn weights, that find much: what they find is not what is measured


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Pictures as cameras take them: smooth, with some noise."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = Image.fromarray(random.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)) + random.normal(0, 6, (480, 640, 3))
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.jpg", quality=85)
    return sorted(map(str, folder.iterdir()))


@pytest.mark.parametrize("framework", ["onnx", "openvino", "ncnn"])
@pytest.mark.parametrize("side", [160, 320, 608])
def test_rate(framework: str, side: int, files: list[str], tmp_path: Path) -> None:
    detector = Detector(write_detector("yolov4-tiny", tmp_path, side), framework=framework, threads=THREADS)
    x = np.random.default_rng(1).random((1, 3, side, side), np.float32)

    def bare() -> None:
        for _ in range(PICTURES):
            detector._model.run(x)

    def whole() -> None:
        assert len(detector.detect(files, confidence=SURE)) == PICTURES

    seconds: dict[str, list[float]] = {"bare": [], "detect": []}
    shares, cpu = [], {"bare": 0.0, "detect": 0.0}
    for number in range(ROUNDS + 1):
        for name, run in (("bare", bare), ("detect", whole)):
            start, used = time.perf_counter(), time.process_time()
            run()
            if number:  # the first one loads what is loaded once
                seconds[name].append(time.perf_counter() - start)
            cpu[name] = time.process_time() - used
        shares.append(cpu["bare"] / cpu["detect"])
    ratio = statistics.median(seconds["bare"]) / statistics.median(seconds["detect"])
    print(
        f"\n{framework} at {side}, {THREADS} threads: bare {1000 * statistics.median(seconds['bare']) / PICTURES:.1f} "
        f"ms a picture, detect has {ratio:.2f} of its rate; the network's share of the processor is "
        f"{statistics.median(shares):.2f}"
    )
    assert framework not in ALONE or ratio >= LEAST.get(side, 0)


@pytest.mark.parametrize("classes", [1, 20])
@pytest.mark.parametrize(("side", "kind"), [(0.005, "default"), (0.05, "greedynms"), (0.5, "default")])
def test_many_boxes_are_suppressed(side: float, kind: str, classes: int, record: Callable[..., None]) -> None:
    rows, times = many(46_000, classes, side), []
    for _ in range(3):
        start = time.perf_counter()
        left = np.count_nonzero(suppress(rows, 0.45, kind)[:, 5:])
        times.append(time.perf_counter() - start)
    what = f"46,000 boxes of {side} of the picture, {classes} classes, {kind}"
    record("suppression", what, times, "s")
    print(f"\n{what}: {statistics.median(times):.2f} s, {left:,} left")


@pytest.mark.parametrize("count", [1_000, 46_000])
def test_many_boxes_are_drawn(count: int) -> None:
    random = np.random.default_rng(0)
    found = [
        Detection(f"class {number % 80}", number % 80, *random.uniform((0.25, 0, 0, 5, 5), (1, 600, 440, 99, 99)))
        for number in range(count)
    ]
    image = Image.new("RGB", (640, 480))
    draw(image, found[:2])  # finds the font
    start = time.process_time()
    draw(image, found)
    print(f"\n{count:,} boxes drawn: {time.process_time() - start:.2f} s")
