"""`scan` of an ONNX model: seconds for a thousand nodes, and beside `onnx.load` of the same file for 250 MB of weights.

python -m pytest benchmarks/test_scan_speed.py -q
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

import layoutbridge as lb

NODES, MOST_SECONDS = 1000, 1.0
WEIGHTS, MOST_LOADS = 250_000_000, 1.5


def written(path, nodes, weights, shape=(1, 16, 32, 32)):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in weights.items()])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def blocks(count):
    """Convolution, activation and a channel shuffle in three nodes, so many times over."""
    nodes, name = [], "x"
    for k in range(count):
        nodes += [
            helper.make_node("Conv", [name, "w"], [f"c{k}"], name=f"conv{k}"),
            helper.make_node("Relu", [f"c{k}"], [f"r{k}"], name=f"relu{k}"),
            helper.make_node("Reshape", [f"r{k}", "cut"], [f"a{k}"], name=f"cut{k}"),
            helper.make_node("Transpose", [f"a{k}"], [f"t{k}"], name=f"turn{k}", perm=[0, 2, 1, 3, 4]),
            helper.make_node("Reshape", [f"t{k}", "join"], [f"y{k}"], name=f"join{k}"),
        ]
        name = f"y{k}"
    shapes = {"cut": np.array([-1, 4, 4, 32, 32]), "join": np.array([-1, 16, 32, 32])}
    return nodes, {"w": np.ones((16, 16, 1, 1), np.float32), **shapes}


def test_a_thousand_nodes(benchmark, tmp_path, record):
    path = written(tmp_path / "deep.onnx", *blocks(NODES // 5))
    assert len(lb.scan(path).places) == NODES // 5
    benchmark.pedantic(lb.scan, (path,), rounds=5)
    record("scan", "an ONNX model of a thousand nodes", benchmark.stats.stats.data, "s", MOST_SECONDS)
    assert benchmark.stats.stats.median <= MOST_SECONDS


@pytest.mark.parametrize("batch", [1, "N"])  # an open size is looked at twice
def test_beside_loading_the_file(benchmark, tmp_path, batch, record):
    nodes, weights = blocks(20)
    layers = 10
    each = int((WEIGHTS / 4 / layers) ** 0.5)
    for k in range(layers):
        weights[f"m{k}"] = np.random.default_rng(k).standard_normal((each, each)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["z" if k == 0 else f"h{k - 1}", f"m{k}"], [f"h{k}"], name=f"dense{k}"))
    weights["z"] = np.ones((1, each), np.float32)
    path = written(tmp_path / "wide.onnx", nodes, weights, (batch, 16, 32, 32))
    ratios = []
    for _ in range(5):
        start = time.perf_counter()
        load(path)
        between = time.perf_counter()
        lb.scan(path)
        ratios.append((time.perf_counter() - between) / (between - start))
    ratio = sorted(ratios)[2]
    record("scan", f"250 MB, batch {batch}", ratios, "times onnx.load", MOST_LOADS)
    benchmark.extra_info["ratio"] = round(ratio, 2)
    benchmark.pedantic(lb.scan, (path,), rounds=1)
    print(f"\n250 MB, batch {batch}: {ratio:.2f} times onnx.load")
    assert ratio <= MOST_LOADS
