"""Names of a permutation that an operation does within others: channels last, axes turned before or behind, a view.

What stands around a name is a `Wrapping`. Each of a few is taken off the digits, and what is left is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.chains import reduce_chain
from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.factorization import factorize
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import Digits, digits_of, step_of
from layoutbridge.recognition.naming import Match, late_matches, matches, usual_matches

Order = tuple[int, ...]
_NO_AXES = Domain(0)
_MOST_AXES = 6
_HOW_MANY = {"spatial", "axes"}  # parameters that only say on how many axes a transpose works


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What is done around a named operation, in a few `words`, empty where nothing is.

    The input's axes are taken in the order `before` and the result's in the order `after` (empty: as they are), and
    the first `leading` axes are as one. `is_view`: the result is seen as another shape than the operation gives.
    """

    words: str = ""
    before: Order = ()
    after: Order = ()
    leading: int = 0
    is_view: bool = False

    @property
    def is_channels_last(self) -> bool:
        """Whether it is the operation on a tensor whose channels come last, before and after."""
        return bool(self.before and self.after) and self.before == _inverse(self.after)

    def apply(self, operation: Rearrangement, x: NDArray[Any]) -> NDArray[Any]:
        """What the wrapped operation makes of `x`, but for a view of the result."""
        y = x.transpose(self.before) if self.before else x
        front = y.shape[: self.leading]
        z = operation(y.reshape(-1, *y.shape[self.leading :]) if self.leading else y)
        z = z.reshape(*front, *z.shape[1:]) if self.leading else z
        return z.transpose(self.after) if self.after else z

    def input_shape(self, item: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """A shape of `rank` axes for which the operation takes `item`, with 2 or 3 in each axis before that."""
        missing = rank - len(item)
        shape = (*(2 + k % 2 for k in range(missing)), *item)
        return tuple(shape[axis] for axis in _inverse(self.before)) if self.before else shape


PLAIN = Wrapping()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Names, what is done around them, and the digits of what is inside."""

    matches: tuple[Match, ...]
    wrapping: Wrapping
    digits: Digits


def named(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> Wrapped:
    """The names that fit and what is done around them: as it is first, then in each wrapping.

    Around an operation without parameters, such as a transpose, no other transpose is told.

    >>> from layoutbridge.algebra.rearrangement import Rearrangement
    >>> bound = Rearrangement("h w (c p:2 q:2) -> (h p) (w q) c").bind((1, 4, 6, 12))
    >>> found = named(bound.digits, bound.in_shape, bound.out_shape)
    >>> found.matches[0].name, found.wrapping.words
    ('depth_to_space_crd', 'the tensor read as channels last')
    """
    found = matches(digits, in_shape, out_shape)
    if found or out_shape is None or max(len(in_shape), len(out_shape)) > _MOST_AXES:
        return Wrapped(found, PLAIN, digits)
    inside = [(each, _unwrapped(digits, in_shape, out_shape, each)) for each in _wrappings(in_shape, out_shape)]
    for look_up in (usual_matches, matches):
        for wrapping, bare in inside:
            if bare is not None and (found := _turned(look_up(*bare), wrapping)):
                return Wrapped(found, wrapping, bare[0])
    if found := late_matches(digits, in_shape, out_shape):
        return Wrapped(found, PLAIN, digits)
    view = Wrapping(f"the result seen as {list(out_shape)}", is_view=True)
    if len(digits) > 1:
        found = usual_matches(digits, in_shape, None)
    else:
        found = tuple(match for match in late_matches(digits, in_shape, None) if match.op.is_identity)
    if found:
        return Wrapped(found, view, digits)
    for wrapping, bare in inside:
        if bare is not None and (found := _turned(late_matches(*bare), wrapping)):
            return Wrapped(found, wrapping, bare[0])
    return Wrapped((), PLAIN, digits)


def named_by_table(
    table: NDArray[np.int64], in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> Wrapped | None:
    """The same of a table that has no digits as it lies, such as Darknet's reorg of a tensor with channels last."""
    if out_shape is None or max(len(in_shape), len(out_shape)) > _MOST_AXES:
        return None
    for wrapping in _wrappings(in_shape, out_shape):
        if wrapping.leading:
            continue
        shape, result = in_shape, table.reshape(out_shape)
        if wrapping.before:
            shape = tuple(in_shape[axis] for axis in wrapping.before)
            places = np.arange(table.size).reshape(shape).transpose(_inverse(wrapping.before)).reshape(-1)
            result = places[result]
        if wrapping.after:
            result = result.transpose(_inverse(wrapping.after))
        digits = factorize(result).digits
        if digits is not None and (found := _turned(matches(digits, shape, result.shape), wrapping)):
            return Wrapped(found, wrapping, digits)
    return None


def _turned(found: tuple[Match, ...], wrapping: Wrapping) -> tuple[Match, ...]:
    """Those that are worth telling with axes turned around them."""
    return found if wrapping.leading else tuple(match for match in found if set(match.parameters) - _HOW_MANY)


def _wrappings(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Iterator[Wrapping]:
    """The likely ones first."""
    taken, given = len(in_shape), len(out_shape)
    for batch in (1, 0):
        if min(taken, given) - batch < 2:
            continue
        to_first, to_last = _last_to_first(taken, batch), _first_to_last(given, batch)
        swapped = (*range(given - 2), given - 1, given - 2)
        yield Wrapping("the tensor read as channels last", to_first, to_last)
        yield Wrapping("then with channels last", (), to_last)
        yield Wrapping("of a tensor with channels last", to_first, ())
        yield Wrapping("then with its last two axes swapped", (), swapped)
        if given - batch == 3:
            turned = (*range(batch), given - 1, given - 2, batch)
            yield Wrapping("the tensor read as channels last, then its two spatial axes swapped", to_first, turned)
            yield Wrapping("of a tensor with channels last, then its last two axes swapped", to_first, swapped)
    for leading in range(2, min(taken, given)):
        if in_shape[:leading] == out_shape[:leading]:
            words = f"over {leading} leading axes"
            yield Wrapping(words, leading=leading)
            if min(taken, given) - leading > 1:
                to_first, to_last = _last_to_first(taken, leading), _first_to_last(given, leading)
                yield Wrapping(f"{words}, the tensor read as channels last", to_first, to_last, leading)


def _unwrapped(
    digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...], wrapping: Wrapping
) -> tuple[Digits, tuple[int, ...], tuple[int, ...]] | None:
    """The digits and shapes of what is inside; None where that has no digits."""
    steps = [step_of(digits)]
    if wrapping.before:
        in_shape = tuple(in_shape[axis] for axis in wrapping.before)
        steps.insert(0, DigitStep(_sizes(in_shape), _inverse(wrapping.before)))
    if wrapping.after:
        back = _inverse(wrapping.after)
        steps.append(DigitStep(_sizes(out_shape), back))
        out_shape = tuple(out_shape[axis] for axis in back)
    chain = reduce_chain(steps, _NO_AXES)
    if len(chain) > 1:
        return None
    if wrapping.leading:
        in_shape, out_shape = (
            (prod(shape[: wrapping.leading]), *shape[wrapping.leading :]) for shape in (in_shape, out_shape)
        )
    total = prod(in_shape)
    plain: Digits = ((total, 1),) if total > 1 else ()
    return (digits_of(chain[0]) if chain else plain), in_shape, out_shape


def _sizes(shape: tuple[int, ...]) -> tuple[Size, ...]:
    return tuple(map(Size.constant, shape))


def _first_to_last(rank: int, batch: int) -> Order:
    return (*range(batch), *range(batch + 1, rank), batch)


def _last_to_first(rank: int, batch: int) -> Order:
    return (*range(batch), rank - 1, *range(batch, rank - 1))


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))
