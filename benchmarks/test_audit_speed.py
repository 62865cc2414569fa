"""`audit` of a thousand small models by two processes, beside one process and beside a loop over `scan`.

python -m pytest benchmarks/test_audit_speed.py -q -s
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

MODELS, LEAST_RATIO = 1000, 1.6
LOOP = "import sys, glob, layoutbridge as lb; [lb.scan(path) for path in sorted(glob.glob(sys.argv[1] + '/*.onnx'))]"


def small_model(path, seed):
    """Eight convolutions of other weights than every other seed's, four channel shuffles and a space to depth."""
    rng = np.random.default_rng(seed)
    nodes, name, weights = [], "x", {"cut": np.array([1, 2, 4, 16, 16]), "join": np.array([1, 8, 16, 16])}
    for k in range(8):
        weights[f"w{k}"] = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
        nodes += [
            helper.make_node("Conv", [name, f"w{k}"], [f"c{k}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{k}"], [f"r{k}"]),
        ]
        name = f"r{k}"
        if k % 2:
            nodes += [
                helper.make_node("Reshape", [name, "cut"], [f"a{k}"]),
                helper.make_node("Transpose", [f"a{k}"], [f"b{k}"], perm=[0, 2, 1, 3, 4]),
                helper.make_node("Reshape", [f"b{k}", "join"], [f"d{k}"]),
            ]
            name = f"d{k}"
    nodes += [helper.make_node("Relu", [name], ["r"]), helper.make_node("SpaceToDepth", ["r"], ["y"], blocksize=2)]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    held = [numpy_helper.from_array(value, key) for key, value in weights.items()]
    graph = helper.make_graph(nodes, "g", given, made, held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    for seed in range(MODELS):
        small_model(made / f"m{seed:04}.onnx", seed)
    return made


def seconds(*command):
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def test_two_processes_beside_one(folder, record):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    audit = ("-m", "layoutbridge", "audit", str(folder), "--jobs")
    rounds = [(seconds(*audit, "1"), seconds(*audit, "2"), seconds("-c", LOOP, str(folder))) for _ in range(3)]
    one, two, loop = (sorted(each)[1] for each in zip(*rounds, strict=True))
    print(f"\n{MODELS} models: {one:.1f} s by one process, {two:.1f} s by two ({one / two:.2f}), loop {loop:.1f} s")
    record("audit", "a thousand models, two processes", [b / a for a, b, _ in rounds], "of one's time", 1 / LEAST_RATIO)
    assert one / two >= LEAST_RATIO
