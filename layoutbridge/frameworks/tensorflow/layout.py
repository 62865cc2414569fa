"""How a tensor holds a value whose elements do not lie in the value's own order: digits, and views along one axis.

A value of shape (C, H, W) has a flat order, the row-major one. Its tensor may hold the elements in another, as
[H, W, C] does; a `Layout` is the digit permutation from the flat order to the one in memory. It outlasts reshapes,
which change no flat order, and takes up rearrangements: what would move elements changes the layout instead, until
something needs another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.chains import reduce_chain
from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.moves import Move, axis_order
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.frameworks.primitives import Shape

Layout = tuple[DigitStep, ...]  # of at most one step, in normal form: none for the flat order itself
_NO_AXES = Domain(0)  # all sizes are numbers


class Piece(NamedTuple):
    """A digit of a value: which axis of its shape it is a part of, and how long it is."""

    axis: int
    size: int


@lru_cache(maxsize=4096)
def axes_in_order(shape: Shape, order: Sequence[int]) -> Layout:
    """The layout of a tensor whose axes are those of `shape` in `order`.

    >>> [step.order for step in axes_in_order((64, 26, 26), (1, 2, 0))]
    [(1, 0)]
    >>> axes_in_order((64, 1, 1), (1, 2, 0))
    ()
    """
    return reduce_chain([DigitStep(_constants(shape), tuple(order))], _NO_AXES)


@lru_cache(maxsize=4096)
def steps_between(held: Layout, wanted: Layout) -> tuple[DigitStep, ...]:
    """The fewest permutations of digits that bring memory from one layout to another."""
    return reduce_chain([*_undone(held), *wanted], _NO_AXES)


@lru_cache(maxsize=1024)
def steps_through(held: Layout, operation: tuple[DigitStep, ...], wanted: Layout) -> tuple[DigitStep, ...]:
    """The same with the steps of a rearrangement between them."""
    return reduce_chain([*_undone(held), *operation, *wanted], _NO_AXES)


@lru_cache(maxsize=1024)
def layout_after(held: Layout, operation: tuple[DigitStep, ...]) -> Layout | None:
    """The layout of a rearrangement's result in the memory of its input; None where digits do not describe it."""
    chain = reduce_chain([*_undone(operation), *held], _NO_AXES)
    return chain if len(chain) <= 1 else None


def steps_at(operation: Rearrangement, shape: Shape) -> tuple[DigitStep, ...]:
    """The steps of `operation` at `shape`, in numbers; raises `ShapeError` for a shape that does not fit."""
    operation.bind(shape)
    known = {axis: Size.constant(length) for axis, length in enumerate(shape)}
    return tuple(step.map_sizes(known) for step in operation.steps)


@lru_cache(maxsize=4096)
def pieces_in_memory(shape: Shape, layout: Layout) -> tuple[Piece, ...] | None:
    """The digits of a value of `shape` in the order of memory; None where a digit runs over two axes.

    Neighbours that follow one another in their axis are one piece, and lengths of 1 are left out.

    >>> pieces_in_memory((64, 26, 26), axes_in_order((64, 26, 26), (1, 2, 0)))
    (Piece(axis=1, size=26), Piece(axis=2, size=26), Piece(axis=0, size=64))
    """
    pieces = _pieces(shape, layout)
    if pieces is None:
        return None
    merged: list[tuple[int, int, int]] = []  # axis, size, number in flat order of its last digit
    for number, axis, size in pieces:
        if merged and merged[-1][0] == axis and merged[-1][2] + 1 == number:
            merged[-1] = (axis, merged[-1][1] * size, number)
        else:
            merged.append((axis, size, number))
    return tuple(Piece(axis, size) for axis, size, _ in merged)


class AxisView(NamedTuple):
    """A tensor's memory seen as [before, axis, after]."""

    before: int
    length: int
    after: int


@lru_cache(maxsize=4096)
def view_along(shape: Shape, layout: Layout, axis: int, ordered: bool = True) -> AxisView | None:
    """How memory is seen along one axis of `shape`; None where the axis does not lie in one run.

    Without `ordered`, the axis' elements may stand in another order within their run.

    >>> view_along((64, 26, 26), axes_in_order((64, 26, 26), (1, 2, 0)), 0)
    AxisView(before=676, length=64, after=1)
    """
    pieces = _pieces(shape, layout)
    if pieces is None:
        return None
    places = [place for place, (_, owner, _) in enumerate(pieces) if owner == axis]
    if not places:  # a length of 1 is everywhere
        return AxisView(prod(shape), 1, 1)
    numbers = [pieces[place][0] for place in places]
    in_one_run = places == list(range(places[0], places[-1] + 1))
    if not in_one_run or (ordered and numbers != sorted(numbers)):
        return None
    sizes = [size for _, _, size in pieces]
    return AxisView(prod(sizes[: places[0]]), shape[axis], prod(sizes[places[-1] + 1 :]))


@lru_cache(maxsize=4096)
def layout_with_length(shape: Shape, layout: Layout, axis: int, length: int) -> Layout:
    """The layout after one axis, which lies in one run and in order, has got another length."""
    pieces = _pieces(shape, layout)
    assert pieces is not None
    kept: list[tuple[float, int]] = [(number, size) for number, owner, size in pieces if owner != axis]
    if length > 1:
        own = [place for place, (_, owner, _) in enumerate(pieces) if owner == axis]
        before = [number for number, owner, _ in pieces if owner < axis]
        first = pieces[own[0]][0] if own else max(before, default=-1) + 0.5
        place = own[0] if own else len(pieces)
        kept.insert(place, (first, length))
    flat = sorted(kept)
    sizes = tuple(size for _, size in flat)
    return reduce_chain([DigitStep(_constants(sizes), tuple(flat.index(digit) for digit in kept))], _NO_AXES)


def in_memory_order(values: NDArray[np.float32], layout: Layout, axis: int = 0) -> NDArray[np.float32]:
    """`values`, whose axis `axis` is a flat order, with that axis in the order of memory."""
    for step in layout:
        sizes = [int(size.coefficient) for size in step.sizes]
        before, after = values.shape[:axis], values.shape[axis + 1 :]
        split = values.reshape(*before, *sizes, *after)
        order = [
            *range(axis),
            *(axis + digit for digit in step.order),
            *range(axis + len(sizes), axis + len(sizes) + len(after)),
        ]
        values = split.transpose(order).reshape(values.shape)
    return values


def axes_moved(dimensions: Shape, move: Move[Size]) -> tuple[int, ...] | None:
    """The transpose as an order of the axes of a tensor of these `dimensions`; None where it cuts one of them."""
    return axis_order(move, _constants(dimensions), _NO_AXES)


@lru_cache(maxsize=4096)
def _pieces(shape: Shape, layout: Layout) -> tuple[tuple[int, int, int], ...] | None:
    """(number in the flat order, axis, size) of each digit in the order of memory, lengths of 1 left out."""
    if not layout:
        return tuple((number, axis, shape[axis]) for number, axis in enumerate(_longer(shape)))
    (step,) = layout
    refined = common_refinement(_constants(shape), step.sizes, _NO_AXES)
    if refined is None:
        return None
    sizes, axes, digits = refined
    place = {digit: position for position, digit in enumerate(step.order)}
    numbered = sorted(range(len(sizes)), key=lambda k: (place[digits[k]], k))
    return tuple((k, axes[k], int(sizes[k].coefficient)) for k in numbered if not sizes[k].is_one)


def fits_dimensions(dimensions: Shape, sizes: Sequence[int]) -> list[list[int]] | None:
    """Which of the consecutive digits of `sizes` each dimension holds; None where one is cut.

    >>> fits_dimensions((6, 1, 4), (2, 3, 4))
    [[0, 1], [], [2]]
    """
    ends = {end: k for k, end in enumerate(accumulate(sizes, lambda a, b: a * b, initial=1))}
    held: list[list[int]] = []
    done = 1
    for length in dimensions:
        if done * length not in ends:
            return None
        held.append(list(range(ends[done], ends[done * length])))
        done *= length
    return held


def _longer(shape: Shape) -> list[int]:
    return [axis for axis, length in enumerate(shape) if length > 1]


def _undone(steps: Sequence[DigitStep]) -> list[DigitStep]:
    return [step.inverse() for step in reversed(steps)]


def _constants(sizes: Sequence[int]) -> tuple[Size, ...]:
    return tuple(Size.constant(size) for size in sizes)
