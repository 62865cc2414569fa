"""Whether a place became what it was to become: looked at again in the model that was made."""

from __future__ import annotations

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.places.locating import Located, Scene, graphs_at_sizes
from layoutbridge.rewriting.places.wanted import is_same_map
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.regions import find_regions


def proven(name: str, located: Located, after: Scene, operation: Rearrangement, label: str) -> Applied:
    """What the pass `name` did at a place, whose tensor is to come from `operation`, which reports call `label`.

    The place is read again in the model `after` the pass, at two sizes where some are open, and every element is looked
    at; an `AssertionError` where it is not that.
    """
    first, second = graphs_at_sizes(after)[located.inside]
    seen = [graph for graph in (first, second) if graph is not None and located.region.output in graph.tensors]
    shapes = []
    for graph in seen:
        again = _between(graph, located)
        if again is None or not is_same_map(graph, again, operation):
            raise AssertionError(f"{located.told} did not become {label}")
        shapes.append(str(list(graph.tensors[again.sources[0]].shape)))
    left = _between(first, located)
    assert left is not None
    return Applied(
        name,
        (located.number,),
        f"read again at {' and '.join(shapes)}, every element comes from where {label} has it",
        bytes_moved(located.graph, located.region.nodes),
        bytes_moved(first, left.nodes),
    )


def _between(graph: Graph, located: Located) -> Region | None:
    """The movements from what goes into a place to what comes out; None where other tensors go in.

    Regions may reach farther now than the place did.
    """
    source, output = located.region.sources[0], located.region.output
    makers = {node.output: node for node in graph.nodes if node.movement is not None}
    waiting, found = [output], set()
    while waiting:
        name = waiting.pop()
        if name == source or name in found:
            continue
        if name not in makers:
            return None
        found.add(name)
        waiting += makers[name].inputs
    return Region(tuple(node for node in graph.nodes if node.output in found), (source,), output)


def region_of(graph: Graph, located: Located) -> Region:
    """The region that gives the place's tensor in a graph."""
    return next(each for each in find_regions(graph) if each.output == located.region.output)
