"""Which pictures are meant: one, or those of a list, a folder, a pattern, a list of files, a film, a camera.

And how they are made ready in other threads, while those before them are looked at.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from layoutbridge.darknet.detectors.films import frame_count, frames_of, is_film
from layoutbridge.errors import UnusableInputError
from layoutbridge.inputs import is_folder, is_regular_file, read_bytes

if TYPE_CHECKING:
    from layoutbridge.darknet.detection.pictures import Picture

    Source = Picture | Sequence[Picture]

Item = TypeVar("Item")
Made = TypeVar("Made")

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".j2k", ".avif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
)  # fmt: skip
_LIST = ".txt"
_LARGEST_LIST = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture to look at: its file's name, its number in a film, and what it is; a `fault` where it is unusable."""

    picture: Picture | None
    name: str | None = None
    number: int | None = None
    fault: str | None = None


def is_single(source: Any) -> bool:
    """Whether `source` is one picture: a file, bytes, an open file, a Pillow image, or an array [H, W] or [H, W, C].

    >>> is_single("dog.jpg"), is_single("pictures/*.jpg"), is_single(["dog.jpg"]), is_single("walk.mp4")
    (True, False, False, False)
    """
    if isinstance(source, np.ndarray):
        return source.ndim < 4
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if is_regular_file(path):
            return not is_film(path) and Path(path).suffix.lower() != _LIST
        return not (is_film(path) or is_folder(path) or _is_pattern(path) or path.endswith(_LIST))
    return not isinstance(source, list | tuple | Iterator)


def frames(source: Any) -> Iterator[Frame]:
    """The pictures that `source` means, in order: of a folder by name.

    Beside single pictures that is a list of these, an array [N, H, W, C], a folder, a pattern as `pictures/*.jpg` (`**`
    goes through folders), a text file with a picture's path a line (as Darknet's valid.txt), a film, an address of a
    stream, or `camera:0`. Raises `UnusableInputError` where there is none.
    """
    if is_single(source):
        yield _frame(source)
    elif isinstance(source, str | os.PathLike):
        yield from _named(os.fspath(source))
    else:
        for one in source:
            yield _frame(one)


def how_many(source: Any) -> int | None:
    """How many pictures those are, where that is known without looking at them."""
    if is_single(source):
        return 1
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if is_film(path):
            return frame_count(path) if is_regular_file(path) else None
        return len(files_of(path))
    return len(source) if hasattr(source, "__len__") else None


def _frame(picture: Any) -> Frame:
    return Frame(picture, os.fspath(picture) if isinstance(picture, str | os.PathLike) else None)


def _named(path: str) -> Iterator[Frame]:
    if not is_film(path):
        yield from (Frame(file, file) for file in files_of(path))
        return
    for number, picture in enumerate(frames_of(path)):
        if isinstance(picture, str):
            yield Frame(None, path, number, picture)
        else:
            yield Frame(picture, path, number)


def files_of(path: str) -> list[str]:
    """The pictures' files that a path means, but for a film: itself, or those of a folder, a pattern or a list.

    Raises `UnusableInputError` where there is none.
    """
    if is_single(path):
        return [path]
    if is_folder(path):
        found = sorted(entry.path for entry in os.scandir(path) if entry.name.lower().endswith(ENDINGS))
        told = f"the folder '{path}' has no pictures ({', '.join(ENDINGS[:5])}, ...)"
    elif path.endswith(_LIST):
        found = _listed(path)
        told = f"'{path}' names no pictures"
    else:
        found = sorted(one for one in glob.glob(path, recursive=True) if not is_folder(one))
        told = f"no file is like '{path}'"
    if not found:
        raise UnusableInputError(told)
    return found


def _listed(path: str) -> list[str]:
    """A picture's path a line, seen from here or from the list's own folder."""
    try:
        text = read_bytes(path, "list of pictures", most=_LARGEST_LIST, pipe=True).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableInputError(f"'{path}' is no list of pictures: it is no text in UTF-8") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    folder = Path(path).parent
    return [line if os.path.exists(line) else str(folder / line) for line in lines]


def _is_pattern(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)


# ---------------------------------------------------------------------- ahead


def made_ahead(items: Iterator[Item], make: Callable[[Item], Made], count: int, threads: int) -> Iterator[Made]:
    """`make(item)` of each item in order, `count` of them ahead, by so many threads; items come from one of their own.

    An error of `items` or `make` is raised where its item would have come.

    >>> list(made_ahead(iter("abc"), str.upper, count=2, threads=2))
    ['A', 'B', 'C']
    """
    end: Any = object()

    def made(asked: Future[Any]) -> Any:
        item = asked.result()
        return end if item is end else make(item)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(threads) as makers:
        waiting: deque[Future[Any]] = deque()

        def ask() -> None:
            waiting.append(makers.submit(made, reader.submit(next, items, end)))

        try:
            for _ in range(count):
                ask()
            while (one := waiting.popleft().result()) is not end:
                ask()
                yield one
        finally:  # where nobody wants more, what has not begun is not begun
            reader.shutdown(wait=False, cancel_futures=True)
            makers.shutdown(wait=False, cancel_futures=True)
