"""Where the places of a scan lie in a model, and which of them somebody means by a number or a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.errors import UnknownNameError, UnsupportedError, shown, visible
from layoutbridge.recognition.wrapping import Wrapping
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.models import graphs_of
from layoutbridge.scanning.places import Place, is_of_interest, places_in
from layoutbridge.scanning.regions import find_regions

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_CONTROL = {"If", "Loop", "Scan"}  # whose graphs are scanned
_STANDARD = ("", "ai.onnx")
_SHOWN = 80  # characters of a name
Wishes = Mapping[str | int, str]  # what is to be where: a place by its number or a name, an entry by its name
Lengths = tuple[int | None, ...]
Sides = tuple[tuple[int, ...], tuple[int, ...]]  # the shapes before and after


@dataclass(frozen=True)
class Located:
    """A place by its number in the scan, its region in a graph, and the same graph at other sizes where there is one.

    `inside` says which of the model's graphs it is, as `graphs_within` has them; `is_open` whether the model leaves
    sizes open.
    """

    number: int
    place: Place
    region: Region
    graph: Graph
    second: Graph | None
    inside: int
    is_open: bool

    @property
    def told(self) -> str:
        """What an error calls it."""
        return f"place {self.number} ({visible(self.region.names[-1][:_SHOWN])})"

    @property
    def sides(self) -> Sides:
        """The shapes before and after, at the sizes at which the model was read."""
        return self._sides(self.graph)

    @property
    def seen_at(self) -> tuple[Sides, ...]:
        """The same at each choice of sizes at which the model was read."""
        return self.sides, *(() if self._known_again is None else (self._sides(self._known_again),))

    @property
    def wrapping(self) -> Wrapping:
        """What is done around the operation that is there."""
        return self.place.seen.wrapping

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Those of the operation that is there."""
        return self.place.parameters

    @property
    def open_shape(self) -> Lengths:
        """The shape before, None for each length that may be another."""
        shape = self.sides[0]
        if not self.is_open:
            return shape
        if self._known_again is None:
            return (None,) * len(shape)
        again = self._sides(self._known_again)[0]
        return tuple(one if one == two else None for one, two in zip(shape, again, strict=True))

    @property
    def dtype(self) -> str:
        """That of what is moved."""
        return self.graph.tensors[self.region.sources[0]].dtype

    @property
    def _known_again(self) -> Graph | None:
        names = {self.region.sources[0], self.region.output}
        return self.second if self.second is not None and names <= self.second.tensors.keys() else None

    def _sides(self, graph: Graph) -> Sides:
        return graph.tensors[self.region.sources[0]].shape, graph.tensors[self.region.output].shape


@dataclass(frozen=True)
class Scene:
    """A model, what it is called, its graph as `scan` reads it, the same at other sizes, and the places that it has."""

    model: Any
    graph: Graph
    second: Graph | None

    @property
    def name(self) -> str:
        """What errors call the model."""
        return self.graph.name

    @property
    def is_open(self) -> bool:
        """Whether the model leaves sizes of its inputs open."""
        held = (self.graph.tensors.get(name) for name in self.graph.inputs)
        return any(not isinstance(length, int) for each in held if each is not None for length in each.open_shape or ())

    @cached_property
    def regions(self) -> tuple[tuple[Region, Graph, Graph | None, int], ...]:
        """The regions that are places, numbered as `scan` lists them, with their graphs and which of all these are."""
        return tuple(
            (region, each, again, inside)
            for inside, (each, again) in enumerate(_graphs(self.graph, self.second))
            for region in find_regions(each)
            if is_of_interest(each, region, again)
        )

    @cached_property
    def places(self) -> tuple[Located, ...]:
        """The same with their names, which takes longer."""
        named = zip(places_in(self.graph, self.second), self.regions, strict=True)
        return tuple(Located(number, place, *found, self.is_open) for number, (place, found) in enumerate(named))

    def called(self, wish: str | int) -> Located:
        """The place with that number, else the one with a node, or a tensor, of that name.

        Raises `UnknownNameError` with the nearest where there is none, or several.
        """
        number = wish if isinstance(wish, int) else int(wish) if wish.isdecimal() and len(wish) < 10 else None
        if number is not None and 0 <= number < len(self.places):
            return self.places[number]
        if isinstance(wish, str) and (found := self._named(wish)):
            if len(found) > 1:
                told = " and ".join(str(place.number) for place in found[:4])
                raise UnknownNameError(f"{shown(wish)} belongs to the places {told}: give the number of one")
            return found[0]
        raise UnknownNameError(self._nothing_called(wish, number))

    def _named(self, name: str) -> list[Located]:
        for belongs in (
            lambda place: name in place.region.names,
            lambda place: name == place.region.output,
            lambda place: name in place.region.sources,
        ):
            if found := [place for place in self.places if belongs(place)]:
                return found
        return []

    def _nothing_called(self, wish: str | int, number: int | None) -> str:
        if not self.places:
            return f"no place {shown(wish)}: nothing in '{self.name}' moves elements, as far as scan can tell"
        if number is not None:
            last = len(self.places) - 1
            told = f"they are 0 to {last}" if last else "there is place 0 alone"
            return f"no place {number} in '{self.name}': {told} (layoutbridge scan lists them)"
        if found := self._operator_called(wish):
            operator, is_custom = found
            if is_custom:
                return (
                    f"{shown(wish)} is a custom operator, {visible(operator[:_SHOWN])}, "
                    "and these are passed over: nothing is known of what they move"
                )
            return f"{shown(wish)} is a {visible(operator[:_SHOWN])} that belongs to no place of '{self.name}'"
        names = {
            name: place.number
            for place in self.places
            for name in (*place.region.sources, place.region.output, *place.region.names)
        }
        near = get_close_matches(str(wish)[:_SHOWN], names, n=1, cutoff=0.4)
        meant = f"did you mean {shown(near[0])}, place {names[near[0]]}?" if near else "layoutbridge scan lists them"
        return f"no place, node or tensor of '{self.name}' is called {shown(wish)}; {meant}"

    def _operator_called(self, name: str | int) -> tuple[str, bool] | None:
        """What the node of that name, or of a tensor of that name, is, and whether that is nobody's standard."""
        node = next((each for each in _all_nodes(self.model.graph) if name in (each.name, *each.output)), None)
        if node is None:
            return None
        is_custom = node.domain not in _STANDARD
        return f"{node.domain}.{node.op_type}" if is_custom else node.op_type, is_custom


def scene_of(model: ModelProto, name: str, shape: Shapes = None) -> Scene:
    """The graph of `model` as `scan` reads it; raises as that does."""
    graph, second = graphs_of(model, shape)
    return Scene(model, replace(graph, name=name), second)


def graphs_at_sizes(scene: Scene) -> list[tuple[Graph, Graph | None]]:
    """The graphs of a model, each with the same at other sizes, as `Located.inside` counts them."""
    return list(_graphs(scene.graph, scene.second))


def _graphs(graph: Graph, second: Graph | None) -> Iterator[tuple[Graph, Graph | None]]:
    """A graph and all within it, each with the same at other sizes, in the order in which a scan lists places."""
    yield graph, second
    again: Sequence[Graph | None] = [None] * len(graph.inner) if second is None else second.inner
    for inner, other in zip(graph.inner, again, strict=True):
        yield from _graphs(inner, other)


def graphs_within(graph: GraphProto, roots: tuple[str, ...] = ()) -> Iterator[tuple[GraphProto, tuple[str, ...]]]:
    """The graphs of a model in the same order, and the outputs of the model's own node that each lies in."""
    yield graph, roots
    for node in graph.node:
        if node.op_type in _CONTROL and node.domain in _STANDARD:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from graphs_within(attribute.g, roots or tuple(node.output))


def refuse_functions(scene: Scene, located: Located) -> None:
    """Raise `UnsupportedError` where a place lies in a function of the model's own, which may be called elsewhere."""
    if lies_in_function(scene, located):
        raise UnsupportedError(
            f"{located.told} lies in a function of the model's own, which may be called elsewhere: inline it first, "
            "with onnx.inliner.inline_local_functions"
        )


def lies_in_function(scene: Scene, located: Located) -> bool:
    """Whether a place, or a part of it, lies in a function of the model's own."""
    if not scene.model.functions:
        return False
    graphs = [graph for graph, _ in graphs_within(scene.model.graph)]
    nodes = graphs[located.inside].node if located.inside < len(graphs) else ()
    made = {(name, node.op_type) for node in nodes for name in node.output}
    return not all((node.output, node.operator) in made for node in located.region.nodes)


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for each, _ in graphs_within(graph):
        yield from each.node
