"""Holding a folder: to be alone while files take their places in it, and to be known as alive while writing in one.

The locks are the system's own (flock), on the folders themselves. So they leave no file lying about, they end with the
process however it ends, and they hold between the containers of a machine, where process numbers tell nothing.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from layoutbridge.errors import UnusableInputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PATIENCE = 90.0  # seconds: others are done in milliseconds
_PAUSE = 0.002
_STALE = 60.0  # seconds after which whoever made a lock of the second kind was killed
_LOCK = ".layoutbridge.lock"


@cache
def machine() -> str:
    """Twelve digits that name this machine since it was started: a lock holds within these alone.

    >>> len(machine()), machine() == machine()
    (12, True)
    """
    try:
        identity = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        identity = os.uname().nodename.encode() if hasattr(os, "uname") else b""
    return sha256(identity).hexdigest()[:12]


def hold(folder: Path) -> int | None:
    """Lock `folder` until `release` of what is returned, or the end of the process; None where no folder can be locked.

    Raises `BlockingIOError` where somebody holds it, and `FileNotFoundError` where it is not there.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise
    except OSError:  # a folder that may be written, not read
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # a file system without such locks, as NFS for folders
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def hold_file(descriptor: int) -> None:
    """Lock an open file until it is closed; raises `BlockingIOError` where somebody else holds it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without such locks
        return


def release(held: int | None) -> None:
    """End what `hold` began."""
    if held is not None:
        fcntl.flock(held, fcntl.LOCK_UN)  # closing is not enough where a child was forked meanwhile
        os.close(held)


@contextmanager
def alone_in(folders: Iterable[Path]) -> Iterator[None]:
    """Nobody else who asks for one of these folders gets it before the block ends.

    Where folders cannot be locked, an empty folder `.layoutbridge.lock` in each is the lock; one that is a minute old
    is that of a killed process. Raises `UnusableInputError` when another holds a folder for more than 90 seconds, and
    `OSError` for a folder that is not there or cannot be written.
    """
    found = {(status.st_dev, status.st_ino): folder for folder in folders for status in (folder.stat(),)}
    with ExitStack() as held:
        for _, folder in sorted(found.items()):  # always in this order: two never wait for each other
            held.enter_context(_alone(folder))
        yield


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            held = hold(folder)
            if held is None:
                _make_lock(folder)
            break
        except (BlockingIOError, FileExistsError):
            if time.monotonic() > limit:
                raise UnusableInputError(
                    f"another program has been writing into '{folder}' for {_PATIENCE:g} seconds: wait for it to end, "
                    "or write into another folder"
                ) from None
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        if held is None:
            with suppress(OSError):
                (folder / _LOCK).rmdir()
        release(held)


def _make_lock(folder: Path) -> None:
    lock = folder / _LOCK
    try:
        lock.mkdir()
    except FileExistsError:
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime > _STALE:
                lock.rmdir()
        raise
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error)) from None
