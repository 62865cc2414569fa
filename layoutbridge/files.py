"""Writing files whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layoutbridge.errors import UnusableInputError

Progress = Callable[[int, int], None]  # how much is read or written, and how much there is in all


def refuse_overwriting(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raise `UnusableInputError` where writing `path` would destroy one of `inputs`, by whatever name it goes."""
    for source in inputs:
        same = Path(path).resolve() == Path(source).resolve()
        if same or (Path(path).exists() and Path(source).exists() and os.path.samefile(path, source)):
            raise UnusableInputError(f"'{path}' would overwrite the input '{source}': write to another file")


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` only when the block succeeds.

    The block may create a file or a folder there. Nothing is left behind when it fails. A process killed outright
    inside the block leaves `path` as it was, and a hidden folder that the next writer of `path` removes. Raises
    `UnusableInputError` where the folder cannot be written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('all of it', 1)
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()  # the link stays, what it leads to is replaced
    if target.name in ("", "..", "-"):
        raise UnusableInputError(f"'{path}' is no file name: say where to write")
    _sweep(target)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise UnusableInputError(f"cannot write into '{target.parent}': {error.strerror or error}") from None
    try:
        temporary = folder / target.name  # same name, for writers that choose a format or inner names by it
        yield temporary
        if target.exists() and not (target.is_file() or target.is_dir()):
            target.write_bytes(temporary.read_bytes())  # a pipe or a device is written to, not replaced
        else:
            _take_place(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Remove what processes that were killed while writing `target` left beside it."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        writer = left.name.removeprefix(f".{target.name}.").split(".")[0]
        if writer.isdigit() and not _is_running(int(writer)):
            shutil.rmtree(left, ignore_errors=True)


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


def _take_place(temporary: Path, target: Path) -> None:
    try:
        if temporary.is_dir():
            if target.is_dir():
                if any(target.iterdir()):
                    raise UnusableInputError(f"the folder '{target}' is not empty: remove it, or name another")
                target.rmdir()
            temporary.rename(target)
        else:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            if target.is_file():
                temporary.chmod(target.stat().st_mode)
            temporary.replace(target)
    except OSError as error:
        raise UnusableInputError(f"cannot write '{target}': {error.strerror or error}") from None
