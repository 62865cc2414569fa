"""Where a graph moves elements: maximal runs of movements between one tensor and another.

A region begins at a tensor that something else computes or reads, and ends where values change, at a tensor that
others read too, be it only its shape, or at the graph's end. It has one tensor that goes in, over which its parts may
split and join again; or several, where a join does more with them than to lay one beside the other.
"""

from __future__ import annotations

from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.joins import join_behind, joined_at
from layoutbridge.scanning.links import Links, Region


def find_regions(graph: Graph) -> list[Region]:
    """The maximal regions of a graph, in its order; none shares a node with another.

    >>> from layoutbridge.scanning.graphs.graph import Node, Tensor
    >>> flat, deep = Tensor("flat", (6,)), Tensor("deep", (2, 3))
    >>> view = Node("see", "Reshape", ("flat",), "deep", lambda x: x.reshape(2, 3), "view")
    >>> graph = Graph("m", "none", (view,), {"flat": flat, "deep": deep}, ("flat",), ("deep",), 1)
    >>> [(region.names, region.sources, region.output) for region in find_regions(graph)]
    [(('see',), ('flat',), 'deep')]
    """
    links = Links(graph)
    found = []
    for place in range(len(graph.nodes) - 1, -1, -1):
        if place not in links.free:
            continue
        inside, source = _largest(links, place)
        behind = join_behind(links, place)
        region = joined_at(links, behind) if behind and behind[-1] not in inside else None
        if region is None and inside:
            region = links.taken(inside, [source])
        if region is None:
            links.free.discard(place)  # different tensors side by side: what goes in is looked at on its own
            continue
        links.free.difference_update(links.makers[node.output] for node in region.nodes)
        found.append(region)
    return found[::-1]


def _largest(links: Links, last: int) -> tuple[list[int], str]:
    """The most nodes that end with `last` and take one tensor, and that; none where it is a join of several."""
    output = links.graph.nodes[last].output
    farthest = links.dominators.get(output)
    if farthest == output:
        return [], ""
    count, source = 0, ""
    added: list[int] = []
    border: set[str] = set()
    for added, border in links.grown([last], lambda _: True):
        if len(border) == 1:
            count, source = len(added), next(iter(border))
            if source == farthest:
                break
    if count < len(added):
        links.note_dominators(added, border)
    return added[:count], source
