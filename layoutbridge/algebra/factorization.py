"""From any table of positions back to digits, in linear time, or the reason why there are none.

A digit permutation's table grows evenly from index 0: by its innermost stride until the innermost digit
overflows. Reading the first break gives that digit; every break after it, one digit further out, the next.
A handful of strided looks at the table find all digits; one pass compares the table with what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layoutbridge.algebra.read_factorization import candidate_read_digits
from layoutbridge.algebra.readings import REVERSED, Reading, is_order, values_read
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import Digits, gather_table, read_position, reading_of, step_of
from layoutbridge.errors import UnusableInputError, counted

Problem = Literal["out of range", "repeats", "not mixed-radix"]
_SHOWN = 8
_CHUNK = 1 << 16
_LONGEST_ROW = 1 << 12  # entries of a part of the table that is computed once


@dataclass(frozen=True, slots=True)
class Factorization:
    """What a table is. `digits` are (size, stride) pairs, outermost first, in the order of writing.

    A digit that is read backwards or in an order has its reading as a third part (see `layoutbridge.algebra.readings`).

    `problem` is None for a digit permutation; "out of range", "repeats" (some positions are read twice, others
    dropped) or "not mixed-radix" (a permutation, but no digits make it). `positions` are the first offending
    indices of the table (for repeats, those that read the first repeated position), `lost` the first input
    positions that nothing reads.
    """

    size: int
    digits: Digits | None
    problem: Problem | None
    reason: str
    positions: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.pattern or self.reason

    @property
    def is_permutation(self) -> bool:
        """Whether every position is read exactly once (digits or not)."""
        return self.problem in (None, "not mixed-radix")

    @property
    def rearrangement(self) -> Rearrangement | None:
        """The table as a rearrangement of a flat array of this size, where it has digits."""
        return None if self.digits is None else flat_rearrangement(self.digits)

    @property
    def pattern(self) -> str | None:
        """The digits as a pattern over the flat array."""
        made = self.rearrangement
        return None if made is None else made.pattern

    def explain(self) -> str:
        """The verdict in a sentence or two, with the first offending positions."""
        return self.reason


def factorize(table: ArrayLike) -> Factorization:
    """Find the digits of `table`, any integer array with `out.ravel()[i] == x.ravel()[table.ravel()[i]]`.

    Raises `UnusableInputError` for a table that is empty or does not hold integers.

    >>> factorize([0, 2, 4, 1, 3, 5]).digits
    ((2, 1), (3, 2))
    >>> factorize([0, 1, 1, 3]).reason
    'position 1 is read twice, at 1 and 2; nothing reads 2 (1 of 4 positions lost)'
    """
    flat = table_array(table).reshape(-1)
    for candidate in (
        _candidate_digits,
        partial(candidate_read_digits, few_looks=True),
        partial(candidate_read_digits, few_looks=False),
    ):
        digits = candidate(flat)
        if digits is not None and _agrees(flat, digits):
            return Factorization(flat.size, digits, None, digits_sentence(digits))
    return _why_not(flat)


def flat_rearrangement(digits: Digits) -> Rearrangement:
    """The rearrangement of a flat array that has these digits, outermost first."""
    size = prod(digit[0] for digit in digits)
    flat = (Size.constant(size),)
    return Rearrangement._from_parts(("n",), flat, flat, [step_of(digits)], Domain(1, fixed=((0, size),)))


def table_array(table: ArrayLike) -> NDArray[np.integer[Any]]:
    """`table` as an array of integers in its own shape; `UnusableInputError` where it is empty or holds none."""
    try:
        array = np.asarray(table)
    except ValueError as error:
        raise UnusableInputError(f"the table is not an array of integers: {error}") from None
    if array.size == 0:
        raise UnusableInputError("the table is empty")
    if array.dtype.kind not in "iu":
        raise UnusableInputError(f"a table holds integers (positions), not {array.dtype}: convert it first")
    return array


def _candidate_digits(flat: NDArray[Any]) -> Digits | None:
    """The only digits that the table could have, or None where a few looks show that it has none."""
    total = flat.size
    if int(flat[0]) != 0:
        return None
    digits: list[tuple[int, int]] = []
    done = 1
    while done < total:
        coarse = flat[::done]
        stride = int(coarse[1])
        if stride < 1:
            return None
        size = _even_run(coarse, stride)
        if (total // done) % size:
            return None
        digits.append((size, stride))
        done *= size
    digits.reverse()
    expected = 1
    for size, stride in sorted(digits, key=lambda digit: digit[1]):
        if stride != expected:
            return None
        expected *= size
    return tuple(digits)


def _even_run(values: NDArray[Any], stride: int) -> int:
    """How many leading values are 0, stride, 2 * stride, ...; at least 2."""
    start, length = 0, 64
    while start < values.size - 1:
        part = values[start : start + length + 1]
        uneven = part[1:] - part[:-1] != stride
        if uneven.any():
            return start + int(np.argmax(uneven)) + 1
        start += part.size - 1
        length = min(2 * length, _CHUNK)
    return int(values.size)


def _agrees(flat: NDArray[Any], digits: Digits) -> bool:
    """Whether the table has these digits: every row the innermost ones, and the heads of the rows the others."""
    end = len(digits)
    while end:
        start = end - 1
        while start and prod(digit[0] for digit in digits[start - 1 : end]) <= _LONGEST_ROW:
            start -= 1
        rows = flat.reshape(-1, prod(digit[0] for digit in digits[start:end]))
        heads = rows[:, 0].astype(np.int64) - read_position(digits[start:end], 0)
        together = max(1, _CHUNK // rows.shape[1])
        for column in range(0, rows.shape[1], _CHUNK):
            inner = _sums_between(digits[start:end], column, min(column + _CHUNK, rows.shape[1]))
            for row in range(0, len(rows), together):
                part = rows[row : row + together, column : column + _CHUNK]
                if not np.array_equal(part, heads[row : row + together, None] + inner):
                    return False
        flat, end = heads, start
    return bool(flat[0] == 0)


def _sums_between(digits: Digits, start: int, stop: int) -> NDArray[np.int64]:
    """The entries `start` to `stop` of the table with these digits."""
    if len(digits) > 1:
        return gather_table(digits)[start:stop]
    size, stride, reading = digits[0][0], digits[0][1], reading_of(digits[0])
    if is_order(reading):
        return values_read(reading, size)[start:stop] * stride
    return (size - 1 - np.arange(start, stop) if reading else np.arange(start, stop)) * stride


def digits_sentence(digits: Digits) -> str:
    """What these digits do, in a sentence."""
    if len(digits) <= 1 and not any(map(reading_of, digits)):
        return "every element stays in its place"
    listed = ", ".join(f"{digit[0]} (stride {digit[1]}{_reading_told(reading_of(digit))})" for digit in digits)
    return f"a permutation of {counted(len(digits), 'digit')}, written outermost first: {listed}"


def _reading_told(reading: Reading) -> str:
    if not reading:
        return ""
    return ", reversed" if reading == REVERSED else f", order {' '.join(map(str, reading))}"


def _why_not(flat: NDArray[np.integer[Any]]) -> Factorization:
    total = flat.size
    if int(flat.min()) < 0 or int(flat.max()) >= total:
        outside, count = _where((flat < 0) | (flat >= total))
        first = outside[0]
        entries = f"{count} such {'entry' if count == 1 else 'entries'}"
        reason = f"entry {first} is {int(flat[first])}, outside 0 to {total - 1}; {entries}"
        return Factorization(total, None, "out of range", reason, outside)
    last_reader: NDArray[Any] = np.full(total, -1, np.int32 if total < 2**31 else np.int64)
    for start in range(0, total, _CHUNK):  # NumPy makes indices of 8 bytes of what it is given
        part = flat[start : start + _CHUNK]
        last_reader[part] = np.arange(start, start + part.size, dtype=last_reader.dtype)
    lost, lost_count = _where(last_reader < 0)
    if lost:
        first = _first_superseded(flat, last_reader)
        value = int(flat[first])
        readers, count = _where(flat == value)
        times = "twice" if count == 2 else f"{count} times"
        some = ", ".join(map(str, lost)) + (", ..." if lost_count > _SHOWN else "")
        reason = (
            f"position {value} is read {times}, at {first} and {readers[1]}; "
            f"nothing reads {some} ({lost_count} of {total} positions lost)"
        )
        return Factorization(total, None, "repeats", reason, readers, lost)
    broken = _first_unfitting(flat)
    reason = (
        f"every position is read once, but no digits make this order: entry {broken} is {int(flat[broken])}, "
        f"where digits that fit the entries before it cannot lead"
    )
    return Factorization(total, None, "not mixed-radix", reason, (broken,))


def _first_unfitting(flat: NDArray[Any]) -> int:
    """The first entry at which no digits agree with a permutation's entries up to there; there is one.

    Entries before a digit's first step tell its size, that step its stride; each must leave room for the others.
    """
    total = int(flat.size)
    if int(flat[0]) != 0:
        return 0
    known: list[tuple[int, int]] = []  # (stride, size) of the digits read so far
    done = 1
    while True:
        stride = int(flat[done])
        if not _leave_room([*known, (stride, 1)], total):
            return done
        uneven = _first_uneven(flat, done, stride)
        size, inside = divmod(uneven, done)
        if inside or not _leave_room([*known, (stride, size)], total):
            return uneven
        known.append((stride, size))
        done = uneven


def _leave_room(known: list[tuple[int, int]], total: int) -> bool:
    """Whether digits (stride, size) fit into one permutation of `total` positions, with others between them."""
    reached = 1
    for stride, size in sorted(known):
        if stride % reached:
            return False
        reached = stride * size
    return total % reached == 0


def _first_uneven(flat: NDArray[Any], done: int, stride: int) -> int:
    """The first entry that is not the first `done` entries again, each time `stride` further; there is one."""
    rows = flat.reshape(-1, done)
    start, length = 0, max(1, 64 // done)
    while True:
        part = rows[start : start + length]
        wrong = (part != rows[0] + np.arange(start, start + len(part))[:, None] * stride).reshape(-1)
        if wrong.any():
            return start * done + int(np.argmax(wrong))
        start += len(part)
        length = min(2 * length, max(1, _CHUNK // done))


def _first_superseded(flat: NDArray[Any], last_reader: NDArray[Any]) -> int:
    """The first index whose position is read again further on; there is one."""
    start = 0
    while True:
        part = flat[start : start + _CHUNK]
        again = last_reader[part] != np.arange(start, start + part.size)
        if again.any():
            return start + int(np.argmax(again))
        start += part.size


def _where(mask: NDArray[np.bool_]) -> tuple[tuple[int, ...], int]:
    """The first few positions at which `mask` is true, and how many there are."""
    count = int(np.count_nonzero(mask))
    found: list[int] = []
    for start in range(0, mask.size, _CHUNK):
        if len(found) >= min(count, _SHOWN):
            break
        found += (start + np.flatnonzero(mask[start : start + _CHUNK])[:_SHOWN]).tolist()
    return tuple(found[:_SHOWN]), count
