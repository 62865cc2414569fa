"""The least time of a network: its work counted by hand, the machine's peak beside what NumPy does here."""

import json
import time

import numpy as np
import pytest

from layoutbridge.darknet.benchmarking.peaks import Peak, measured_peak
from layoutbridge.darknet.benchmarking.roofline import Roofline, Work, work_of
from layoutbridge.report.darknet.benchmarks import roofline_told
from tests.command_line import run
from tests.darknet_files import built

YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
CONV = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=linear\n"


@pytest.mark.parametrize(
    ("layers", "direct", "values"),
    [
        (CONV.format(16, 3, 1), 16 * 8 * 9 * 12 * 20, 16 * 8 * 9 + 16 + 8 * 240 + 16 * 240),
        (CONV.format(16, 3, 2), 16 * 8 * 9 * 6 * 10, 16 * 8 * 9 + 16 + 8 * 240 + 16 * 60),
        (CONV.format(16, 1, 1) + "groups=4\n", 16 * 2 * 240, 16 * 2 + 16 + 8 * 240 + 16 * 240),
        ("[maxpool]\nsize=2\nstride=2\n[reorg]\nstride=1\n", 0, 0),
        ("[connected]\noutput=7\nactivation=linear\n", 7 * 8 * 240, 7 * 8 * 240 + 7 + 8 * 240 + 7),
    ],
)
def test_work_counted_by_hand(layers, direct, values):
    assert work_of(built(f"[net]\nheight=12\nwidth=20\nchannels=8\n{layers}")) == Work(direct, direct, 4 * values)


def test_winograds_form_multiplies_a_quarter():
    wide = "[net]\nheight=24\nwidth=24\nchannels=256\n"
    work = work_of(built(wide + CONV.format(256, 3, 1)))
    assert work.direct == 256 * 256 * 9 * 24 * 24
    assert work.winograd / work.direct == pytest.approx(0.25, abs=0.1)  # 36 for 144, or another tile's share
    stepping = work_of(built(wide + CONV.format(256, 3, 2)))
    assert stepping.winograd == stepping.direct


def test_the_least_time_is_that_of_multiplying_or_of_moving():
    peak = Peak(1e9, "NumPy", 1e9, 2)
    line = Roofline(Work(4_000_000, 1_000_000, 2_000_000), peak)
    assert (line.direct_seconds, line.winograd_seconds, line.moving_seconds) == (4e-3, 2e-3, 2e-3)
    assert line.shares(8e-3) == (0.5, 0.25)
    assert line.shares(None) == (None, None)
    assert "in Winograd's form 2 ms: 0.001 billion" in roofline_told(line)[1]
    assert "Winograd's form" not in roofline_told(Roofline(Work(4, 4, 2), peak))[1]


@pytest.mark.slow
def test_the_peak_is_not_below_what_numpy_does():
    peak = measured_peak(1)
    a = np.random.default_rng(0).random((512, 512), np.float32)
    times = []
    for _ in range(3):
        start = time.process_time()
        a @ a
        times.append(time.process_time() - start)
    assert peak.threads == 1
    assert peak.multiplications > 0.2 * 512**3 / min(times)  # generous: others may take the core meanwhile
    assert 1e8 < peak.bytes < 1e13
    assert peak.measured_with.split()[0] in {"NumPy", "onnxruntime", "PyTorch"}


@pytest.mark.slow
def test_the_command_tells_it(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    page = tmp_path / "page.html"
    command = ("benchmark", *YOLO, "--targets", "onnx", "--rounds", "1", "--threads", "1")
    code, out, _ = run(capfd, *command, "--html", str(page))
    assert code == 0
    assert "of Winograd" in out.splitlines()[0]
    assert "this machine with 1 thread: " in out
    assert "What the machine leaves" in page.read_text(encoding="utf-8")
    code, out, _ = run(capfd, *command, "--json")
    told = json.loads(out)
    assert told["machine"]["cores"] >= 1
    least = told["roofline"]["direct_seconds"]
    assert all(row["of_direct"] == pytest.approx(least / row["seconds"]) for row in told["rows"])
