"""Two lists of steps in the same rows: pairs side by side as long as both go on, the others alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence


def aligned(pairs: Mapping[int, int], left: int, right: int) -> list[tuple[int | None, int | None]]:
    """Rows of `left` steps and `right` steps; of `pairs` as many share a row as can without a step out of its order.

    >>> aligned({0: 0, 1: 2, 2: 1}, 3, 4)
    [(0, 0), (1, None), (2, 1), (None, 2), (None, 3)]
    """
    rows: list[tuple[int | None, int | None]] = []
    one = other = 0
    for at, partner in [*_increasing(sorted(pairs.items())), (left, right)]:
        rows += [(place, None) for place in range(one, at)]
        rows += [(None, place) for place in range(other, partner)]
        if at < left:
            rows.append((at, partner))
        one, other = at + 1, partner + 1
    return rows


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The most of the pairs whose second numbers rise as the first ones do."""
    ends: list[int] = []  # of the chains of each length the least last number
    last: list[int] = []  # the pairs that these end in
    before: list[int | None] = []
    for place, (_, number) in enumerate(pairs):
        length = bisect_left(ends, number)
        before.append(last[length - 1] if length else None)
        ends[length : length + 1], last[length : length + 1] = [number], [place]
    chain: list[tuple[int, int]] = []
    at = last[-1] if last else None
    while at is not None:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]
