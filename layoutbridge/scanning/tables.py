"""What a region does to the elements of what goes in: its digits where its nodes show them, else its gather table."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.chains import compose
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain
from layoutbridge.algebra.table import Digits, digits_of, step_of
from layoutbridge.errors import ShapeError, first_line, named
from layoutbridge.recognition.structure import Seen, follow_transpose
from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.links import Region

MOST_ELEMENTS = 1 << 26  # of a tensor whose positions are worked with
_MOST_HELD = 1 << 22  # positions that are kept for the next table
_held_positions = [np.arange(0, dtype=np.int64)]
_MOST_IN_DIGITS = 1 << 40  # of one whose digits are: what divides their number is looked for


def digits_through(graph: Graph, region: Region) -> Digits | None:
    """The digits of a region of views, transposes and operations of ours, or of a join; None where it has no digits.

    Of several sources they are those over all of them, one behind the other. Raises `ShapeError` for a tensor that is
    larger than any is.
    """
    total = sum(prod(graph.tensors[name].shape) for name in region.sources)
    _refuse_more(region.sources[0], total, _MOST_IN_DIGITS)
    digits: Digits = ((total, 1),) if total > 1 else ()
    if len(region.sources) > 1:
        shapes = {graph.tensors[name].shape for name in region.sources}
        if not region.turns or len(shapes) > 1:
            return None
        return follow_transpose(
            Seen(digits, (total,), (len(region.sources), region.turns, total // len(region.sources) // region.turns)),
            (1, 0, 2),
        )
    for node in region.nodes:
        shape = graph.tensors[node.inputs[0]].shape
        if len(node.inputs) != 1 or (followed := _followed(node, digits, total, shape)) is None:
            return None
        digits = followed
    return digits


def _followed(node: Node, digits: Digits, total: int, shape: tuple[int, ...]) -> Digits | None:
    """The digits after a node more, which reads them in this shape; None where it has none."""
    if node.kind == "view":
        return digits
    if node.kind == "transpose":
        return follow_transpose(Seen(digits, (total,), shape), node.order)
    if not isinstance(node.movement, Rearrangement):
        return None
    try:
        own = node.movement.bind(shape).digits
    except ShapeError:  # its table says which node it is
        return None
    both = None if own is None else compose(step_of(digits), step_of(own), Domain(0))
    return None if both is None else digits_of(both)


def _refuse_more(name: str, total: int, most: int) -> None:
    if total > most:
        raise ShapeError(f"tensor {named(name)} has {total:,} elements, too many to follow: give smaller shapes")


def table_of(graph: Graph, region: Region) -> NDArray[np.int64]:
    """The gather table of a region, in the shape of its output: which element of its source comes to each place.

    Several sources are counted one behind the other. Raises `ShapeError` for a tensor that is too large, and for a node
    whose result is not what the reader said.
    """
    for name in (*region.sources, *(node.output for node in region.nodes)):
        _refuse_more(name, prod(graph.tensors[name].shape), MOST_ELEMENTS)
    held: dict[str, NDArray[Any]] = {}
    start, flat = 0, positions(sum(prod(graph.tensors[name].shape) for name in region.sources))
    for name in region.sources:
        shape = graph.tensors[name].shape
        held[name] = flat[start : start + prod(shape)].reshape(shape)
        start += prod(shape)
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


def positions(total: int) -> NDArray[np.int64]:
    """The numbers from 0 on, not to be written to: those that have been made before where they do.

    >>> positions(3).tolist()
    [0, 1, 2]
    """
    held = _held_positions[0]
    if held.size < total:
        held = np.arange(total, dtype=np.int64)
        held.flags.writeable = False
        if total <= _MOST_HELD:
            _held_positions[0] = held
    return held[:total]


def is_each_once(table: NDArray[np.int64], total: int) -> bool:
    """Whether no element of `total` arrives twice.

    >>> is_each_once(np.array([0, 2]), 3), is_each_once(np.array([0, 2, 0]), 3)
    (True, False)
    """
    arrives = np.zeros(total, np.bool_)
    arrives[table.reshape(-1)] = True
    return int(np.count_nonzero(arrives)) == table.size


class Part(NamedTuple):
    """A part of a tensor, as one writes it in NumPy, its lengths, and the table from it to what is made of it.

    `table` is None where the part is what comes out, as it is.
    """

    text: str
    shape: tuple[int, ...]
    table: NDArray[np.int64] | None


def kept_part(table: NDArray[np.int64], shape: tuple[int, ...]) -> Part | None:
    """What a table keeps of a tensor, each element once; None where that is no slice along each axis.

    >>> x = np.arange(24).reshape(2, 3, 4)
    >>> kept_part(x[:, 1, ::2], x.shape).text, kept_part(x[:, 1, ::2].T, x.shape).table.tolist()
    ('[:, 1, ::2]', [0, 2, 1, 3])
    >>> kept_part(np.array([0, 3, 4]), (2, 3)) is None
    True
    """
    flat = table.reshape(-1)
    if not flat.size:
        return None
    told = _block_told(flat, shape) or _slices_told(flat, shape)
    if told is not None:
        return Part(*told, None)
    arrives = np.zeros(prod(shape), np.bool_)
    arrives[flat] = True
    kept = np.flatnonzero(arrives)
    told = _block_told(kept, shape) or _slices_told(kept, shape)
    return None if told is None else Part(*told, (np.cumsum(arrives) - 1)[flat])


def _block_told(flat: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """`_slices_told` of what lies between two corners, as nearly all parts do, in a fraction of the time."""
    corners = [(int(first), int(last)) for first, last in np.unravel_index([flat[0], flat[-1]], shape)] if shape else []
    lengths = tuple(last - first + 1 for first, last in corners)
    if min(lengths, default=0) < 1 or prod(lengths) != flat.size:
        return None
    places = tuple(slice(first, last + 1) for first, last in corners)
    if not np.array_equal(positions(prod(shape)).reshape(shape)[places], flat.reshape(lengths)):
        return None
    return _written([list(range(place.start, place.stop)) for place in places], shape)


def _slices_told(flat: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """The slices that keep these positions in this order, and the lengths that they leave."""
    places: list[list[int]] = []
    for axis, length in enumerate(shape):
        own = flat // prod(shape[axis + 1 :]) % length
        kept = np.flatnonzero(np.bincount(own, minlength=length)).tolist()
        places.append(kept if own[0] == kept[0] else kept[::-1])
    if prod(map(len, places)) != flat.size:
        return None
    if not np.array_equal(positions(prod(shape)).reshape(shape)[np.ix_(*places)].reshape(-1), flat):
        return None
    return _written(places, shape)


def _written(places: Sequence[Sequence[int]], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    told = [_slice_told(own, length) for own, length in zip(places, shape, strict=True)]
    while len(told) > 1 and told[-1] == ":":
        told.pop()
    if None in told:
        return None
    return f"[{', '.join(filter(None, told))}]", tuple(map(len, places))


def _slice_told(places: Sequence[int], length: int) -> str | None:
    """Places along an axis as a slice, or the one that there is."""
    if len(places) == length == 1:
        return ":"
    if len(places) == 1:
        return str(places[0])
    step = places[1] - places[0]
    if list(places) != list(range(places[0], places[-1] + step // abs(step), step)):
        return None
    start = "" if places[0] == (0 if step > 0 else length - 1) else str(places[0])
    end = places[-1] + step
    stop = "" if end < 0 or end >= length else str(end)
    return f"{start}:{stop}{'' if step == 1 else f':{step}'}"


def _last_uses(nodes: Sequence[Node]) -> dict[str, int]:
    return {entry: place for place, node in enumerate(nodes) for entry in node.inputs}
