"""`compare` of YOLOv2 with its ONNX port, beside the sum of a run of each; and what comparing YOLOv4 takes of memory.

python -m pytest benchmarks/test_compare_speed.py -q -s
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest

import layoutbridge as lb
from benchmarks.detectors import write_detector
from tests.darknet_files import WHERE_ZOO, ZOO, real_network

MOST_RUNS, MOST_MEGABYTES = 3.0, 2000
MEASURED = """
import resource, sys
import layoutbridge as lb
net = lb.darknet.load(sys.argv[1], sys.argv[2], size=(416, 416))
net.to_onnx(sys.argv[3])
assert lb.compare(net, sys.argv[3]).equal
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_beside_both_runs(tmp_path, record):
    net, path = write_detector("yolov2", tmp_path), str(tmp_path / "net.onnx")
    net.to_onnx(path)
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    ratios = []
    for _ in range(3):
        start = time.perf_counter()
        net.run(x)
        session = onnxruntime.InferenceSession(path)
        session.run(None, {session.get_inputs()[0].name: x})
        between = time.perf_counter()
        assert lb.compare(net, path, x).equal
        ratios.append((time.perf_counter() - between) / (between - start))
    ratio = sorted(ratios)[1]
    record("compare", "YOLOv2 with its ONNX port", ratios, "times a run of both", MOST_RUNS)
    print(f"\nYOLOv2 at 416: compare takes {ratio:.2f} times a run of the reference and a run of the port, loaded")
    assert ratio <= MOST_RUNS


@pytest.mark.skipif(not ZOO.is_dir(), reason=WHERE_ZOO)
def test_memory(tmp_path):
    weights = tmp_path / "net.weights"
    real_network(ZOO / "alexey" / "yolov4", weights)
    command = [sys.executable, "-c", MEASURED, str(ZOO / "alexey" / "yolov4" / "net.cfg"), str(weights)]
    done = subprocess.run([*command, str(tmp_path / "net.onnx")], capture_output=True, text=True, check=True)
    print(f"\nYOLOv4 at 416: {int(done.stdout)} MB at most")
    assert int(done.stdout) <= MOST_MEGABYTES
