"""Where a graph moves elements: maximal runs of movements between one tensor and another.

A region begins at a tensor that something else computes or reads, and ends where values change, at a tensor that others
read too, or at the graph's end. It has one tensor that goes in, over which its parts may split and join again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.table import Digits
from layoutbridge.errors import ShapeError, first_line, named
from layoutbridge.recognition.structure import Seen, follow_transpose
from layoutbridge.scanning.graphs.graph import Graph, Node

_MOST_ELEMENTS = 1 << 26  # of a tensor whose positions are worked with
_MOST_IN_DIGITS = 1 << 40  # of one whose digits are: what divides their number is looked for


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes in the order of the graph, the tensor that goes into them, and the one that comes out."""

    nodes: tuple[Node, ...]
    source: str
    output: str

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, each once."""
        return tuple(dict.fromkeys(node.name for node in self.nodes))


def find_regions(graph: Graph) -> list[Region]:
    """The maximal regions of a graph, in its order; none shares a node with another.

    >>> from layoutbridge.scanning.graphs.graph import Tensor
    >>> flat, deep = Tensor("flat", (6,)), Tensor("deep", (2, 3))
    >>> view = Node("see", "Reshape", ("flat",), "deep", lambda x: x.reshape(2, 3), "view")
    >>> graph = Graph("m", "none", (view,), {"flat": flat, "deep": deep}, ("flat",), ("deep",), 1)
    >>> [(region.names, region.source, region.output) for region in find_regions(graph)]
    [(('see',), 'flat', 'deep')]
    """
    makers = {node.output: place for place, node in enumerate(graph.nodes)}
    users: dict[str, set[int]] = {}
    for place, node in enumerate(graph.nodes):
        for entry in node.inputs:
            users.setdefault(entry, set()).add(place)
    free = {place for place, node in enumerate(graph.nodes) if node.movement is not None}
    shown = set(graph.outputs) | _read_within(graph)
    found = []
    for place in range(len(graph.nodes) - 1, -1, -1):
        if place not in free:
            continue
        inside = _grown(graph, place, makers, users, free, shown)
        if inside is None:
            free.discard(place)  # a join of different tensors: what goes into it is looked at on its own
            continue
        places, source = inside
        free -= places
        nodes = tuple(graph.nodes[each] for each in sorted(places))
        found.append(Region(nodes, source, graph.nodes[place].output))
    return found[::-1]


def _read_within(graph: Graph) -> set[str]:
    """The tensors that graphs inside of control flow read."""
    names: set[str] = set()
    for inner in graph.inner:
        names |= {entry for node in inner.nodes for entry in node.inputs} | set(inner.outputs) | _read_within(inner)
    return names


def _grown(
    graph: Graph,
    last: int,
    makers: Mapping[str, int],
    users: Mapping[str, set[int]],
    free: Collection[int],
    shown: Collection[str],
) -> tuple[set[int], str] | None:
    """The largest region that ends with the node at `last`, and its source; None where several tensors go in."""
    inside, border = {last}, set(graph.nodes[last].inputs)
    best = None
    while True:
        if len(border) == 1:
            best = set(inside), next(iter(border))
        following = next(
            (
                makers[name]
                for name in sorted(border, key=lambda name: -makers.get(name, -1))
                if makers.get(name) in free and name not in shown and users[name] <= inside
            ),
            None,
        )
        if following is None:
            return best
        inside.add(following)
        border.discard(graph.nodes[following].output)
        border |= set(graph.nodes[following].inputs)


def digits_through(graph: Graph, region: Region) -> Digits | None:
    """The digits of a region of views, transposes and rearrangements; None where it has others, or no digits.

    Raises `ShapeError` for a tensor that is larger than any is.
    """
    shape = graph.tensors[region.source].shape
    total = prod(shape)
    _refuse_more(region.source, total, _MOST_IN_DIGITS)
    digits: Digits = ((total, 1),) if total > 1 else ()
    for node in region.nodes:
        shape = graph.tensors[node.inputs[0]].shape
        if len(node.inputs) != 1 or node.kind not in ("view", "transpose"):
            return None
        if node.kind == "transpose":
            held = follow_transpose(Seen(digits, (total,), shape), node.order)
            if held is None:
                return None
            digits = held
    return digits


def table_of(graph: Graph, region: Region) -> NDArray[np.int64]:
    """The gather table of a region, in the shape of its output: which element of its source comes to each place.

    Raises `ShapeError` for a tensor that is too large, and for a node whose result is not what the reader said.
    """
    shape = graph.tensors[region.source].shape
    for name in (region.source, *(node.output for node in region.nodes)):
        _refuse_more(name, prod(graph.tensors[name].shape), _MOST_ELEMENTS)
    total = prod(shape)
    held: dict[str, NDArray[Any]] = {region.source: np.arange(total).reshape(shape)}
    left = _last_uses(region.nodes)
    for place, node in enumerate(region.nodes):
        assert node.movement is not None
        try:
            result = np.asarray(node.movement(*(held[entry] for entry in node.inputs)))
        except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:  # operands that do not fit
            raise ShapeError(f"node {named(node.name)} cannot be followed: {first_line(error)}") from None
        if result.shape != graph.tensors[node.output].shape:
            told = graph.tensors[node.output].shape
            raise ShapeError(f"node {named(node.name)} gives shape {list(result.shape)}, and {list(told)} is declared")
        held[node.output] = result
        for entry in node.inputs:
            if left[entry] == place:
                held.pop(entry, None)
    return np.ascontiguousarray(held[region.output])


def _refuse_more(name: str, total: int, most: int) -> None:
    if total > most:
        raise ShapeError(f"tensor {named(name)} has {total:,} elements, too many to follow: give smaller shapes")


def _last_uses(nodes: Sequence[Node]) -> dict[str, int]:
    return {entry: place for place, node in enumerate(nodes) for entry in node.inputs}
