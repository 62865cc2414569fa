"""What movements cost: their time, the bytes that they write, and how many nodes they are.

Times are those of onnxruntime 1.31 on a CPU (`benchmarks/test_rewrite_speed.py` holds the order that they give), in
floats that are copied meanwhile. Rows are copied as fast as memory allows; what looks each element up is 3 to 6 times
as slow for floats, and more so the smaller they are:

- a Transpose that moves one block of axes past another copies; any other looks up what lies behind the axes that move,
  which is an element where the last axis moves;
- SpaceToDepth on a float takes as long as a copy, DepthToSpace three times that;
- a Gather of rows copies rows, one along the last axis looks up elements.

onnxruntime may put Transposes with views between them together as one, which then is a slow one: `at_worst` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from layoutbridge.rewriting.applied import bytes_moved
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.readers.onnx_arithmetic import attributes

if TYPE_CHECKING:
    from onnx import NodeProto

_FLOAT = 4  # bytes
_ROWS = 0.6  # of a copy: rows that stay whole
_LOOKED_UP = 6.0  # for each element, in floats copied
_BY_BLOCKS = {"SpaceToDepth": 1.0, "DepthToSpace": 3.0}  # the same
_SWAPS = ((), (0,), (1, 0), (0, 2, 1), (1, 0, 2), (0, 2, 1, 3))


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


def cost_of(
    graph: Graph, nodes: Sequence[Node], protos: Mapping[str, NodeProto], count: int, *, at_worst: bool = False
) -> Cost:
    """The cost of `nodes`, `count` nodes of the file, which are in `protos` by the names of their outputs."""
    time = sum(_time(graph, node, protos[node.output]) for node in nodes if node.kind != "view")
    turned = [prod(graph.tensors[node.output].shape) for node in nodes if node.kind == "transpose"]
    if at_worst and len(turned) > 1:
        time = max(time, _looked_up(max(turned), 1))
    return Cost(time, bytes_moved(graph, nodes), count)


def _time(graph: Graph, node: Node, proto: NodeProto) -> float:
    source, result = (graph.tensors[name] for name in (node.inputs[0], node.output))
    copied, elements = result.bytes / _FLOAT, prod(result.shape)
    if node.kind == "transpose":
        sizes, order = merged(source.shape, node.order)
        if order in _SWAPS:
            return copied
        return max(copied, _looked_up(elements, sizes[-1] if order[-1] == len(order) - 1 else 1))
    if node.operator in _BY_BLOCKS:
        return max(copied, _BY_BLOCKS[node.operator] * elements)
    if node.operator == "Gather":
        return max(_ROWS * copied, _looked_up(elements, _row(source, proto)))
    if node.operator == "Slice" and (source.shape[-1] != result.shape[-1] or source.shape == result.shape):
        return max(copied, elements)
    if node.operator in ("Slice", "Split") or node.kind == "join":
        return _ROWS * copied
    return _looked_up(elements, 1)


def _looked_up(elements: int, row: int) -> float:
    """Rows of so many elements, each found by itself."""
    return _LOOKED_UP * elements / max(row, 1)


def _row(source: Tensor, gather: NodeProto) -> int:
    """How many elements lie behind the axis of a Gather."""
    axis = int(attributes(gather).get("axis", 0)) % len(source.shape)
    return prod(source.shape[axis + 1 :])


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
