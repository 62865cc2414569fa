"""What movements cost: their time, the bytes that they write, and how many nodes they are.

Times are those of onnxruntime 1.31 on a CPU (`benchmarks/test_rewrite_speed.py` holds what follows from them), in
floats that are copied meanwhile. Rows are copied as fast as memory allows; what looks each element up is 3 to 6 times
as slow for floats, and more so the smaller they are:

- a Transpose that moves one block of axes past another copies; any other looks up what lies behind the axes that move,
  which is an element where the last axis moves;
- one that swaps two neighbouring axes is slow where short rows lie behind them;
- SpaceToDepth on a float takes as long as a copy, DepthToSpace three times that;
- a Gather or a Slice copies the rows that it leaves whole.

onnxruntime puts Transposes in a row together as one, and may do so where views stand between them. One of them all can
be slower than each. How fast slices are depends on more than is looked at here. What is to come is counted `at_worst`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from layoutbridge.rewriting.applied import bytes_moved
from layoutbridge.scanning.graphs.graph import Graph, Node

_FLOAT = 4  # bytes
_ROWS = 0.6  # of a copy: rows that stay whole
_LOOKED_UP = 6.0  # for each element, or row of some, in floats copied
_STEPPED_TO, _STEPPED_TO_AT_WORST = 1.5, 3.5  # the same of slices
_SHORT_ROWS, _SHORTEST_ROW = 48.0, 12  # the same of rows behind two axes that are swapped: each 12 elements at least
_BY_BLOCKS = {"SpaceToDepth": 1.0, "DepthToSpace": 3.0}  # the same
_SWAPS = ((1, 0), (0, 2, 1), (1, 0, 2), (0, 2, 1, 3))
_FOLLOWED = 1 << 24  # elements of a tensor whose rows are looked at


class Cost(NamedTuple):
    """The time, in floats copied, the bytes written elsewhere than they lay, and the nodes: smaller is better."""

    time: float
    bytes: int
    nodes: int

    def beats(self, other: Cost) -> bool:
        """Whether it is the better one: less of the first that differs, and not more of both bytes and nodes.

        >>> Cost(8, 32, 1).beats(Cost(24, 32, 3)), Cost(8, 32, 5).beats(Cost(8, 32, 3))
        (True, False)
        """
        return self < other and (self.bytes <= other.bytes or self.nodes <= other.nodes)


def cost_of(graph: Graph, nodes: Sequence[Node], count: int, *, at_worst: bool = False) -> Cost:
    """The cost of movements, which are `count` nodes of a file."""
    joined = _joined(graph, nodes)
    time = sum(_time(graph, node, at_worst) for node in joined if node.kind != "view")
    turned = [prod(graph.tensors[node.output].shape) for node in joined if node.kind == "transpose"]
    if at_worst and len(turned) > 1:
        time = max(time, _LOOKED_UP * max(turned))
    return Cost(time, bytes_moved(graph, nodes), count)


def _joined(graph: Graph, nodes: Sequence[Node]) -> list[Node]:
    """The nodes, Transposes in a row as the last of them; views that keep the shape are none."""
    left: dict[str, Node] = {}
    same: dict[str, str] = {}  # tensors that are another one
    for node in nodes:
        source = same.get(node.inputs[0], node.inputs[0])
        before = left.get(source)
        if node.kind == "view" and graph.tensors[source].shape == graph.tensors[node.output].shape:
            same[node.output] = source
        elif node.kind == "transpose" and before is not None and before.kind == "transpose":
            order = tuple(before.order[axis] for axis in node.order)
            left[node.output] = replace(node, inputs=before.inputs, order=order)
            del left[source]
        else:
            left[node.output] = node
    return list(left.values())


def _time(graph: Graph, node: Node, at_worst: bool) -> float:
    source, result = (graph.tensors[name] for name in (node.inputs[0], node.output))
    copied, elements = result.bytes / _FLOAT, prod(result.shape)
    if node.kind == "transpose":
        sizes, order = merged(source.shape, node.order)
        if len(order) < 2:
            return 0
        row = sizes[-1] if order[-1] == len(order) - 1 else 1
        if row > 1 and _swaps_neighbours(node.order):
            return max(copied, _SHORT_ROWS * elements / max(row, _SHORTEST_ROW))
        return copied if order in _SWAPS else max(copied, _LOOKED_UP * elements / row)
    if node.operator in _BY_BLOCKS:
        return max(copied, _BY_BLOCKS[node.operator] * elements)
    if node.operator == "Split" or node.kind == "join":
        return _ROWS * copied
    stepped = _STEPPED_TO_AT_WORST if at_worst else _STEPPED_TO
    each = stepped if node.operator == "Slice" else _LOOKED_UP
    return max(_ROWS * copied, each * elements / _row(graph, node))


def _swaps_neighbours(order: Sequence[int]) -> bool:
    moved = [axis for place, axis in enumerate(order) if place != axis]
    return len(moved) == 2 and moved[0] == moved[1] + 1


def _row(graph: Graph, node: Node) -> float:
    """How many elements lie side by side as they did, in the mean."""
    shape = graph.tensors[node.inputs[0]].shape
    if node.movement is None or len(node.inputs) > 1 or prod(shape) > _FOLLOWED:
        return 1
    places = np.asarray(node.movement(np.arange(prod(shape)).reshape(shape))).reshape(-1)
    return places.size / (1 + np.count_nonzero(np.diff(places) != 1))


def merged(shape: Sequence[int], order: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A transpose with axes that stay side by side as one, and without those of length 1: its sizes and its order.

    >>> merged((1, 3, 8, 9), (0, 2, 3, 1)), merged((2, 3, 4), (0, 1, 2))
    (((3, 72), (1, 0)), ((24,), (0,)))
    """
    left = [axis for axis in order if shape[axis] != 1]
    ranks = {axis: rank for rank, axis in enumerate(sorted(left))}
    runs: list[list[int]] = []
    for axis in left:
        if runs and ranks[axis] == ranks[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    by_source = sorted(runs)
    sizes = tuple(prod(shape[axis] for axis in run) for run in by_source)
    return sizes, tuple(by_source.index(run) for run in runs)
