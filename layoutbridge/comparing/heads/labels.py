"""The best class of each box, as ports give it beside the boxes: whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.heads.columns import Column
from layoutbridge.comparing.heads.entries import Array
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.comparing.heads.matching import Told

_CLEARLY = 4  # times the tolerance that the best class is better than the next where a rounding cannot exchange them
_FROM_ONE = "labels counted from 1, not from 0"
_OTHERS = "labels that are not those of the best class"


def wrong_labels(
    labels: NDArray[Any], group: Group, columns: Sequence[Column], made: Sequence[Column], tolerance: float
) -> tuple[Told, ...] | None:
    """What is wrong with the labels of a group's boxes, if anything is; None where they do not tell.

    `columns` are what else the port gives of its boxes, in the order of the labels, and `made` what these are. Each
    box whose best class is clear is looked for among those of the port that have its label.
    """
    given = np.asarray(labels).reshape(-1).astype(np.int64)
    if given.min(initial=0) < 0 or given.max(initial=0) > group.classes:
        return None
    scale = np.array([each.largest for each in made])[:, None]
    port, wanted = (
        np.stack([np.ones(given.size), *(each.values.reshape(-1) for each in held)]) for held in (columns, made)
    )
    port[1:], wanted[1:] = port[1:] / scale, wanted[1:] / scale
    missing: list[tuple[float, float]] = []  # of labels counted from 0 and from 1
    for best, margin in group.labels():
        clear = (margin > _CLEARLY * tolerance).reshape(-1)
        if clear.any():
            wanted_labels = best.reshape(-1)[clear]
            from_zero, from_one = (
                _missing(port, given, wanted[:, clear], wanted_labels + first, tolerance) for first in (0, 1)
            )
            missing.append((from_zero, from_one))
    if not missing:
        return None
    from_zero, from_one = (min(each[first] for each in missing) for first in (0, 1))
    if not from_zero:
        return ()
    return (Told("", _OTHERS if from_one else _FROM_ONE, from_zero, min(from_zero, from_one)),)


def _missing(port: Array, labels: NDArray[Any], wanted: Array, best: NDArray[Any], tolerance: float) -> float:
    """The share of the boxes that are wanted [columns, boxes] which are not among the port's, with their label.

    Where there are no columns as many must have a label as are wanted.
    """
    count = 0
    for label in np.unique(best):
        own, right = port[:, labels == label], wanted[:, best == label]
        if len(own) == 1 or not own.shape[1]:
            count += max(right.shape[1] - own.shape[1], 0)
            continue
        own = own[:, np.argsort(own[1])]
        starts = np.searchsorted(own[1], right[1] - tolerance)
        ends = np.searchsorted(own[1], right[1] + tolerance, side="right")
        left = np.arange(right.shape[1])
        for step in range(int((ends - starts).max(initial=0))):
            at = np.minimum(starts[left] + step, own.shape[1] - 1)
            off = np.abs(own[:, at] - right[:, left]).max(axis=0, initial=0)
            left = left[(starts[left] + step >= ends[left]) | (off > tolerance)]
        count += len(left)
    return count / len(best)
