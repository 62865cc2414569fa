"""What an exported [lstm] or [gru] costs in onnxruntime, as a ratio to its own LSTM or GRU operator of that size.

Run with `make bench`, or `python -m pytest benchmarks/test_recurrent_speed.py -s` to see the ratios as they come.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.darknet_files import made

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.frameworks.onnx.sessions import open_session  # noqa: E402

LIMIT = 1.2
CHANCES, ROUNDS = 3, 9
GATES = {"lstm": 4, "gru": 3}


def bare_operator(kind: str, size: int, steps: int) -> bytes:
    """A model of the operator alone, [steps, N, size] with its states to the same, as onnxruntime is given it."""
    helper, float32, gates = onnx.helper, onnx.TensorProto.FLOAT, GATES[kind]
    rng = np.random.default_rng(0)
    shapes = {"W": (1, gates * size, size), "R": (1, gates * size, size), "B": (1, 2 * gates * size)}
    held = [helper.make_tensor(key, float32, shape, rng.normal(size=shape).ravel()) for key, shape in shapes.items()]
    states = ["h", "c"] if kind == "lstm" else ["h"]
    inputs = [helper.make_tensor_value_info("x", float32, [steps, "N", size])]
    inputs += [helper.make_tensor_value_info(key, float32, [1, "N", size]) for key in states]
    outputs = ["y", *(f"{key}_next" for key in states)]
    functions = {} if kind == "lstm" else {"activations": ["Sigmoid", "Sigmoid"]}
    node = helper.make_node(kind.upper(), ["x", *shapes, "", *states], outputs, hidden_size=size, **functions)
    told = [helper.make_tensor_value_info(key, float32, None) for key in outputs]
    graph = helper.make_graph([node], "operator", inputs, told, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def fed(session, batch: int = 1) -> dict[str, NDArray[np.float32]]:
    """Random numbers for every input of a model."""
    rng = np.random.default_rng(1)
    shapes = {
        x.name: [batch if isinstance(length, str) else length for length in x.shape] for x in session.get_inputs()
    }
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def ratio(ours, theirs) -> float:
    """The median of interleaved rounds."""
    given, bare = fed(ours), fed(theirs)
    start = time.perf_counter()
    theirs.run(None, bare)
    repeats = max(1, int(0.02 / (time.perf_counter() - start)))
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for session, x in ((ours, given), (theirs, bare)):
            start = time.perf_counter()
            for _ in range(repeats):
                session.run(None, x)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


@pytest.mark.parametrize("steps", [None, 16])
@pytest.mark.parametrize("size", [64, 256, 1024])
@pytest.mark.parametrize("kind", GATES)
def test_a_step_costs_what_the_operator_does(kind: str, size: int, steps: int | None, tmp_path: Path) -> None:
    net = made(f"[net]\ninputs={size}\n[{kind}]\noutput={size}\n", tmp_path)
    net.to_onnx(tmp_path / "net.onnx", steps=steps)
    ours, theirs = open_session(tmp_path / "net.onnx"), open_session(bare_operator(kind, size, steps or 1))
    best = min(ratio(ours, theirs) for _ in range(CHANCES))
    print(f"{kind} {size}, {steps or 1} steps: {best:.2f} times onnxruntime's own")
    assert best <= LIMIT
