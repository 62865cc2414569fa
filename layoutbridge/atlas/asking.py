"""A process in a subject's environment that runs cells: a crash costs the question that it crashed at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.atlas import worker
from layoutbridge.errors import LayoutBridgeError

_FIRST_SECONDS, _SECONDS = 180.0, 60.0  # that an answer may take: at first the runtime is imported


class CellError(LayoutBridgeError):
    """What a subject said, or how it ended, when it was asked to run a cell."""


class StoppedError(Exception):
    """What is asked of a worker that was stopped has no answer, which says nothing of the subject."""


class Asked:
    """A worker in an environment, started when it is asked and again after it crashed; closed with its block."""

    def __init__(self, python: Path) -> None:
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._was_asked = False
        self._is_stopped = False

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def stop(self) -> None:
        """End it from another thread: whoever waits for an answer gets `StoppedError`, and so does who asks later."""
        self._is_stopped = True
        if (process := self._process) is not None:
            _kill(process)

    def text(self, code: str, wanted: str) -> str:
        """The text that `code` leaves under a name. Raises `CellError`."""
        return str(self._ask(code, wanted, {}, {})["text"])

    def array(self, code: str, numbers: Mapping[str, int], setup: str = "", **arrays: NDArray[Any]) -> NDArray[Any]:
        """The array that `code` leaves as `y`, after `setup`, which is run once for a shape. Raises `CellError`."""
        answer = self._ask(code, "y", numbers, arrays, setup)
        return np.frombuffer(answer["content"], worker.dtype_called(answer["dtype"])).reshape(answer["shape"])

    def _ask(
        self, code: str, wanted: str, numbers: Mapping[str, int], arrays: Mapping[str, NDArray[Any]], setup: str = ""
    ) -> dict[str, Any]:
        process = self._started()
        told = [{"name": name, "dtype": x.dtype.name, "shape": list(x.shape)} for name, x in arrays.items()]
        question = {"setup": setup, "code": code, "wanted": wanted, "numbers": dict(numbers), "arrays": told}
        seconds = _SECONDS if self._was_asked else _FIRST_SECONDS
        timer = Timer(seconds, _kill, [process])
        timer.daemon = True
        timer.start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            for x in arrays.values():
                process.stdin.write(np.ascontiguousarray(x).tobytes())
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            if "shape" in answer:
                size = prod(answer["shape"]) * worker.dtype_called(answer["dtype"]).itemsize
                answer["content"] = process.stdout.read(size)
        except (OSError, ValueError):
            is_over = not timer.is_alive()
            how = f"no answer in {seconds:g} seconds" if is_over else self._how_it_ended()
            self._end()  # what is being killed answers nothing more
            if self._is_stopped:
                raise StoppedError from None
            raise CellError(how) from None
        finally:
            timer.cancel()
        self._was_asked = self._was_asked or bool(arrays)  # a version is asked for without the runtime
        if "error" in answer:
            raise CellError(answer["error"])
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._is_stopped:
            raise StoppedError
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._was_asked = False
            self._process = subprocess.Popen(
                [self._python, "-I", worker.__file__],  # the worker's own folder has no modules for it
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is no answer of a runtime
            )  # fmt: skip
        return self._process

    def _how_it_ended(self) -> str:
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        code = process.poll()
        if code is None:
            _kill(process)
            return "the process gave no answer that can be read"
        if code < 0:
            return f"the process crashed ({signal.Signals(-code).name})"
        return f"the process ended with code {code}"

    def _end(self) -> None:
        if self._process is None:
            return
        _kill(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._process = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker, and what it has started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
