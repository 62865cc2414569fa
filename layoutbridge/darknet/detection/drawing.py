"""Detections drawn on their picture: boxes in a colour for each class, labels apart where there is room."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.fonts import font_and_text
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.darknet.detection.pictures import Size, open_picture
from layoutbridge.errors import UnusableInputError, visible
from layoutbridge.files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

    from layoutbridge.darknet.detection.pictures import Picture

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom
Rectangles = NDArray[np.int64]  # [n, 4]
Color = tuple[int, int, int]  # RGB

MOST_DRAWN = 2000  # more on a picture tell nobody anything
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_SMALLEST_SIDE = 240  # pixels of the longer side under which a drawing is enlarged
_SMALLEST_FONT = 12
_HIDDEN_FROM = 0.25  # of a box's area
_CROWD = 200
_TEXTS_KEPT = 4096
_GOLDEN = 0.6180339887498949  # of a turn of hue from class to class: neighbours differ, and none repeats soon
_MOST_LETTERS = 2000  # of a label that are looked at
_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)


def draw(
    picture: Picture,
    detections: Sequence[Detection],
    path: str | os.PathLike[str] | None = None,
    *,
    upright: bool = True,
) -> Image:
    """The picture with the detections drawn on it, in a colour for each class; saved to `path` where given.

    `picture` and `upright` as they were for `detect`. The classes of one and the same box share a label. Of more than
    `MOST_DRAWN` detections the surest are drawn, and a line at the bottom says how many more there are. The ending of
    `path` says the format (.png, .jpg, ...); it is written whole or not at all. A picture under 240 pixels
    is drawn enlarged by a whole factor. Raises as `open_picture` does, and `UnusableInputError` for a path that cannot
    be written or has another ending.
    """
    if path is not None and Path(path).suffix.lower() not in _ENDINGS:
        raise UnusableInputError(f"cannot save the drawing as '{path}': its name must end in {', '.join(_ENDINGS)}")
    shown = detections
    if len(detections) > MOST_DRAWN:
        shown = sorted(detections, key=lambda one: -one.score)[:MOST_DRAWN]
    told = f"and {len(detections) - len(shown):,} more" if len(shown) < len(detections) else ""
    image = draw_marks(open_picture(picture, upright=upright).convert("RGB"), _marks(shown), told)
    if path is not None:
        with whole_file(path) as temporary:
            try:
                image.save(temporary, quality=95)
            except (OSError, ValueError) as error:  # a full disk, or a size that the format does not have
                raise UnusableInputError(f"cannot save the drawing as '{path}': {error}") from None
    return image


def _marks(detections: Sequence[Detection]) -> list[Mark]:
    """One mark for each box, its classes in one label."""
    by_box: dict[tuple[float, ...], list[Detection]] = {}
    for one in detections:
        by_box.setdefault((one.left, one.top, one.width, one.height), []).append(one)
    return [
        Mark(found[0].left, found[0].top, found[0].width, found[0].height, _label_of(found), found[0].class_index)
        for found in by_box.values()
    ]


def _label_of(detections: Sequence[Detection]) -> str:
    """The start of it, at least as much as is looked at: a box may have thousands of classes."""
    seen = islice(detections, _MOST_LETTERS // 5)  # of five letters and more each
    return ", ".join(f"{''.join(islice(one.label, _MOST_LETTERS))} {one.score:.0%}" for one in seen)


@dataclass(frozen=True, slots=True)
class Mark:
    """A box in pixels of the picture, the label at it, and the number of its colour."""

    left: float
    top: float
    width: float
    height: float
    label: str
    color: int


def class_color(number: int) -> Color:
    """The colour of a class: always the same one, bright, RGB in 0 to 255.

    >>> class_color(0), class_color(1)
    ((255, 64, 64), (64, 120, 255))
    """
    hue = (number * _GOLDEN) % 1
    red, green, blue = hsv_to_rgb(hue, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_marks(image: Image, marks: Sequence[Mark], told: str = "") -> Image:
    """A copy of `image` (RGB) with the marks: boxes, the large ones first, then labels, apart where there is room.

    An image whose longer side has under 240 pixels is enlarged by a whole factor first. What is `told` of the whole
    stands at the bottom.
    """
    from PIL import Image as images
    from PIL import ImageDraw

    factor = max(-(-_SMALLEST_SIDE // max(image.size)), 1) if max(image.size) < _SMALLEST_SIDE else 1
    drawn = image.resize((image.width * factor, image.height * factor), images.Resampling.NEAREST)
    pen = ImageDraw.Draw(drawn)
    scale = (drawn.width * drawn.height) ** 0.5
    font_size = max(round(scale * 0.022), _SMALLEST_FONT)
    line = max(round(scale * 0.004), 2)
    ordered = sorted(marks, key=lambda mark: -mark.width * mark.height)
    corners = [_corners(mark, factor, drawn.size, line) for mark in ordered]
    for mark, box in zip(ordered, corners, strict=True):
        _frame(pen, box, class_color(mark.color), line)
    labels = _placed(ordered, corners, font_size, line, drawn.size)
    if told:
        bottom = (0, drawn.height - 1, 0, drawn.height - 1)
        labels += _placed([Mark(0, 0, 0, 0, told, 0)], [bottom], font_size, line, drawn.size, _DARK)
    letters = lru_cache(_TEXTS_KEPT)(_letters)
    for label in _seen(labels, drawn.size):
        pen.rectangle(label.place, fill=label.color)
        bright = 0.299 * label.color[0] + 0.587 * label.color[1] + 0.114 * label.color[2] > 128
        mask, (left, top) = letters(label.text, label.font)
        if mask is not None:
            at = (label.place[0] + label.margin + left, label.place[1] + label.margin // 2 + top)
            drawn.paste(_DARK if bright else _LIGHT, at, mask)
    return drawn


def _corners(mark: Mark, factor: int, size: tuple[int, int], line: int) -> Rectangle:
    """The box on the drawing, kept inside it so that its lines are seen; at least as large as its lines."""
    width, height = size
    left, right = _kept(mark.left * factor, (mark.left + mark.width) * factor, width, line)
    top, bottom = _kept(mark.top * factor, (mark.top + mark.height) * factor, height, line)
    return left, top, right, bottom


def _kept(first: float, last: float, length: int, line: int) -> tuple[int, int]:
    low, high = (min(max(0.0, value), length - 1.0) for value in (first, last))
    start, stop = round(min(low, high)), round(max(low, high))
    missing = max(2 * line - (stop - start), 0)
    start = max(min(start - missing // 2, length - 1 - 2 * line), 0)
    return start, min(max(stop, start + 2 * line), length - 1)


def _frame(pen: Any, box: Rectangle, color: Color, line: int) -> None:
    pen.rectangle(box, outline=_DARK, width=line + max(line // 2, 1))  # a dark rim inside, seen on bright ground
    pen.rectangle(box, outline=color, width=line)


@dataclass(frozen=True, slots=True)
class _Label:
    """A text, where it stands, and the margin around it."""

    text: str
    font: Any
    place: Rectangle
    margin: int
    color: Color


def _placed(
    marks: Sequence[Mark],
    corners: Sequence[Rectangle],
    font_size: int,
    line: int,
    size: Size,
    color: Color | None = None,
) -> list[_Label]:
    """The marks' labels in order, each where it covers the least of those before it, and of the boxes."""
    margin = max(line, 3)
    others = np.array(corners if len(corners) <= _CROWD else [], np.int64).reshape(-1, 4)  # in a crowd no place is free
    taken, labels = np.zeros((len(marks), 4), np.int64), list[_Label]()

    @lru_cache(_TEXTS_KEPT)
    def shortened(text: str) -> tuple[Any, str, float]:
        font, letters = font_and_text(" ".join(text[: _MOST_LETTERS + 1].split()), font_size)
        return font, *_shortened(letters, font, size[0] - 4 * line)

    for mark, box in zip(marks, corners, strict=True):
        font, text, length = shortened(mark.label)
        if not text:
            continue
        places = _places(box, (round(length) + 2 * margin, sum(font.getmetrics()) + margin), size)
        count = len(labels)
        best = 0 if len(places) == 1 else _least_covering(places, taken[max(count - _CROWD, 0) : count], others)
        taken[count] = places[best]
        labels.append(_Label(text, font, places[best], margin, class_color(mark.color) if color is None else color))
    return labels


def _seen(labels: Sequence[_Label], size: Size) -> list[_Label]:
    """Those that later ones do not cover wholly: to write a text takes longer than all else."""
    seen: list[_Label] = []
    covered = np.zeros(size[::-1], np.bool_)
    for label in reversed(labels):
        left, top, right, bottom = label.place
        under = covered[top : bottom + 1, left : right + 1]
        if not under.all():
            under[:] = True
            seen.append(label)
    return seen[::-1]


def _letters(text: str, font: Any) -> tuple[Image | None, tuple[int, int]]:
    """A text as a picture of one channel, and where that stands, seen from where it is written."""
    from PIL import Image as images
    from PIL import ImageDraw

    edge = sum(font.getmetrics())  # letters may reach beyond their line
    sheet = images.new("L", (round(font.getlength(text)) + 2 * edge, 3 * edge))
    ImageDraw.Draw(sheet).text((edge, edge), text, fill=255, font=font)
    box = sheet.getbbox()
    return (None, (0, 0)) if box is None else (sheet.crop(box), (box[0] - edge, box[1] - edge))


def _places(box: Rectangle, label: Size, size: Size) -> list[Rectangle]:
    """Where a label may stand, the best first: above the box, at its top, below, at its bottom, a line further."""
    width, height = label
    left = max(min(box[0], size[0] - 1 - width), 0)
    tops = [box[1] - height, box[1], box[3], box[3] - height, box[1] - 2 * height, box[3] + height]
    tops = [top for top in tops if 0 <= top < size[1] - height] or [0]
    return [(left, top, left + width, top + height) for top in tops]


def _least_covering(places: Sequence[Rectangle], taken: Rectangles, boxes: Rectangles) -> int:
    """Which of the places covers the least of other labels, and hides the least of boxes: small parts do not count."""
    hidden = _shares(places, boxes)
    hidden[hidden <= _HIDDEN_FROM] = 0
    return int(np.argmin(2 * _shares(places, taken).sum(axis=1) + hidden.sum(axis=1)))


def _shares(places: Sequence[Rectangle], others: Rectangles) -> NDArray[np.float64]:
    """The part of each of `others` [n, 4] that each of the places covers: [places, n]."""
    left, top, right, bottom = np.array(places).T[:, :, None]
    across = np.minimum(right, others[:, 2]) - np.maximum(left, others[:, 0])
    down = np.minimum(bottom, others[:, 3]) - np.maximum(top, others[:, 1])
    whole = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    shares: NDArray[np.float64] = np.maximum(across, 0) * np.maximum(down, 0) / np.maximum(whole, 1)
    return shares


def _shortened(text: str, font: Any, most: float) -> tuple[str, float]:
    """`text` on one line, cut with … where it is longer than `most` pixels, and how long it is then.

    Escaped as elsewhere where need be. The longest that fits is looked for by halves, among no more letters than can
    fit: so it takes no time to speak of.
    """
    letters = visible(" ".join(text[:_MOST_LETTERS].split()))
    if len(text) <= _MOST_LETTERS and (length := font.getlength(letters)) <= most:
        return letters, length
    fitting = bisect_right(range(1, len(letters) + 1), most, key=lambda length: font.getlength(letters[:length] + "…"))
    cut = letters[:fitting] and letters[:fitting] + "…"
    return cut, font.getlength(cut)
