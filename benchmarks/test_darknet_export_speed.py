"""What it costs to export yolov4 (258 MB of weights), in time and memory, and what a reorg costs in onnxruntime.

    python -m pytest benchmarks/test_darknet_export_speed.py -q

Each export runs in a process of its own, in turns with a plain copy of the weights file, after the imports; the usual
way (one ModelProto with all weights, serialised) stands beside it. The reorg of YOLOv2, [64, 26, 26], stands between
two Relus, as it stands between two layers in the network, beside a native SpaceToDepth in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detectors import write_detector
from tests.darknet_files import HEADER, WHERE_ZOO, ZOO, built, load_synthesizer

onnx = pytest.importorskip("onnx")

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
LARGEST_TIME = (4.0, 0.5)  # times a plain copy, plus seconds
LARGEST_MEMORY = 200  # MB over the weights
WHOLE_MEMORY = 90  # MB over the weights, of the whole process
WHOLE_ROUNDS = 9
LARGEST_REORG = 1.2  # times a native SpaceToDepth
ROWS: list[tuple[str, float, float]] = []
REORG: dict[str, float] = {}

MEASURED = """
import json, resource, shutil, sys, time
from pathlib import Path
from layoutbridge.darknet import load
from layoutbridge.darknet.ports import onnx as onnx_export
import onnx, onnx.numpy_helper, layoutbridge.frameworks.onnx.target, layoutbridge.frameworks.onnx.writer
cfg, weights, out, how = sys.argv[1:]
start = time.perf_counter()
if how == "copy":
    shutil.copyfile(weights, out)
else:
    net = load(cfg, weights)
    options = {"external_data": True} if how == "external data" else {}
    options |= {"sources": {"cfg": cfg, "weights": weights}} if how == "with hashes" else {}
    export = onnx_export.write_onnx(net.network, net.parameters, out, **options)
    if how == "usual way":
        start = time.perf_counter()
        model = onnx.load(out)
        with open(out, "wb") as file:
            file.write(model.SerializeToString())
seconds = time.perf_counter() - start
found = sorted({"torch", "tensorflow", "keras", "onnxruntime"} & set(sys.modules))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = Path("/proc/self/status")
if status.exists():  # Linux counts the process before exec into the first of both
    peak = int(status.read_text().split("VmHWM:")[1].split()[0])
print(json.dumps([seconds, peak / 1024, found]))
"""


@pytest.fixture(scope="module", autouse=True)
def table(request):
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\nexport of yolov4: median seconds after imports, peak memory in MB")
        for name, seconds, memory in ROWS:
            print(f"  {name:28} {seconds:8.3f} {memory:8.0f}")
        if REORG:
            ours, native = REORG["ours"], REORG["native"]
            print(f"reorg of YOLOv2: {ours * 1e6:.1f} µs, {ours / native:.2f} times a native SpaceToDepth")


@pytest.fixture(scope="module")
def yolov4(tmp_path_factory):
    folder = ZOO / "alexey" / "yolov4"
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    path = tmp_path_factory.mktemp("yolov4") / "net.weights"
    load_synthesizer().write_weights(json.loads((folder / "manifest.json").read_text()), path)
    yield folder / "net.cfg", path
    path.unlink()


def measured(yolov4, out, how):
    command = [sys.executable, "-c", MEASURED, *map(str, (*yolov4, out)), how]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    for file in (out, out.with_name(f"{out.name}.data")):
        file.unlink(missing_ok=True)
    return json.loads(done.stdout)


def test_export_time_and_memory(yolov4, tmp_path, record):
    weights = yolov4[1].stat().st_size / 2**20
    ways = ("copy", "one file", "with hashes", "external data", "usual way")
    times = {way: [] for way in ways}
    memory = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for way in ways:
            seconds, peak, imported = measured(yolov4, tmp_path / "net.onnx", way)
            times[way].append(seconds)
            memory[way] = max(memory[way], peak)
            assert not imported
    medians = {way: statistics.median(times[way]) for way in ways}
    for way in ("one file", "with hashes", "external data"):
        ratios = [own / copied for own, copied in zip(times[way], times["copy"], strict=True)]
        record("export", f"yolov4, {way}, after the imports", ratios, "copies of its weights")
    ROWS.extend((way, medians[way], memory[way]) for way in ways)
    factor, constant = LARGEST_TIME
    for way in ("one file", "with hashes", "external data"):
        assert medians[way] <= factor * medians["copy"] + constant, (way, medians)
        assert memory[way] <= weights + LARGEST_MEMORY, (way, memory)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the peak of a process by wait4")
def test_the_whole_process(tmp_path, record):
    write_detector("yolov4", tmp_path)
    weights, out = tmp_path / "net.weights", tmp_path / "out.onnx"
    code = "import sys, layoutbridge as lb; lb.darknet.load(*sys.argv[1:3]).to_onnx(sys.argv[3])"
    files = [str(tmp_path / "net.cfg"), str(weights)]
    ways = {
        "lb.darknet.load(...).to_onnx(...)": ["-c", code, *files, str(out)],
        "layoutbridge export --no-check": ["-m", "layoutbridge", "export", *files, "-o", str(out), "--no-check"],
    }
    factor, constant = LARGEST_TIME
    shares, over = {way: [] for way in ways}, {way: [] for way in ways}
    for _ in range(WHOLE_ROUNDS):
        start = time.perf_counter()
        shutil.copyfile(weights, out)
        allowed = factor * (time.perf_counter() - start) + constant
        out.unlink()
        for way, words in ways.items():
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            shares[way].append((time.perf_counter() - start) / allowed)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            over[way].append(
                usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10) - weights.stat().st_size / 2**20
            )
            out.unlink()
    for way in ways:
        record("export", f"yolov4, {way}: time", shares[way], "of 4 copies of its weights + 0.5 s", 1.0)
        record("export", f"yolov4, {way}: memory", over[way], "MB over the weights", WHOLE_MEMORY)
        assert statistics.median(over[way]) <= WHOLE_MEMORY, over


def test_reorg_costs_what_a_native_space_to_depth_does(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from layoutbridge.darknet import load
    from layoutbridge.darknet.ports.onnx import write_onnx

    relu = "[activation]\nactivation=relu\n"
    text = f"[net]\nwidth=26\nheight=26\nchannels=64\n{relu}[reorg]\nstride=2\n{relu}"
    assert built(text).layers[1].out_shape == (256, 13, 13)
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(HEADER)
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights")
    write_onnx(net.network, net.parameters, tmp_path / "ours.onnx", batch=1)
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node("Relu", ["input"], ["a"]),
            node("SpaceToDepth", ["a"], ["b"], blocksize=2),
            node("Relu", ["b"], ["output"]),
        ],
        "native",
        [value("input", 1, [1, 64, 26, 26])],
        [value("output", 1, [1, 256, 13, 13])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "native.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        for name in ("ours", "native")
    }
    x = np.random.default_rng(0).random((1, 64, 26, 26), np.float32)
    times = {name: [] for name in sessions}
    for _ in range(2000):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, {"input": x})
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(held) for name, held in times.items()}
    REORG.update(medians)
    assert medians["ours"] <= LARGEST_REORG * medians["native"], medians
