"""What a region is at one choice of sizes: by the digits of its nodes, by the part that it keeps, or by its table.

Models repeat their blocks: a region like one that has been seen, of the same shapes, is not looked at again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.identification import identify_digits, identify_table
from layoutbridge.recognition.structure import Seen, pattern_of
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.names import worth_telling
from layoutbridge.scanning.tables import MOST_ELEMENTS, digits_through, is_each_once, kept_part, table_of

_SHOWN = 6  # sources whose parts are told
_LARGEST_PART = 1 << 24  # elements of a tensor whose parts are looked for


@dataclass(frozen=True, slots=True)
class Sight:
    """What a region was found to be, and whether no element arrives twice."""

    seen: Identification
    is_each_once: bool = True


@dataclass(frozen=True, slots=True)
class Sights:
    """What has been seen of a model so far, by all that decides about it."""

    by_region: dict[bytes, Sight] = field(default_factory=dict)

    def of(self, graph: Graph, region: Region) -> Sight:
        """What a region is at the sizes of the graph. Raises `ShapeError` where it cannot be followed."""
        key = _signature(graph, region)
        found = self.by_region.get(key) if key is not None else None
        if found is None:
            found = _looked_at(graph, region)
            if key is not None:
                self.by_region[key] = found
        return found


def is_of_constants(graph: Graph, region: Region) -> bool:
    """Whether all that goes into a region is constant, as weights are."""
    return all(graph.tensors[name].is_constant for name in region.sources)


def _signature(graph: Graph, region: Region) -> bytes | None:
    """What decides about a region: shapes, movements, how they are linked; None where that cannot be written down."""
    if _has_words_of_its_own(graph, region):
        return None
    numbers = {name: number for number, name in enumerate(region.sources)}
    parts: list[object] = [is_of_constants(graph, region), region.turns, *(graph.tensors[n].shape for n in numbers)]
    for node in region.nodes:
        inputs = tuple(numbers.get(name, name) for name in node.inputs)
        parts.append((node.kind, node.order, inputs, graph.tensors[node.output].shape, node.movement))
        numbers[node.output] = len(numbers)
    try:
        return hashlib.sha256(pickle.dumps(parts)).digest()
    except (AttributeError, TypeError, pickle.PicklingError):  # a movement that is no function of a module
        return None


def _has_words_of_its_own(graph: Graph, region: Region) -> bool:
    """Whether what is told has names of tensors in it."""
    return len({graph.tensors[name].shape for name in region.sources}) > 1


def _looked_at(graph: Graph, region: Region) -> Sight:
    shapes = [graph.tensors[name].shape for name in region.sources]
    out_shape = graph.tensors[region.output].shape
    if len(set(shapes)) > 1:
        return Sight(_seen_join(region, shapes, table_of(graph, region)))
    of_weights = is_of_constants(graph, region)
    shape = shapes[0] if len(shapes) == 1 else (len(shapes), *shapes[0])
    digits = digits_through(graph, region)
    if digits is not None:
        found = Sight(identify_digits(digits, shape, out_shape, of_weights))
    elif prod(shape) > MOST_ELEMENTS and prod(out_shape) != prod(shape):
        return _seen_by_size(shape, out_shape)
    else:
        found = _seen_table(table_of(graph, region), shape, out_shape, of_weights)
    if len(shapes) > 1:
        found = replace(found, seen=replace(found.seen, reason=_stacked(found.seen.reason)))
    return replace(found, seen=worth_telling(found.seen, is_of_weights=of_weights))


def _seen_by_size(shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Sight:
    """What sizes alone tell of a tensor that is too large to look at each element: a part of it, or more than that."""
    total, size = prod(shape), prod(out_shape)
    reason = f"{size:,} of {total:,} elements: too many to look at each of them"
    return Sight(Identification("drops or repeats", shape, out_shape, (), None, "NCHW", reason), size < total)


def _stacked(reason: str) -> str:
    return f"its sources stacked along a new first axis: {reason}"


def _seen_table(
    table: NDArray[np.int64], shape: tuple[int, ...], out_shape: tuple[int, ...], of_weights: bool
) -> Sight:
    """What a table is: a part of the tensor in words, where it keeps one, else what `identify` says."""
    total = prod(shape)
    if table.size < total and is_each_once(table, total):
        reason = _part_told(table, shape, out_shape) if total <= _LARGEST_PART else None
        if reason is not None:
            kind: Literal["drops or repeats"] = "drops or repeats"
            return Sight(Identification(kind, shape, out_shape, (), None, "NCHW", reason, table.reshape(-1)))
        return Sight(identify_table(table, shape, out_shape, of_weights))
    seen = identify_table(table, shape, out_shape, of_weights)
    return Sight(seen, seen.is_permutation)


def _part_told(table: NDArray[np.int64], shape: tuple[int, ...], out_shape: tuple[int, ...]) -> str | None:
    """Which part is kept, and in which order, where that is a slice along each axis and then a permutation."""
    part = kept_part(table, shape)
    if part is None:
        return None
    told = f"the part {part.text}: {table.size} of {prod(shape)} elements"
    if part.table is None:
        return told
    digits = factorize(part.table).digits
    pattern = None if digits is None else pattern_of(Seen(digits, part.shape, out_shape))
    return f"{told}, in another order" if pattern is None else f"{told}, then {pattern.partition(',')[0]}"


def _seen_join(region: Region, shapes: Sequence[tuple[int, ...]], table: NDArray[np.int64]) -> Identification:
    """Of sources that have different shapes, and so no pattern in common."""
    reason = "its sources have different shapes, so there is no pattern over them"
    if region.turns:
        sizes = [prod(shape) // region.turns for shape in shapes]
        parts = [f"{size} of {name}" for size, name in zip(sizes, region.sources, strict=True)]
        told = ", ".join([*parts[:_SHOWN], *(["…"] if len(parts) > _SHOWN else [])])
        reason = f"{reason}: {region.turns} times over come the next {told}"
    total = sum(map(prod, shapes))
    is_permutation = table.size == total and is_each_once(table, total)
    kind: Literal["permutation", "drops or repeats"] = "permutation" if is_permutation else "drops or repeats"
    return Identification(kind, (total,), table.shape, (), None, "NCHW", reason, table)
