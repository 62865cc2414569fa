"""Runs that take turns, so that what else the machine does is the same for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def in_turns(runs: Sequence[Callable[[], object]], seconds: float, least: int = 9) -> list[float]:
    """The median time of each in this process, which others do not take from, in turns until the time is over."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    end, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or len(times[0]) < least:
        for place in range(len(runs))[:: -1 if number % 2 else 1]:
            start = time.process_time()
            runs[place]()
            times[place].append(time.process_time() - start)
        number += 1
    return [statistics.median(own) for own in times]
