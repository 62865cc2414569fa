"""Models in processes of their own, which take turns: what else the machine does is the same for all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles
from typing import IO, Any

from layoutbridge.darknet.benchmarking.worker import PAUSE, Loaded, Opening

_TURN = 0.3  # seconds that a turn takes at least
_PATIENCE = 300.0  # seconds that a process may take to answer
_ENDED = "its process ended: it crashed, or the system ended it for want of memory"
_ENVIRONMENT = {  # of the processes, where the caller's does not say it
    "OMP_WAIT_POLICY": "passive",  # ncnn's threads turn in circles otherwise, and take the time of others
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Process:
    """A process that opens one model, or several side by side (`worker`); it ends with the `with` block.

    `threads` is how many those frameworks have that choose by their process, as PyTorch does; 0: as they like.
    """

    def __init__(self, threads: int = 0) -> None:
        environment = {**_ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        program = "from layoutbridge.darknet.benchmarking.worker import main; main()"
        command = [sys.executable, "-c", program]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._reader = ThreadPoolExecutor(1)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.shutdown()

    def open(self, opening: Opening) -> Loaded | str:
        """What it says of the model once that has run; text where it cannot be opened."""
        answer = self.ask(opening)
        return answer if isinstance(answer, Loaded) else str(answer)

    def turn(self, seconds: float | None) -> list[float] | str:
        """The seconds of each run of a turn; text where it cannot run. `seconds` are those of a run, where known."""
        count = 1 if seconds is None else max(1, round(_TURN / seconds))
        time.sleep(PAUSE)
        answer = self.ask(count)
        return answer if isinstance(answer, list) else str(answer)

    def ask(self, what: object) -> Any:
        """What it answers; text where it cannot."""
        try:
            pickle.dump(what, self._input)
            self._input.flush()
        except OSError:
            return _ENDED
        assert self._process.stdout is not None
        try:
            return self._reader.submit(pickle.load, self._process.stdout).result(_PATIENCE)
        except TimeoutError:
            self._process.kill()
            return f"it took more than {_PATIENCE:g} seconds to answer"
        except (EOFError, OSError, pickle.UnpicklingError):
            return _ENDED

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin


def middle(seconds: Sequence[float]) -> tuple[float, float]:
    """The median, and the width of the middle half.

    >>> middle([1.0, 2.0, 3.0])
    (2.0, 2.0)
    """
    first, _, third = quantiles(seconds, n=4) if len(seconds) > 1 else (seconds[0],) * 3
    return median(seconds), third - first
