"""What a rounded network finds otherwise: boxes that appear, vanish or change their class, or the first class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import Rows

SCORE, OVERLAP = 0.25, 0.5  # what a box must have to count, and two of them to be the same
MOST_BOXES = 1000  # of a picture, the surest: untrained networks find tens of thousands, whose pairs fill the memory
_BOX = 5  # numbers of a row before its scores


@dataclass(frozen=True, slots=True)
class Changes:
    """Of `count` things that the float32 file finds: what changes in int8.

    `of` is "boxes" (over 0.25, the same at an IoU of 0.5), "pictures" (their surest class) or "nothing" for a network
    that has neither. `error` is how far the numbers behind them lie, as a share of theirs (`rounding.loss`).
    """

    of: Literal["boxes", "pictures", "nothing"]
    count: int = 0
    vanished: int = 0
    appeared: int = 0
    other_class: int = 0
    error: float = 0.0

    @property
    def changed(self) -> int:
        """How many in all."""
        return self.vanished + self.appeared + self.other_class

    @property
    def share(self) -> float:
        """They, as a share of what the float32 file finds."""
        return self.changed / max(self.count, 1)


def changed_boxes(wanted: Sequence[Rows], found: Sequence[Rows]) -> Changes:
    """Of each picture's rows [boxes, 5 + classes], after suppression: of its `MOST_BOXES` surest boxes.

    >>> dog = np.array([[0.5, 0.5, 0.2, 0.2, 1, 0.9, 0]], np.float32)
    >>> cat, bird = dog.copy(), dog + np.array([0.3, 0, 0, 0, 0, 0, 0], np.float32)
    >>> cat[0, 5:] = 0, 0.8
    >>> one = changed_boxes([dog, dog, dog], [dog, cat, bird])
    >>> one.count, one.other_class, one.vanished, one.appeared
    (3, 1, 1, 1)
    """
    count = vanished = appeared = other = 0
    for theirs, ours in zip(wanted, found, strict=True):
        before, after = _boxes(theirs), _boxes(ours)
        count += len(before[0])
        overlaps = _overlaps(before[1], after[1])
        alike = before[0][:, None] == after[0]
        left, new = (each.nonzero()[0] for each in _unmatched(np.where(alike, overlaps, 0)))
        still_left, still_new = _unmatched(overlaps[np.ix_(left, new)])
        other += len(left) - int(still_left.sum())
        vanished += int(still_left.sum())
        appeared += int(still_new.sum())
    return Changes("boxes", count, vanished, appeared, other)


def changed_classes(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> Changes:
    """Of scores [N, classes]: how many pictures have another surest class."""
    other = int((wanted.argmax(axis=1) != found.argmax(axis=1)).sum())
    return Changes("pictures", len(wanted), other_class=other)


def _boxes(rows: Rows) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Classes [n] and boxes [n, 4], the surest first and no more than count."""
    places, classes = np.nonzero(rows[:, _BOX:] > 0)
    order = np.argsort(-rows[places, _BOX + classes], kind="stable")[:MOST_BOXES]
    return classes[order], rows[places[order], :4].astype(np.float64)


def _overlaps(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, [n, m], of centres and sizes."""
    low = np.maximum((some[:, :2] - some[:, 2:] / 2)[:, None], others[:, :2] - others[:, 2:] / 2)
    high = np.minimum((some[:, :2] + some[:, 2:] / 2)[:, None], others[:, :2] + others[:, 2:] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = some[:, 2:].prod(axis=1)[:, None] + others[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _unmatched(overlaps: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of either have none of the others: the surest choose first, each the nearest that is free."""
    left, free = np.ones(overlaps.shape[0], bool), np.ones(overlaps.shape[1], bool)
    for place, row in enumerate(overlaps):
        nearest = int(np.where(free, row, -1).argmax()) if free.any() else -1
        if nearest >= 0 and free[nearest] and row[nearest] >= OVERLAP:
            left[place], free[nearest] = False, False
    return left, free
