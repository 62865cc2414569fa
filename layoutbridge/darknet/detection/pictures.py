"""Pictures read by Pillow: files that nobody vouches for, within limits, in 8 bits and with 1, 3 or 4 channels."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import exists, file_size, is_folder, is_regular_file, read_bytes, refuse_costly

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | os.PathLike[str] | bytes | BinaryIO | Image | NDArray[np.uint8]

Size = tuple[int, int]  # (width, height)

MOST_PIXELS = 100_000_000
_STRIP = 1 << 20  # pixels that are converted at a time
_LARGEST_PIPED = 100 << 20  # bytes of a picture that comes through a pipe
_MOST_SLOW_PIXELS = 1_000_000  # of formats that Pillow reads value by value, in seconds each million
# Bytes a pixel in Pillow's memory, and what its readers hold beside that: measured.
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_OTHER_MODES = 4
_WHILE_READING = {"WEBP": 13, "AVIF": 16, "PPM": 6, "TIFF": 8}
_A_CHANNEL_OF_JPEG2000 = 5.5
_A_CHANNEL_OF_SEVERAL_SCANS = 2
_COMMON = ("L", "RGB", "RGBA")
_ORIENTATION, _BITS_PER_SAMPLE = 0x112, 258  # tags of EXIF and of TIFF
# Those that need nothing but Pillow: its EPS reader, for one, starts another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA")


def open_picture(
    source: Picture,
    *,
    upright: bool = True,
    most_pixels: int = MOST_PIXELS,
) -> Image:
    """A picture by its path, its file's bytes, an open file, a Pillow image or uint8 [H, W] or [H, W, 3 or 4] (RGB).

    In mode L, RGB or RGBA, wholly read. 16 bits become 8 by dropping the lower ones, as Darknet's reader does;
    of a film the first picture is taken. With `upright` the picture is turned as its EXIF orientation says, as viewers
    show it; Darknet's own reader ignores that (its OpenCV build does not). A path may be a pipe's. Raises
    `UnusableInputError` in one line for what is missing, no picture, cut short, over `most_pixels` or would take more
    memory than a file of its size may (`inputs.memory_allowed`), told before its pixels are read; `UnsupportedError`
    for floating-point numbers; `MissingFrameworkError` without Pillow. Pillow's warnings, of metadata that are broken,
    are the caller's to filter.
    """
    require("PIL", "Pillow", "onnx")
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, np.ndarray):
        return _from_array(source)
    if source is None:
        raise UnusableInputError(
            "there is no picture, but None, which is what cv2.imread gives for a file that it cannot read"
        )
    name = f"'{os.fspath(source)}'" if isinstance(source, str | os.PathLike) else "the picture"
    try:
        with ExitStack() as files:
            if isinstance(source, Image.Image):
                _refuse_pixels(source, name, most_pixels)
                source.load()
                image = _turned(source, in_place=False) if upright else source
                return _in_common_mode(image, name)
            Image.init()
            kinds = [kind for kind in _FORMATS if kind in Image.OPEN]
            file = _opened(source, files)
            image = Image.open(file, formats=kinds)
            _refuse_pixels(image, name, most_pixels)
            refuse_costly(_bytes_to_read(image, upright), _length(file), name)
            image.load()
            return _in_common_mode(_turned(image, in_place=True) if upright else image, name)
    except (UnusableInputError, UnsupportedError, ParameterError):
        raise
    except UnidentifiedImageError:
        raise UnusableInputError(f"{name} is no picture that can be read ({', '.join(_FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UnusableInputError(f"{name} has more than {most_pixels:,} pixels: make it smaller first") from None
    except Exception as error:  # readers of many formats fail in many ways on broken files
        said = getattr(error, "strerror", None) or first_line(error)
        raise UnusableInputError(f"cannot read {name}: {said}") from None


def _refuse_pixels(image: Image, name: str, most_pixels: int) -> None:
    """Raise for what is told before a pixel is read: too many, of no known range, or read too slowly."""
    size, count = f"{image.width}×{image.height}", image.width * image.height
    if count > most_pixels:
        raise UnusableInputError(f"{name} has {size} pixels, more than {most_pixels:,}: make it smaller first")
    if image.mode == "F":
        raise UnsupportedError(f"{name} holds floating-point numbers of no known range: save it with 8 bits a channel")
    by_value = any(tile[0] in ("ppm", "ppm_plain") for tile in getattr(image, "tile", ()))
    if by_value and count > _MOST_SLOW_PIXELS:
        raise UnusableInputError(f"{name} has {size} pixels in text or of other than 8 bits: save it as a PNG first")


def _bytes_to_read(image: Image, upright: bool) -> int:
    """The bytes of memory that reading and converting the pixels of a file takes at most, beside the file's own."""
    held = _BYTES.get(image.mode, _OTHER_MODES)
    while_reading = float(_WHILE_READING.get(image.format or "", 0))
    channels = len(image.getbands())
    if image.format == "JPEG2000":
        while_reading = _A_CHANNEL_OF_JPEG2000 * channels
    elif image.format in ("JPEG", "MPO") and _has_several_scans(image):
        while_reading = _A_CHANNEL_OF_SEVERAL_SCANS * channels
    elif image.format == "TIFF":
        while_reading = _bytes_in_tiff(image)
    turned = 2 * held if upright and _orientation(image) > 1 else 0
    converted = 0 if image.mode in _COMMON else held + (1 if image.mode[0] in "1I" else _OTHER_MODES)
    return round(image.width * image.height * max(held + while_reading, turned, converted))


def _bytes_in_tiff(image: Image) -> float:
    """The bytes of a pixel in the file, once unpacked: a strip may be all of it."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    told = sum(bits) / 8 if isinstance(bits, tuple) and all(isinstance(each, int) for each in bits) else 0
    return min(max(told, 1), _WHILE_READING["TIFF"])


def _has_several_scans(image: Any) -> bool:
    """Whether a JPEG comes in several scans, which are kept until the last: progressive, or channel after channel."""
    place, file = image.fp.tell(), image.fp
    try:
        file.seek(2)
        while (marker := file.read(2)) and marker != b"\xff\xda":
            if marker == b"\xff\xc2":
                return True
            file.seek(max(int.from_bytes(file.read(2)) - 2, 0), os.SEEK_CUR)
        file.read(2)
        return file.read(1) != bytes([len(image.getbands())])
    finally:
        file.seek(place)


def _orientation(image: Image) -> int:
    with suppress(Exception):  # EXIF that cannot be read says nothing
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _turned(image: Image, *, in_place: bool) -> Image:
    """The image as its EXIF orientation says; one that was opened here is changed itself."""
    from PIL import ImageOps

    with suppress(Exception):  # EXIF that cannot be read says nothing
        if not in_place:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
    return image


def pixels_of(image: Image, channels: int = 3) -> NDArray[np.uint8]:
    """An image of `open_picture` as uint8 [channels, H, W]: 1 (grey), 3 (RGB) or 4 (RGBA).

    As Darknet's reader does: alpha is dropped, grey is repeated, colours become grey by (77·R + 150·G + 29·B)/256.
    Raises `UnsupportedError` for another number of channels.
    """
    check_channels(channels)
    if channels > 1:
        mode = "RGBA" if channels == 4 else "RGB"
        return np.asarray(image if image.mode == mode else image.convert(mode)).transpose(2, 0, 1)
    if image.mode == "L":
        return np.asarray(image)[None]
    colors = np.asarray(image.convert("RGB")).astype(np.uint16)
    return ((colors @ np.array([77, 150, 29], np.uint16)) >> 8).astype(np.uint8)[None]


def packed_pixels_of(image: Image, channels: int) -> NDArray[np.uint32]:
    """The same 3 or 4 channels as uint32 [H, W], the first in the lowest byte: as Pillow holds them, at its speed."""
    mode = "RGBA" if channels == 4 else "RGB"
    held = image if image.mode == mode else image.convert(mode)
    packed = np.frombuffer(held.tobytes("raw", "RGBA" if channels == 4 else "RGBX"), "<u4")
    return packed.reshape(image.height, image.width).astype(np.uint32, copy=False)


def check_channels(channels: int) -> None:
    """Raise `UnsupportedError` for a number of channels that no picture has."""
    if channels not in (1, 3, 4):
        raise UnsupportedError(f"a picture has 1, 3 or 4 channels, and the network takes {channels}")


def _opened(source: Any, files: ExitStack) -> BinaryIO:
    """The file to read from, closed with `files`; one that comes through a pipe is read at once, as far as a limit."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        file: BinaryIO = source
        return file
    if is_regular_file(source) or not exists(source) or is_folder(source):
        file_size(source, "picture")
        return files.enter_context(open(source, "rb"))
    return io.BytesIO(read_bytes(source, "picture", most=_LARGEST_PIPED, pipe=True))


def _length(file: BinaryIO) -> int:
    place = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(place)
    return length


def _from_array(array: NDArray[Any]) -> Image:
    from PIL import Image

    deep = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (array.ndim == 2 or deep) or not array.size:
        raise ShapeError(f"a picture is uint8 [H, W] or [H, W, 3 or 4], not {array.dtype}{list(array.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))


def _in_common_mode(image: Image, name: str) -> Image:
    if image.mode in _COMMON:
        return image
    if image.mode.startswith("I"):
        return _high_bytes(image)
    if image.mode == "1":
        return image.convert("L")
    see_through = image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if see_through else "RGB")


def _high_bytes(image: Image) -> Image:
    """16 bits as 8, in strips: converted at once they would take ten times their memory."""
    from PIL import Image as images

    result = images.new("L", image.size)
    strip = max(_STRIP // image.width, 1)
    for top in range(0, image.height, strip):
        part = image.crop((0, top, image.width, min(top + strip, image.height)))
        deep = np.asarray(part).astype(np.int32)
        np.clip(deep, 0, 65535, out=deep)
        deep >>= 8
        result.paste(images.fromarray(deep.astype(np.uint8)), (0, top))
    return result
