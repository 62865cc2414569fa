"""Detections drawn on their picture: boxes in a colour for each class, labels apart where there is room."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.darknet.detection.fonts import font_and_text
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.darknet.detection.pictures import Size, open_picture
from layoutbridge.errors import UnusableInputError, visible
from layoutbridge.files import whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

    from layoutbridge.darknet.detection.pictures import Picture

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom
Color = tuple[int, int, int]  # RGB

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_SMALLEST_SIDE = 240  # pixels of the longer side under which a drawing is enlarged
_SMALLEST_FONT = 12
_HIDDEN_FROM = 0.25  # of a box's area
_CROWD = 200
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

    `picture` and `upright` as they were for `detect`. The classes of one and the same box share a label. The ending of
    `path` says the format (.png, .jpg, ...); it is written whole or not at all. A picture under 240 pixels
    is drawn enlarged by a whole factor. Raises as `open_picture` does, and `UnusableInputError` for a path that cannot
    be written or has another ending.
    """
    if path is not None and Path(path).suffix.lower() not in _ENDINGS:
        raise UnusableInputError(f"cannot save the drawing as '{path}': its name must end in {', '.join(_ENDINGS)}")
    image = draw_marks(open_picture(picture, upright=upright).convert("RGB"), _marks(detections))
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


def draw_marks(image: Image, marks: Sequence[Mark]) -> Image:
    """A copy of `image` (RGB) with the marks: boxes, the large ones first, then labels, apart where there is room.

    An image whose longer side has under 240 pixels is enlarged by a whole factor first.
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
    taken: list[Rectangle] = []
    others = corners if len(corners) <= _CROWD else []  # in a crowd no place is free, and looking for one takes long
    for mark, box in zip(ordered, corners, strict=True):
        place = _label(pen, mark, box, font_size, line, drawn.size, taken[-_CROWD:], others)
        taken += [place] if place else []
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


def _label(
    pen: Any,
    mark: Mark,
    box: Rectangle,
    font_size: int,
    line: int,
    size: Size,
    taken: Sequence[Rectangle],
    boxes: Sequence[Rectangle],
) -> Rectangle | None:
    font, label = font_and_text(" ".join(mark.label[: _MOST_LETTERS + 1].split()), font_size)
    text = _shortened(label, font, size[0] - 4 * line)
    if not text:
        return None
    margin = max(line, 3)
    ascent, descent = font.getmetrics()
    width, height = round(font.getlength(text)) + 2 * margin, ascent + descent + margin
    places = _places(box, (width, height), size)
    place = min(places, key=lambda one: 2 * sum(_share(one, other) for other in taken) + _hidden(one, boxes))
    color = class_color(mark.color)
    pen.rectangle(place, fill=color)
    bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 128
    pen.text((place[0] + margin, place[1] + margin // 2), text, fill=_DARK if bright else _LIGHT, font=font)
    return place


def _places(box: Rectangle, label: Size, size: Size) -> list[Rectangle]:
    """Where a label may stand, the best first: above the box, at its top, below, at its bottom, a line further."""
    width, height = label
    left = max(min(box[0], size[0] - 1 - width), 0)
    tops = [box[1] - height, box[1], box[3], box[3] - height, box[1] - 2 * height, box[3] + height]
    tops = [top for top in tops if 0 <= top < size[1] - height] or [0]
    return [(left, top, left + width, top + height) for top in tops]


def _share(one: Rectangle, other: Rectangle) -> float:
    """The part of `other` that `one` covers."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0) / max((other[2] - other[0]) * (other[3] - other[1]), 1)


def _hidden(place: Rectangle, boxes: Sequence[Rectangle]) -> float:
    """How many boxes a label would hide, small parts of large ones not counted."""
    return sum(share for share in (_share(place, box) for box in boxes) if share > _HIDDEN_FROM)


def _shortened(text: str, font: Any, most: float) -> str:
    """`text` on one line, cut with … where it is longer than `most` pixels; escaped as elsewhere where need be.

    The longest that fits is looked for by halves, among no more letters than can fit: so it takes no time to speak of.
    """
    letters = visible(" ".join(text[:_MOST_LETTERS].split()))
    if len(text) <= _MOST_LETTERS and font.getlength(letters) <= most:
        return letters
    fitting = bisect_right(range(1, len(letters) + 1), most, key=lambda length: font.getlength(letters[:length] + "…"))
    return letters[:fitting] and letters[:fitting] + "…"
