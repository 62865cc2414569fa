"""The true boxes of a picture, in the text file beside it that Darknet trains with: class, x, y, w, h a line, shares.

Where the file lies is the main fork's rule (the path's /images/val2017/ or /JPEGImages/ become /labels/...); where
nothing is there, every /images/ becomes /labels/, as in the original and in Ultralytics. Definitions:
replace_image_to_label in utils.c and read_boxes in data.c of the main fork.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnusableInputError, shown
from layoutbridge.inputs import exists, read_bytes

_FOLDERS = (  # in its order, the first place of each
    ("/images/train2017/", "/labels/train2017/"),
    ("/images/val2017/", "/labels/val2017/"),
    ("/JPEGImages/", "/labels/"),
    ("/images/train2014/", "/labels/train2014/"),
    ("/images/val2014/", "/labels/val2014/"),
)
_OTHER_FOLDERS = ("/images/", "/labels/")
_LARGEST_LABELS = 16 << 20  # bytes
_NUMBERS = 5  # of a line
_LARGEST = 1e6  # that a share of a picture may be


@dataclass(frozen=True, slots=True)
class Truth:
    """Boxes that are in a picture: `classes` int64 [n]; `boxes` float32 [n, 4], x, y (centre), w, h as shares of it."""

    classes: NDArray[np.int64]
    boxes: NDArray[np.float32]

    @classmethod
    def of(cls, rows: list[tuple[int, float, float, float, float]]) -> Truth:
        """They from rows of class, x, y, w, h.

        >>> len(Truth.of([(1, 0.5, 0.5, 0.25, 0.25)])), len(NOTHING)
        (1, 0)
        """
        classes = np.array([row[0] for row in rows], np.int64)
        return cls(classes, np.array([row[1:] for row in rows], np.float64).astype(np.float32).reshape(-1, 4))

    def __len__(self) -> int:
        return len(self.classes)


NOTHING = Truth.of([])


def label_path(picture: str | os.PathLike[str]) -> str:
    """Where Darknet's main fork looks for a picture's labels.

    >>> label_path("coco/images/val2017/7.jpg"), label_path("VOC2007/JPEGImages/7.png"), label_path("obj/7.jpeg")
    ('coco/labels/val2017/7.txt', 'VOC2007/labels/7.txt', 'obj/7.txt')
    """
    path = _slashed(picture)
    for folder, labels in _FOLDERS:
        path = path.replace(folder, labels, 1)
    return _with_text_ending(path)


def find_labels(picture: str | os.PathLike[str]) -> str | None:
    """The file of a picture's labels, there or where every /images/ is a /labels/; None where neither is."""
    usual = label_path(picture)
    other = _with_text_ending(_slashed(picture).replace(*_OTHER_FOLDERS))
    return next((path for path in dict.fromkeys((usual, other)) if exists(path)), None)


def read_labels(path: str | os.PathLike[str], classes: int) -> Truth:
    """The boxes in a file of labels; none in an empty one.

    Raises `UnusableInputError`, with the line, for one that is not five numbers, and for a class that the model, of
    so many `classes`, has not. Darknet stops reading at the first, and counts the second beyond its memory.
    """
    text = read_bytes(path, "file of labels", most=_LARGEST_LABELS).decode("utf-8-sig", errors="replace")
    rows = [
        _row(words, f"'{os.fspath(path)}', line {number}", classes)
        for number, line in enumerate(text.splitlines(), 1)
        if (words := line.split())
    ]
    return Truth.of(rows)


def _row(words: list[str], where: str, classes: int) -> tuple[int, float, float, float, float]:
    try:
        index, (x, y, w, h) = int(words[0]), map(float, words[1:])
    except ValueError:
        told = "a polygon, or a score?" if len(words) > _NUMBERS else f"{shown(' '.join(words))}"
        raise UnusableInputError(f"{where}: a label is five numbers, class x y w h, not {len(words)}: {told}") from None
    if not all(abs(number) < _LARGEST for number in (x, y, w, h)):  # NaN is not
        raise UnusableInputError(f"{where}: a box of {' '.join(words[1:])[:80]} is none")
    if not 0 <= index < classes:
        raise UnusableInputError(f"{where}: class {shown(index)} is none of the model's {classes}, 0 to {classes - 1}")
    return index, x, y, w, h


def _slashed(picture: str | os.PathLike[str]) -> str:
    return os.fspath(picture).replace("\\", "/") if os.name == "nt" else os.fspath(picture)


def _with_text_ending(path: str) -> str:
    return re.sub(r"\.[^./]*$", "", path) + ".txt" if Path(path).suffix else f"{path}.txt"
