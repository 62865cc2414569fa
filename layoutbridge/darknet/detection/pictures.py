"""Pictures as Darknet takes them: read by Pillow, resized or letterboxed by Darknet's own formula; and drawn on.

Pixels are [C, H, W], uint8 as read or float32 in 0 to 1. Darknet resizes in two passes, columns then rows, at the
positions k·(old − 1)/(new − 1) in float32, with neither smoothing nor a half-pixel shift; where rounding puts the last
row just before the last of the old, that row comes out dark, and so it does here. Definitions: resize_image,
letterbox_image and embed_image in image.c of both forks.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from colorsys import hsv_to_rgb
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ShapeError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[Any]
Size = tuple[int, int]  # (width, height)
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom
Color = tuple[int, int, int]  # RGB

MOST_PIXELS = 100_000_000  # 300 MB once read; a small file can claim far more
_FILL = 0.5
_SMALLEST_SIDE = 240  # pixels of the longer side under which a drawing is enlarged
_SMALLEST_FONT = 12
_HIDDEN_FROM = 0.25  # of a box's area
_CROWD = 200
_GOLDEN = 0.6180339887498949  # of a turn of hue from class to class: neighbours differ, and none repeats soon
_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)
# Those that need nothing but Pillow: its EPS reader, for one, starts another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA")


def resize(pixels: Pixels, width: int, height: int) -> NDArray[np.float32]:
    """`pixels` [C, H, W] as float32 [C, height, width], by Darknet's resize; uint8 counts as shares of 255.

    Only the places that the result takes from are converted, so a large picture costs no copy of itself. A new
    width or height of 1, where Darknet divides by zero, takes the last column or row. Raises `ShapeError` for a
    size below 1.

    >>> resize(np.float32([[[0, 1], [2, 3]]]), 3, 3).tolist()
    [[[0.0, 0.5, 1.0], [1.0, 1.5, 2.0], [2.0, 2.5, 3.0]]]
    """
    if pixels.ndim != 3 or min(pixels.shape) < 1 or min(width, height) < 1:
        raise ShapeError(f"cannot resize pixels of shape {list(pixels.shape)} to {width}×{height}: [C, H, W] is wanted")
    old_height, old_width = pixels.shape[1:]
    if (old_width, old_height) == (width, height):
        return _as_float(pixels)
    left, right, near, far = _taps(old_width, width)
    near[-1], far[-1], left[-1] = 1, 0, old_width - 1  # the last column is copied
    upper, lower, above, below = _taps(old_height, height)
    below[-1] = 0  # of the last row only the first part is taken
    rows = np.concatenate([upper, lower])[:, None]
    part = near * _as_float(pixels[:, rows, left]) + far * _as_float(pixels[:, rows, right])
    return above[:, None] * part[:, :height] + below[:, None] * part[:, height:]


def _taps(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """For each new position the two old ones that it mixes and the weights of both, in float32 as in the source."""
    if old == 1 or new == 1:
        last = np.full(new, old - 1)
        return last, last, np.ones(new, np.float32), np.zeros(new, np.float32)
    position = np.arange(new, dtype=np.float32) * (np.float32(old - 1) / np.float32(new - 1))
    first = position.astype(np.intp)
    far = position - first.astype(np.float32)
    return first, np.minimum(first + 1, old - 1), 1 - far, far


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


def letterbox(pixels: Pixels, width: int, height: int) -> NDArray[np.float32]:
    """`pixels` [C, H, W] at their own aspect in the middle of float32 [C, height, width], the rest 0.5."""
    if pixels.ndim != 3 or min(pixels.shape) < 1 or min(width, height) < 1:
        raise ShapeError(f"cannot fit pixels of shape {list(pixels.shape)} in {width}×{height}: [C, H, W] is wanted")
    across, down = letterbox_size((pixels.shape[2], pixels.shape[1]), (width, height))
    boxed = np.full((len(pixels), height, width), _FILL, np.float32)
    top, left = (height - down) // 2, (width - across) // 2
    boxed[:, top : top + down, left : left + across] = resize(pixels, across, down)
    return boxed


def _as_float(pixels: Pixels) -> NDArray[np.float32]:
    if pixels.dtype != np.uint8:
        return pixels.astype(np.float32)
    shares = (np.arange(256) / 255).astype(np.float32)
    return shares[pixels]


# ---------------------------------------------------------------------- reading


class _Warnings:
    """Python's warnings. Their filters are the process's: of blocks that overlap the last to end puts them back."""

    def __init__(self) -> None:
        self._lock, self._blocks, self._filters = Lock(), 0, ExitStack()

    @contextmanager
    def off(self) -> Iterator[None]:
        """No warning in the block, nor in other threads meanwhile."""
        with self._lock:
            if not self._blocks:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    self._filters.close()


_WARNINGS = _Warnings()


def open_picture(
    source: str | os.PathLike[str] | bytes | BinaryIO | Image | NDArray[np.uint8],
    *,
    upright: bool = True,
    most_pixels: int = MOST_PIXELS,
) -> Image:
    """A picture by its path, its file's bytes, an open file, a Pillow image or uint8 [H, W] or [H, W, 3 or 4] (RGB).

    In mode L, RGB or RGBA, wholly read. 16 bits become 8 by dropping the lower ones, as Darknet's reader does;
    of a film the first picture is taken. With `upright` the picture is turned as its EXIF orientation says, as viewers
    show it; Darknet's own reader ignores that (its OpenCV build does not). Raises `UnusableInputError` in one line
    for what is missing, no picture, cut short or over `most_pixels`, told before its pixels are read;
    `MissingFrameworkError` without Pillow.
    """
    require("PIL", "Pillow", "onnx")
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the picture"
    try:
        with _WARNINGS.off():  # on size: told below; on broken metadata: unused
            Image.init()
            kinds = [kind for kind in _FORMATS if kind in Image.OPEN]
            image = source if isinstance(source, Image.Image) else Image.open(_opened(source), formats=kinds)
            if image.width * image.height > most_pixels:
                size = f"{image.width}×{image.height}"
                raise UnusableInputError(f"{name} has {size} pixels, more than {most_pixels:,}: make it smaller first")
            image.load()
            if upright:
                with suppress(Exception):  # EXIF that cannot be read says nothing
                    image = ImageOps.exif_transpose(image)
            return _in_common_mode(image, name)
    except (UnusableInputError, UnsupportedError):
        raise
    except UnidentifiedImageError:
        raise UnusableInputError(f"{name} is no picture that can be read ({', '.join(_FORMATS)})") from None
    except FileNotFoundError:
        raise UnusableInputError(f"there is no picture {name}") from None
    except Image.DecompressionBombError:
        raise UnusableInputError(f"{name} has more than {most_pixels:,} pixels: make it smaller first") from None
    except Exception as error:  # readers of many formats fail in many ways on broken files
        said = getattr(error, "strerror", None) or first_line(error)
        raise UnusableInputError(f"cannot read {name}: {said}") from None


def pixels_of(image: Image, channels: int = 3) -> NDArray[np.uint8]:
    """An image of `open_picture` as uint8 [channels, H, W]: 1 (grey), 3 (RGB) or 4 (RGBA).

    As Darknet's reader does: alpha is dropped, grey is repeated, colours become grey by (77·R + 150·G + 29·B)/256.
    Raises `UnsupportedError` for another number of channels.
    """
    if channels not in (1, 3, 4):
        raise UnsupportedError(f"a picture has 1, 3 or 4 channels, and the network takes {channels}")
    if channels == 4:
        return np.asarray(image.convert("RGBA")).transpose(2, 0, 1)
    if channels == 3:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    if image.mode == "L":
        return np.asarray(image)[None]
    colors = np.asarray(image.convert("RGB")).astype(np.uint16)
    return ((colors @ np.array([77, 150, 29], np.uint16)) >> 8).astype(np.uint8)[None]


def _opened(source: Any) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source


def _from_array(array: NDArray[Any]) -> Image:
    from PIL import Image

    deep = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (array.ndim == 2 or deep) or not array.size:
        raise ShapeError(f"a picture is uint8 [H, W] or [H, W, 3 or 4], not {array.dtype}{list(array.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))


def _in_common_mode(image: Image, name: str) -> Image:
    from PIL import Image as images

    if image.mode in ("L", "RGB", "RGBA"):
        return image
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        return images.fromarray((deep >> 8).astype(np.uint8))
    if image.mode == "F":
        raise UnsupportedError(f"{name} holds floating-point numbers of no known range: save it with 8 bits a channel")
    if image.mode == "1":
        return image.convert("L")
    see_through = image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if see_through else "RGB")


# ---------------------------------------------------------------------- drawing


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
    font = _font(font_size)
    line = max(round(scale * 0.004), 2)
    ordered = sorted(marks, key=lambda mark: -mark.width * mark.height)
    corners = [_corners(mark, factor, drawn.size, line) for mark in ordered]
    for mark, box in zip(ordered, corners, strict=True):
        _frame(pen, box, class_color(mark.color), line)
    taken: list[Rectangle] = []
    others = corners if len(corners) <= _CROWD else []  # in a crowd no place is free, and looking for one takes long
    for mark, box in zip(ordered, corners, strict=True):
        place = _label(pen, mark, box, font, line, drawn.size, taken[-_CROWD:], others)
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
    font: Any,
    line: int,
    size: Size,
    taken: Sequence[Rectangle],
    boxes: Sequence[Rectangle],
) -> Rectangle | None:
    text = _shortened(mark.label, font, size[0] - 4 * line)
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


def _font(size: int) -> Any:
    """DejaVu Sans where the system or matplotlib has it: it knows most alphabets, and Pillow's own ASCII alone."""
    from PIL import ImageFont

    with suppress(OSError):
        return ImageFont.truetype("DejaVuSans.ttf", size)
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        with suppress(OSError):
            folder = os.path.dirname(matplotlib.origin)
            return ImageFont.truetype(os.path.join(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf"), size)
    return ImageFont.load_default(size)


def _shortened(text: str, font: Any, most: float) -> str:
    """`text` on one line and without what no font can draw, cut with … where it is longer than `most` pixels."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if font.getlength(text) <= most:
        return text
    while text and font.getlength(text + "…") > most:
        text = text[:-1]
    return text and text + "…"
