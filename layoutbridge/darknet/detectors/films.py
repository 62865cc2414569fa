"""Pictures of films, streams and cameras, by PyAV."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from layoutbridge.errors import UnusableInputError, first_line
from layoutbridge.frameworks.base import require

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp", ".ogv",
)  # fmt: skip
ADDRESSES = ("rtsp://", "rtmp://", "http://", "https://", "udp://", "tcp://", "srt://")
CAMERA = "camera:"
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}


def is_film(source: str) -> bool:
    """Whether a text names a film, a stream or a camera, by its ending or its beginning.

    >>> is_film("walk.MP4"), is_film("rtsp://door/1"), is_film("camera:0"), is_film("dog.jpg")
    (True, True, True, False)
    """
    return source.lower().endswith(ENDINGS) or source.startswith((*ADDRESSES, CAMERA))


def frames_of(source: str) -> Iterator[Image | str]:
    """The pictures of a film in order, RGB; a text in place of one that cannot be decoded says why.

    `source` is a file, an address, or `camera:0`, `camera:1`, ... Raises `UnusableInputError` where it cannot be opened
    or has no pictures, and `MissingFrameworkError` without PyAV.
    """
    av = require("av", "PyAV", "film")
    container = _opened(av, source)
    with container:
        if not container.streams.video:
            raise UnusableInputError(f"'{source}' has no pictures in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield from _decoded(av, container, stream)


def frame_count(source: str) -> int | None:
    """How many pictures a film says that it has; None where it does not, as a camera."""
    av = require("av", "PyAV", "film")
    with _opened(av, source) as container:
        count = container.streams.video[0].frames if container.streams.video else 0
    return count or None


def _opened(av: Any, source: str) -> Any:
    try:
        if source.startswith(CAMERA):
            kind, place = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
            return av.open(place.format(source.removeprefix(CAMERA)), format=kind)
        return av.open(source)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or first_line(error)
        raise UnusableInputError(f"cannot open '{source}': {said}") from None


def _decoded(av: Any, container: Any, stream: Any) -> Iterator[Image | str]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            for frame in packet.decode():
                yield frame.to_image()
        except StopIteration:
            return
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            yield getattr(error, "strerror", None) or first_line(error)
