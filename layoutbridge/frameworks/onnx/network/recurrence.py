"""Sequences in ONNX: a batch of T·N taken apart into its steps, and ONNX's own LSTM and GRU.

Definition of both: the ONNX operators LSTM (gates i, o, f, c) and GRU (gates z, r, h, `linear_before_reset` 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.operators import split, squeeze, unsqueeze
from layoutbridge.frameworks.primitives import LazyArray, RecurrentCell, Shape


def steps_of(graph: Graph, x: str, shape: Shape, steps: int) -> list[str]:
    """The `steps` tensors [N, *shape] of x [T·N, *shape]."""
    apart = with_steps(graph, x, shape, steps)
    return [squeeze(graph, part, 0) for part in split(graph, apart, [1] * steps, 0)]


def with_steps(graph: Graph, x: str, shape: Shape, steps: int) -> str:
    """x [T·N, *shape] as [T, N, *shape]."""
    return graph.add("Reshape", [x, graph.integers([steps, -1, *shape])])


def without_steps(graph: Graph, x: str, shape: Shape) -> str:
    """x [T, N, *shape] as [T·N, *shape]."""
    return graph.add("Reshape", [x, graph.integers([-1, *shape])])


def own_layer(graph: Graph, x: str, cell: RecurrentCell, before: Sequence[str], steps: int) -> tuple[str, ...]:
    """LSTM or GRU of x [T·N, inputs]: the outputs [T·N, outputs], and the states [N, outputs] behind the last step."""
    outputs, inputs = cell.outputs, cell.of_input[0].shape[1]
    sequence = with_steps(graph, x, (inputs,), steps)

    def held(name: str, arrays: Sequence[LazyArray]) -> str:
        whole = LazyArray.joined(f"{graph.where}/{name}", arrays)
        return graph.parameter(whole, (1, *whole.shape))

    weights = [
        held("input_weights", cell.of_input),
        held("state_weights", cell.of_state),
        held("gate_biases", (*cell.input_biases, *cell.state_biases)),
    ]
    states = [unsqueeze(graph, state, 0) for state in before]
    names = [sequence, *weights, *(["", *states] if states else [])]
    attributes: dict[str, Any] = {"hidden_size": outputs}
    count = 3 if cell.kind == "lstm" else 2
    if cell.candidate == "sigmoid":
        functions = ["Sigmoid", "Sigmoid", "Tanh"] if cell.kind == "lstm" else ["Sigmoid", "Sigmoid"]
        attributes["activations"] = functions
    every, *last = graph.add_several(cell.kind.upper(), names, count, **attributes)
    after = [squeeze(graph, state, 0) for state in last]
    if steps == 1:  # the output of the last step is the state: one node less
        return after[0], *after
    return without_steps(graph, every, (outputs,)), *after  # [T, 1, N, outputs], of one direction
