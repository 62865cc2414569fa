"""Which pictures are meant: one, or those of a list, a folder, a pattern, a list of files, a film, a camera.

And how they are made ready in other threads, while those before them are looked at.
"""

from __future__ import annotations

import glob
import os
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from layoutbridge.copying.threads import worker_count
from layoutbridge.darknet.detection.names import text_of
from layoutbridge.darknet.detection.pictures import open_picture
from layoutbridge.darknet.detectors.films import frame_count, frames_of, is_film
from layoutbridge.errors import ShapeError, UnsupportedError, UnusableInputError
from layoutbridge.inputs import is_folder, is_regular_file, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

    from layoutbridge.darknet.detection.pictures import Picture

    Source = Picture | Sequence[Picture]

Item = TypeVar("Item")
Made = TypeVar("Made")

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".j2k", ".avif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
)  # fmt: skip
ColorOrder = Literal["RGB", "BGR"]
T = TypeVar("T")
R = TypeVar("R")
_LIST = ".txt"
_AHEAD = 4  # batches of pictures that are read while others are looked at
_KEPT = 31 << 20  # bytes of a block: glibc goes up to 32 MiB
_LARGEST_LIST = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture to look at: its file's name, its number in a film, and what it is; a `fault` where it is unusable.

    `place` is where it stands in the list that it comes from.
    """

    picture: Picture | None
    name: str | None = None
    number: int | None = None
    fault: str | None = None
    place: int | None = None


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
        return not (is_film(path) or is_folder(path) or _is_pattern(path) or path.lower().endswith(_LIST))
    return hasattr(source, "read") or not isinstance(source, list | tuple | Iterator)  # open files are iterators, too


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
        for place, one in enumerate(source):
            yield _frame(one, place)


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


def open_frame(frame: Frame, *, upright: bool = True, color_order: ColorOrder = "RGB") -> Image:
    """Its picture, as `open_picture` gives it; an array may have its channels as OpenCV has them, "BGR"."""
    picture: Any = frame.picture
    if isinstance(picture, np.ndarray) and color_order == "BGR" and picture.ndim == 3:
        picture = picture[:, :, [2, 1, 0, *range(3, picture.shape[2])]]
    return open_picture(picture, upright=upright)


def readable(prepare: Callable[[Frame], T]) -> Callable[[Frame], T | str]:
    """`prepare`, which gives a line where a picture cannot be read."""

    def prepared(frame: Frame) -> T | str:
        if frame.fault is not None:
            return f"'{frame.name}', frame {frame.number}: {frame.fault}"
        try:
            return prepare(frame)
        except (UnusableInputError, UnsupportedError, ShapeError) as error:
            where = "" if frame.place is None or frame.name is not None else f"number {frame.place} (from 0): "
            return f"{where}{error}"

    return prepared


def through(
    items: Iterator[Item],
    prepare: Callable[[Item], T | str],
    look: Callable[[list[T]], list[R]],
    *,
    batch: int,
    unreadable: Callable[[str], object],
    beside: Beside[T, R] | None = None,
) -> Iterator[R]:
    """What `look` makes of `batch` items at a time, in order; `prepare` makes them ready meanwhile, in other threads.

    Where it gives a line, that goes to `unreadable`. `look` has all cores; with `beside`, many items are prepared and
    looked at by a thread on each core, each by itself, which gets through more.
    """
    cores = worker_count()
    _keep_freed_blocks()
    groups = iter(lambda: list(islice(items, batch)), [])

    def prepared(group: list[Item]) -> list[T | str]:
        return [prepare(one) for one in group]

    def looked_at(group: list[T | str], by: Callable[[list[T]], list[R]]) -> list[R | _Fault]:
        ready = [one for one in group if not isinstance(one, str)]
        found = iter(by(ready) if ready else [])
        return [_Fault(one) if isinstance(one, str) else next(found) for one in group]

    def one_after_another(some: Iterator[list[Item]]) -> Iterator[list[R | _Fault]]:
        for group in made_ahead(some, prepared, max(_AHEAD, cores), cores):
            yield looked_at(group, look)

    def all_of_them() -> Iterator[list[R | _Fault]]:
        if beside is None or beside.threads < 2:
            yield from one_after_another(groups)
            return
        yield from one_after_another(islice(groups, beside.first))
        if (more := next(groups, None)) is None:
            return
        rest, by = chain([more], groups), beside.opened()
        if by is None:
            yield from one_after_another(rest)
        else:
            count = beside.threads
            yield from made_ahead(rest, lambda group: looked_at(prepared(group), by), 2 * count, count)

    for made in all_of_them():
        for one in made:
            if isinstance(one, _Fault):
                unreadable(one.told)
            else:
                yield one


def _keep_freed_blocks() -> None:
    """Have glibc keep freed blocks as large as pictures: it gives back those over the largest that it has seen freed.

    What is given back has to be filled with zeros anew, a page at a time, for every picture.
    """
    with suppress(MemoryError):
        np.empty(_KEPT, np.uint8)  # never touched: it takes no memory


@dataclass(frozen=True, slots=True)
class Beside(Generic[T, R]):
    """How `threads` at once look: `opened()` is asked for it behind the `first` groups; None where that cannot be."""

    threads: int
    first: int
    opened: Callable[[], Callable[[list[T]], list[R]] | None]


@dataclass(frozen=True, slots=True)
class _Fault:
    told: str


def _frame(picture: Any, place: int | None = None) -> Frame:
    return Frame(picture, os.fspath(picture) if isinstance(picture, str | os.PathLike) else None, place=place)


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
    elif path.lower().endswith(_LIST):
        found = listed_files(path)
        told = f"'{path}' names no pictures"
    else:
        found = sorted(one for one in glob.glob(path, recursive=True) if not is_folder(one))
        told = f"no file is like '{path}'"
    if not found:
        raise UnusableInputError(told)
    return found


def listed_files(path: str | os.PathLike[str]) -> list[str]:
    """A picture's path a line, seen from here or from the list's own folder.

    In whatever encoding, as names of classes are, and told likewise; its bytes may also be the files' names themselves.
    Raises `UnusableInputError` for what is no text.
    """
    content = read_bytes(path, "list of pictures", most=_LARGEST_LIST, pipe=True).removeprefix(BOM_UTF8)
    folder = Path(path).parent
    lines = [_seen_from(folder, os.fsdecode(line)) for line in content.splitlines()]
    if not any(os.path.exists(line) for line in lines if not line.isascii()):
        lines = [_seen_from(folder, line) for line in text_of(content, path, "list of pictures").splitlines()]
    return [line for line in lines if line]


def _seen_from(folder: Path, line: str) -> str:
    line = line.strip()
    return line if not line or os.path.exists(line) else str(folder / line)


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
