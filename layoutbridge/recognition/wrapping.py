"""Names of a permutation that an operation does within others: channels last, axes turned before or behind, a view.

What stands around a name is a `Wrapping`. Each of a few is taken off the digits, and what is left is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.table import Digits
from layoutbridge.operations.catalog import catalog, revision
from layoutbridge.recognition.naming import Match, late_matches, matches, usual_matches
from layoutbridge.recognition.structure import Seen, turned

Order = tuple[int, ...]
_MOST_AXES = 6
_PLAIN_PATTERN = re.compile(r"([^|,>]*) -> ([^|,>]*)(, .*|)")
_IN_FRONT = ("n", "b", "t", "m", *(f"x{k}" for k in range(_MOST_AXES)))
_HOW_MANY = {"spatial", "axes"}  # parameters that only say on how many axes a transpose works
_GROUP = re.compile(r"\([^)]*\)|[^\s\[]+(?:\[[^\]]*\])?")  # what a plain pattern has for one axis


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

    @property
    def keeps_the_name(self) -> bool:
        """Whether an operation within it is that operation all the same: of another layout, or over axes in front."""
        around = self.before or self.after
        return not self.is_view and (self.is_channels_last if around else self.leading > 0)

    @property
    def takes_first_axis(self) -> bool:
        """Whether the first axis is turned, too: then it is no batch axis."""
        return bool(self.before and self.before[0]) or bool(self.after and self.after[0])

    def apply(self, operation: Rearrangement, x: NDArray[Any]) -> NDArray[Any]:
        """What the wrapped operation makes of `x`, but for a view of the result."""
        y = x.transpose(self.before) if self.before else x
        front = y.shape[: self.leading]
        z = operation(y.reshape(-1, *y.shape[self.leading :]) if self.leading else y)
        z = z.reshape(*front, *z.shape[1:]) if self.leading else z
        return z.transpose(self.after) if self.after else z

    def pattern(self, operation: Rearrangement, rank: int) -> str:
        """The wrapped operation on `rank` axes as a pattern: its own with the axes of each side in another order.

        >>> from layoutbridge.operations.catalog import op
        >>> Wrapping("", (0, 3, 1, 2), (0, 2, 3, 1)).pattern(op("pixel_shuffle"), 4)
        'h w (c p:s q:s) -> (h p) (w q) c, s=2'
        """
        if not self.before and not self.after and not self.leading:
            return operation.pattern
        plain = _PLAIN_PATTERN.fullmatch(operation.pattern)
        if plain is None:
            return self.composed(operation, rank).pattern
        used = set(re.findall(r"\w+", operation.pattern))
        front = [name for name in _IN_FRONT if name not in used][: rank - operation.rank]
        taken, given = ([*front, *_GROUP.findall(side)] for side in plain.groups()[:2])
        taken = [taken[place] for place in _inverse(self.before)] if self.before else taken
        given = [given[axis] for axis in self.after] if self.after else given
        if len(front) == 1 and taken[0] == given[0] == front[0]:  # which needs no name
            del taken[0], given[0]
        return f"{' '.join(taken)} -> {' '.join(given)}{plain[3]}"

    def inside(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the operation is done on, where the wrapped one is done on `shape`."""
        turned_shape = tuple(shape[axis] for axis in self.before) if self.before else shape
        return (prod(turned_shape[: self.leading]), *turned_shape[self.leading :]) if self.leading else turned_shape

    def result_inside(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the operation gives, where the wrapped one gives `shape`."""
        if self.after:
            shape = tuple(shape[self.after.index(axis)] for axis in range(len(shape)))
        return (prod(shape[: self.leading]), *shape[self.leading :]) if self.leading else shape

    def composed(self, operation: Rearrangement, rank: int) -> Rearrangement:
        """The wrapped operation on `rank` axes as one rearrangement, the batch axis or axes being named."""
        while operation.rank < rank:
            operation = with_batch_axis(operation, operation.rank + 1)
        if self.before:
            names = [operation.axes[place] for place in _inverse(self.before)]
            operation = _transpose(names, self.before).then(operation)
        if self.after:
            operation = operation.then(_transpose([f"x{axis}" for axis in range(len(self.after))], self.after))
        return operation

    def input_shape(self, item: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """A shape of `rank` axes for which the operation takes `item`, with 2 or 3 in each axis before that."""
        missing = rank - len(item)
        shape = (*(2 + k % 2 for k in range(missing)), *item)
        return tuple(shape[axis] for axis in _inverse(self.before)) if self.before else shape


def _transpose(names: Sequence[str], order: Order) -> Rearrangement:
    return Rearrangement(f"{' '.join(names)} -> {' '.join(names[axis] for axis in order)}")


PLAIN = Wrapping()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Names, what is done around them, the digits of what is inside, and names that fit with nothing around them."""

    matches: tuple[Match, ...]
    wrapping: Wrapping
    digits: Digits
    also: tuple[Match, ...] = ()


LookUp = Callable[[Digits, tuple[int, ...], tuple[int, ...] | None], tuple[Match, ...]]
Bare = tuple[Wrapping, Digits, tuple[int, ...], tuple[int, ...]]  # what is inside of a wrapping


def named(
    digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None, of_weights: bool = True
) -> Wrapped:
    """The names that fit and what is done around them: as it is first, then in each wrapping.

    Around an operation without parameters, such as a transpose, no other transpose is told. What is only done to
    weights is looked up where it is asked for.

    >>> from layoutbridge.algebra.rearrangement import Rearrangement
    >>> bound = Rearrangement("h w (c p:2 q:2) -> (h p) (w q) c").bind((1, 4, 6, 12))
    >>> found = named(bound.digits, bound.in_shape, bound.out_shape)
    >>> found.matches[0].name, found.wrapping.words
    ('pixel_shuffle', 'the tensor read as channels last')
    """
    return _named(revision(), digits, in_shape, out_shape, of_weights)


@lru_cache(maxsize=1024)
def _named(
    _: int, digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None, of_weights: bool
) -> Wrapped:
    """The same at a revision of the catalogue."""
    look_up_late = partial(late_matches, of_weights=of_weights)
    usual = usual_matches(digits, in_shape, out_shape)
    found = usual or matches(digits, in_shape, out_shape)
    if found and not usual and not _with_sizes(found):  # a transpose of rows or volumes may be better known as another
        late = look_up_late(digits, in_shape, out_shape)
        aliases = (match for match in late if not set(match.parameters) - _HOW_MANY)
        found = tuple(sorted((*found, *aliases), key=lambda match: len(match.parameters)))
    if found or out_shape is None or max(len(in_shape), len(out_shape)) > _MOST_AXES:
        return Wrapped(found, PLAIN, digits)
    inside = [(each, _unwrapped(digits, in_shape, out_shape, each)) for each in wrappings(in_shape, out_shape)]
    bare = [(wrapping, *each) for wrapping, each in inside if each is not None]
    one_picture = len(in_shape) == 3 and in_shape[0] == out_shape[0] == 1  # two axes behind a batch of one, likelier
    likely = [each for each in bare if not (one_picture and each[0].takes_first_axis)]
    view = Wrapping(f"the result seen as {list(out_shape)}", is_view=True)
    late = look_up_late(digits, in_shape, out_shape)
    if wrapped := _first_wrapped((usual_matches, matches), likely):
        return replace(wrapped, also=late)
    if late:
        return Wrapped(late, PLAIN, digits)
    if len(digits) < 2:
        found = tuple(match for match in look_up_late(digits, in_shape, None) if match.op.is_identity)
        return Wrapped(found, view if found else PLAIN, digits)
    wrapped = _first_wrapped((look_up_late,), likely)
    wrapped = wrapped or _first_wrapped((usual_matches, matches, look_up_late), bare)
    if wrapped:
        return wrapped
    found = usual_matches(digits, in_shape, None)
    return Wrapped(found, view if found else PLAIN, digits)


def _first_wrapped(look_ups: Sequence[LookUp], bare: Sequence[Bare]) -> Wrapped | None:
    """The names of the first that has some, each look-up being tried with every wrapping before the next."""
    for look_up in look_ups:
        for wrapping, digits, in_shape, out_shape in bare:
            if found := _turned(look_up(digits, in_shape, out_shape), wrapping, in_shape):
                return Wrapped(found, wrapping, digits)
    return None


def named_by_table(
    table: NDArray[np.int64], in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> Wrapped | None:
    """The same of a table that has no digits as it lies, such as Darknet's reorg of a tensor with channels last."""
    if out_shape is None or max(len(in_shape), len(out_shape)) > _MOST_AXES:
        return None
    for wrapping in wrappings(in_shape, out_shape):
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
        if digits is not None and (found := _turned(matches(digits, shape, result.shape), wrapping, shape)):
            return Wrapped(found, wrapping, digits)
    return None


def _turned(found: tuple[Match, ...], wrapping: Wrapping, shape: tuple[int, ...]) -> tuple[Match, ...]:
    """Those that are worth telling with axes turned around them, where the operation is done on `shape`.

    An axis that is turned is no batch axis.
    """
    if wrapping.takes_first_axis:
        found = tuple(match for match in found if match.op.rank == len(shape))
    if wrapping.leading:  # which stand in the place of the batch
        return tuple(match for match in found if match.op.rank < len(shape) and catalog()[match.name].has_batch)
    return _with_sizes(found)


def _with_sizes(found: tuple[Match, ...]) -> tuple[Match, ...]:
    """Those with a parameter that does not only say on how many axes they work."""
    return tuple(match for match in found if set(match.parameters) - _HOW_MANY)


def wrappings(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Iterator[Wrapping]:
    """What may be done around an operation between these shapes, the likely ones first."""
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
    found = turned(Seen(digits, in_shape, out_shape), wrapping.before, wrapping.after)
    if found is None:
        return None
    if wrapping.before:
        in_shape = tuple(in_shape[axis] for axis in wrapping.before)
    if wrapping.after:
        out_shape = tuple(out_shape[axis] for axis in _inverse(wrapping.after))
    if wrapping.leading:
        in_shape, out_shape = (
            (prod(shape[: wrapping.leading]), *shape[wrapping.leading :]) for shape in (in_shape, out_shape)
        )
    return found, in_shape, out_shape


def _first_to_last(rank: int, batch: int) -> Order:
    return (*range(batch), *range(batch + 1, rank), batch)


def _last_to_first(rank: int, batch: int) -> Order:
    return (*range(batch), rank - 1, *range(batch, rank - 1))


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))
