"""Darknet's suppression of boxes, class by class: the same rows, scores and order as its loops give, in NumPy.

Darknet compares every box with every better one. Here the better ones come in blocks, and only boxes that overlap are
compared at all: an overlap is at most the intersection over the union, so that boxes apart never suppress each other.
Which are apart is told by edges that are rounded to a byte, most of them at least. Of very many boxes those that
overlap are found once for all classes (`pairs.py`), or compiled code suppresses them (`crowds.py`): what takes less.

Definitions: do_nms_sort, diounms_sort, box_iou, box_diou and box_diounms in box.c of the forks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.crowds import Crowd, kernel_for
from layoutbridge.darknet.detection.overlaps import Rows, overlaps
from layoutbridge.darknet.detection.pairs import LEAST_LIMIT, Places, near_boxes, suppressed_by_pairs
from layoutbridge.darknet.structure.choices import NMS_KINDS
from layoutbridge.errors import ParameterError, shown
from layoutbridge.inputs import too_slow

_GREEDY_EXPONENT = 0.6  # a constant in box_diou, whatever beta_nms says
_BOX = 5  # numbers of a row before its scores
_HALF = np.float32(0.5)
_BLOCK = 128  # boxes that are compared with all behind them at once
_PAIRS = 1 << 20  # of a block that are looked at together: what fits into the caches
_LEVELS = 255
_MANY = 1000  # scores that are sorted as whole numbers: fewer take as long to make
_PAYS_FROM = 1e8  # pairs of boxes of a class: finding those that overlap takes some hundredths of a second
_BLOCKED = 1.2e-9  # seconds that blocks take for a pair of a class of which none is suppressed
_NEAR, _HELD, _GONE_THROUGH = 7e-8, 2e-8, 1e-7  # for a pair that is near; that overlaps, and in a class where both are
_FEW = 64  # boxes in all, of which each pair is compared once for all classes


def suppress(
    rows: Rows, threshold: float = 0.45, kind: str = "default", beta: float = 0.6, seconds: float = inf
) -> Rows:
    """Darknet's suppression, class by class: `rows` [boxes, 5 + classes] with suppressed scores set to 0.

    For each class the rows are sorted by its score, and a box whose overlap with a better one that is left is over
    `threshold` loses that score. The rows come back in the order that the last class's sort left, those without
    objectness at the end, as Darknet returns them. What the overlap is, `kind` says: see `distance_exponent`. Raises
    `ParameterError` for another kind and a `threshold` below 0, and `UnusableInputError` where it takes more than
    `seconds`.
    """
    exponent = distance_exponent(kind, beta)
    if not threshold >= 0:
        raise ParameterError(f"an overlap is 0 at least: the threshold cannot be {shown(threshold)}")
    limit, until = np.float32(threshold), monotonic() + seconds
    empty = rows[:, 4] == 0
    ranked = rows[_to_the_front(~empty)]
    scores = np.ascontiguousarray(ranked[:, _BOX:].T)  # a class after another
    order = np.arange(len(ranked))
    classes: list[tuple[Rows, Places]] = []  # with several boxes: their scores, and whose they are, the best first
    for column in np.flatnonzero(scores.any(axis=1)):
        own = scores[column]
        order = _sorted(order, own)
        if len(candidates := order[own[order] != 0]) > 1:
            classes.append((own, candidates))
    try:
        for (own, candidates), lost in zip(classes, _lost(ranked[:, :4], classes, limit, exponent, until), strict=True):
            own[candidates[lost]] = 0
    except TimeoutError:
        raise too_slow(f"the suppression of {len(ranked):,} boxes", seconds) from None
    ranked[:, _BOX:] = scores.T
    return np.concatenate([ranked[order], rows[empty]])


def distance_exponent(kind: str, beta: float) -> float | None:
    """To which power the distance is taken that a suppression of this `kind` subtracts; None where it subtracts none.

    The overlap is the intersection over the union, for "greedynms" and "diounms" less (distance of the centres /
    diagonal of the box around both)² to a power: 0.6 for the first whatever beta_nms says, `beta` for the second.
    Older copies of the main fork took none from greedynms, either: that is "greedynms-iou". Raises `ParameterError`
    for another kind.

    >>> distance_exponent("greedynms", 0.9), distance_exponent("diounms", 0.9), distance_exponent("default", 0.9)
    (0.6, 0.9, None)
    """
    if kind not in NMS_KINDS:
        raise ParameterError(f"no suppression is called {shown(kind)}; there is {', '.join(NMS_KINDS)}")
    return {"greedynms": _GREEDY_EXPONENT, "diounms": beta}.get(kind)


def _to_the_front(full: NDArray[np.bool_]) -> Places:
    """The places of the full rows in Darknet's order: empty ones in front give way to the last ones, backwards."""
    places = np.flatnonzero(full)
    order = np.arange(len(places))
    order[~full[: len(places)]] = places[places >= len(places)][::-1]
    return order


def _sorted(order: Places, scores: Rows) -> Places:
    """`order` with the highest of `scores` first, what is equal as it stands there; NaN behind all.

    Numbers that bear their place are sorted: that takes a third of the time of a stable sort of places.
    """
    values = scores[order]
    if len(order) < _MANY or np.isnan(values).any():
        return order[np.argsort(-values, kind="stable")]
    bits = (np.float32(0) - values).view(np.uint32)  # 0 and -0 are alike: both become 0
    falling = bits >> np.uint32(31) != 0
    keys = np.where(falling, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(len(order), dtype=np.uint64)
    keys.sort()
    return order[(keys & np.uint64(0xFFFFFFFF)).astype(np.intp)]


def _lost(
    boxes: Rows, classes: list[tuple[Rows, Places]], limit: np.float32, exponent: float | None, until: float
) -> Iterator[NDArray[np.bool_] | list[int]]:
    """For each class which of its candidates are suppressed, or their places; `TimeoutError` after `until`."""

    def check() -> None:
        if monotonic() > until:
            raise TimeoutError

    if len(boxes) <= _FEW:
        over = _over_all(boxes, limit, exponent)
        yield from (_suppressed_of_few(candidates.tolist(), over) for _, candidates in classes)
        return
    counts = [len(candidates) for _, candidates in classes]
    asked = sum(float(count) ** 2 for count in counts)
    kernel, pairs = kernel_for(max(counts, default=0), limit), None
    if kernel is None and limit >= LEAST_LIMIT and asked > _PAYS_FROM:
        near = near_boxes(boxes, limit, exponent)
        expected = _seconds(counts, len(boxes), near.some_beside())
        all_blocks = sum(blocks for blocks, _ in expected)
        all_pairs = _NEAR * near.count + sum(by_pairs for _, by_pairs in expected)
        kernel = kernel_for(max(counts), limit, min(all_blocks, all_pairs))
        pairs = near.overlapping(check) if kernel is None and all_pairs < all_blocks else None
    crowd = None if kernel is None else Crowd(kernel, boxes, limit, exponent, several=len(classes) > 1)
    beside = np.zeros(1) if pairs is None else np.bincount(np.concatenate(pairs), minlength=len(boxes))
    costs = _seconds(counts, len(boxes), beside)
    for (_, candidates), (blocks, by_pairs) in zip(classes, costs, strict=True):
        lost = None if crowd is None else crowd.suppressed(candidates, until)
        if lost is not None:
            yield lost[candidates]
        elif pairs is not None and by_pairs < blocks:
            yield suppressed_by_pairs(candidates, pairs, len(boxes), check)
        else:
            yield _suppressed(boxes[candidates], limit, exponent, until)


def _seconds(counts: Sequence[int], boxes: int, beside: NDArray[Any]) -> list[tuple[float, float]]:
    """About what each class takes, of so many boxes each: by blocks, and by the pairs that overlap of all `boxes`.

    `beside` says how many overlap each box, or some. Blocks compare with those that are left alone, and of a box and
    those beside it few are: about one in so many as a quarter of them.
    """
    pairs, seconds = boxes * float(beside.mean()) / 2, []
    for count in counts:
        share = count / boxes
        left = float(np.mean(1 / (1 + beside * (share / 4))))
        seconds.append((_BLOCKED * count**2 * left, pairs * (_HELD + _GONE_THROUGH * share**2)))
    return seconds


# ---------------------------------------------------------------------- one class


def _over_all(boxes: Rows, limit: np.float32, exponent: float | None) -> list[set[int]]:
    """For each of a few boxes [n, 4] those that it overlaps by more than `limit`."""
    first, second = np.divmod(np.arange(len(boxes) ** 2), max(len(boxes), 1))
    columns = np.ascontiguousarray(boxes.T)
    over = overlaps(tuple(columns[:, first]), tuple(columns[:, second]), exponent) > limit
    met: list[set[int]] = [set() for _ in boxes]
    for one, other in zip(first[over].tolist(), second[over].tolist(), strict=True):
        met[one].add(other)
    return met


def _suppressed_of_few(candidates: list[int], over: list[set[int]]) -> list[int]:
    """The places of those `candidates`, the best first, that are suppressed by better ones that are left."""
    lost: list[int] = []
    left: list[int] = []
    for place, one in enumerate(candidates):
        if over[one].isdisjoint(left):
            left.append(one)
        else:
            lost.append(place)
    return lost


def _suppressed(boxes: Rows, limit: np.float32, exponent: float | None, until: float) -> NDArray[np.bool_]:
    """Which of `boxes` [n, 4], the best first, a better one that is left suppresses. `TimeoutError` after `until`."""
    lost = np.zeros(len(boxes), np.bool_)
    left = np.arange(len(boxes))
    columns = _with_edges(boxes)
    while len(left):
        if monotonic() > until:
            raise TimeoutError
        count = min(_BLOCK, len(left))
        first = tuple(column[:count] for column in columns)
        alive = np.ones(len(left), np.bool_)
        better, worse = _over(first, first, limit, exponent)
        behind = better < worse
        for one, other in zip(better[behind].tolist(), worse[behind].tolist(), strict=True):  # the best first
            if alive[one]:
                alive[other] = False
        first = tuple(column[alive[:count]] for column in first)
        step = max(_PAIRS // _BLOCK, 1)
        for start in range(count, len(left), step):
            part = tuple(column[start : start + step] for column in columns)
            alive[start + _over(first, part, limit, exponent)[1]] = False
        lost[left[~alive]] = True
        alive[:count] = False  # they are through
        left, columns = left[alive], tuple(column[alive] for column in columns)
    return lost


def _with_edges(boxes: Rows) -> tuple[NDArray[Any], ...]:
    """x, y, w, h, then left, right, top and bottom: float32 [n], the edges in uint8, their order kept."""
    x, y, w, h = np.ascontiguousarray(boxes.T)
    return x, y, w, h, *_coarse(x - w * _HALF, x + w * _HALF), *_coarse(y - h * _HALF, y + h * _HALF)


def _coarse(low: Rows, high: Rows) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both by how many of 255 places, taken from among themselves, they lie behind: much faster to compare."""
    edges = np.sort(np.concatenate([low, high]))
    places = edges[:: -(-len(edges) // _LEVELS)]
    first, second = (np.searchsorted(places, each, "right").astype(np.uint8) for each in (low, high))
    return first, second


def _over(
    some: tuple[NDArray[Any], ...], others: tuple[NDArray[Any], ...], limit: np.float32, exponent: float | None
) -> tuple[Places, Places]:
    """The pairs of `some` and `others` that overlap by more than `limit`: their places, in the order of `some`."""
    left, right, top, bottom = (edge[:, None] for edge in some[4:])
    meet = others[4] <= right
    meet &= others[5] >= left
    meet &= others[6] <= bottom
    meet &= others[7] >= top
    first, second = np.divmod(np.flatnonzero(meet), len(others[0]))
    one = tuple(column[first] for column in some[:4])
    other = tuple(column[second] for column in others[:4])
    over = overlaps(one, other, exponent) > limit
    return first[over], second[over]
