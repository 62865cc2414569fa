"""A small pool for code that releases the interpreter's lock: safe to call from several threads and after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from layoutbridge.machine import usable_cores

_MOST_WORKERS = 16  # a few cores saturate the memory; more only wait for each other


class _State:
    """What this process has made so far."""

    pool: ThreadPoolExecutor | None = None
    workers = 0


_state = _State()


def _forget() -> None:
    """A forked child has none of its parent's threads: it makes its own when it needs them."""
    _state.pool = None
    _state.workers = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def worker_count() -> int:
    """How many threads may run at once, the calling one included."""
    if not _state.workers:
        _state.workers = min(usable_cores(), _MOST_WORKERS)
    return _state.workers


def run_pieces(job: Callable[[int], None], pieces: int, workers: int) -> None:
    """Call job(0) to job(pieces - 1), in any order, on at most `workers` threads of which the caller is one."""
    numbers = count()  # whoever is free takes the next piece: a busy core delays one piece, not half of them

    def work() -> None:
        while (number := next(numbers)) < pieces:
            job(number)

    helpers = []
    try:
        pool = _state.pool
        if pool is None:  # two threads may both make one: the loser's is dropped and ends by itself
            pool = _state.pool = ThreadPoolExecutor(max(1, worker_count() - 1), thread_name_prefix="layoutbridge")
        helpers = [pool.submit(work) for _ in range(min(workers, pieces) - 1)]
    except RuntimeError:  # the interpreter is shutting down or allows no thread: the caller does it all
        pass
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()
