"""Graphs and Darknet's networks as what is drawn of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from layoutbridge.report.pages.drawing import Box, Mark, Side
from layoutbridge.scanning.graphs.outline import Step

if TYPE_CHECKING:
    from layoutbridge.darknet.structure.model import Network


class Marked(NamedTuple):
    """How a step stands out: as what, why in a few words, and where links to it lead."""

    mark: Mark
    badge: str = ""
    anchor: str = ""


def side_of(heading: str, steps: Sequence[Step], marks: Mapping[int, Marked]) -> Side:
    """The steps of a graph, some of them marked, by their places.

    >>> side = side_of("m", [Step("x", "input", (), "x", (1, 3)), Step("f", "Relu", ("x",), "y", (1, 3))], {})
    >>> side.sources, side.boxes[1].shape
    ({0: [], 1: [0]}, '1×3')
    """
    makers: dict[str, int] = {}
    for place, step in enumerate(steps):
        makers.setdefault(step.output, place)
    boxes = [
        Box(step.name, step.operator, shape_told(step.shape), *marks.get(place, Marked("")))
        for place, step in enumerate(steps)
    ]
    sources = {
        place: [makers[name] for name in dict.fromkeys(step.inputs) if makers.get(name, place) < place]
        for place, step in enumerate(steps)
    }
    return Side(heading, boxes, sources)


def side_of_network(network: Network, marks: Mapping[int, Marked]) -> Side:
    """The input and the layers of a Darknet network, layer 0 at place 1; `marks` by the layers' indices."""
    boxes = [Box("", "input", shape_told(network.in_shape))]
    boxes += [
        Box(f"{layer.index}", layer.kind, shape_told(layer.out_shape), *marks.get(layer.index, Marked("")))
        for layer in network.layers
    ]
    sources = {layer.index + 1: [place + 1 for place in layer.inputs] for layer in network.layers}
    return Side(network.source, boxes, sources)


def shape_told(shape: Sequence[int]) -> str:
    """A shape in few characters."""
    return "×".join(map(str, shape))
