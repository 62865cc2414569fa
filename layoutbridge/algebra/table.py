"""Concrete digits: the gather table of one step at known sizes, and its first position of difference.

At known sizes a normalized step is a tuple of (size, stride) pairs in the order of writing, outermost first:
the element written at index i = (d0, d1, ...) in mixed radix is read at d0 * stride0 + d1 * stride1 + ... A digit that
is read backwards or in an order has its reading as a third part: (size, stride, reading).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from math import prod
from typing import TYPE_CHECKING

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.readings import PLAIN, Reading, value_read, values_read
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import ShapeError
from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Late("numpy")

Digit = tuple[int, int] | tuple[int, int, Reading]
Digits = tuple[Digit, ...]
_INNER_ENTRIES = 4096  # the part of a table that is computed once and added to: 32 KiB, stays in the first cache

_KEPT_ENTRIES = 1 << 15  # a table up to this size is kept and copied: making it is mostly the cost of calls
_TABLES_KEPT = 32


def step_of(digits: Digits) -> DigitStep:
    """The step with these digits, which cover a flat array."""
    by_source = sorted(range(len(digits)), key=lambda k: -digits[k][1])
    readings = tuple(reading_of(digits[k]) for k in by_source)
    return DigitStep(
        tuple(Size.constant(digits[k][0]) for k in by_source),
        tuple(by_source.index(k) for k in range(len(digits))),
        readings if any(readings) else (),
    )


def digits_of(step: DigitStep) -> Digits:
    """The digits of a step of known sizes, outermost first, strides in elements of the flat source."""
    sizes = [int(size.coefficient) for size in step.sizes]
    strides = [prod(sizes[k + 1 :]) for k in range(len(sizes))]
    read = ((sizes[source], strides[source], step.reading(source)) for source in step.order)
    return tuple(digit if digit[2] else digit[:2] for digit in read)


def gather_table(digits: Digits) -> NDArray[np.int64]:
    """The int64 table t with `out.ravel()[i] == x.ravel()[t[i]]`, in one pass of additions.

    >>> gather_table(((2, 1), (3, 2))).tolist()
    [0, 2, 4, 1, 3, 5]
    """
    total = prod(digit[0] for digit in digits)
    return _kept_table(digits).copy() if total <= _KEPT_ENTRIES else _new_table(digits, total)


@lru_cache(maxsize=_TABLES_KEPT)
def _kept_table(digits: Digits) -> NDArray[np.int64]:
    return _new_table(digits, prod(digit[0] for digit in digits))


def _new_table(digits: Digits, total: int) -> NDArray[np.int64]:
    try:
        if total * 8 > machine_memory() // 2:  # the system may promise more than it has
            raise MemoryError
        table = np.empty(total, np.int64)
    except (MemoryError, ValueError):
        raise ShapeError(
            f"a table of {total} entries needs {total * 8 / 2**30:.1f} GiB, more than half of this machine's memory"
        ) from None
    split = len(digits)
    inner = np.zeros(1, np.int64)
    while split and inner.size * digits[split - 1][0] <= _INNER_ENTRIES:
        split -= 1
        inner = _outer_sum(digits[split], inner)
    if not split:
        table[:] = inner
        return table
    size, stride = digits[split - 1][:2]
    rows = table.reshape(-1, size * inner.size)
    outer = _all_sums(digits[: split - 1])[:, None, None]
    if reading_of(digits[split - 1]):
        positions = values_read(reading_of(digits[split - 1]), size) * stride
        np.add(outer + positions[:, None], inner, out=rows.reshape(-1, size, inner.size))
        return table
    # the digit is cut into blocks, so that every addition covers a long row
    block = max(1, _INNER_ENTRIES // inner.size)
    full, rest = divmod(size, block)
    row = _outer_sum((min(block, size), stride), inner)
    if full:
        starts = np.arange(full, dtype=np.int64)[:, None] * (block * stride)
        np.add(outer + starts, row, out=rows[:, : full * row.size].reshape(-1, full, row.size))
    if rest:
        last = row[: rest * inner.size] + full * block * stride
        np.add(outer[:, 0], last, out=rows[:, full * row.size :])
    return table


@cache
def machine_memory() -> int:
    """The machine's memory in bytes, or what no table exceeds where it is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**63


def reading_of(digit: Digit) -> Reading:
    """How a digit is read."""
    return digit[2] if len(digit) == 3 else PLAIN


def _outer_sum(digit: Digit, inner: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.add.outer(values_read(reading_of(digit), digit[0]) * digit[1], inner).reshape(-1)


def _all_sums(digits: Digits) -> NDArray[np.int64]:
    sums = np.zeros(1, np.int64)
    for digit in reversed(digits):
        sums = _outer_sum(digit, sums)
    return sums


def first_difference(left: Digits, right: Digits) -> int | None:
    """The smallest index at which two normalized steps read different positions, or None where they are equal.

    Needs no table: equal inner digits are skipped, and the first unequal pair tells the index.
    """
    if any(len(digit) == 3 for digit in (*left, *right)):
        return _first_difference_read(left, right)
    index = 1
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a[1] != b[1]:
            return index
        if a[0] != b[0]:
            return index * min(a[0], b[0])
        index *= a[0]
    return None


def _first_difference_read(left: Digits, right: Digits) -> int | None:
    """The same with digits that are read otherwise than plainly, and so may differ at index 0 already."""
    if read_position(left, 0) != read_position(right, 0):
        return 0
    total, index = prod(digit[0] for digit in left), 1
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            return next(
                place
                for place in range(index, total, index)
                if read_position(left, place) != read_position(right, place)
            )
        index *= a[0]
    return None


def read_position(digits: Digits, index: int) -> int:
    """The source position that a step reads for the element written at `index`."""
    position = 0
    for digit in reversed(digits):
        index, value = divmod(index, digit[0])
        position += value_read(reading_of(digit), digit[0], value) * digit[1]
    return position


def unravel(index: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The coordinates of flat `index` in a row-major array of `shape` (any size, also beyond int64)."""
    coordinates: list[int] = []
    for length in reversed(shape):
        index, coordinate = divmod(index, length)
        coordinates.append(coordinate)
    return tuple(reversed(coordinates))
