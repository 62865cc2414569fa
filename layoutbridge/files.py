"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from layoutbridge.errors import LayoutBridgeError, UnusableInputError
from layoutbridge.exchange import Place, discard, place_in, settle, take_places
from layoutbridge.locks import alone_in, hold, machine, release

PathLike = str | os.PathLike[str]
Progress = Callable[[int, int], None]  # how much is read or written, and how much there is in all

_ON_ITS_WAY = 1 << 24  # bytes
_LONGEST_KEPT = 150  # bytes of a name that a temporary one bears
_BEHIND_NAME = re.compile(r"\.(?P<machine>[0-9a-f]+)\.[a-z0-9_]{8}\.part")  # in the name of a hidden folder
_NO_MACHINE = "0" * 12  # where folders cannot be locked
_LONG_AGO = 24 * 3600.0  # seconds after which what cannot be asked for its writer is taken for left behind
_FIRST_FILES = {".bin": (".param", ".xml")}  # whose weights lie in the file of that ending beside them


def refuse_overwriting(path: PathLike, inputs: Iterable[PathLike]) -> None:
    """Raise `UnusableInputError` where writing `path` would destroy one of `inputs`, by whatever name it goes.

    So it does for a `path` that names no file.
    """
    _check_name(path)
    for source in inputs:
        same = os.path.realpath(path) == os.path.realpath(source)
        if same or (os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source)):
            raise UnusableInputError(f"'{path}' would overwrite the input '{source}': write to another file")


def refuse_unwritable(path: PathLike) -> None:
    """Raise `UnusableInputError` where no file could be written at `path` now: before the work, not after it.

    >>> refuse_unwritable("no such folder/report.html")
    Traceback (most recent call last):
    layoutbridge.errors.UnusableInputError: cannot write into 'no such folder': No such file or directory
    """
    target = _target(path)
    if target.is_dir():
        raise UnusableInputError(f"cannot write '{os.fspath(path)}': it is a folder")
    try:
        with _hidden_folder(target):
            pass
    except OSError as error:
        raise UnusableInputError(f"cannot write into '{target.parent}': {error.strerror or error}") from None


@contextmanager
def whole_file(path: PathLike, obsolete: Callable[[], Sequence[Path]] = tuple) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` only when the block succeeds.

    The block may create a file or a folder there. The rest is as for `whole_files`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('all of it', 1)
    """
    with whole_files((path,), obsolete) as (temporary,):
        yield temporary


@contextmanager
def whole_files(
    paths: Sequence[PathLike], obsolete: Callable[[], Sequence[Path]] = tuple
) -> Iterator[tuple[Path, ...]]:
    """Temporary paths to write to, one for each of `paths`; they take their places together when the block succeeds.

    The first of `paths` is the file that programs open, the others belong to it. Nothing is left behind when the block
    fails. A process killed outright leaves the old files or the new ones, never some of both (`exchange` says how, and
    where there is no first file for microseconds), and a hidden folder that the next writer of the first one removes.
    Two that write the same files at once both succeed, and the last one's are there, whole: the folder is locked, but
    only while places are taken. `obsolete` is asked then for files that belong to the old first one alone; they go.

    The temporary paths bear the names that were asked for; where one is a link, the link stays and what it leads to is
    replaced. A file gets mode and owner of the one that it replaces, where the system lets us; other hard links to that
    keep the old content. When the block has ended, the files are on the disk, not in its cache alone.

    Raises `UnusableInputError` for what is no file name or too long a one, for a .bin that belongs to another file
    (of ncnn's `net.param` and OpenVINO's `net.xml` only one can have `net.bin`), where the folder cannot be written,
    vanishes or is held by another program for long, and for a full disk, whatever the block's writer raises then.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_files((folder / "net.param", folder / "net.bin")) as (layers, weights):
    ...     _ = layers.write_text("layers"), weights.write_text("weights")
    >>> sorted(path.name for path in folder.iterdir())
    ['net.bin', 'net.param']
    """
    targets = [_target(path) for path in paths]
    told = os.fspath(paths[0])
    refuse_anothers_weights(targets)
    with ExitStack() as held:
        hidden: dict[Path, Path] = {}
        try:
            for target in targets:
                if target.parent not in hidden:
                    _sweep(target)
                    hidden[target.parent] = held.enter_context(_hidden_folder(target))
            places = [
                place_in(hidden[target.parent], Path(path).name, target)
                for path, target in zip(paths, targets, strict=True)
            ]
        except OSError as error:
            raise UnusableInputError(f"cannot write into '{targets[0].parent}': {error.strerror or error}") from None
        try:
            yield tuple(place.temporary for place in places)
            try:
                _take(places, obsolete)
            except OSError as error:
                raise UnusableInputError(f"cannot write '{told}': {error.strerror or error}") from None
        except Exception as error:
            reason = _no_room(error)
            if not all(folder.is_dir() for folder in hidden.values()):
                reason = f"'{targets[0].parent}', or what was written there, was removed meanwhile"
            elif reason is None or isinstance(error, LayoutBridgeError):
                raise
            raise UnusableInputError(f"cannot write '{told}': {reason}") from None


def _target(path: PathLike) -> Path:
    """Where `path` leads to; raises `UnusableInputError` for what cannot be a file's name."""
    _check_name(path)
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            reason = f"{reason} ({len(os.fsencode(Path(path).name))} bytes, and most file systems take 255)"
        raise UnusableInputError(f"cannot write '{os.fspath(path)}': {reason}") from None
    return Path(os.path.realpath(path) if Path(path).is_symlink() else path)


def _check_name(path: PathLike) -> None:
    """Raise for a path that names no file, and for one that names a folder as files are named, such as `net.onnx/`."""
    text = os.fspath(path)
    ends_as_folder = text.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if Path(text).name in ("", "..", "-") or (ends_as_folder and Path(text).suffix):
        raise UnusableInputError(f"'{text}' is no file name: say where to write")
    try:
        os.fsencode(text)
        if "\0" in text:
            raise ValueError("embedded null byte")
    except ValueError as error:  # halves of characters, too
        raise UnusableInputError(f"cannot write '{text}': {error}") from None


def refuse_anothers_weights(targets: Sequence[Path]) -> None:
    """Raise `UnusableInputError` where a target exists that holds the weights of another file than the first one."""
    first, *others = targets
    for target in others:
        for ending in _FIRST_FILES.get(target.suffix, ()):
            owner = target.with_suffix(ending)
            if owner != first and os.path.exists(owner) and target.exists():
                raise UnusableInputError(
                    f"'{target}' holds the weights of '{owner}', which would be lost: write '{first.name}' under "
                    f"another name, or remove '{owner}' first"
                )


def _no_room(error: Exception) -> str | None:
    """What the system says of a full disk, where `error` comes of one: some writers raise errors of their own then."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = os.strerror(number)
        if (isinstance(error, OSError) and error.errno == number) or reason in str(error):
            return reason
    return None


class WayToDisk:
    """Sends what is written to a large file on its way to the disk meanwhile, so that `whole_files` waits for little.

    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     way = WayToDisk(file)
    ...     _ = file.write(bytes(10))
    ...     way.go_on()
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sent = file, file.tell()

    def go_on(self) -> None:
        """Send what was written since the last time, where that is enough to be worth it; waits for nothing."""
        end = self._file.tell()
        if end - self._sent >= _ON_ITS_WAY and hasattr(os, "posix_fadvise"):
            self._file.flush()
            # pages that nobody needs any more are written at once, and none is dropped before it is
            with suppress(OSError):
                os.posix_fadvise(self._file.fileno(), self._sent, end - self._sent, os.POSIX_FADV_DONTNEED)
            self._sent = end


# ---------------------------------------------------------------------- hidden folders


@contextmanager
def _hidden_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, or among the system's temporary ones for a device; its lock says that we live."""
    beside = None if _is_special(target) else target.parent
    held = None
    while held is None:
        folder = Path(tempfile.mkdtemp(prefix=f".{_short(target.name)}.{machine()}.", suffix=".part", dir=beside))
        try:
            held = hold(folder)
            if held is None:
                folder = folder.rename(folder.with_name(folder.name.replace(f".{machine()}.", f".{_NO_MACHINE}.")))
                break
            if not folder.exists():
                release(held)
                held = None
        except (BlockingIOError, FileNotFoundError):  # another took it for left behind before it was locked
            continue
    try:
        yield folder
    finally:
        discard(folder)
        release(held)


def _sweep(target: Path) -> None:
    """Finish and remove what processes that were killed while writing `target` left beside it."""
    name = _short(target.name)
    left = [path for path in target.parent.glob(f".{glob.escape(name)}.*.part") if _maker(path, name)]
    if not left or not os.access(target.parent, os.W_OK):
        return
    with alone_in([target.parent]):
        for folder in left:
            with suppress(OSError):
                _sweep_one(folder, target, _maker(folder, name))


def _maker(folder: Path, name: str) -> str | None:
    """The machine in the name of a hidden folder for `name`; None for other names."""
    found = _BEHIND_NAME.fullmatch(folder.name.removeprefix(f".{name}"))
    return found and found["machine"]


def _sweep_one(folder: Path, target: Path, maker: str | None) -> None:
    """Whoever lives holds the folder; of another machine's only time tells."""
    held = hold(folder) if maker == machine() else None
    try:
        if held is not None or _is_forgotten(folder):
            settle(folder, target)
            discard(folder)
    finally:
        release(held)


def _is_forgotten(folder: Path) -> bool:
    return time.time() - max(path.lstat().st_mtime for path in (folder, *folder.rglob("*"))) > _LONG_AGO


def _short(name: str) -> str:
    """A name that leaves room for more behind it: file systems take 255 bytes, and `name` itself may have as many."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_KEPT:
        return name
    return f"{name[:20]}-{hashlib.sha256(encoded).hexdigest()[:20]}"


# ---------------------------------------------------------------------- taking places


def _take(places: Sequence[Place], obsolete: Callable[[], Sequence[Path]]) -> None:
    if any(_is_special(place.target) for place in places):
        for place in reversed(places):
            _pour(place)
        return
    for place in places:
        for written in (place.temporary, place.interim):
            if written.exists():
                _make_lasting(written, place.target)
    folders = {place.target.parent for place in places}
    with alone_in(folders):
        refuse_anothers_weights([place.target for place in places])
        for place in places:
            if place.temporary.is_dir():
                _make_room(place.target)
        take_places(places, obsolete())
    for folder in folders:
        _sync(folder)


def _is_special(target: Path) -> bool:
    """Whether `target` is a pipe or a device, which is written to, not replaced."""
    return target.exists() and not (target.is_file() or target.is_dir())


def _pour(place: Place) -> None:
    if place.temporary.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    with place.temporary.open("rb") as written, place.target.open("wb") as taken:
        shutil.copyfileobj(written, taken)


def _make_room(target: Path) -> None:
    """Raise where a folder cannot be put at `target`."""
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if target.is_dir():
        if any(target.iterdir()):
            raise UnusableInputError(f"the folder '{target}' is not empty: remove it, or name another")
        target.rmdir()


def _make_lasting(written: Path, target: Path) -> None:
    """Give what was written mode and owner of the file that it will replace, and have it on the disk."""
    for path in (written, *written.rglob("*")) if written.is_dir() else (written,):
        _sync(path)
    try:
        replaced = target.stat()
    except FileNotFoundError:  # nothing is replaced, or another is about to
        return
    if stat.S_ISREG(replaced.st_mode) and written.is_file():
        if hasattr(os, "chown"):
            with suppress(OSError):  # another's file stays another's where we may decide that
                os.chown(written, replaced.st_uid, replaced.st_gid)
        written.chmod(stat.S_IMODE(replaced.st_mode))


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk; some systems and file systems cannot for folders."""
    if path.is_dir():
        with suppress(OSError):
            _sync_opened(path)
    else:
        _sync_opened(path)


def _sync_opened(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # which Windows wants
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
