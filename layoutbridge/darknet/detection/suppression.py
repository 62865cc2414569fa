"""Darknet's suppression of boxes, class by class: the same rows, scores and order as its loops give, in NumPy.

Darknet compares every box with every better one. Here the better ones come in blocks, and only boxes that overlap are
compared at all: an overlap is at most the intersection over the union, so that boxes apart never suppress each other.
Which are apart is told by edges that are rounded to a byte, most of them at least. Where many classes have very many
boxes it is compiled code that looks for those near by.

Definitions: do_nms_sort, diounms_sort, box_iou, box_diou and box_diounms in box.c of the forks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress as passing_over
from math import inf
from threading import Lock
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.copying.threads import run_pieces, worker_count
from layoutbridge.darknet.structure.heads import NMS_KINDS
from layoutbridge.errors import ParameterError, shown
from layoutbridge.inputs import too_slow

Rows = NDArray[np.float32]
Places = NDArray[np.intp]
Columns = tuple[Rows, ...]

_GREEDY_EXPONENT = 0.6  # a constant in box_diou, whatever beta_nms says
_BOX = 5  # numbers of a row before its scores
_HALF = np.float32(0.5)
_BLOCK = 128  # boxes that are compared with all behind them at once
_PAIRS = 1 << 20  # of a block that are looked at together: what fits into the caches
_LEVELS = 255
_PAYS_FROM = (
    4e9  # pairs of boxes of a class: loading numba and the compiled code takes as long as it saves with so many
)
_MANY = 1000  # boxes for which it is faster, once it is loaded
_LEAST_LIMIT = 0.2  # for which it is fast
_LEAST_SIDE = 1e-5  # of the largest number in boxes: rounding moves edges little then
_SURE = 0.9  # of the limit: what rounding may do to a quotient, and far more
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
    kernel = _kernel([len(candidates) for _, candidates in classes], limit)
    over = _over_all(ranked[:, :4], limit, exponent) if len(ranked) <= _FEW else None

    def go_through(number: int) -> None:
        own, candidates = classes[number]
        if over is not None:
            own[_suppressed_of_few(candidates.tolist(), over)] = 0
            return
        boxes = ranked[candidates, :4]
        lost = None if kernel is None else _suppressed_by(kernel, boxes, limit, exponent)
        own[candidates[_suppressed(boxes, limit, exponent, until) if lost is None else lost]] = 0

    try:
        run_pieces(go_through, len(classes), 1 if kernel is None else worker_count())
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


def box_iou(box: Rows, others: Rows) -> Rows:
    """Intersection over union of one box [4] with others [n, 4], all x, y (centre), w, h: float32 [n].

    Boxes that do not overlap, or have no area together, give 0.

    >>> box_iou(np.float32([0.5, 0.5, 1, 1]), np.float32([[0.5, 0.5, 1, 0.5], [3, 3, 1, 1]])).tolist()
    [0.5, 0.0]
    """
    return _iou(tuple(box), tuple(others.T))


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


# ---------------------------------------------------------------------- one class


def _over_all(boxes: Rows, limit: np.float32, exponent: float | None) -> list[set[int]]:
    """For each of a few boxes [n, 4] those that it overlaps by more than `limit`."""
    first, second = np.divmod(np.arange(len(boxes) ** 2), max(len(boxes), 1))
    columns = np.ascontiguousarray(boxes.T)
    over = _overlap(tuple(columns[:, first]), tuple(columns[:, second]), exponent) > limit
    met: list[set[int]] = [set() for _ in boxes]
    for one, other in zip(first[over].tolist(), second[over].tolist(), strict=True):
        met[one].add(other)
    return met


def _suppressed_of_few(candidates: list[int], over: list[set[int]]) -> list[int]:
    """Which of `candidates`, the best first, are suppressed by better ones that are left."""
    lost: list[int] = []
    left: list[int] = []
    for one in candidates:
        (left if over[one].isdisjoint(left) else lost).append(one)
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
    over = _overlap(one, other, exponent) > limit
    return first[over], second[over]


def _overlap(box: Columns, other: Columns, exponent: float | None) -> Rows:
    overlap = _iou(box, other)
    return overlap if exponent is None else overlap - _distance_term(box, other, exponent)


def _iou(box: Columns, other: Columns) -> Rows:
    """Of boxes as columns x, y, w, h."""
    reach = [
        np.minimum(box[k] + box[k + 2] * _HALF, other[k] + other[k + 2] * _HALF)
        - np.maximum(box[k] - box[k + 2] * _HALF, other[k] - other[k + 2] * _HALF)
        for k in (0, 1)
    ]
    shared = np.where((reach[0] < 0) | (reach[1] < 0), np.float32(0), reach[0] * reach[1])
    union = box[2] * box[3] + other[2] * other[3] - shared
    overlapping = (shared != 0) & (union != 0)
    return np.divide(shared, union, out=np.zeros_like(shared), where=overlapping)


def _distance_term(box: Columns, other: Columns, exponent: float) -> Rows:
    spans = [
        np.maximum(box[k] + box[k + 2] * _HALF, other[k] + other[k + 2] * _HALF)
        - np.minimum(box[k] - box[k + 2] * _HALF, other[k] - other[k + 2] * _HALF)
        for k in (0, 1)
    ]
    diagonal = spans[0] * spans[0] + spans[1] * spans[1]
    distance = (box[0] - other[0]) ** 2 + (box[1] - other[1]) ** 2
    share = np.divide(distance, diagonal, out=np.zeros_like(diagonal), where=diagonal != 0)
    return (share.astype(np.float64) ** exponent).astype(np.float32)


# ---------------------------------------------------------------------- the same, compiled

_Kernel = Callable[..., bool]


class _State:
    """What this process has done so far."""

    pairs = 0
    kernel: _Kernel | None = None

    def __init__(self) -> None:
        self.loading = Lock()  # taken once and for all by who loads it


_state = _State()


def _kernel(counts: list[int], limit: np.float32) -> _Kernel | None:
    """The compiled suppression, where a process compares very many boxes, so many of each class, and numba is there."""
    if not limit >= _LEAST_LIMIT or not max(counts, default=0) >= _MANY:
        return None
    _state.pairs += sum(count**2 for count in counts)
    if _state.kernel is None and _state.pairs > _PAYS_FROM and _state.loading.acquire(blocking=False):
        with passing_over(Exception):  # numba is absent, or cannot work here: NumPy is always right
            from layoutbridge.darknet.detection.kernels import suppress_into

            _suppressed_by(suppress_into, np.ones((2, 4), np.float32), limit, None)
            _state.kernel = suppress_into
    return _state.kernel


def _suppressed_by(kernel: _Kernel, boxes: Rows, limit: np.float32, exponent: float | None) -> NDArray[np.bool_] | None:
    """As `_suppressed`; None for boxes that the compiled code is not sure about, or slow with."""
    largest = max(float(np.abs(boxes).max()), 1.0)
    if not boxes[:, 2:].min() >= _LEAST_SIDE * largest or not largest < inf:  # NaN, too
        return None
    lost = np.zeros(len(boxes), np.bool_)
    power = -1.0 if exponent is None else float(exponent)
    sure: bool = kernel(lost, *np.ascontiguousarray(boxes.T), limit, power, _SURE * float(limit))
    return lost if sure else None
