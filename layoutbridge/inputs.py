"""Opening files that nobody vouches for: checked before a byte is read, bounded, every failure one line.

A path that a user or a file names may be anything: missing, a folder, a pipe, a device without end, a name that no file
can have. What is asked here is asked once, and answered by an error of ours. A number is no path: Python would take it
for a file that is open already, and close that.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from layoutbridge.errors import LayoutBridgeError, ParameterError, UnusableInputError

PathLike = str | os.PathLike[str]
MakeError = Callable[[str], LayoutBridgeError]  # what a reader raises of its own: CfgError, WeightsError
MEGABYTES, SECONDS = (
    "LAYOUTBRIDGE_MEGABYTES",
    "LAYOUTBRIDGE_SECONDS",
)  # what lifts the limits on what nobody vouches for
_SPARE_MEGABYTES = 300
_TIMES_ITS_SIZE = 4
_LARGEST_LIMIT = 1_000_000_000  # megabytes or seconds
_LONGEST_WHOLE = 20  # digits, of which 64 bits hold 19


def file_size(path: PathLike, what: str = "file", *, most: int | None = None, error: MakeError | None = None) -> int:
    """The bytes of the regular file at `path`, links followed; `what` is what the message calls it.

    Raises `UnusableInputError` (or what `error` makes of the message) for what is missing, a folder, a pipe or a
    device, out of reach, or over `most` bytes.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "a.npy").write_bytes(b"123")
    3
    >>> file_size(folder / "a.npy")
    3
    >>> file_size(folder)
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: cannot read '...': it is a folder
    """
    fail = error or UnusableInputError
    held = _status(path, what, fail)
    _refuse_folder(path, held, fail)
    if not stat.S_ISREG(held.st_mode):
        raise fail(f"cannot read '{os.fspath(path)}': it is a pipe or a device, and a regular file is wanted")
    _refuse_size(path, what, held.st_size, most, fail)
    return held.st_size


def is_regular_file(path: PathLike) -> bool:
    """Whether a regular file lies at `path`; False, too, for a name that no file can have or out of reach."""
    try:
        return stat.S_ISREG(os.stat(os.fspath(path)).st_mode)
    except (OSError, ValueError):
        return False


def is_folder(path: PathLike) -> bool:
    """Whether a folder lies at `path`; False, too, for a name that no folder can have or out of reach."""
    try:
        return stat.S_ISDIR(os.stat(os.fspath(path)).st_mode)
    except (OSError, ValueError):
        return False


def exists(path: PathLike) -> bool:
    """Whether anything lies at `path`; False, too, for a name that nothing can have or out of reach."""
    try:
        os.stat(os.fspath(path))
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def opened(
    path: PathLike, what: str = "file", *, most: int | None = None, error: MakeError | None = None
) -> Iterator[BufferedReader]:
    """The regular file at `path`, open for reading bytes.

    Raises as `file_size` does, and what goes wrong while reading (an `OSError` in the block) is told in the same way.
    """
    fail = error or UnusableInputError
    file_size(path, what, most=most, error=error)
    try:
        with open(os.fspath(path), "rb") as file:
            yield file
    except OSError as problem:
        raise fail(f"cannot read '{os.fspath(path)}': {problem.strerror or problem}") from None


def read_bytes(
    path: PathLike, what: str = "file", *, most: int, pipe: bool = False, error: MakeError | None = None
) -> bytes:
    """All bytes of the file at `path`, at most `most` of them; with `pipe` a pipe is read too, and as far as that.

    Raises as `file_size` does, and for a file that cannot be read.
    """
    fail = error or UnusableInputError
    held = _status(path, what, fail)
    _refuse_folder(path, held, fail)
    if not pipe or stat.S_ISREG(held.st_mode):
        with opened(path, what, most=most, error=error) as file:
            content = file.read(min(held.st_size, most) + 1)
            if len(content) > held.st_size:  # it grows, or the system makes it as it is read
                content += file.read(most + 1 - len(content))
    else:
        try:
            with open(os.fspath(path), "rb") as file:
                content = file.read(most + 1)
        except OSError as problem:
            raise fail(f"cannot read '{os.fspath(path)}': {problem.strerror or problem}") from None
    _refuse_size(path, what, len(content), most, fail)
    return content


@dataclass(frozen=True, slots=True)
class ReadFile(os.PathLike[str]):
    """The path of a file that was read, with size, time of change and number by which another content shows."""

    path: PathLike
    stamp: tuple[int, int, int]

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return os.fspath(self.path)


def sha256_of(path: PathLike) -> str:
    """The SHA-256 of a file, as hexadecimal digits. Raises `OSError`.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as empty:
    ...     sha256_of(empty.name)[:16]
    'e3b0c44298fc1c14'
    """
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: PathLike) -> PathLike:
    """`path` as that of a file about to be read; as it is where no regular file lies there."""
    return ReadFile(path, stamp_of(os.stat(os.fspath(path)))) if is_regular_file(path) else path


def stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """What changes with the content of a file: size, time in nanoseconds, number.

    >>> import tempfile
    >>> file = tempfile.TemporaryFile()
    >>> before = stamp_of(os.fstat(file.fileno()))
    >>> file.write(b"x"), file.flush(), stamp_of(os.fstat(file.fileno())) == before
    (1, None, False)
    """
    return status.st_size, status.st_mtime_ns, status.st_ino


def refuse_changed(file: BufferedReader, path: PathLike) -> None:
    """Raise `UnusableInputError` where `path` is a `ReadFile`, and `file`, opened there, is no more that one."""
    if isinstance(path, ReadFile) and stamp_of(os.fstat(file.fileno())) != path.stamp:
        raise UnusableInputError(f"'{os.fspath(path)}' has changed since it was read: load it again")


def read_json(text: str, *, longest: int = 1 << 20) -> Any:
    """The value in a text that nobody vouches for; None for what is no JSON, longer, nested deep, or holds no numbers.

    >>> read_json("[1, 2]"), read_json("[" * 100_000), read_json("[NaN]"), read_json("9" * 100_000)
    ([1, 2], None, None, None)
    """
    if len(text) > longest:
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_int=_read_whole)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(word: str) -> None:
    raise ValueError(word)


def _read_whole(digits: str) -> int:
    if len(digits) > _LONGEST_WHOLE:
        raise ValueError(f"{len(digits)} digits")
    return int(digits)


def memory_allowed(size: int) -> int:
    """The bytes of memory that reading a file of `size` bytes may take: 4 times as many and 300 MB.

    The environment's LAYOUTBRIDGE_MEGABYTES says another number for the 300. Raises `ParameterError` where that is no
    number.

    >>> memory_allowed(1_000_000)
    304000000
    """
    return _TIMES_ITS_SIZE * size + round(_from_environment(MEGABYTES, _SPARE_MEGABYTES) * 1_000_000)


def seconds_allowed(usual: float) -> float:
    """How long a model that nobody vouches for may run: `usual` seconds, or what LAYOUTBRIDGE_SECONDS says.

    >>> seconds_allowed(60)
    60
    """
    return _from_environment(SECONDS, usual)


def refuse_costly(
    needed: int, size: int, what: str, *, doing: str = "to read", times: int = 1, error: MakeError | None = None
) -> None:
    """Raise `UnusableInputError` where `what`, a file of `size` bytes, needs more memory than such a one may.

    It may take `times` as much as `memory_allowed` says.

    >>> refuse_costly(6_000_000_000, 3_000_000, "'a.npz'")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: 'a.npz' would take 6,000 MB of memory to read, and may take 312 MB: if \
you trust it, set LAYOUTBRIDGE_MEGABYTES=5989
    """
    most = times * memory_allowed(size)
    if needed > most:
        enough = (needed // times - _TIMES_ITS_SIZE * size) // 1_000_000 + 1
        told = f"{needed // 1_000_000:,} MB" if enough < _LARGEST_LIMIT else "more than a petabyte"
        lift = f": if you trust it, set {MEGABYTES}={enough}" if enough < _LARGEST_LIMIT else ""
        raise (error or UnusableInputError)(
            f"{what} would take {told} of memory {doing}, and may take {most // 1_000_000:,} MB{lift}"
        )


def too_slow(what: str, seconds: float) -> UnusableInputError:
    """What to raise where `what` was stopped after so many seconds.

    >>> print(too_slow("'a.onnx'", 3))
    'a.onnx' ran for 3 seconds and was stopped: if you trust it, set LAYOUTBRIDGE_SECONDS=30
    """
    return UnusableInputError(
        f"{what} ran for {seconds:.0f} seconds and was stopped: if you trust it, set {SECONDS}={10 * seconds:.0f}"
    )


def too_large(what: str, most: int) -> UnusableInputError:
    """What to raise where running `what` took more than `most` bytes.

    >>> print(too_large("'a.onnx'", 300_000_000))
    'a.onnx' takes more than 300 MB of memory to run: if you trust it, set LAYOUTBRIDGE_MEGABYTES=600
    """
    megabytes = most // 1_000_000
    return UnusableInputError(
        f"{what} takes more than {megabytes:,} MB of memory to run: if you trust it, set {MEGABYTES}={2 * megabytes}"
    )


def _from_environment(name: str, usual: float) -> float:
    text = os.environ.get(name)
    if text is None:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < _LARGEST_LIMIT:
        raise ParameterError(f"{name} in the environment must be a number above 0, not '{text[:80]}'")
    return value


def _status(path: PathLike, what: str, fail: MakeError) -> os.stat_result:
    try:
        return os.stat(os.fspath(path))
    except FileNotFoundError:
        raise fail(f"there is no {what} '{os.fspath(path)}'") from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise fail(f"cannot read '{os.fspath(path)}': {reason}") from None


def _refuse_folder(path: PathLike, held: os.stat_result, fail: MakeError) -> None:
    if stat.S_ISDIR(held.st_mode):
        raise fail(f"cannot read '{os.fspath(path)}': it is a folder")


def _refuse_size(path: PathLike, what: str, size: int, most: int | None, fail: MakeError) -> None:
    if most is not None and size > most:
        told = f"{size:,} bytes" if size != most + 1 else f"more than {most:,} bytes"
        raise fail(f"'{os.fspath(path)}' has {told}, and a {what} at most {most:,}")
