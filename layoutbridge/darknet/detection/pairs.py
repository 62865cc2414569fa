"""Which boxes overlap, found once for all classes: what lies apart, or is of another size, is never compared.

Boxes that overlap by a share are as near, and as alike in width and height, as that share asks for. So boxes are put
into groups by the powers of two of their heights, those of a group into rows, sorted from the left to the right, and a
box is compared with those of a part of a few rows of a few groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.overlaps import Rows, overlaps

Places = NDArray[np.intp]
Pairs = tuple[Places, Places]

LEAST_LIMIT = 0.2  # of overlaps: below, what may overlap is anywhere
SURE = 0.9  # of the limit: what rounding may do to a quotient, and far more
_LEAST_SIDE = np.float32(2e-5)  # of how far off a box lies: rounding moves edges little then
_SMALLEST, _LARGEST = np.float32(1e-15), np.float32(1e15)  # sides whose products have all their digits
_HALF = np.float32(0.5)
_AT_ONCE = 1 << 20  # pairs that are compared together
_ASKED = 32  # boxes that say how many lie beside each
_FEW_PAIRS = 500  # that are gone through one by one, as chains are, whose turns settle little
_ROW = 1.001  # times all x, what lies between the beginnings of two rows
_SLACK = 1e-9  # of all x: what rounding may do to a key
_MARGIN = 1.001  # what rounding may do to a distance, and far more

NOTHING, PLAIN, CAREFUL = 0, 1, 2  # what a box is compared with: see `kinds_of`


@dataclass(frozen=True, slots=True)
class NearBoxes:
    """The boxes that may overlap by more than `limit`, found before any are compared: what `near_boxes` gives."""

    columns: tuple[Rows, ...]
    limit: np.float32
    exponent: float | None
    careful: Places
    plain: Places
    neighbours: tuple[_Neighbours, ...]

    @property
    def count(self) -> int:
        """How many comparisons these are."""
        return len(self.careful) * len(self.columns[0]) + sum(each.count for each in self.neighbours)

    def some_beside(self) -> NDArray[np.intp]:
        """How many boxes some of them overlap, here and there among all."""
        count = len(self.columns[0])
        asked = np.unique(np.linspace(0, count - 1, _ASKED).astype(np.intp))
        return np.array([np.count_nonzero(self._over(np.full(count, one), np.arange(count))) - 1 for one in asked])

    def overlapping(self, check: Callable[[], object]) -> Pairs:
        """The pairs that overlap by more than the limit, each once: places of the one and of the other.

        `check` is called now and then.
        """
        found: list[Pairs] = [(np.empty(0, np.intp), np.empty(0, np.intp))]
        everywhere = _with_all(self.careful, self.plain)
        for one, other in chain(everywhere, *(each.pairs() for each in self.neighbours)):
            check()
            over = self._over(one, other)
            found.append((one[over], other[over]))
        return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])

    def _over(self, one: Places, other: Places) -> NDArray[np.bool_]:
        first, second = (tuple(column[places] for column in self.columns) for places in (one, other))
        with np.errstate(over="ignore", invalid="ignore"):  # of boxes without end, which overlap nothing
            over: NDArray[np.bool_] = overlaps(first, second, self.exponent) > self.limit
        return over


def near_boxes(boxes: Rows, limit: np.float32, exponent: float | None) -> NearBoxes:
    """Which of `boxes` [n, 4], x, y (centre), w, h, may overlap by more than `limit`, which is 0.2 at least.

    `exponent` is that of `overlaps`.

    >>> boxes = np.float32([[0.5, 0.5, 0.2, 0.2], [0.7, 0.5, 0.2, 0.2], [0.51, 0.5, 0.2, 0.2]])
    >>> one, other = near_boxes(boxes, np.float32(0.45), None).overlapping(lambda: None)
    >>> one.tolist(), other.tolist()
    ([0], [2])
    """
    columns = tuple(np.ascontiguousarray(boxes.T))
    kinds = kinds_of(*columns)
    careful, plain = np.flatnonzero(kinds == CAREFUL), np.flatnonzero(kinds == PLAIN)
    neighbours = _neighbours(tuple(column[plain] for column in columns), plain, SURE * min(float(limit), 1.0))
    return NearBoxes(columns, limit, exponent, careful, plain, tuple(neighbours))


def suppressed_by_pairs(candidates: Places, pairs: Pairs, count: int, check: Callable[[], object]) -> NDArray[np.bool_]:
    """Which of `candidates`, the best first, a better one that is left suppresses, of `count` boxes with such `pairs`.

    Who has no better one beside it that may be left is left itself, and suppresses its neighbours: so goes each turn.
    """
    ranks = np.full(count, count)
    ranks[candidates] = np.arange(len(candidates))
    one, other = ranks[pairs[0]], ranks[pairs[1]]
    better, worse = np.minimum(one, other), np.maximum(one, other)
    both = worse < count
    better, worse = better[both], worse[both]
    lost = np.zeros(len(candidates), np.bool_)
    before = 2 * len(better)
    while len(better):
        check()
        if len(better) < _FEW_PAIRS or 8 * before < 9 * len(better):
            _one_after_another(better, worse, lost)
            break
        before = len(better)
        blocked = np.zeros(len(candidates), np.bool_)
        blocked[worse] = True
        left = ~blocked[better]
        lost[worse[left]] = True
        open_yet = ~(left | lost[better] | lost[worse])
        better, worse = better[open_yet], worse[open_yet]
    return lost


def kinds_of(x: Rows, y: Rows, w: Rows, h: Rows) -> NDArray[np.uint8]:
    """What may overlap each box: nothing, where its own edges do not stand apart; only what is near it and of its
    size, where rounding moves its edges little; else anything.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        apart = (x - w * _HALF < x + w * _HALF) & (y - h * _HALF < y + h * _HALF)
        plain = (w >= _LEAST_SIDE * np.abs(x)) & (h >= _LEAST_SIDE * np.abs(y))
    plain &= (np.minimum(w, h) >= _SMALLEST) & (np.maximum(w, h) <= _LARGEST)
    return np.where(apart, np.where(plain, PLAIN, CAREFUL), NOTHING).astype(np.uint8)


def _one_after_another(better: Places, worse: Places, lost: NDArray[np.bool_]) -> None:
    """Box by box, the best first: what each suppresses stands together, however many pairs there are."""
    order = np.argsort(better, kind="stable")
    better, worse = better[order], worse[order]
    starts = np.flatnonzero(np.diff(better, prepend=-1))
    ends = np.append(starts[1:], len(better))
    for one, start, end in zip(better[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        if not lost[one]:
            lost[worse[start:end]] = True


# ---------------------------------------------------------------------- which may overlap at all


@dataclass(frozen=True, slots=True)
class _Group:
    """Boxes whose heights are below the same `power` of two and not below its half, row by row, from the left on.

    A row is as high as the middles of two of them may be apart, the first begins at `start` (x, y), `last` numbers
    the last one; `keys` is the row times the `span` of all x, and the x from there. `across` and `down` are how much
    of a distance each box has for itself: so far apart as those of both together may their middles be.
    """

    power: int
    places: Places
    x: Rows
    y: Rows
    across: Rows
    down: Rows
    keys: NDArray[np.float64]
    start: tuple[float, float]
    last: float
    height: float
    span: float


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """What boxes of one group, `own`, are compared with: those of `others`, in its order, from `starts` to `ends`."""

    group: _Group
    own: Places
    others: _Group
    starts: Places
    ends: Places

    @property
    def count(self) -> int:
        """How many comparisons these are."""
        return int((self.ends - self.starts).sum())

    def pairs(self) -> Iterator[Pairs]:
        """The pairs of boxes that are near enough, each once, some at a time."""
        group, others, counts = self.group, self.others, self.ends - self.starts
        behind = np.cumsum(counts)
        begin = 0
        while begin < len(counts):
            before = int(behind[begin - 1]) if begin else 0
            end = max(int(np.searchsorted(behind, before + _AT_ONCE, "right")), begin + 1)
            part = slice(begin, end)
            first = np.repeat(self.own[part], counts[part])
            second = np.repeat(self.starts[part] - (behind[part] - counts[part] - before), counts[part])
            second += np.arange(len(second))
            for middles, reach in (("x", "across"), ("y", "down")):
                apart = np.abs(getattr(group, middles)[first] - getattr(others, middles)[second])
                near = apart <= getattr(group, reach)[first] + getattr(others, reach)[second]
                first, second = first[near], second[near]
            if group is others:
                one, other = group.x[first], group.x[second]
                once = (one < other) | ((one == other) & (first < second))
                first, second = first[once], second[once]
            yield group.places[first], others.places[second]
            begin = end


def _with_all(careful: Places, plain: Places) -> Iterator[Pairs]:
    """Each of the `careful` boxes with all others."""
    for number, one in enumerate(careful):
        others = np.concatenate([plain, careful[number + 1 :]])
        yield np.full(len(others), one), others


def _neighbours(columns: tuple[Rows, ...], places: Places, ratio: float) -> list[_Neighbours]:
    """What has to be compared for all pairs of plain boxes to be found that overlap by `ratio`."""
    share = _MARGIN * (1 - ratio) / (2 * (1 + ratio))
    groups = _groups(columns, places, share)
    steps = ceil(-log2(ratio))  # between the powers of two of heights that are alike enough
    found: list[_Neighbours] = []
    for number, lower in enumerate(groups):
        for higher in groups[number:]:
            if higher.power - lower.power <= steps:
                found += _beside(lower, higher, share, ratio)
    return found


def _groups(columns: tuple[Rows, ...], places: Places, share: float) -> list[_Group]:
    """The boxes with such columns, which stand at `places`, in groups: low ones first."""
    powers = np.frexp(columns[3])[1]
    order = np.argsort(powers, kind="stable")
    groups = []
    for own in np.split(order, np.flatnonzero(np.diff(powers[order])) + 1) if len(order) else ():
        x, y, w, h = (column[own] for column in columns)
        power, start = int(powers[own[0]]), (float(x.min()), float(y.min()))
        height, span = 2 * share * 2.0**power, _ROW * (float(x.max()) - start[0]) + float(w.max())
        rows = np.floor((y.astype(np.float64) - start[1]) / height)
        keys = rows * span + (x.astype(np.float64) - start[0])
        sorting = np.argsort(keys)
        across, down = ((side * share).astype(np.float32)[sorting] for side in (w, h))
        x, y, keys = x[sorting], y[sorting], keys[sorting]
        last = float(rows.max())
        groups.append(_Group(power, places[own[sorting]], x, y, across, down, keys, start, last, height, span))
    return groups


def _beside(lower: _Group, higher: _Group, share: float, ratio: float) -> Iterator[_Neighbours]:
    """For the boxes of the `lower` group those of the `higher` one that are near, row by row.

    A width that is alike enough is at most the own one by `ratio`. Within one group they lie to the right: those to the
    left have found them.
    """
    x, y = (middles.astype(np.float64) - begin for middles, begin in zip((lower.x, lower.y), higher.start, strict=True))
    across = lower.across * _MARGIN * (1 + 1 / ratio)
    down = lower.down + share * 2.0**higher.power
    left, right = (x if lower is higher else x - across), x + across
    top = np.floor((y - down) / higher.height).clip(0)
    bottom = np.floor((y + down) / higher.height).clip(None, higher.last)
    slack = _SLACK * higher.span
    left, right = left.clip(0) - slack, right.clip(None, higher.span / _ROW) + slack
    there = np.flatnonzero((left <= right) & (top <= bottom))
    for step in range(int((bottom - top)[there].max(initial=-1)) + 1):
        own = there[top[there] + step <= bottom[there]]
        row = (top[own] + step) * higher.span
        starts = np.searchsorted(higher.keys, row + left[own], "left")
        ends = np.searchsorted(higher.keys, row + right[own], "right")
        yield _Neighbours(lower, own, higher, starts, ends)
