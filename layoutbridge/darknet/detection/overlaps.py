"""How much boxes overlap, in float32 and in the order of Darknet's own operations: the same to the last bit.

Definitions: box_iou, box_diou and box_diounms in box.c of the forks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Columns = tuple[Rows, ...]

_HALF = np.float32(0.5)


def box_iou(box: Rows, others: Rows) -> Rows:
    """Intersection over union of one box [4] with others [n, 4], all x, y (centre), w, h: float32 [n].

    Boxes that do not overlap, or have no area together, give 0.

    >>> box_iou(np.float32([0.5, 0.5, 1, 1]), np.float32([[0.5, 0.5, 1, 0.5], [3, 3, 1, 1]])).tolist()
    [0.5, 0.0]
    """
    return _iou(tuple(box), tuple(others.T))


def overlaps(box: Columns, other: Columns, exponent: float | None) -> Rows:
    """What is held against a suppression's threshold, of boxes in pairs: float32 [n].

    Both are columns x, y (centre), w, h, float32 [n] or what gives that together; `exponent` is the one that
    `suppression.distance_exponent` gives.
    """
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
