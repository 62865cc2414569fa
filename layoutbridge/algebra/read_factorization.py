"""The digits of a table in which some are read backwards or in an order: found level by level, the innermost first."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.readings import PLAIN, REVERSED, ReadDigit, digit_of, divisors, lie_apart
from layoutbridge.algebra.table import Digits, digits_of, step_of

_LARGEST_ORDER = 4096  # values of a digit that is read in an order
_CHUNK = 1 << 16


def candidate_read_digits(flat: NDArray[Any], *, few_looks: bool) -> Digits | None:
    """The digits that the table could have, in normal form; None where it has none, or is one order as a whole.

    With `few_looks` a digit is believed where it is so twice; else all of the table is looked at.

    >>> candidate_read_digits(np.array([0, 1, 4, 5, 6, 7, 2, 3]), few_looks=True)
    ((4, 2, (0, 2, 3, 1)), (2, 1))
    """
    if int(flat.min()) < 0 or int(flat.max()) >= flat.size:
        return None
    found: list[ReadDigit] = []
    done = 1
    while done < flat.size:
        coarse = flat[::done]
        digit = _plain_digit(coarse, few_looks) or _ordered_digit(coarse, flat.size - 1, few_looks)
        if digit is None or not all(lie_apart(digit, other) for other in found):
            return None
        found.append(digit)
        done *= digit[0]
    expected = 1
    for size, stride, _ in sorted(found, key=lambda digit: digit[1]):
        if stride != expected:
            return None
        expected *= size
    return digits_of(step_of(tuple(reversed(found))).normalized())


def _plain_digit(values: NDArray[Any], few_looks: bool) -> ReadDigit | None:
    """The largest digit, plain or backwards, that all of `values` begin with; None where that is a single value."""
    step = int(values[1]) - int(values[0])
    if step == 0:
        return None
    size = _run(values, step)
    if size < values.size and (values.size % size or not _repeats(values, size, few_looks)):
        size = _common_run(values, step)
    return None if size == 1 else (size, abs(step), PLAIN if step > 0 else REVERSED)


def _run(values: NDArray[Any], step: int) -> int:
    """How many leading values follow one another by `step`; at least 2."""
    start, length = 0, 64
    while start < values.size - 1:
        part = values[start : start + length + 1]
        uneven = part[1:] - part[:-1] != step
        if uneven.any():
            return start + int(np.argmax(uneven)) + 1
        start += part.size - 1
        length = min(2 * length, _CHUNK)
    return int(values.size)


def _common_run(values: NDArray[Any], step: int) -> int:
    """The largest number by which `values` can be cut so that no part breaks off following by `step`."""
    size = int(values.size)
    for start in range(0, values.size - 1, _CHUNK):
        part = values[start : start + _CHUNK + 1]
        breaks = start + 1 + np.flatnonzero(part[1:] - part[:-1] != step)
        size = gcd(size, int(np.gcd.reduce(breaks))) if breaks.size else size
        if size == 1:
            break
    return size


def _ordered_digit(values: NDArray[Any], most: int, few_looks: bool) -> ReadDigit | None:
    """The smallest digit in an order, of `most` values, that all of `values` are made of."""
    for size in divisors(values.size):
        if size > min(most, _LARGEST_ORDER):
            break
        found = digit_of(values[:size].astype(np.int64), size)
        if found is not None and _repeats(values, size, few_looks):
            return found
    return None


def _repeats(values: NDArray[Any], size: int, few_looks: bool) -> bool:
    """Whether every `size` values are the first ones again, each time further on; with `few_looks` the first two."""
    rows = values[: 2 * size if few_looks else None].reshape(-1, size)
    first = rows[0] - rows[0, 0]
    count = max(1, _CHUNK // size)
    return all(
        bool((part - part[:, :1] == first).all())
        for part in (rows[start : start + count] for start in range(0, len(rows), count))
    )
