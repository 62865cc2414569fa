"""Columns of numbers, one for each box, in an order that is not known: how near two are, and which belong together.

Sorted values do not change when boxes come in another order, nor do those of a sum of columns, as long as the numbers
of a box stay together. What a port's numbers are off by is as much in a sum whose factors add up to 1: so sums of right
columns are as near as the columns are, whatever is equal and whatever is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_DRAWS = 3  # sums that are tried of a column with those before it
_LEAST, _MOST = 0.5, 1.0  # magnitudes of the factors in a sum


class Column:
    """Numbers of any shape, one for each box; what they are off by is told as a share of `least` at the least."""

    def __init__(self, values: NDArray[Any], least: float = 0.0) -> None:
        self.values: Array = np.asarray(values, np.float64)
        self.least = least

    @cached_property
    def ordered(self) -> Array:
        """The numbers from the smallest to the largest."""
        return np.sort(self.values, axis=None)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        return float(self.values.min(initial=0)), float(self.values.max(initial=0))

    @property
    def largest(self) -> float:
        """The largest magnitude, or the least that counts as one; 1 where all are 0."""
        low, high = self.ends
        return max(-low, high, self.least) or 1.0


def apart(column: Column, made: Column) -> float:
    """How far the sorted numbers of a column are from those that are made, as a share of the largest of these.

    >>> apart(Column([1, 4, 2]), Column([4, 2, 1])), apart(Column([1, 4, 3]), Column([4, 2, 1]))
    (0.0, 0.25)
    """
    if column.values.size != made.values.size:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        difference = float(np.abs(column.ordered - made.ordered).max(initial=0)) / made.largest
    return difference if np.isfinite(difference) else float("inf")


def is_near(column: Column, made: Column, tolerance: float, slack: float = 0.0) -> bool:
    """Whether two columns are within the tolerance, a share of the largest that is made, or within `slack`.

    >>> is_near(Column([1.0, 2.0]), Column([2.1, 1.0]), 0.01), is_near(Column([1.0, 2.0]), Column([2.1, 1.0]), 0.1)
    (False, True)
    """
    if column.values.size != made.values.size:
        return False
    most = max(tolerance * made.largest, slack)
    with np.errstate(invalid="ignore", over="ignore"):
        if not max(abs(one - other) for one, other in zip(column.ends, made.ends, strict=True)) <= most:
            return False
        return bool(np.abs(column.ordered - made.ordered).max(initial=0) <= most)


def line(column: Column, made: Column, tolerance: float) -> tuple[float, float] | None:
    """The factor and the offset that lead from what is made to a column, where they lead to all of its numbers.

    >>> [round(number, 6) for number in line(Column([7.0, 3.0, 5.0]), Column([1.0, 2.0, 3.0]), 1e-6)]
    [2.0, 1.0]
    >>> line(Column([7.0, 3.0, 6.0]), Column([1.0, 2.0, 3.0]), 1e-6) is None
    True
    """
    ordered, wanted = column.ordered, made.ordered
    if column.values.size != made.values.size or not wanted[-1] > wanted[0] or not np.isfinite(ordered[[0, -1]]).all():
        return None
    for found in (ordered, ordered[::-1]):  # a negative factor turns the order round
        scale = float((found[-1] - found[0]) / (wanted[-1] - wanted[0]))
        offset = float(found[0] - scale * wanted[0])
        largest = float(np.abs(ordered[[0, -1]]).max())
        if scale and np.abs(scale * wanted + offset - found).max() <= tolerance * largest:
            return scale, offset
    return None


def together(columns: Sequence[Column], made: Sequence[Column], tolerance: float) -> tuple[list[list[int]], float]:
    """Which of the columns belong to the same boxes row by row, as those that are made do; and how far the others are.

    Each column is within the tolerance of the one that is made for it. It is added to those before it, and stays with
    them where the sums are within the tolerance as well.

    >>> x, y = np.arange(6.0), np.array([3.0, 1, 4, 1, 5, 9])
    >>> together([Column(x), Column(y)], [Column(x[::-1]), Column(y[::-1])], 1e-6)[0]
    [[0, 1]]
    >>> together([Column(x), Column(y)], [Column(x), Column(y[::-1])], 1e-6)[0]
    [[0], [1]]
    """
    rng = np.random.default_rng(0)
    groups: list[list[int]] = []
    sums: list[tuple[Array, Array]] = []  # of each group's columns and of what is made for them, a row for each draw
    most = 0.0
    for number, (column, wanted) in enumerate(zip(columns, made, strict=True)):
        factors = (rng.choice((-1, 1), _DRAWS) * rng.uniform(_LEAST, _MOST, _DRAWS))[:, None]
        own, right = (factors * each.values.reshape(-1) / wanted.largest for each in (column, wanted))
        off = [_off((one + own) / 2, (other + right) / 2) for one, other in sums]
        place = next((place for place, each in enumerate(off) if each <= tolerance), None)
        if place is None:
            groups.append([number])
            sums.append((own, right))
            most = max(most, min(off, default=0.0))
        else:
            share = 1 / (len(groups[place]) + 1)
            one, other = sums[place]
            sums[place] = one + share * (own - one), other + share * (right - other)
            groups[place].append(number)
    return groups, most


def _off(one: Array, other: Array) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.abs(np.sort(one, axis=1) - np.sort(other, axis=1)).max(initial=0))
