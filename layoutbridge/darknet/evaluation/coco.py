"""Precision and recall as COCO's own program counts them, by faster-coco-eval, whose numbers are pycocotools'.

Scores over .001 and a suppression at .6 are what Darknet's `detector valid` writes for it. Of a picture, the surest
hundred of each class count, cut off at the picture's edges. Definitions: validate_detector and print_cocos in
detector.c of the main fork; cocoeval.py of pycocotools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layoutbridge.darknet.detection.boxes import Rows
from layoutbridge.darknet.evaluation.datasets import Dataset
from layoutbridge.darknet.evaluation.labels import Truth
from layoutbridge.frameworks.base import require

SCORES_FROM, OVERLAP = 0.001, 0.6
STATISTICS = (  # in the order of both programs
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
_MOST = 100  # of a class in a picture
_BOX = 5  # numbers of a row before its scores


@dataclass(frozen=True, slots=True)
class CocoCount:
    """COCO's twelve numbers: shares from 0 to 1, and −1 where there is nothing to find.

    `ap` is the mean over the classes and over the overlaps .5, .55, ..., .95; `ap50` and `ap75` at one of these.
    `small` are boxes under 32² pixels, `large` those over 96². `ar1`, `ar10`, `ar100` are the mean recalls with so many
    detections of a class in a picture. `class_aps` is `ap` of each class, `class_curves` the precisions of each at 101
    recalls from 0 to 1 and an overlap of .5: none where there is nothing to find.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    class_aps: tuple[float, ...] = ()
    class_curves: tuple[tuple[float, ...], ...] = field(default=(), repr=False)


class Collector:
    """Collects the detections of picture after picture: `add` each, then ask for the `count`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._program = require_program()
        self._sizes: dict[int, tuple[int, int]] = {}
        self._found: list[dict[str, Any]] = []

    def add(self, number: int, rows: Rows, size: tuple[int, int]) -> None:
        """What was found in the picture of that `number`: rows [boxes, 5 + classes] in shares of its `size`."""
        self._sizes[number] = size
        sides = np.array([*size, *size], np.float64)
        x, y, w, h = (rows[:, :4] * sides).T
        left, top = np.maximum(x - w / 2, 0), np.maximum(y - h / 2, 0)
        right, bottom = np.minimum(x + w / 2, size[0]), np.minimum(y + h / 2, size[1])
        boxes = np.stack([left, top, right - left, bottom - top], axis=-1)
        for index, category in enumerate(self.dataset.categories):
            scores = rows[:, _BOX + index]
            places = np.flatnonzero(scores > 0)
            if category is None or not len(places):
                continue
            for place in places[np.argsort(-scores[places], kind="stable")][:_MOST]:
                self._found.append(
                    {
                        "image_id": number,
                        "category_id": category,
                        "bbox": boxes[place].tolist(),
                        "score": float(scores[place]),
                    }
                )

    def count(self) -> CocoCount:
        """All of it."""
        annotations = self._annotations()
        found = [
            {**one, "id": number, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0}
            for number, one in enumerate(self._found, 1)
        ]
        truth, results = (
            self._program.COCO({**annotations, "annotations": boxes}) for boxes in (annotations["annotations"], found)
        )
        counted = self._program.COCOeval_faster(truth, results, "bbox", print_function=_silent)
        counted.evaluate()
        counted.accumulate()
        counted.summarize()
        numbers = dict(zip(STATISTICS, map(float, counted.stats[: len(STATISTICS)]), strict=True))
        precision = np.asarray(counted.eval["precision"])[:, :, :, 0, -1]  # [overlaps, recalls, categories]
        own = dict(zip(counted.params.catIds, np.moveaxis(precision, 2, 0), strict=True))
        class_aps = tuple(_mean(own.get(each)) for each in self.dataset.categories)
        curves = tuple(_curve(own.get(each)) for each in self.dataset.categories)
        return CocoCount(**numbers, class_aps=class_aps, class_curves=curves)

    def _annotations(self) -> dict[str, Any]:
        """The truth in COCO's form: as it was read, without outlines; of labels made in the picture's pixels."""
        read = self.dataset.annotations
        if read is not None:
            boxes = [
                {
                    "image_id": one["image_id"],
                    "category_id": one["category_id"],
                    "bbox": one["bbox"],
                    "area": one.get("area", one["bbox"][2] * one["bbox"][3]),
                    "iscrowd": int(bool(one.get("iscrowd"))),
                }
                for one in read["annotations"]
            ]
            images = [{name: one[name] for name in ("id", "width", "height")} for one in read["images"]]
            categories = [{name: one[name] for name in ("id", "name")} for one in read["categories"]]
        else:
            images = [{"id": number, "width": size[0], "height": size[1]} for number, size in self._sizes.items()]
            boxes = [
                box
                for one in self.dataset.pictures
                for truth, crowd in ((one.truth, 0), (one.difficult, 1))
                for box in self._boxes(one.number, truth, crowd)
            ]
            categories = [{"id": number, "name": str(number)} for number in self.dataset.categories]
        numbered = [{**box, "id": number} for number, box in enumerate(boxes, 1)]
        return {"images": images, "annotations": numbered, "categories": categories}

    def _boxes(self, number: int, truth: Truth, crowd: int) -> list[dict[str, Any]]:
        width, height = self._sizes[number]
        made = []
        for index, (x, y, w, h) in zip(truth.classes, truth.boxes.astype(np.float64).tolist(), strict=True):
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            made.append(
                {
                    "image_id": number,
                    "category_id": self.dataset.categories[index],
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": crowd,
                }
            )
        return made


def require_program() -> Any:
    """The module that counts; raises `MissingFrameworkError` where it is not installed."""
    return require("faster_coco_eval", "faster-coco-eval", "coco")


def _mean(precision: Sequence[Any] | None) -> float:
    """Of the places that have one: −1 says that there is nothing to find."""
    told = np.zeros(0) if precision is None else np.asarray(precision)
    told = told[told > -1]
    return float(told.mean()) if told.size else -1.0


def _curve(precision: Sequence[Any] | None) -> tuple[float, ...]:
    """The precisions at the least of the overlaps, from those [overlaps, recalls] of a class."""
    first = np.zeros(0) if precision is None else np.asarray(precision[0], np.float64)
    return tuple(first.tolist()) if first.size and first.max() > -1 else ()


def _silent(*_: object) -> None:
    pass
