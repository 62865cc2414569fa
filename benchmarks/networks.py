"""How long a picture takes: six networks in every runtime beside OpenCV 4.14's own importer of Darknet.

    python -m benchmarks.networks                        (make bench-networks, which installs OpenCV 4.14 for it)
    python -m benchmarks.networks --networks yolov2,yolov4-tiny --rounds 5 --forms onnxruntime --dry

Float32, two threads, one picture. Each form runs in a process of its own. In each round every one has its turn, in
another order, while the others wait; OpenCV 4.14 stands there twice, the second time as the control. Told are ratios to
OpenCV's median, how far outputs are from the float64 reference, load, memory, and what the machine leaves: the least
time by its peak, of the direct algorithm and of Winograd's form, as a share of the form's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detectors import NETWORKS, write_detector
from benchmarks.latency import FORMS, OPENCV_4, THREADS, Form
from benchmarks.result_files import Row, row, save, verdict
from benchmarks.tables import write_tables
from layoutbridge.darknet.benchmarking.peaks import Peak, measured_peak
from layoutbridge.darknet.benchmarking.roofline import Roofline, work_of
from layoutbridge.darknet.ports.outputs import output_layers
from layoutbridge.darknet.reference import forward
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.machine import Machine, this_machine

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.05  # seconds between turns: threads of the one before go to sleep
LARGEST_DEVIATION = 1e-4
LIMITED = ("yolov2", "yolov4-tiny")  # and on two cores with AVX-512
LIMITS = {"onnxruntime": 0.70, "OpenVINO": 0.65, "ncnn": 0.62, "LiteRT": 1.1, "PyTorch": 1.3}  # of OpenCV 4.14's time
FASTEST_LIMIT = 0.60  # over all runtimes
INT8_LIMIT = 0.40  # over those in int8, whose outputs deviate
BASE, CONTROL = list(FORMS)[:2]
AUTO = "--for auto"  # ends the names of forms that `tune` chose


class Worker:
    """A process that has loaded a form; `told` is what it said then."""

    def __init__(self, form: str, folder: Path) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it ends with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.latency", form, str(folder)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or ["it ended"]
            raise RuntimeError(f"{form} did not start: {lines[-1][:300]}")
        self.told: dict[str, Any] = json.loads(line)

    def turn(self) -> float:
        """Milliseconds of one picture."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        time.sleep(PAUSE)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, and write the result file and its tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="some of %(default)s")
    parser.add_argument("--forms", default="", help="forms whose names begin so, a semicolon between; all by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, and write no file")
    asked = parser.parse_args(words)
    if not (Path(sys.prefix) / OPENCV_4).is_dir():
        parser.error("OpenCV 4.14, which still reads Darknet, is not beside OpenCV 5: make bench-networks installs it")
    names = asked.networks.split(",")
    if unknown := [name for name in names if name not in NETWORKS]:
        parser.error(f"{', '.join(unknown)}: networks are {', '.join(NETWORKS)}")
    if asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    beginnings = tuple(filter(None, asked.forms.split(";"))) or ("",)
    forms = [form for form in FORMS.values() if form.name in (BASE, CONTROL) or form.name.startswith(beginnings)]
    peak, machine = measured_peak(THREADS), this_machine()
    for name in names:
        rows = measured(name, forms, asked.rounds, peak, machine)
        print(told(name, rows), flush=True)
        if not asked.dry:
            save({f"networks/{name}": rows})
    if not asked.dry:
        write_tables()
    return 0


def measured(name: str, forms: Sequence[Form], rounds: int, peak: Peak | None, machine: Machine) -> list[Row]:
    """A row a form, and one for each of what is limited."""
    folder = Path(tempfile.mkdtemp(prefix="layoutbridge-"))
    workers: dict[str, Worker] = {}
    try:
        net = prepared(name, folder)
        for form in forms:
            if form.limited and name not in LIMITED:
                continue
            try:
                form.write(net, folder / form.file)
                workers[form.name] = Worker(form.name, folder)
            except (LayoutBridgeError, RuntimeError) as error:
                print(f"{name}: {form.name} is left out: {error}", file=sys.stderr)
        roofline = None if peak is None else Roofline(work_of(net.network), peak)
        times = in_rounds(workers, rounds)
    finally:
        for worker in workers.values():
            worker.end()
        shutil.rmtree(folder)
    return rows_of(name, {form: worker.told for form, worker in workers.items()}, times, roofline, machine)


def prepared(name: str, folder: Path) -> Any:
    """The network, an input, and what the reference makes of it: its outputs, and what goes into detection layers."""
    net = write_detector(name, folder)
    x = np.random.default_rng(1).random((1, *net.network.in_shape), np.float32)
    np.save(folder / "x.npy", x)
    layers = forward(net.network, net.parameters, x, every_layer=True)
    outputs = output_layers(net.network)
    finds_boxes = any(layer.kind in ("region", "yolo") for layer in net.network.layers)
    raw = output_layers(net.network, "raw") if finds_boxes else []
    (folder / "raw.json").write_text(json.dumps(raw))
    (folder / "outputs.json").write_text(json.dumps(list(outputs)))
    np.savez(folder / "raw.npz", *(layers[index] for index in raw or outputs))
    np.savez(folder / "reference.npz", *(layers[index] for index in outputs))
    return net


def in_rounds(workers: Mapping[str, Worker], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each in each round."""
    times: dict[str, list[float]] = {form: [] for form in workers}
    order, rng = list(workers), random.Random(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for form in order:
            times[form].append(workers[form].turn())
    return times


def rows_of(
    name: str,
    answers: Mapping[str, Mapping[str, float]],
    times: Mapping[str, Sequence[float]],
    roofline: Roofline | None,
    machine: Machine,
) -> list[Row]:
    """Ratios to OpenCV's median; then the best of each runtime with its limit, and each form beside its plain one."""
    base = statistics.median(times[BASE])
    rows = []
    for form, held in times.items():
        direct, winograd = (None, None) if roofline is None else roofline.shares(statistics.median(held) / 1000)
        more = {"ms": statistics.median(held), **answers[form], "of_direct": direct, "of_winograd": winograd}
        rows.append(row(form, [one / base for one in held], "of OpenCV 4.14", **more))
    right = [
        each for each in rows
        if each.name not in (BASE, CONTROL) and each.more["deviation"] <= LARGEST_DEVIATION
    ]  # fmt: skip
    limited = name in LIMITED and machine.cores == THREADS and "avx512f" in machine.instructions
    for runtime in dict.fromkeys(FORMS[each.name].runtime for each in right):
        of_runtime = [each for each in right if FORMS[each.name].runtime == runtime]
        best = min(of_runtime, key=lambda each: each.value)
        chosen = next((each for each in of_runtime if each.name.endswith(AUTO)), best)  # which has the limit
        if limited and runtime in LIMITS:
            name = f"{'choice' if chosen.name.endswith(AUTO) else 'fastest'} of {runtime}"
            rows.append(_limit(name, chosen, LIMITS[runtime]))
    in_int8 = [each for each in rows if each.name in times and FORMS[each.name].runtime == "int8"]
    if limited and in_int8:
        rows.append(_limit("fastest in int8", min(in_int8, key=lambda each: each.value), INT8_LIMIT))
    if right:
        fastest = min(right, key=lambda each: each.value)
        rows.append(_limit("fastest of all", fastest, FASTEST_LIMIT if limited else None))
    for form in times:
        plain = FORMS[form].plain
        if plain in times:
            pairs = [own / other for own, other in zip(times[form], times[plain], strict=True)]
            rows.append(row(f"{form} beside plain", pairs, f"of {plain}", 1.0))
    return rows


def _limit(name: str, best: Row, most: float | None) -> Row:
    return Row(name, best.value, best.low, best.high, best.unit, most, more={"form": best.name})


def told(name: str, rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = [
        f"\n{name}, {THREADS} threads",
        f"  {'':40}  ratio  lowest..highest  deviation  load s    MB  direct Winograd",
    ]
    for each in rows:
        more = each.more or {}
        start = f"  {each.name:40} {each.value:6.2f}  {each.low:6.2f}..{each.high:<6.2f}"
        if "deviation" in more:
            shares = "".join(f"{100 * (more[key] or 0):6.0f} %" for key in ("of_direct", "of_winograd"))
            start += f"  {more['deviation']:11.1e} {more['load']:7.1f} {more['memory']:5.0f}{shares}"
        elif each.most is not None:
            start += f"  at most {each.most:g}: {verdict(each.value, each.most)}"
        lines.append(start + (f" ({more['form']})" if "form" in more else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
