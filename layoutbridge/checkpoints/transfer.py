"""Bytes from one file to another, by several threads: reading and moving goes on while others write."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path
from threading import Lock, get_ident

from layoutbridge.copying.threads import worker_count
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import Progress

Job = Callable[[], None]
AT_ONCE = 32 << 20  # bytes copied or sent to the disk at once, so that progress shows and a signal is heeded
_BUFFER = 1 << 20
_MOST_WORKERS = 4  # a file is written by one at a time: more would wait, and each holds blocks
_BY_POSITION = hasattr(os, "preadv") and hasattr(os, "pwrite")  # else threads would share one place in the file


class _StoppedError(Exception):
    """Another thread failed: this one has nothing to do any more."""


class Transfer:
    """From the file `source`, which `path` names, to `out`; `progress` is told of `total` bytes, `done` of them so far.

    Its methods may be called by any of the threads that do jobs. Those that read raise `UnusableInputError` for a file
    that ends too soon, and `OSError`, as those that write do.
    """

    def __init__(self, source: int, path: Path, out: FileIO, progress: Progress, total: int) -> None:
        self._source, self._path, self._out = source, path, out
        self._progress, self._total, self._done = progress, total, 0
        self._caller, self._lock = get_ident(), Lock()
        self._failures: list[BaseException] = []
        self._writing = Lock()  # a file system lets one write to a file at a time: others had better sleep than spin

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all jobs, begun in this order; raises what the first one that fails raises, when all have stopped."""
        numbers = count()

        def work() -> None:
            while not self._failures and (number := next(numbers)) < len(jobs):
                try:
                    jobs[number]()
                except BaseException as error:  # an interrupt, too: the others are to stop first
                    self._failures.append(error)

        helpers = min(worker_count(), _MOST_WORKERS, len(jobs)) - 1 if _BY_POSITION else 0
        try:
            with ThreadPoolExecutor(max(1, helpers), thread_name_prefix="layoutbridge") as pool:
                for _ in range(helpers):
                    pool.submit(work)
                work()
        except BaseException as error:  # an interrupt between two jobs, or while the others stop
            self._failures.append(error)
        if self._failures:
            raise self._failures[0]

    def read(self, view: memoryview, at: int) -> None:
        """Fill `view` with what stands at `at`."""
        while view:
            got = _read_at(self._source, view, at)
            if got == 0:
                raise UnusableInputError(f"'{self._path}' ends at byte {at:,}, before its tensors do: copy it again")
            view, at = view[got:], at + got

    def write(self, view: memoryview, at: int) -> None:
        """Write all of it; a system may take less at once."""
        while view:
            with self._writing:
                written = os.pwrite(self._out.fileno(), view, at) if _BY_POSITION else self._out.write(view) or 0
            view, at = view[written:], at + written

    def copy(self, start: int, size: int, target: int) -> None:
        """Copy bytes to `target` of the output, through a piece of memory that stays in the cache."""
        buffer = memoryview(bytearray(min(size, _BUFFER)))
        for first in range(start, start + size, _BUFFER):
            view = buffer[: start + size - first]
            self.read(view, first)
            self.write(view, first - start + target)
            self.tell(len(view))

    def tell(self, size: int) -> None:
        """Say that so many bytes more are done; the caller of `run` alone hears it."""
        if self._failures:
            raise _StoppedError
        with self._lock:
            self._done += size
            done = self._done
        if get_ident() == self._caller:
            self._progress(done, self._total)

    def flush(self, start: int, end: int) -> None:
        """Have the disk begin with what was written there, so that little is left to wait for in the end."""
        if hasattr(os, "posix_fadvise") and end > start:
            with suppress(OSError):  # it is advice, which a file system may not take
                os.posix_fadvise(self._out.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _read_at(descriptor: int, view: memoryview, at: int) -> int:
    if _BY_POSITION:
        return os.preadv(descriptor, [view[: 1 << 30]], at)
    os.lseek(descriptor, at, os.SEEK_SET)  # Windows
    content = os.read(descriptor, min(len(view), _BUFFER))
    view[: len(content)] = content
    return len(content)
