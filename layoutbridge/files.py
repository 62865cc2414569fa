"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layoutbridge.errors import LayoutBridgeError, UnusableInputError

_LONGEST_KEPT = 150  # bytes of a name that a temporary one bears
Progress = Callable[[int, int], None]  # how much is read or written, and how much there is in all


def refuse_overwriting(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raise `UnusableInputError` where writing `path` would destroy one of `inputs`, by whatever name it goes.

    So it does for a `path` that names no file.
    """
    _check_name(path)
    for source in inputs:
        same = os.path.realpath(path) == os.path.realpath(source)
        if same or (Path(path).exists() and Path(source).exists() and os.path.samefile(path, source)):
            raise UnusableInputError(f"'{path}' would overwrite the input '{source}': write to another file")


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` only when the block succeeds.

    The block may create a file or a folder there. Nothing is left behind when it fails. A process killed outright
    inside the block leaves `path` as it was, and a hidden folder that the next writer of `path` removes. The temporary
    path bears the name that was asked for; where that is a link, the link stays and what it leads to is replaced.
    Raises `UnusableInputError` for what is no file name, where the folder cannot be written, and for a full disk,
    whatever the block's writer raises then.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('all of it', 1)
    """
    _check_name(path)
    target = Path(os.path.realpath(path) if Path(path).is_symlink() else path)
    _sweep(target)
    try:
        beside = None if _is_special(target) else target.parent
        folder = Path(tempfile.mkdtemp(prefix=f".{_short(target.name)}.{os.getpid()}.", suffix=".part", dir=beside))
    except OSError as error:
        raise UnusableInputError(f"cannot write into '{target.parent}': {error.strerror or error}") from None
    try:
        temporary = folder / Path(path).name  # for writers that choose a format or inner names by it
        yield temporary
        try:
            _take_place(temporary, target)
        except OSError as error:
            raise UnusableInputError(f"cannot write '{path}': {error.strerror or error}") from None
    except Exception as error:
        reason = _no_room(error)
        if reason is None or isinstance(error, LayoutBridgeError):
            raise
        raise UnusableInputError(f"cannot write '{path}': {reason}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_name(path: str | os.PathLike[str]) -> None:
    """Raise for a path that names no file, and for one that names a folder as files are named, such as `net.onnx/`."""
    text = os.fspath(path)
    ends_as_folder = text.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if Path(text).name in ("", "..", "-") or (ends_as_folder and Path(text).suffix):
        raise UnusableInputError(f"'{text}' is no file name: say where to write")


def _no_room(error: Exception) -> str | None:
    """What the system says of a full disk, where `error` comes of one: some writers raise errors of their own then."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = os.strerror(number)
        if (isinstance(error, OSError) and error.errno == number) or reason in str(error):
            return reason
    return None


def _sweep(target: Path) -> None:
    """Remove what processes that were killed while writing `target` left beside it."""
    name = _short(target.name)
    for left in target.parent.glob(f".{glob.escape(name)}.*.part"):
        writer = left.name.removeprefix(f".{name}.").split(".")[0]
        if writer.isdigit() and not _is_running(int(writer)):
            shutil.rmtree(left, ignore_errors=True)


def _short(name: str) -> str:
    """A name that leaves room for more behind it: file systems take 255 bytes, and `name` itself may have as many."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_KEPT:
        return name
    return f"{name[:20]}-{hashlib.sha256(encoded).hexdigest()[:20]}"


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere the question itself would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's, or not for us to tell
    return True


def _is_special(target: Path) -> bool:
    """Whether `target` is a pipe or a device, which is written to, not replaced."""
    return target.exists() and not (target.is_file() or target.is_dir())


def _take_place(temporary: Path, target: Path) -> None:
    if temporary.is_dir():
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if target.is_dir():
            if any(target.iterdir()):
                raise UnusableInputError(f"the folder '{target}' is not empty: remove it, or name another")
            target.rmdir()
        temporary.rename(target)
    elif _is_special(target):
        target.write_bytes(temporary.read_bytes())
    else:
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if target.is_file():
            temporary.chmod(target.stat().st_mode)
        temporary.replace(target)
