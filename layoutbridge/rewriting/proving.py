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
    graphs = graphs_at_sizes(after)[located.inside]
    region = region_of(graphs[0], located)
    seen = [graph for graph in graphs if graph is not None and located.region.output in graph.tensors]
    shapes = []
    for graph in seen:
        again = region_of(graph, located)
        if again.sources != located.region.sources or not is_same_map(graph, again, operation):
            raise AssertionError(f"{located.told} did not become {label}")
        shapes.append(str(list(graph.tensors[again.sources[0]].shape)))
    return Applied(
        name,
        (located.number,),
        f"read again at {' and '.join(shapes)}, every element comes from where {label} has it",
        bytes_moved(located.graph, located.region.nodes),
        bytes_moved(graphs[0], region.nodes),
    )


def region_of(graph: Graph, located: Located) -> Region:
    """The region that gives the place's tensor in a graph."""
    return next(each for each in find_regions(graph) if each.output == located.region.output)
