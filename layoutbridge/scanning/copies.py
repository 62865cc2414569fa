"""Nodes of a graph that leave a tensor as it is, such as a slice of all of it, and regions without idle expansions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.graphs.movements import sliced
from layoutbridge.scanning.links import Region

_EXPANSIONS = ("expand", "broadcast")  # what operators that repeat a tensor along axes of length 1 are called


def is_copy(graph: Graph, node: Node) -> bool:
    """Whether what comes out is what goes in, in the same shape.

    >>> from layoutbridge.scanning.graphs.graph import Tensor
    >>> tensors = {name: Tensor(name, (2, 3)) for name in "xy"}
    >>> node = Node("n", "Reshape", ("x",), "y", lambda x: x.reshape(2, 3), "view")
    >>> is_copy(Graph("m", "none", (node,), tensors, ("x",), ("y",), 1), node)
    True
    """
    if len(node.inputs) != 1 or graph.tensors[node.inputs[0]].shape != graph.tensors[node.output].shape:
        return False
    return node.kind == "view" or _is_forward_slice(node)


def _is_forward_slice(node: Node) -> bool:
    if getattr(node.movement, "func", None) is not sliced:
        return False
    places: Sequence[object] = node.movement.keywords["places"]  # type: ignore[union-attr]  # a partial of `sliced`
    return all(place is Ellipsis or (isinstance(place, slice) and (place.step or 1) > 0) for place in places)


def without_idle_expansions(graph: Graph, region: Region) -> Region:
    """The region without expansions at its ends that repeat nothing: what such a node is there for is no movement."""
    if len(region.sources) > 1:
        return region
    nodes, (source,), output = list(region.nodes), region.sources, region.output
    while len(nodes) > 1 and _is_idle_expansion(graph, nodes[-1]):
        output = nodes.pop().inputs[0]
    while len(nodes) > 1 and _is_idle_expansion(graph, nodes[0]) and not any(source in n.inputs for n in nodes[1:]):
        source = nodes.pop(0).output
    return (
        region
        if len(nodes) == len(region.nodes)
        else replace(region, nodes=tuple(nodes), sources=(source,), output=output)
    )


def _is_idle_expansion(graph: Graph, node: Node) -> bool:
    told = node.operator.lower()
    return any(name in told for name in _EXPANSIONS) and is_copy(graph, node)
