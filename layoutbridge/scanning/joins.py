"""Joins of several tensors that do more than to lay one beside the other, such as one that interleaves two."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod
from operator import mul

import numpy as np

from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.links import Links, Region
from layoutbridge.scanning.tables import MOST_ELEMENTS, is_each_once, table_of


def join_behind(links: Links, last: int) -> list[int]:
    """The nodes from `last` back to a join, which comes last, with views alone between; empty where there is none."""
    nodes, places = links.graph.nodes, [last]
    while (node := nodes[places[-1]]).kind == "view" and len(node.inputs) == 1:
        maker = links.maker_within(node.inputs[0], set(places[-1:]))
        if maker is None:
            return []
        places.append(maker)
    return places if node.kind == "join" else []


def joined_at(links: Links, behind: Sequence[int]) -> Region | None:
    """The region around a join, seen from the nodes `behind` it, those of `join_behind`; None for a plain one.

    What goes in is taken with the views in front of it, and with other joins there where all sources have one shape
    then. Where the join lays its sources side by side, they may be parts of fewer tensors, put together in turns.
    """
    graph, join = links.graph, links.graph.nodes[behind[-1]]
    shape = graph.tensors[graph.nodes[behind[0]].output].shape
    added, sources, is_each_once = _traced(links, behind, lambda node: node.kind == "view")
    if len(sources) < 2 or not all(_size(graph, name) for name in sources):
        return None
    turns = _turns(graph, join)
    if turns not in accumulate(shape, mul, initial=1):
        deeper, more, _ = _traced(links, behind, lambda node: node.kind in ("view", "join"))
        if len(more) > len(sources) and len({graph.tensors[name].shape for name in more}) == 1:
            return links.taken(deeper, more)
        return links.taken(added, sources, turns if is_each_once else 0)
    deeper, more, _ = _traced(links, behind, lambda node: node.kind == "view" or _is_part(graph, node))
    if len(deeper) == len(added) or len(more) < 2:
        return None
    region = links.taken(deeper, more)
    return region if _is_shuffled(graph, region) else None


def _turns(graph: Graph, join: Node) -> int:
    """How often the inputs of a join take turns: once for each place of the axes in front of its own."""
    shape = graph.tensors[join.output].shape
    return prod(shape[: join.order[0] % len(shape)])


def _traced(links: Links, behind: Sequence[int], takes: Callable[[Node], bool]) -> tuple[list[int], list[str], bool]:
    """The nodes behind a join and those taken in front of it; what goes in, in order, and whether each goes in once."""
    ((added, _),) = deque(links.grown(behind, takes), maxlen=1)
    nodes = [links.graph.nodes[place] for place in added]
    inputs: Mapping[str, tuple[str, ...]] = {node.output: node.inputs for node in nodes}
    seen: dict[str, None] = {}
    waiting, is_each_once = [nodes[0].output], True
    while waiting:
        name = waiting.pop()
        if name in seen:
            is_each_once = False
            continue
        seen[name] = None
        waiting += reversed(inputs.get(name, ()))
    return added, [name for name in seen if name not in inputs], is_each_once


def _is_part(graph: Graph, node: Node) -> bool:
    """Whether a node gives a part of one tensor, such as a slice."""
    return node.kind == "moves" and len(node.inputs) == 1 and _size(graph, node.output) < _size(graph, node.inputs[0])


def _size(graph: Graph, name: str) -> int:
    return prod(graph.tensors[name].shape)


def _is_shuffled(graph: Graph, region: Region) -> bool:
    """Whether each element of each source arrives once, the sources not one beside the other."""
    sizes, shape = [_size(graph, name) for name in region.sources], graph.tensors[region.output].shape
    if sum(sizes) != prod(shape) or prod(shape) > MOST_ELEMENTS:
        return False
    table = table_of(graph, region).reshape(-1)
    for turns in accumulate(shape, mul, initial=1):
        if any(size % turns for size in sizes):
            continue
        bounds = pairwise(accumulate(sizes, initial=0))
        beside = np.concatenate([np.arange(*each).reshape(turns, -1) for each in bounds], 1)
        if np.array_equal(beside.reshape(-1), table):
            return False
    return is_each_once(table, sum(sizes))
