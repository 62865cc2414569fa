"""Darknet's resize and letterbox, in NumPy: the same float32 numbers as its loops give, in a tenth of the time.

Darknet resizes in two passes, columns then rows, at the positions k·(old − 1)/(new − 1) in float32, with neither
smoothing nor a half-pixel shift; where rounding puts the last row just before the last of the old, that row comes out
dark, and so it does here. Definitions: resize_image, letterbox_image and embed_image in image.c of both forks.

Only rows that the result takes from are looked at, each once, and so many at a time as the caches hold.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.pictures import Size, check_channels, packed_pixels_of, pixels_of
from layoutbridge.errors import ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[Any]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_FILL = 0.5
_STRIP = 1 << 20  # pixels that are converted at a time
_MOST_AT_ONCE = 1 << 22  # pixels that are converted at once for the compiled one
_PAYS_FROM = 300  # pictures: loading numba and the compiled resize takes as long as it saves with so many
_TOGETHER = 1 << 16  # numbers that are computed at a time: what the caches hold
_BYTE = np.float32(255)


def resize(pixels: Pixels, width: int, height: int) -> Floats:
    """`pixels` [C, H, W] as float32 [C, height, width], by Darknet's resize; uint8 counts as shares of 255.

    Only the places that the result takes from are converted, so a large picture costs no copy of itself. A new
    width or height of 1, where Darknet divides by zero, takes the last column or row. Raises `ShapeError` for a
    size below 1.

    >>> resize(np.float32([[[0, 1], [2, 3]]]), 3, 3).tolist()
    [[[0.0, 0.5, 1.0], [1.0, 1.5, 2.0], [2.0, 2.5, 3.0]]]
    """
    if pixels.ndim != 3 or min(pixels.shape) < 1 or min(width, height) < 1:
        raise ShapeError(f"cannot resize pixels of shape {list(pixels.shape)} to {width}×{height}: [C, H, W] is wanted")
    result = np.empty((len(pixels), height, width), np.float32)
    _resize_into(result, _lines_of_pixels(pixels))
    return result


def letterbox(pixels: Pixels, width: int, height: int) -> Floats:
    """`pixels` [C, H, W] at their own aspect in the middle of float32 [C, height, width], the rest 0.5."""
    if pixels.ndim != 3 or min(pixels.shape) < 1 or min(width, height) < 1:
        raise ShapeError(f"cannot fit pixels of shape {list(pixels.shape)} in {width}×{height}: [C, H, W] is wanted")
    return _letterboxed(_lines_of_pixels(pixels), (width, height))


def fitted(image: Image, channels: int, size: Size, *, letterboxed: bool) -> Floats:
    """An image of `open_picture` as `resize` or `letterbox` make it of its `pixels_of`: float32 [channels, H, W].

    `size` is (width, height). The image is gone through in strips, so a large one costs no copy of itself. Raises as
    `pixels_of`.
    """
    check_channels(channels)
    kernel = _kernel() if channels > 1 and image.width * image.height <= _MOST_AT_ONCE else None
    if kernel is not None:
        return _compiled(kernel, image, channels, size, letterboxed=letterboxed)
    lines = _lines_of_image(image, channels)
    if letterboxed:
        return _letterboxed(lines, size)
    result = np.empty((channels, size[1], size[0]), np.float32)
    _resize_into(result, lines)
    return result


def expect(pictures: int) -> None:
    """Count pictures that are going to be resized as if they had been: what pays with many pays from the first on."""
    _state.pictures += pictures


def letterbox_size(picture: Size, network: Size) -> Size:
    """The size that a picture takes on the network's input when its aspect is kept: whole numbers, rounded down.

    At least 1 either way, where Darknet would make an empty picture of a very long one.

    >>> letterbox_size((640, 480), (416, 416))
    (416, 312)
    """
    width, height = picture
    across, down = network
    if np.float32(across) / np.float32(width) < np.float32(down) / np.float32(height):
        return across, max(height * across // width, 1)
    return max(width * down // height, 1), down


def _letterboxed(lines: _Lines, size: Size) -> Floats:
    (across, down), (left, top) = _place((lines.width, lines.height), size)
    boxed = np.full((lines.channels, size[1], size[0]), _FILL, np.float32)
    _resize_into(boxed[:, top : top + down, left : left + across], lines)
    return boxed


def _place(picture: Size, size: Size) -> tuple[Size, Size]:
    """A letterboxed picture's size on the input, and its left upper corner there."""
    across, down = letterbox_size(picture, size)
    return (across, down), ((size[0] - across) // 2, (size[1] - down) // 2)


# ---------------------------------------------------------------------- where pixels come from


@dataclass(frozen=True, slots=True)
class _Lines:
    """A picture by its rows: `take(rows)`, of rows in order, gives [rows, width * channels].

    Of a row pixel x of channel c stands at x * `pixel_step` + c * `channel_step`.
    """

    take: Callable[[Places], Pixels]
    channels: int
    height: int
    width: int
    pixel_step: int
    channel_step: int


def _lines_of_pixels(pixels: Pixels) -> _Lines:
    channels, height, width = pixels.shape

    def take(rows: Places) -> Pixels:
        return pixels[:, rows].transpose(1, 0, 2).reshape(len(rows), channels * width)

    return _Lines(take, channels, height, width, 1, width)


def _lines_of_image(image: Image, channels: int) -> _Lines:
    width, height = image.size

    def take(rows: Places) -> Pixels:
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        part = pixels_of(image.crop((0, top, width, bottom)), channels)
        lines = part.transpose(1, 2, 0).reshape(bottom - top, width * channels)
        return lines if len(rows) == len(lines) else lines[rows - top]

    return _Lines(take, channels, height, width, channels, 1)


# ---------------------------------------------------------------------- Darknet's arithmetic


def _resize_into(result: Floats, lines: _Lines) -> None:
    """Fill `result` [C, H, W] with the picture at its size, a few rows after another: what is in the caches is fast."""
    channels, height, width = result.shape
    left, right, near, far = _taps_across(lines.width, width)
    upper, lower, above, below = _taps_down(lines.height, height)
    same = (width, height) == (lines.width, lines.height)
    if same:
        left, upper, lower = np.arange(width), np.arange(height), np.arange(height)
    across = _Across(lines, left, right, near, None if same else far)
    step = max(_TOGETHER // (channels * width), 1)
    for start in range(0, height, step):
        some = slice(start, start + step)
        rows = np.unique(np.concatenate([upper[some], lower[some]]))
        made = across.of(rows)
        if not same:
            mixed, other = (made.take(np.searchsorted(rows, each[some]), axis=0) for each in (upper, lower))
            mixed *= above[some, None]
            other *= below[some, None]
            made = np.add(mixed, other, out=mixed)
        result[:, some] = made.reshape(-1, channels, width).transpose(1, 0, 2)


class _Across:
    """The first pass: rows of a picture, each number mixed from two of the old; as they were where `far` is None."""

    def __init__(self, lines: _Lines, left: Places, right: Places, near: Floats, far: Floats | None) -> None:
        starts = np.arange(lines.channels)[:, None] * lines.channel_step
        self._lines = lines
        self._left, self._right = ((starts + columns * lines.pixel_step).ravel() for columns in (left, right))
        self._near = np.tile(near, lines.channels)
        self._far = None if far is None else np.tile(far, lines.channels)

    def of(self, rows: Places) -> Floats:
        """Rows in order as float32 [rows, channels * new width], read in strips: a large picture has long ones."""
        strips = rows // max(_STRIP // self._lines.width, 1)
        if strips[0] == strips[-1]:
            return self._mixed(self._lines.take(rows))
        parts = np.split(rows, np.flatnonzero(np.diff(strips)) + 1)
        return np.concatenate([self._mixed(self._lines.take(part)) for part in parts])

    def _mixed(self, taken: Pixels) -> Floats:
        new = _as_float(taken.take(self._left, axis=1, mode="clip"))
        if self._far is not None:
            other = _as_float(taken.take(self._right, axis=1, mode="clip"))
            new *= self._near
            other *= self._far
            new += other
        return new


def _taps_across(old: int, new: int) -> tuple[Places, Places, Floats, Floats]:
    left, right, near, far = _taps(old, new)
    near[-1], far[-1], left[-1] = 1, 0, old - 1  # the last column is copied
    return left, right, near, far


def _taps_down(old: int, new: int) -> tuple[Places, Places, Floats, Floats]:
    upper, lower, above, below = _taps(old, new)
    below[-1] = 0  # of the last row only the first part is taken
    return upper, lower, above, below


def _taps(old: int, new: int) -> tuple[Places, Places, Floats, Floats]:
    """For each new position the two old ones that it mixes and the weights of both, in float32 as in the source."""
    if old == 1 or new == 1:
        last = np.full(new, old - 1)
        return last, last, np.ones(new, np.float32), np.zeros(new, np.float32)
    position = np.arange(new, dtype=np.float32) * (np.float32(old - 1) / np.float32(new - 1))
    first = position.astype(np.intp)
    far = position - first.astype(np.float32)
    return first, np.minimum(first + 1, old - 1), 1 - far, far


def _as_float(pixels: Pixels) -> Floats:
    if pixels.dtype == np.uint8:
        return np.divide(pixels, _BYTE, dtype=np.float32)
    return pixels.astype(np.float32)


# ---------------------------------------------------------------------- the same, compiled


class _State:
    """What this process has done so far."""

    pictures = 0
    kernel: Callable[..., None] | None = None

    def __init__(self) -> None:
        self.loading = Lock()  # taken once and for all by who loads it


_state = _State()


def _kernel() -> Callable[..., None] | None:
    """The compiled resize, in a process that has resized many pictures, where numba is installed."""
    _state.pictures += 1
    if _state.kernel is None and _state.pictures > _PAYS_FROM and _state.loading.acquire(blocking=False):
        with suppress(Exception):  # numba is absent, or cannot work here: NumPy is always right
            from layoutbridge.darknet.detection.kernels import resize_into

            _run(resize_into, np.empty((3, 2, 2), np.float32), (0, 0), (2, 2), np.zeros((2, 2), np.uint32))
            _state.kernel = resize_into
    return _state.kernel


def _compiled(
    kernel: Callable[..., None], image: Image, channels: int, size: Size, *, letterboxed: bool
) -> NDArray[np.float32]:
    inner, corner = _place(image.size, size) if letterboxed else (size, (0, 0))
    result = np.full((channels, size[1], size[0]), _FILL, np.float32)
    _run(kernel, result, corner, inner, packed_pixels_of(image, channels))
    return result


def _run(kernel: Callable[..., None], result: Floats, corner: Size, inner: Size, pixels: NDArray[np.uint32]) -> None:
    pixels.flags.writeable = False  # always the same types, which are compiled once
    height, width = pixels.shape
    left, right, near, far = _taps_across(width, inner[0])
    columns = (left.astype(np.uint32), right.astype(np.uint32))  # without a sign: no place is counted from the end
    kernel(result, corner[1], corner[0], pixels, *columns, near, far, *_taps_down(height, inner[1]))
