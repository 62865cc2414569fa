"""Runs that are told to stop when their time is over: one thread watches over all of them.

A timer of its own for each would take longer to start than a small network to run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from time import monotonic


class _Watch:
    """What is running, by a number: until when, and what to call then. The thread ends with the last of it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must: it has no thread of its parent's, and the lock may have been held."""
        self._changed = Condition()
        self._running: dict[int, tuple[float, Callable[[], None]]] = {}
        self._number = 0
        self._wakes: float | None = None  # when the thread looks again; None where there is none

    def begin(self, until: float, stop: Callable[[], None]) -> int:
        with self._changed:
            self._number += 1
            self._running[self._number] = until, stop
            if self._wakes is None:
                self._wakes = until
                Thread(target=self._watch, daemon=True).start()
            elif until < self._wakes:
                self._changed.notify()
            return self._number

    def end(self, number: int) -> None:
        with self._changed:
            self._running.pop(number, None)

    def _watch(self) -> None:
        with self._changed:
            while self._running:
                now = monotonic()
                for number, (until, stop) in list(self._running.items()):
                    if until <= now:
                        del self._running[number]
                        stop()
                self._wakes = min((until for until, _ in self._running.values()), default=now)
                self._changed.wait(self._wakes - now)
            self._wakes = None


_watch = _Watch()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watch.forget)


@contextmanager
def stopped_after(seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, from another thread, if what is done within takes more than so many seconds.

    >>> from threading import Event
    >>> over = Event()
    >>> with stopped_after(0.01, over.set):
    ...     over.wait(60)
    True
    """
    number = _watch.begin(monotonic() + seconds, stop)
    try:
        yield
    finally:
        _watch.end(number)
