"""One place in a model that moves elements: what it is, and what may be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.algebra.table import gather_table
from layoutbridge.recognition.answer import Identification
from layoutbridge.scanning.copies import is_copy, without_idle_expansions
from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.graphs.sizes import shape_text
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.regions import find_regions
from layoutbridge.scanning.seeing import Sight, Sights, is_of_constants
from layoutbridge.scanning.telling import PlaceKind, Told, told_of, told_of_both

Lengths = tuple[int | str | None, ...]
_MULTIPLIES = {"Conv", "Gemm", "MatMul", "ConvTranspose", "Convolution", "InnerProduct", "FULLY_CONNECTED", "CONV_2D"}
_COMPARED = 1 << 22  # elements of a table that is compared with another


@dataclass(frozen=True)
class Place:
    """A region of a model's graph: the `nodes` between the tensors `inputs` and `output`, by name.

    `kind` is "view" where every element keeps its flat place, "moves" for another permutation, "drops" and "repeats"
    for what is none, "joins" where several tensors go in and are not only laid one beside the other: `inputs` has each
    of these once, constants too, in the order of the join. `names` are the catalogue's, at `parameters`; `pattern`
    writes it down; `layout` is NHWC where the names hold for channels last. Of a join they are those of one tensor, its
    inputs stacked along a new first axis; there are none where the inputs' shapes differ. `bytes` is the size of the
    output. A length is a name or a share of one where the model leaves it open. `advice` says what may be done about
    it, `reason` how it was recognised, `is_not` which well-known operations of the same shapes it is not; `seen` is all
    that was found at the sizes at which the model was read, inputs of different shapes counted one behind the other.
    """

    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    in_shapes: tuple[Lengths, ...]
    out_shape: Lengths
    kind: PlaceKind
    names: tuple[str, ...]
    pattern: str | None
    layout: str
    bytes: int
    advice: str
    parameters: Mapping[str, ParameterValue]
    wrapping: str
    reason: str
    is_not: tuple[str, ...]
    seen: Identification = field(repr=False, compare=False)

    @property
    def title(self) -> str:
        """Its nodes, and what they are in a word or two: "layer 4 (reorg): darknet_reorg"."""
        return f"{', '.join(self.nodes)}: {', '.join(self.names) or self.pattern or self.kind}"

    def as_json(self) -> dict[str, Any]:
        """The place as it stands in `scan --json`."""
        return {
            "nodes": list(self.nodes), "inputs": list(self.inputs), "output": self.output,
            "in_shapes": [list(shape) for shape in self.in_shapes], "out_shape": list(self.out_shape),
            "kind": self.kind, "names": list(self.names),
            "parameters": {key: list(v) if isinstance(v, tuple) else v for key, v in self.parameters.items()},
            "pattern": self.pattern, "layout": self.layout, "wrapping": self.wrapping, "bytes": self.bytes,
            "advice": self.advice, "reason": self.reason, "is_not": list(self.is_not),
        }  # fmt: skip


def places_in(graph: Graph, second: Graph | None = None) -> list[Place]:
    """The places of a graph and of those within it; `second` is the same model at other sizes, where some are open."""
    return _places_in(graph, second, Sights())


def _places_in(graph: Graph, second: Graph | None, sights: Sights) -> list[Place]:
    regions = [
        without_idle_expansions(graph, region)
        for region in find_regions(graph)
        if is_of_interest(graph, region, second)
    ]
    again = () if second is None else (without_idle_expansions(second, region) for region in find_regions(second))
    others = {region.output: region for region in again}
    places = []
    for region in regions:
        sight, lengths, other = sights.of(graph, region), _lengths(graph, region), others.get(region.output)
        told = told_of(region, sight)
        if second is not None and other is not None and (other.names, other.sources) == (region.names, region.sources):
            lengths = _open_lengths(graph, second, region)
            told = told_of_both(region, sight, other, sights.of(second, other))
        places.append(_place(graph, region, sight, told, lengths))
    places = _with_advice(graph, regions, places)
    within = {} if second is None else {inner.name: inner for inner in second.inner}
    for inner in graph.inner:
        places += _places_in(inner, within.get(inner.name), sights)
    return places


def is_of_interest(graph: Graph, region: Region, second: Graph | None = None) -> bool:
    """Whether it is more than a tensor under another name, be it at other sizes alone, and more than one number."""
    if len(region.sources) > 1:
        return True
    if prod(graph.tensors[region.sources[0]].shape) < 2:
        return False
    if is_of_constants(graph, region) and _cancels(graph, region):
        return False
    return not all(is_copy(graph, node) for node in region.nodes) or (
        second is not None and not all(_is_copy_again(second, node) for node in region.nodes)
    )


def _cancels(graph: Graph, region: Region) -> bool:
    """Whether views give the shape that there was: of a constant nobody does anything then, nor need know of it."""
    same = graph.tensors[region.sources[0]].shape == graph.tensors[region.output].shape
    return same and all(node.kind == "view" for node in region.nodes)


def _is_copy_again(second: Graph, node: Node) -> bool:
    """Whether a node is a copy at other sizes, too, as far as it is known there."""
    names = (*node.inputs, node.output)
    return not all(name in second.tensors for name in names) or is_copy(second, node)


def _place(graph: Graph, region: Region, sight: Sight, told: Told, lengths: Sequence[Lengths]) -> Place:
    seen = sight.seen
    is_not = seen.is_not if told.kind in ("moves", "view") and (told.names or not seen.matches) else ()
    wrapping = f"the result seen as {shape_text(lengths[-1])}" if seen.wrapping.is_view else seen.wrapping.words
    return Place(
        region.names, region.sources, region.output, tuple(lengths[:-1]), lengths[-1], told.kind, told.names,
        told.pattern, seen.layout, graph.tensors[region.output].bytes, "", told.parameters, wrapping, told.reason,
        is_not, seen,
    )  # fmt: skip


def _lengths(graph: Graph, region: Region) -> Sequence[Lengths]:
    """The shapes of the sources, then of the output."""
    return [graph.tensors[name].shape for name in (*region.sources, region.output)]


def _open_lengths(graph: Graph, second: Graph, region: Region) -> Sequence[Lengths]:
    """The same with the names of sizes that are open, and shares of them."""
    sizes: dict[str, tuple[int, int]] = {}
    for name in graph.inputs:
        tensor = graph.tensors.get(name)
        if tensor is None or tensor.open_shape is None or name not in second.tensors:
            continue
        pairs = zip(tensor.open_shape, tensor.shape, second.tensors[name].shape, strict=True)
        sizes.update({told: (one, two) for told, one, two in pairs if isinstance(told, str)})
    made: list[Lengths] = []
    for name in (*region.sources, region.output):
        pairs_seen = zip(graph.tensors[name].shape, second.tensors[name].shape, strict=True)
        made.append(tuple(_length(one, two, sizes) for one, two in pairs_seen))
    return made


def _length(one: int, two: int, sizes: Mapping[str, tuple[int, int]]) -> int | str | None:
    if one == two:
        return one
    if name := next((name for name, pair in sizes.items() if pair == (one, two)), None):
        return name
    for name, (first, second) in sizes.items():
        if one * second == two * first:
            if one % first == 0:
                return f"{one // first}*{name}"
            if first % one == 0:
                return f"{name}/{first // one}"
    return None


# ---------------------------------------------------------------------- advice


def _with_advice(graph: Graph, regions: Sequence[Region], places: Sequence[Place]) -> list[Place]:
    by_output = {region.output: number for number, region in enumerate(regions)}
    makers = {node.output: node for node in graph.nodes}
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for entry in node.inputs:
            users.setdefault(entry, []).append(node)
    made = []
    for region, place in zip(regions, places, strict=True):
        before = by_output.get(region.sources[0])
        undone = None if before is None else places[before]
        maker = makers.get(region.sources[0])
        told = list(_advice(graph, region, place, undone, maker, users.get(region.output, ())))
        made.append(replace(place, advice="; ".join(told)))
    return made


def _advice(
    graph: Graph, region: Region, place: Place, before: Place | None, maker: Node | None, users: Iterable[Node]
) -> Iterable[str]:
    if is_of_constants(graph, region):
        yield "of a constant: it can be done once, before the model runs"
    if place.kind == "view":
        if place.in_shapes[0] == place.out_shape:
            yield "its nodes cancel: all of them can be left out"
        elif any(node.kind != "view" for node in region.nodes):
            yield "nothing moves at these sizes: one reshape does it"
        else:
            yield "a view: nothing is moved"
    if before is not None and _undoes(before, place):
        yield f"it undoes {before.nodes[-1]}, so the tensor before that can be taken"
    if place.kind != "moves":
        return
    if maker is not None and maker.operator in _MULTIPLIES and _is_of_channels(place):
        yield f"a change of channels alone: it can be folded into the weights of {maker.name}"
    heads = [node.name for node in users if node.operator in _MULTIPLIES]
    if heads and len(place.out_shape) == 2 and len(place.in_shapes[0]) > 2:
        yield f"an order of a flatten: it can be folded into the weights of {heads[0]}"
    if (
        len(region.nodes) > 1
        and place.names
        and place.names[0] in ("space_to_depth", "depth_to_space", "pixel_shuffle")
    ):
        yield f"{len(region.nodes)} nodes for one {place.names[0]}"


def _positions(place: Place) -> NDArray[np.int64] | None:
    """The flat gather table of a permutation; None where it is too large to be compared."""
    seen = place.seen
    if seen.table is not None or seen.digits is None or prod(seen.in_shape) > _COMPARED:
        return seen.table
    return gather_table(seen.digits)


def _undoes(before: Place, place: Place) -> bool:
    if before.kind != "moves" or place.kind != "moves" or before.seen.in_shape != place.seen.out_shape:
        return False
    first, then = _positions(before), _positions(place)
    return first is not None and then is not None and bool(np.array_equal(first[then], np.arange(first.size)))


def _is_of_channels(place: Place) -> bool:
    """Whether it permutes whole channels, axis 1 or the last, and nothing else."""
    shape, table = place.seen.in_shape, _positions(place)
    if shape != place.seen.out_shape or len(shape) < 2 or table is None:
        return False
    positions = np.arange(table.size).reshape(shape)
    for axis in (1, len(shape) - 1):
        order = np.moveaxis(table.reshape(shape), axis, 0).reshape(shape[axis], -1)[:, 0]
        step = prod(shape[axis + 1 :])
        if np.array_equal(positions.take(order // step % shape[axis], axis).reshape(-1), table):
            return True
    return False
