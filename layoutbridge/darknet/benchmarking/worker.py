"""One model in a process of its own: loaded, run in turns with those in other processes, and measured.

`layoutbridge.darknet.benchmarking.processes` starts it, and speaks with it over its standard streams. Small models may
take their turns within one process, too.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, class_and_first_line

if TYPE_CHECKING:
    from layoutbridge.darknet.detectors.detector import Detector
    from layoutbridge.darknet.detectors.opened import Opened
    from layoutbridge.darknet.ports.records.tuned import Settings
    from layoutbridge.darknet.structure.model import Network

Boxes = tuple[NDArray[np.float32], NDArray[np.int64]]  # centres, widths and heights in pixels [n, 4], classes [n]
MEMORY = "memory"
PAUSE = 0.07  # seconds before a turn: another model's threads turn in circles for a while, and take a core


@dataclass(frozen=True, slots=True)
class Opening:
    """How the model at `path` is opened: as `detectors.formats.open_file` says."""

    path: Path
    threads: int = 0
    vouched: bool = False
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Models to run in turns within the process: `turns` of them, each of at least `seconds`."""

    openings: tuple[Opening, ...]
    turns: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the opened model, written of `network` with this `head`, should give: `written.reference_results`."""

    network: Network
    head: str
    wanted: Sequence[NDArray[np.float64]]


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

    with suppress(KeyboardInterrupt):  # who started it hears of it, too
        work(ask, answer)


def work(ask: Callable[[], Any], answer: Callable[[object], None]) -> None:
    """Answer what is asked, until nobody asks.

    First comes an `Opening`, whose model is loaded and run: `Loaded` is the answer. Asked for a number, it is run once
    and so often more on one random picture, and the seconds of each of these are the answer; asked for `MEMORY`, the
    peak of it is; asked with what is `Awaited`, the deviation from that is; asked for a list of pictures, the boxes
    found in each are. `SideBySide` needs no opening: the answer is a list of seconds for each model. What goes wrong is
    told as text, and is the end.
    """
    try:
        _serve(ask, answer)
    except EOFError:
        return
    except LayoutBridgeError as error:
        answer(str(error))
    except Exception as error:  # frameworks raise what they like
        answer(class_and_first_line(error))


def _serve(ask: Callable[[], Any], answer: Callable[[object], None]) -> None:
    first = ask()
    while isinstance(first, SideBySide):
        answer(_side_by_side(first))
        first = ask()
    from layoutbridge.darknet.detectors.detector import Detector

    start = time.perf_counter()
    opened = _opened(first)
    seconds = time.perf_counter() - start
    x = _picture(opened)
    opened.run(x)  # the first run allocates, and is no measure
    answer(Loaded(seconds, opened.in_shape))
    while True:
        asked = ask()
        if isinstance(asked, str):
            answer(_peak())
        elif isinstance(asked, int):
            _seconds(opened, x)  # caches are another's
            answer([_seconds(opened, x) for _ in range(asked)])
        elif isinstance(asked, Awaited):
            from layoutbridge.darknet.detectors.written import deviation_of_opened

            answer(deviation_of_opened(opened, asked.network, asked.head, asked.wanted))
        else:
            answer(_found(Detector(first.path, threads=first.threads or None, settings=first.settings), asked))


def _opened(opening: Opening) -> Opened:
    from layoutbridge.darknet.detectors.formats import open_file

    return open_file(opening.path, opening.threads, vouched=opening.vouched, settings=opening.settings)


def _picture(opened: Opened) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((opened.batch or 1, *opened.in_shape), np.float32)


def _seconds(opened: Opened, x: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    opened.run(x)
    return (time.perf_counter() - start) / len(x)


def _side_by_side(asked: SideBySide) -> list[list[float]]:
    """The seconds of each model's runs, without those that follow another model's turn."""
    models = [(opened, _picture(opened)) for opened in map(_opened, asked.openings)]
    for model in models:
        _seconds(*model)
    times: list[list[float]] = [[] for _ in models]
    for turn in range(asked.turns):
        for number in range(len(models))[:: -1 if turn % 2 else 1]:
            time.sleep(PAUSE)
            _seconds(*models[number])  # caches are another's
            end = time.perf_counter() + asked.seconds
            times[number].append(_seconds(*models[number]))
            while time.perf_counter() < end:
                times[number].append(_seconds(*models[number]))
    return times


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
