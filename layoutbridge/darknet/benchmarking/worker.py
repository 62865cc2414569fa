"""One model in a process of its own: loaded, run in turns with those in other processes, and measured.

`layoutbridge.darknet.benchmarking.formats` starts it, and speaks with it over its standard streams.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, class_and_first_line

if TYPE_CHECKING:
    from layoutbridge.darknet.detectors.detector import Detector

Boxes = tuple[NDArray[np.float32], NDArray[np.int64]]  # centres, widths and heights in pixels [n, 4], classes [n]
MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a model is once it is ready: seconds from the start of its reading, its input's (C, H, W)."""

    seconds: float
    in_shape: tuple[int, int, int]


def main() -> None:
    """Answer on standard output what comes on standard input, pickled; what frameworks print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def ask() -> Any:
        return pickle.load(sys.stdin.buffer)

    def answer(value: object) -> None:
        pickle.dump(value, answers)
        answers.flush()

    work(ask, answer, sys.argv[1], int(sys.argv[2]), vouched="vouched" in sys.argv[3:])


def work(
    ask: Callable[[], Any], answer: Callable[[object], None], path: str, threads: int, *, vouched: bool = False
) -> None:
    """Load the model at `path`, which may be `vouched` for (`open_file`), and answer what is asked.

    Asked for a number, it is run so often on one random picture, and the seconds of each run are the answer; asked for
    `MEMORY`, the peak of it is; asked for a list of pictures, the boxes found in each are. What goes wrong is told as
    text, and is the end.
    """
    try:
        _serve(ask, answer, path, threads, vouched)
    except LayoutBridgeError as error:
        answer(str(error))
    except Exception as error:  # frameworks raise what they like
        answer(class_and_first_line(error))


def _serve(ask: Callable[[], Any], answer: Callable[[object], None], path: str, threads: int, vouched: bool) -> None:
    from layoutbridge.darknet.detectors.detector import Detector
    from layoutbridge.darknet.detectors.formats import open_file

    start = time.perf_counter()
    opened = open_file(path, threads, vouched=vouched)
    seconds = time.perf_counter() - start
    x = np.random.default_rng(0).random((opened.batch or 1, *opened.in_shape), np.float32)
    opened.run(x)  # the first run allocates, and is no measure
    answer(Loaded(seconds, opened.in_shape))
    while True:
        asked = ask()
        if asked == MEMORY:
            answer(_peak())
        elif isinstance(asked, int):
            times = []
            for _ in range(asked):
                start = time.perf_counter()
                opened.run(x)
                times.append((time.perf_counter() - start) / len(x))
            answer(times)
        else:
            answer(_found(Detector(path, threads=threads or None), asked))


def _found(detector: Detector, pictures: Sequence[Path]) -> list[Boxes]:
    found = [detector.detect(picture) for picture in pictures]
    return [(one.xywh, one.classes) for one in found]


def _peak() -> int | None:
    """Bytes of memory that the process took at most; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024  # getrusage counts what started it, too, on Linux
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
