"""Parts of a tensor along an axis, by either of the operators that cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.operators import slices, split


def parts_along(graph: Graph, x: str, sizes: Sequence[int], axis: int, *, by_split: bool) -> list[str]:
    """x in parts of these lengths along an axis: by one Split, or by Slices."""
    if by_split:
        return split(graph, x, sizes, axis)
    spans = [(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]
    return [slices(graph, x, [start], [end], [axis]) for start, end in spans]


def part_between(graph: Graph, x: str, start: int, stop: int, length: int, axis: int) -> str:
    """What lies from `start` to `stop` on an axis of this length, by a Split."""
    sizes = [size for size in (start, stop - start, length - stop) if size]
    return parts_along(graph, x, sizes, axis, by_split=True)[1 if start else 0]
