"""How a picture is fitted to a network's input, and how boxes come back from there: Darknet's two ways, and YOLOv5's.

| name | the picture | around it |
|---|---|---|
| stretch | `resizing.resize`, whatever its aspect | nothing |
| letterbox | `resizing.resize`, its aspect kept, in the middle | 0.5 |
| ultralytics | linear between the middles of pixels, its aspect kept, in the middle | 114 of 255 |

The last is what YOLOv5, YOLOv8 and those after them are trained and run with. Definition: LetterBox in
ultralytics/data/augment.py and scale_boxes in ultralytics/utils/ops.py; resize of OpenCV with INTER_LINEAR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import Rows, undo_letterbox
from layoutbridge.darknet.detection.pictures import Size, pixels_of
from layoutbridge.darknet.detection.resizing import fitted

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["stretch", "letterbox", "ultralytics"]
_GREY = np.float32(114 / 255)
_TOGETHER = 1 << 16  # numbers that are computed at a time: what the caches hold


def fit(image: Image, channels: int, size: Size, how: Fit) -> NDArray[np.float32]:
    """An image of `open_picture` as float32 [channels, H, W] of the network's `size`, (width, height)."""
    if how != "ultralytics":
        return fitted(image, channels, size, letterboxed=how == "letterbox")
    (across, down), (left, top) = _place(image.size, size)
    pixels = pixels_of(image, channels)
    result = np.full((channels, size[1], size[0]), _GREY, np.float32)
    result[:, top : top + down, left : left + across] = _linear(pixels, across, down) / np.float32(255)
    return result


def unfit(rows: Rows, picture: Size, size: Size, how: Fit) -> Rows:
    """Rows of boxes in shares of the network's input as shares of the picture: [n, 4 and more], a new array."""
    if how == "stretch":
        return rows.copy()
    if how == "letterbox":
        return undo_letterbox(rows, picture, size)
    scale, (left, top) = _scale(picture, size), _place(picture, size)[1]
    result = rows.copy()
    for axis, (margin, whole, length) in enumerate(zip((left, top), size, picture, strict=True)):
        result[..., axis] = (rows[..., axis] * whole - margin) / scale / length
        result[..., axis + 2] = rows[..., axis + 2] * whole / scale / length
    return result


def _scale(picture: Size, size: Size) -> float:
    return min(size[0] / picture[0], size[1] / picture[1])


def _place(picture: Size, size: Size) -> tuple[Size, Size]:
    """The picture's size on the input, and its left upper corner there."""
    scale = _scale(picture, size)
    inner = (max(round(picture[0] * scale), 1), max(round(picture[1] * scale), 1))
    left, top = (round((whole - part) / 2 - 0.1) for whole, part in zip(size, inner, strict=True))
    return inner, (left, top)


def _linear(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """uint8 [C, H, W] at another size, between the middles of pixels and without smoothing, rounded to whole values.

    A few rows after another: what is in the caches is fast.
    """
    channels, old_height, old_width = pixels.shape
    upper, lower, below = _taps(old_height, height)
    left, right, beside = _taps(old_width, width)
    lines = pixels.transpose(1, 2, 0).reshape(old_height, old_width * channels)
    left, right = ((columns * channels + np.arange(channels)[:, None]).ravel() for columns in (left, right))
    beside = np.tile(beside, channels)
    result = np.empty((channels, height, width), np.float32)
    step = max(_TOGETHER // (channels * max(width, old_width)), 1)
    for start in range(0, height, step):
        some = slice(start, start + step)
        share = below[some, None]
        made = lines.take(upper[some], axis=0) * (1 - share) + lines.take(lower[some], axis=0) * share
        made = made.take(left, axis=1, mode="clip") * (1 - beside) + made.take(right, axis=1, mode="clip") * beside
        result[:, some] = np.rint(made, out=made).reshape(-1, channels, width).transpose(1, 0, 2)
    return result


def _taps(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The two places that each new one lies between, and the share of the second."""
    places = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = places.astype(np.intp)
    return first, np.minimum(first + 1, old - 1), (places - first).astype(np.float32)
