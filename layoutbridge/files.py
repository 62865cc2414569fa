"""Writing files whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layoutbridge.errors import UnusableInputError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` only when the block succeeds.

    The block may create a file or a folder there. Nothing is left behind when it fails, and a process killed
    inside the block leaves `path` as it was. Raises `UnusableInputError` where the folder cannot be written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> (folder / "a.txt").read_text(), len(list(folder.iterdir()))
    ('all of it', 1)
    """
    target = Path(path)
    if target.name in ("", ".."):
        raise UnusableInputError(f"'{path}' is no file name: say where to write")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise UnusableInputError(f"cannot write into '{target.parent}': {error.strerror or error}") from None
    try:
        temporary = folder / target.name  # same name, for writers that choose a format or inner names by it
        yield temporary
        _take_place(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_place(temporary: Path, target: Path) -> None:
    try:
        if temporary.is_dir():
            if target.is_dir() and not any(target.iterdir()):
                target.rmdir()
            temporary.rename(target)
        else:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(target)
    except OSError as error:
        raise UnusableInputError(f"cannot write '{target}': {error.strerror or error}") from None
