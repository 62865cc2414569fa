"""Precision and recall as Darknet's `detector map` counts them, picture after picture.

Per picture, each class's score over .005 of each box that the suppression left is a detection, in the order that the
suppression left the boxes. It takes the true box of its class with the largest overlap over `iou`, be that one taken
already. For average precision the detections of all pictures are ranked by their scores, those of one score as they
came, and the first that takes a true box is right. At `threshold` they are counted apart: the first detection of a
picture that takes a true box is right where its score is over the threshold, even where a surer one comes later; one
that is dropped as difficult is wrong there. A class without true boxes has an average precision of 0, and counts in the
mean. Definition: validate_detector_map in detector.c of the main fork.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import Rows
from layoutbridge.darknet.detection.overlaps import box_iou
from layoutbridge.darknet.evaluation.labels import NOTHING, Truth

SCORES_FROM = 0.005  # that Darknet counts
_MOST_IN_CURVE = 200
_BOX = 5  # numbers of a row before its scores


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class: `average_precision` over all detections, the rest of those over the threshold."""

    label: str
    class_index: int
    average_precision: float
    truths: int
    true_positives: int
    false_positives: int
    precision: float
    recall: float
    average_iou: float


@dataclass(frozen=True, slots=True)
class DarknetCount:
    """What Darknet's `detector map` prints: shares from 0 to 1, where it prints some in percent.

    `mean_average_precision` is the mean over `classes`; `detections` is how many there were, sure or not, and `truths`
    of how many boxes. The rest is at `threshold`. A share of nothing is 0, where Darknet prints nan. `curves` are, of
    each class, recalls with the best precision there or at more, as `precision_curve` gives them.
    """

    iou: float
    points: int
    threshold: float
    mean_average_precision: float
    precision: float
    recall: float
    f1: float
    average_iou: float
    true_positives: int
    false_positives: int
    false_negatives: int
    detections: int
    truths: int
    classes: tuple[ClassCount, ...]
    curves: tuple[tuple[tuple[float, float], ...], ...] = field(default=(), repr=False)


class Counter:
    """Counts picture after picture: `add` each, then ask for the `count`.

    >>> row = np.float32([[0.5, 0.5, 0.2, 0.2, 0.9, 0.8]])
    >>> counter = Counter(["dog"])
    >>> counter.add(row, Truth.of([(0, 0.5, 0.5, 0.2, 0.25)]))
    >>> counter.count(points=0).mean_average_precision
    1.0
    """

    def __init__(self, names: list[str], *, iou: float = 0.5, threshold: float = 0.25) -> None:
        self.names, self.iou, self.threshold = names, iou, threshold
        self._scores: list[NDArray[np.float32]] = []
        self._classes: list[NDArray[np.intp]] = []
        self._taken: list[NDArray[np.intp]] = []  # the number of the true box, -1 for none
        self._truths = np.zeros(len(names), np.int64)
        self._right = np.zeros(len(names), np.int64)
        self._wrong = np.zeros(len(names), np.int64)
        self._overlap = np.zeros(len(names))

    def add(self, rows: Rows, truth: Truth, difficult: Truth = NOTHING) -> None:
        """A picture's boxes that were left, as `suppress` gives them, [boxes, 5 + classes], in shares of it.

        Detections that take no box of `truth` and are one of `difficult` are left out of the ranks.
        """
        places, classes = np.nonzero(rows[:, _BOX:] > 0)
        scores = rows[places, _BOX + classes]
        taken, overlap = _best(rows[places, :4], classes, truth, self.iou)
        first = np.zeros(len(taken), np.bool_)
        first[np.unique(taken, return_index=True)[1]] = True
        first &= taken >= 0
        sure = scores > np.float32(self.threshold)
        count = len(self.names)
        self._right += np.bincount(classes[sure & first], minlength=count)
        self._wrong += np.bincount(classes[sure & ~first], minlength=count)
        self._overlap += np.bincount(classes[sure & first], overlap[sure & first], minlength=count)
        kept = (taken >= 0) | (_best(rows[places, :4], classes, difficult, self.iou)[0] < 0)
        self._scores.append(scores[kept])
        self._classes.append(classes[kept])
        self._taken.append(np.where(taken < 0, -1, taken + self._truths.sum())[kept])
        self._truths += np.bincount(truth.classes, minlength=count)

    def count(self, *, points: int = 0) -> DarknetCount:
        """All of it; `points` as `average_precision` takes them."""
        empty: list[Any] = [np.zeros(0, np.intp)]
        scores, classes, taken = (np.concatenate(each or empty) for each in (self._scores, self._classes, self._taken))
        rows, curves = [], []
        for index, label in enumerate(self.names):
            own = np.flatnonzero(classes == index)
            order = own[np.argsort(-scores[own], kind="stable")]
            right, wrong, truths = int(self._right[index]), int(self._wrong[index]), int(self._truths[index])
            found = _is_first(taken[order])
            precision = average_precision(found, truths, points)
            curves.append(precision_curve(found, truths))
            overlap = _share(float(self._overlap[index]), right + wrong)
            rows.append(
                ClassCount(
                    label, index, precision, truths, right, wrong,
                    _share(right, right + wrong), _share(right, truths), overlap,
                )
            )  # fmt: skip
        right, wrong, truths = (int(each.sum()) for each in (self._right, self._wrong, self._truths))
        precision, recall = _share(right, right + wrong), _share(right, truths)
        return DarknetCount(
            iou=self.iou,
            points=points,
            threshold=self.threshold,
            mean_average_precision=sum(row.average_precision for row in rows) / len(rows),
            precision=precision,
            recall=recall,
            f1=_share(2 * precision * recall, precision + recall),
            average_iou=_share(float(self._overlap.sum()), right + wrong),
            true_positives=right,
            false_positives=wrong,
            false_negatives=truths - right,
            detections=len(scores),
            truths=truths,
            classes=tuple(rows),
            curves=tuple(curves),
        )


def average_precision(right: NDArray[np.bool_], truths: int, points: int = 0) -> float:
    """Of a class's detections, the surest first, whether each is `right`, where there are so many `truths`.

    `points` 0 is the area under the curve of the best precision at each recall or more, as ImageNet and Pascal VOC
    since 2010 have it; 11 (Pascal VOC 2007) or 101 (COCO) the mean of that precision at so many recalls from 0 to 1.

    >>> average_precision(np.array([True, False, True]), 2), average_precision(np.array([False, False]), 0)
    (0.8333333333333333, 0.0)
    """
    if truths == 0 or len(right) == 0:
        return 0.0
    recall, best = _best_precisions(right, truths)
    if points == 0:
        return float(np.sum(np.diff(recall, prepend=0) * best))
    # times the reciprocal, as -Ofast of its makefiles has it: of ten boxes the third is then not at a recall of 0.3
    asked = np.arange(points) * (1.0 / (points - 1))
    places = np.searchsorted(recall, asked)
    return float(np.sum(best[places[places < len(best)]]) / points)


def precision_curve(right: NDArray[np.bool_], truths: int) -> tuple[tuple[float, float], ...]:
    """Recalls, rising, with the best precision there or at more, to be drawn as steps: 200 of them at most.

    Arguments are those of `average_precision`. Of more precisions every so many are kept.

    >>> precision_curve(np.array([True, False, True]), 2), precision_curve(np.array([False]), 1)
    (((0.5, 1.0), (1.0, 0.6666666666666666)), ())
    """
    if truths == 0 or not right.any():
        return ()
    recall, best = (each[right] for each in _best_precisions(right, truths))
    last = np.append(np.flatnonzero(np.diff(best)), len(best) - 1)  # of each run of one precision
    if len(last) > _MOST_IN_CURVE:
        last = last[np.unique(np.linspace(0, len(last) - 1, _MOST_IN_CURVE).round().astype(np.intp))]
    return tuple(zip(recall[last].tolist(), best[last].tolist(), strict=True))


def _best_precisions(right: NDArray[np.bool_], truths: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The recall behind each detection, and the best precision there or at more."""
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    return found / truths, np.maximum.accumulate(precision[::-1])[::-1]


def _best(
    boxes: Rows, classes: NDArray[np.intp], truth: Truth, iou: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each box the true one of its class with the largest overlap over `iou`, -1 for none; the overlaps."""
    if not len(truth) or not len(boxes):
        return np.full(len(boxes), -1), np.zeros(len(boxes), np.float32)
    overlaps = np.zeros((len(boxes), len(truth)), np.float32)
    for index in np.unique(truth.classes):
        own = np.flatnonzero(classes == index)
        for number in np.flatnonzero(truth.classes == index):
            overlaps[own, number] = box_iou(truth.boxes[number], boxes[own])
    overlaps[~(overlaps > np.float32(iou))] = 0
    best = overlaps.argmax(axis=1)
    largest = overlaps[np.arange(len(boxes)), best]
    return np.where(largest > 0, best, -1), largest


def _is_first(taken: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether each takes a true box that none before it has taken."""
    first = np.zeros(len(taken), np.bool_)
    first[np.unique(taken, return_index=True)[1]] = True
    return first & (taken >= 0)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
