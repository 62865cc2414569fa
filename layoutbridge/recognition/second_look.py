"""A callable at a second shape, before it gets a name: one that is right at 4 x 4 may drop half at 8 x 8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.algebra.table import Digits
from layoutbridge.errors import LayoutBridgeError, UnusableInputError
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.naming import Match
from layoutbridge.recognition.recover import Run, recover
from layoutbridge.recognition.structure import Seen, another_shape, pattern_of
from layoutbridge.recognition.wrapping import PLAIN, Wrapping

ReadTable = Callable[[NDArray[Any], tuple[int, ...], tuple[int, ...] | None], Identification]
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)  # one for each axis, and some to choose another
_LARGEST = 1 << 20  # elements of a shape that is made up here


def refuse_fickle(run: Run, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise `UnusableInputError` where two calls with one input have different results."""
    x = np.arange(prod(shape)).reshape(shape).astype(dtype)
    one, other = (np.array(run(x.copy())) for _ in range(2))
    if one.shape != other.shape or one.tobytes() != other.tobytes():
        raise UnusableInputError("the callable's result changes from call to call with the same input")


def confirmed(
    first: Identification,
    run: Run,
    dtype: np.dtype[Any],
    second_shape: tuple[int, ...] | None,
    read_table: ReadTable,
) -> Identification:
    """`first` with the names that hold at a second shape, too; without any where it is another map there.

    `second_shape` is made up where it is not given; a callable that does not take that one is told as seen at one
    shape alone. Raises what the callable does at a shape that was given.
    """
    shape = second_shape or _second_shape(first)
    if shape is None:
        return first
    try:
        found = recover(run, shape, dtype)
    except LayoutBridgeError as error:
        if second_shape is not None:
            raise
        return replace(first, reason=f"{first.reason}; seen at this shape alone, for at {list(shape)} {error}")
    if found.table is None or found.behaviour != "moves elements":
        return _another_there(first, shape, f"it {found.behaviour} ({found.detail})", "drops or repeats")
    if not first.matches and (seen := factorize(found.table)).is_permutation:  # what names it has there tells nothing
        return _with_both(first, shape, seen.digits, found.out_shape)
    second = read_table(found.table, shape, found.out_shape)
    if not second.is_permutation:
        return _another_there(first, shape, second.reason.removeprefix("no permutation: "), second.kind)
    first = replace(first, also=tuple(match for match in first.also if _holds(match, PLAIN, second)))
    kept = tuple(match for match in first.matches if _is_told_again(match, first, second))
    if kept:
        return replace(_narrowed(first, kept), second_shape=shape)
    if there := _of_the_same_names(first, second):
        kept = tuple(match for match in first.matches if match.name in {other.name for other in there})
        told = ", ".join(map(str, there))
        reason = f"{first.reason}; its parameters follow the shape: at {list(shape)} it is {told}"
        return replace(_narrowed(first, kept), reason=reason)
    told = ", ".join(map(str, second.matches)) or f"'{second.pattern}'"
    return _another_there(first, shape, f"it is {told}", "permutation")


def _with_both(
    first: Identification, shape: tuple[int, ...], digits: Digits | None, out_shape: tuple[int, ...]
) -> Identification:
    """`first`, which has no name, with the pattern that both shapes show."""
    if first.digits is None or digits is None:
        return first
    here = Seen(first.digits, first.in_shape, first.out_shape or (prod(first.in_shape),))
    pattern = pattern_of(here, Seen(digits, shape, out_shape))
    return first if pattern is None else replace(first, pattern=pattern, second_shape=shape)


def _narrowed(first: Identification, kept: tuple[Match, ...]) -> Identification:
    """With these of its names alone, and the pattern of the first of them where it was that of one."""
    if kept[0] == first.matches[0]:
        return replace(first, matches=kept)
    rank, around = len(first.in_shape), first.wrapping
    written = around.pattern(first.matches[0].op, rank)
    pattern = around.pattern(kept[0].op, rank) if first.pattern == written else first.pattern
    return replace(first, matches=kept, pattern=pattern)


def _of_the_same_names(first: Identification, second: Identification) -> tuple[Match, ...]:
    """The names of both looks, with the parameters of the second."""
    if first.wrapping != second.wrapping:
        return ()
    return tuple(match for match in second.matches if match.name in first.names)


def _another_there(first: Identification, shape: tuple[int, ...], what: str, kind: Any) -> Identification:
    here = ", ".join(map(str, first.matches)) or "a permutation"
    reason = f"at {list(first.in_shape)} it is {here}, and at {list(shape)} {what}"
    pattern = first.pattern if kind == "permutation" else None
    return replace(first, kind=kind, matches=(), also=(), pattern=pattern, reason=reason, second_shape=shape)


def _is_told_again(match: Match, first: Identification, second: Identification) -> bool:
    """Whether the second look says the same; an axis in another order is seen in its words alone."""
    if match in second.matches and first.wrapping == second.wrapping:
        return True
    return _holds(match, first.wrapping, second)


def _holds(match: Match, wrapping: Wrapping, second: Identification) -> bool:
    """Whether the operation does the same at the second shape; so it counts, too, where it does not take that."""
    positions = np.arange(prod(second.in_shape)).reshape(second.in_shape)
    try:
        expected = wrapping.apply(match.op, positions)
    except (LayoutBridgeError, ValueError):
        return True
    same_shape = wrapping.is_view or expected.shape == second.out_shape
    assert second.table is not None
    return same_shape and np.array_equal(expected.reshape(-1), second.table)


def _second_shape(first: Identification) -> tuple[int, ...] | None:
    """A small shape that is not square: one that all the names take, else one that keeps what divides an axis."""
    if not first.matches:
        if first.digits is None:
            return None
        shape = another_shape(Seen(first.digits, first.in_shape, first.out_shape or (prod(first.in_shape),)))
        return shape if shape != first.in_shape and prod(shape) <= _LARGEST else None
    rank, seen = first.matches[0].op.rank, first.wrapping.inside(first.in_shape)
    item: list[int] = []
    primes = list(_PRIMES)
    for axis in range(-rank, 0):
        domains = [(match.op.domain, axis + match.op.rank) for match in first.matches if match.op.rank + axis >= 0]
        fixed = {length for domain, place in domains for at, length in domain.fixed if at == place}
        unit = lcm(*(domain.divisor(place) for domain, place in domains))
        prime = next(prime for prime in primes if unit * prime != seen[axis])
        primes.remove(prime)
        item.append(fixed.pop() if fixed else unit * prime)
    shape = first.wrapping.input_shape(tuple(item), len(first.in_shape))
    return shape if shape != first.in_shape and prod(shape) <= _LARGEST else None
