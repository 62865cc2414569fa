"""How long a picture takes: YOLOv2 and YOLOv4-tiny at 416×416, float32, two threads, one picture.

    python -m pytest benchmarks/test_network_latency.py -q        (make bench installs OpenCV 4.14 for it)

Each runtime runs in a process of its own, with the form that is exported for it, beside OpenCV 4.14's own importer of
Darknet files, and that once more as the control. Nine rounds; in each, every runtime has its turn, in another order,
while the others wait. Told are medians, as ratios to OpenCV 4.14 in the same rounds, and how far the outputs are from
the float64 reference.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.detectors import DETECTORS, write_detector
from benchmarks.latency import FORMS, OPENCV_4, THREADS
from layoutbridge.darknet.ports.outputs import output_layers
from layoutbridge.darknet.reference import forward

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 9
PAUSE = 0.05  # seconds between turns: threads of the one before go to sleep
LARGEST_DEVIATION = 1e-4
LARGEST = {"ncnn": 0.8, "onnxruntime, Winograd": 1.0, "onnxruntime": 1.25}  # of OpenCV's time, on YOLOv2
BASE, CONTROL = list(FORMS)[:2]

pytestmark = pytest.mark.skipif(
    not (Path(sys.prefix) / OPENCV_4).is_dir(),
    reason="OpenCV 4.14, which still reads Darknet, is not beside OpenCV 5: make bench installs it",
)


def prepared(name: str, folder: Path) -> None:
    """The network in every form, an input, and what the reference makes of it."""
    from layoutbridge.darknet.ports.ncnn import write_ncnn
    from layoutbridge.darknet.ports.tflite import write_tflite

    net = write_detector(name, folder)
    x = np.random.default_rng(1).random((1, *net.network.in_shape), np.float32)
    np.save(folder / "x.npy", x)
    layers = forward(net.network, net.parameters, x, every_layer=True)
    raw = output_layers(net.network, "raw")
    (folder / "raw.json").write_text(json.dumps(raw))
    np.savez(folder / "raw.npz", *(layers[index] for index in raw))
    np.savez(folder / "reference.npz", *(layers[index] for index in output_layers(net.network)))
    for runtime in ("onnxruntime", "openvino", "opencv"):
        net.to_onnx(folder / f"{runtime}.onnx", runtime=runtime, batch=1)
        net.to_onnx(folder / f"{runtime}-winograd.onnx", runtime=runtime, winograd=True, batch=1)
    write_ncnn(net.network, net.parameters, folder / "net.param")
    write_tflite(net.network, net.parameters, folder / "net.tflite")


def started(form: str, folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A process that has loaded the form, and what it told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.latency", form, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        pytest.fail(f"{form} did not start: {process.stderr.read()[-2000:]}")
    return process, json.loads(line)


def turn(process: subprocess.Popen[str]) -> float:
    """Milliseconds of one picture."""
    assert process.stdin is not None
    assert process.stdout is not None
    time.sleep(PAUSE)
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


@pytest.mark.parametrize("name", DETECTORS)
def test_latency(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    prepared(name, tmp_path)
    workers = {form: started(form, tmp_path) for form in FORMS}
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    order = list(FORMS)
    rng = random.Random(0)
    try:
        for _ in range(ROUNDS):
            rng.shuffle(order)
            for form in order:
                times[form].append(turn(workers[form][0]))
    finally:
        for process, _ in workers.values():
            process.kill()
    base = statistics.median(times[BASE])
    ratios = {form: statistics.median(held) / base for form, held in times.items()}
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n{name}, 416×416, {THREADS} threads: {BASE} takes {base:.0f} ms")
        print(f"  {'':28}  ratio  lowest..highest  deviation  load s    MB")
        for form, (_, told) in workers.items():
            low, high = (pick(times[form]) / base for pick in (min, max))
            print(
                f"  {form:28} {ratios[form]:6.2f}  {low:6.2f}..{high:<6.2f}  {told['deviation']:11.1e} "
                f"{told['load']:7.1f} {told['memory']:5.0f}"
            )
    for form in set(FORMS) - {BASE, CONTROL}:
        assert workers[form][1]["deviation"] <= LARGEST_DEVIATION, form
    if name == "yolov2":
        over = {form: ratios[form] for form, most in LARGEST.items() if ratios[form] > most * ratios[CONTROL]}
        assert not over, f"slower than it should be, as a share of OpenCV's time: {over}"
