"""The command line's own process: what frameworks read there at their start, and stderr without their C++ code's notes.

A library leaves the environment and stderr to the program that uses it. This program is ours.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_DEFAULTS = {
    _LEVEL: "3",  # of TensorFlow's C++ code, which says at 3 what stops the process and nothing else
    "ORT_DISABLE_TELEMETRY": "1",  # of onnxruntime, which keeps a file of what is done with it in the home folder
    "OMP_WAIT_POLICY": "passive",  # of ncnn's threads, which turn in circles otherwise: slow where cores are busy
    "TQDM_DISABLE": "1",  # of coremltools, whose bars count passes over a graph
}
# What absl's and TensorFlow's logging write before they heed a level, the line that goes on with it, LiteRT of its
# kernels, and LiteRT's converter, whose errors are raised as well. What stops the process (F) is told.
_NOTE = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:\d"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|WARNING: All log messages before absl::"
    rb"|To enable the following instructions: "
    rb"|INFO: (Created|Initialized) TensorFlow Lite "
    rb"|(loc\(.*: |<unknown>:0: |)(error|note): "
    rb"|Some ops are not supported by the native TFLite runtime|TF Select ops: |Details:\s*$|\ttf\.\w+\("
)
_DETAIL = b"\ttf."  # behind the last of them stands an empty line
_PATIENCE = 0.05  # seconds that the beginning of a line waits for the rest
_FAREWELL = 1.0  # seconds that the last lines may take


@contextmanager
def own_process() -> Iterator[None]:
    """The process is the command line's: defaults in its environment, and stderr without the notes of C++ code.

    What the caller has set in the environment stays; TF_CPP_MIN_LOG_LEVEL=0 brings all notes back. To be entered once,
    at the start, while there are no threads.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module="PIL")  # on large pictures and their metadata: what matters is raised
        warnings.filterwarnings("ignore", module="ai_edge_litert")  # of memory, each time that a quantizer opens it
    started = None if os.environ[_LEVEL] == "0" else _start()
    if started is None:
        yield
        return
    stderr, leaving, ended = started
    before = sys.stderr
    with open(stderr, "w", buffering=1, encoding=before.encoding, errors=before.errors) as around:
        sys.stderr = around
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(stderr, 2)
            os.close(leaving)
            select.select([ended], [], [], _FAREWELL)
            os.close(ended)


def _start() -> tuple[int, int, int] | None:
    """A child through which goes what is written to stderr by its number.

    Returned are stderr, what is to be closed when we leave, and what ends when all that we wrote has been passed on:
    processes that were started here and go on may hold the pipe, and are heard until they end.

    A child, not a thread: C++ code that holds the interpreter's lock may write more than a pipe takes, and what it says
    when it brings the process down comes through, too. None where stderr is closed, or there is no way to.
    """
    if sys.stderr is None or not hasattr(os, "fork"):
        return None
    try:
        for number in range(3):  # where one is closed, a new file would get its number
            os.fstat(number)
        stderr, (reading, writing), (left, leaving), (ended, ending) = os.dup(2), os.pipe(), os.pipe(), os.pipe()
        child = os.fork()
    except OSError:
        return None
    if child == 0:
        _pass_on(reading, stderr, left, ending)
    os.dup2(writing, 2)
    for number in (reading, writing, left, ending):
        os.close(number)
    return stderr, leaving, ended


def _pass_on(reading: int, stderr: int, left: int, ending: int) -> NoReturn:
    """What the child does: what is no note goes on to stderr, until the last writer is gone."""
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):  # which reach the whole group: it ends after its parent
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        for number, kept in enumerate((reading, stderr, left, ending)):
            os.dup2(kept, number)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))  # pipes of the parent's, which end when it does
        with open(1, "wb", closefd=False) as out:
            for told in without_notes(_pieces(0, 2, 3)):
                out.write(told)
                out.flush()
    finally:
        os._exit(0)


def _pieces(number: int, left: int, ending: int) -> Iterator[bytes]:
    """What can be read, as it comes, and an empty piece where nothing follows for a while.

    `ending` is closed when whoever closes `left` has been heard to the end.
    """
    watched, patience = [number, left], None
    while True:
        ready = select.select(watched, [], [], patience)[0]
        if number in ready:
            if not (piece := os.read(number, 1 << 16)):
                return
            yield piece
            patience = _PATIENCE
            continue
        yield b""
        patience = None
        if left in ready:
            watched.remove(left)
            os.close(ending)


def without_notes(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""The lines in `pieces` that are no notes of C++ code; the beginning of a line, too, when an empty piece follows.

    >>> list(without_notes([b"a no", b"te\nerror: of LiteRT's\nNew name? ", b"", b"yes\n"]))
    [b'a note\n', b'New name? ', b'yes\n']
    """
    begun, told, before = b"", False, b""  # a line that has begun; whether some of it was told; the last line
    for piece in pieces:
        *lines, begun = (begun + piece).split(b"\n")
        for line in lines:
            if told or not (_NOTE.match(line) or (not line and before.startswith(_DETAIL))):
                yield line + b"\n"
            told, before = False, line
        if begun and not piece and (told or not _NOTE.match(begun)):
            yield begun
            begun, told = b"", True
    if begun and (told or not _NOTE.match(begun)):
        yield begun
