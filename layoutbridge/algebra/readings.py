"""How a digit's values are read: as they are, backwards, or in a fixed order.

A digit of size n written with the value v reads the source's value v, n - 1 - v, or order[v]. Any digit may be read
backwards, one of a fixed size in an order, too. So gates that change places (blocks 0 2 3 1), flips (an axis
backwards) and a mosaic's planes are permutations of digits like all others.

A reading is a tuple: `PLAIN`, `REVERSED`, or the order itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isqrt, prod
from typing import TYPE_CHECKING

from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Late("numpy")

Reading = tuple[int, ...]
PLAIN: Reading = ()
REVERSED: Reading = (-1,)
ReadDigit = tuple[int, int, Reading]  # size, stride, reading


def is_order(reading: Reading) -> bool:
    """Whether it is neither plain nor backwards."""
    return len(reading) > 1


def written_reading(reading: Reading) -> str:
    """As it stands behind a digit in a pattern.

    >>> written_reading(REVERSED), written_reading((0, 2, 3, 1)), written_reading(PLAIN)
    ('[::-1]', '[0 2 3 1]', '')
    """
    if not reading:
        return ""
    return "[::-1]" if reading == REVERSED else f"[{' '.join(map(str, reading))}]"


def as_reading(order: Sequence[int]) -> Reading:
    """The reading that an order of all the values is.

    >>> as_reading((0, 1, 2)), as_reading((2, 1, 0)), as_reading((1, 0, 2))
    ((), (-1,), (1, 0, 2))
    """
    size = len(order)
    if all(value == place for place, value in enumerate(order)):
        return PLAIN
    if all(value == size - 1 - place for place, value in enumerate(order)):
        return REVERSED
    return tuple(order)


def values_read(reading: Reading, size: int) -> NDArray[np.int64]:
    """The source's value for each value that is written.

    >>> values_read(REVERSED, 3).tolist()
    [2, 1, 0]
    """
    if not reading:
        return np.arange(size, dtype=np.int64)
    return np.arange(size - 1, -1, -1, dtype=np.int64) if reading == REVERSED else np.array(reading, np.int64)


def value_read(reading: Reading, size: int, value: int) -> int:
    """The source's value where `value` is written."""
    if not reading:
        return value
    return size - 1 - value if reading == REVERSED else reading[value]


def inverse_reading(reading: Reading) -> Reading:
    """The reading that undoes it.

    >>> inverse_reading((0, 2, 3, 1))
    (0, 3, 1, 2)
    """
    if not is_order(reading):
        return reading
    back = [0] * len(reading)
    for written, read in enumerate(reading):
        back[read] = written
    return tuple(back)


def joined_readings(first: Reading, second: Reading) -> Reading:
    """`second` of what `first` has written, for digits of one size.

    >>> joined_readings(REVERSED, (0, 2, 3, 1)), joined_readings((1, 0, 2), (1, 0, 2))
    ((3, 1, 0, 2), ())
    """
    if not first or not second:
        return first or second
    if first == second == REVERSED:
        return PLAIN
    size = max(len(first), len(second))
    return as_reading([value_read(first, size, value_read(second, size, value)) for value in range(size)])


# ---------------------------------------------------------------------- the digits in an order


@lru_cache(maxsize=1024)
def digits_of_order(order: Reading) -> tuple[ReadDigit, ...]:
    """The finest digits that an order of a digit's values is made of, outermost first, in the order of writing.

    Each has a size, a stride in the source's values, and a reading, which is an order only where it has no digits
    itself. So two ways to write an order come out alike.

    >>> digits_of_order((1, 0, 3, 2)), digits_of_order((0, 2, 1, 3)), digits_of_order((0, 2, 3, 1))
    (((2, 2, ()), (2, 1, (-1,))), ((2, 1, ()), (2, 2, ())), ((4, 1, (0, 2, 3, 1)),))
    """
    digits = finest_digits(np.array(order, np.int64), ())
    assert digits is not None  # an order of all values is at least one digit
    return digits


def finest_digits(table: NDArray[np.int64], taken: tuple[ReadDigit, ...]) -> tuple[ReadDigit, ...] | None:
    """The finest digits of a table of positions, in which those of `taken` are fixed; None where it has none."""
    total = table.size
    if total == 1:
        return ()
    for size in divisors(total):
        found = digit_of(table, size)
        if found is None or not all(lie_apart(found, other) for other in taken):
            continue
        _, stride, reading = found
        first = int(values_read(reading, size)[0]) * stride
        rest = table[::size] - first
        if (rest // stride % size).any() or not _repeats(table, size):
            continue
        outer = finest_digits(rest, (*taken, found))
        if outer is not None:
            return (*outer, found)
    return None


def digit_of(table: NDArray[np.int64], size: int) -> ReadDigit | None:
    """The digit that the first `size` entries are, where they are one."""
    start = table[:size]
    lowest = int(start.min())
    offsets = start - lowest
    stride = int(offsets.max()) // (size - 1)
    if stride < 1:
        return None
    values, left = np.divmod(offsets, stride)
    if left.any() or (np.bincount(values, minlength=size) != 1).any():
        return None
    return size, stride, as_reading(values.tolist())


def _repeats(table: NDArray[np.int64], size: int) -> bool:
    """Whether every `size` entries are the first ones again, further on."""
    rows = table.reshape(-1, size)
    return bool((rows - rows[:, :1] == rows[0] - rows[0, 0]).all())


def lie_apart(one: ReadDigit, other: ReadDigit) -> bool:
    """Whether two digits of the source do not overlap, and the coarser one begins where the finer may end."""
    (fine_size, fine, _), (_, coarse, _) = sorted((one, other), key=lambda digit: digit[1])
    return coarse % (fine * fine_size) == 0


def divisors(total: int) -> list[int]:
    """The divisors of `total` from 2 up, in order."""
    small = [value for value in range(1, isqrt(total) + 1) if total % value == 0]
    return sorted({*small, *(total // value for value in small)} - {1})


def order_of(digits: Sequence[ReadDigit]) -> tuple[int, ...]:
    """The positions that these digits read, all of them: the order that they are.

    >>> order_of(((2, 1, ()), (2, 2, ())))
    (0, 2, 1, 3)
    """
    table = np.zeros(1, np.int64)
    for size, stride, reading in reversed(digits):
        table = np.add.outer(values_read(reading, size) * stride, table).reshape(-1)
    assert table.size == prod(size for size, _, _ in digits)
    return tuple(table.tolist())
