"""Pictures as Darknet takes them: read by Pillow, resized or letterboxed by Darknet's own formula.

Pixels are [C, H, W], uint8 as read or float32 in 0 to 1. Darknet resizes in two passes, columns then rows, at the
positions k·(old − 1)/(new − 1) in float32, with neither smoothing nor a half-pixel shift; where rounding puts the last
row just before the last of the old, that row comes out dark, and so it does here. Definitions: resize_image,
letterbox_image and embed_image in image.c of both forks.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ShapeError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | os.PathLike[str] | bytes | BinaryIO | Image | NDArray[np.uint8]

Pixels = NDArray[Any]
Size = tuple[int, int]  # (width, height)

MOST_PIXELS = 100_000_000  # 300 MB once read; a small file can claim far more
_FILL = 0.5
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


def open_picture(
    source: Picture,
    *,
    upright: bool = True,
    most_pixels: int = MOST_PIXELS,
) -> Image:
    """A picture by its path, its file's bytes, an open file, a Pillow image or uint8 [H, W] or [H, W, 3 or 4] (RGB).

    In mode L, RGB or RGBA, wholly read. 16 bits become 8 by dropping the lower ones, as Darknet's reader does;
    of a film the first picture is taken. With `upright` the picture is turned as its EXIF orientation says, as viewers
    show it; Darknet's own reader ignores that (its OpenCV build does not). Raises `UnusableInputError` in one line
    for what is missing, no picture, cut short or over `most_pixels`, told before its pixels are read;
    `MissingFrameworkError` without Pillow. Pillow's warnings, of metadata that are broken, are the caller's to filter.
    """
    require("PIL", "Pillow", "onnx")
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the picture"
    try:
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
