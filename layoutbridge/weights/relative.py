"""How two rearrangements differ, as far as weights can make up for it: an order of channels, alike at every place."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.proof import shapes_by_size
from layoutbridge.algebra.readings import PLAIN
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import ONE, Domain, Size, product
from layoutbridge.algebra.table import digits_of, gather_table, unravel
from layoutbridge.errors import PatternError, ShapeError, UnsupportedError

Order = NDArray[np.int64]
_SHAPES_TRIED = 300
_LARGEST_TRIED = 1 << 14  # elements


class Relative:
    """`instead` undone, then `op` (or the other way round for what a layer writes): what weights must make up for.

    Its arrays have the channels in front and space behind. `instead` is None for no rearrangement at all.
    """

    def __init__(self, op: Rearrangement, instead: Rearrangement | None, *, writes: bool, channel_axis: int) -> None:
        self._op, self._instead, self._writes = op, instead, writes
        self.map = _channels_first(_between(op, instead, writes=writes), op, instead, channel_axis)

    def order(self, channels: int, shape: Sequence[int] | None = None) -> Order:
        """`t` with `after[c] == before[t[c]]` for each of so many channels, at every place.

        It holds for all sizes, or, where the algebra does not show that, for the item `shape` that `op` takes. Raises
        `ShapeError` for channels that do not fit, and `UnsupportedError` with the smallest example where elements
        change places in space, too: no weights can undo that.
        """
        held = self._at_so_many(channels)
        if held.in_shape == held.result_shape and len(held.steps) <= 1:
            found = _order_of(held.steps, product(held.in_shape[1:]), channels, held.domain)
            if found is not None:
                return found
        if shape is not None:
            return self._order_at(held, self._space_at(shape), channels)
        raise UnsupportedError(self._refusal(held))

    @property
    def keeps_shape(self) -> bool:
        """Whether what weights must make up for leaves the shape as it is, for all sizes."""
        return self.map.in_shape == self.map.result_shape

    def _at_so_many(self, channels: int) -> Rearrangement:
        axes = [f"a{axis}" for axis in range(self.map.rank)]
        try:
            return Rearrangement(f"{' '.join(axes)} -> {' '.join(axes)}", a0=channels).then(self.map)
        except ShapeError:
            raise ShapeError(
                f"{channels} channels do not fit {self._told()}: it takes {_channels_taken(self.map)}"
            ) from None

    def _space_at(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The lengths behind the channels of what the map reads, for an item of `shape` that `op` takes."""
        lengths = self._op.bind(shape).in_shape[-self._op.rank :]
        if not self._writes and self._instead is not None:
            lengths = self._instead.out_shape(lengths)
        return lengths[1:] if self.map.rank == len(lengths) else lengths

    def _order_at(self, held: Rearrangement, space: Sequence[int], channels: int) -> Order:
        bound = held.bind((channels, *space))
        if bound.in_shape == bound.out_shape:
            places = prod(space)
            table = held.table((channels, *space)).reshape(channels, places)
            order, rest = np.divmod(table, places)
            if (order == order[:, :1]).all() and (rest == np.arange(places)).all():
                return order[:, 0]
        raise UnsupportedError(self._refusal(held))

    def _told(self) -> str:
        return self._op.label if self._instead is None else f"{self._op.label} against {self._instead.label}"

    def _refusal(self, held: Rearrangement) -> str:
        """Why no weights can do it, with the smallest example."""
        if not self.keeps_shape:
            shapes = [f"[{', '.join(size.format(self.map.axes) for size in side)}]"
                      for side in (self.map.in_shape, self.map.result_shape)]  # fmt: skip
            return (
                f"{self._told()} turns {shapes[0]} into {shapes[1]}, which no order of channels does: "
                "give the operation that stands there instead, or shape= and layer='dense' for a layer that reads all"
            )
        for candidate in (self.map, held):
            if example := _smallest_example(candidate):
                shape, place, read = example
                return (
                    f"{self._told()} moves elements in space, not channels alone, and no weights can undo that: "
                    f"of arrays {list(shape)}, {self._example_told(list(place), list(read))}"
                )
        return f"{self._told()} is not known to move channels alone: give the shape of the item with shape="

    def _example_told(self, place: list[int], read: list[int]) -> str:
        first, second = self._op.label, self._instead.label if self._instead else "its input"
        if self._writes:
            return f"{place} would have to be what the layer writes at {read}"
        return f"{first} has at {place} what {second} has at {read}"


def _between(op: Rearrangement, instead: Rearrangement | None, *, writes: bool) -> Rearrangement:
    if instead is None:
        return op
    try:
        undone = instead.inverse()
    except PatternError as error:
        raise UnsupportedError(f"{instead.label} cannot be undone by its pattern alone: {error}") from None
    return op.then(undone) if writes else undone.then(op)


def _channels_first(
    between: Rearrangement, op: Rearrangement, instead: Rearrangement | None, channel_axis: int
) -> Rearrangement:
    """The map with the channels in front, for patterns that have them at `channel_axis`."""
    sides = (between.rank, len(between.result_shape))
    if not all(-rank <= channel_axis < rank for rank in sides):
        told = op.label if instead is None else f"{op.label} and {instead.label}"
        raise ShapeError(f"channel_axis {channel_axis} is none of the axes of {told}, an item of which has {sides[0]}")
    places = [channel_axis % rank for rank in sides]
    if places == [0, 0]:
        return between
    return _moved(sides[0], places[0]).inverse().then(between).then(_moved(sides[1], places[1]))


def _moved(rank: int, channel_axis: int) -> Rearrangement:
    """The axis of channels to the front."""
    axes = [f"a{axis}" for axis in range(rank)]
    moved = [axes[channel_axis], *(name for name in axes if name != axes[channel_axis])]
    return Rearrangement(f"{' '.join(axes)} -> {' '.join(moved)}")


def _order_of(steps: Sequence[DigitStep], space: Size, channels: int, domain: Domain) -> Order | None:
    """The order of channels that a map is, which has at most one step; None where it moves more than channels."""
    if not steps:
        return np.arange(channels, dtype=np.int64)
    (step,) = steps
    last = len(step.sizes) - 1
    inner = step.sizes[last] / space
    if space != ONE:
        if step.order[-1] != last or step.reading(last) != PLAIN or not domain.implies_whole(inner):
            return None
        step = DigitStep((*step.sizes[:last], inner), step.order, step.readings)
    return gather_table(digits_of(step)) if all(size.is_constant for size in step.sizes) else None


def _channels_taken(op: Rearrangement) -> str:
    fixed = dict(op.domain.fixed)
    return f"{fixed[0]}" if 0 in fixed else f"multiples of {op.domain.divisor(0)}"


def _smallest_example(op: Rearrangement) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """The first shape, place and place read, at which channels move differently from place to place, or space moves."""
    for _, shape in zip(range(_SHAPES_TRIED), shapes_by_size(op.domain), strict=False):
        places = prod(shape[1:])
        if prod(shape) > _LARGEST_TRIED:
            break
        if places < 2:
            continue
        order, rest = np.divmod(op.table(shape).reshape(shape[0], places), places)
        wrong = (rest != np.arange(places)) | (order != order[:, :1])
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            read = order.flat[index] * places + rest.flat[index]
            return shape, unravel(index, shape), unravel(int(read), shape)
    return None
