"""A model that nobody vouches for runs in a process of its own, where time and memory have an end.

What it computes comes back over pipes. A loop without end, a tensor of a terabyte or a crash of the runtime ends that
process, and becomes an error here. Memory and the processor's time are limited where the system can (Linux; elsewhere
a clock alone stops it).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from math import prod
from threading import Lock, Timer
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge import errors
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.base import numpy_dtype
from layoutbridge.frameworks.framework import TypedCallable
from layoutbridge.inputs import MEGABYTES, memory_allowed, seconds_allowed, too_large, too_slow

_USUAL_SECONDS = 3.0  # of the processor, for models that take milliseconds
_BYTES_A_SECOND = 25_000_000  # of an input or a file: so much longer a large one may take
_CLOCK = 15  # times as long by the clock: on a crowded machine others have the processor meanwhile
_START_SECONDS = 4.0  # for importing a runtime and loading a model
_COPIES = 16  # of an input, which a run may hold beside what the file's size allows
_NO_MEMORY = ("bad_alloc", "failed to allocate memory", "unable to allocate", "out of memory", "memory of")
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from layoutbridge.frameworks.apart import serve; serve(*sys.argv[1:])"
)


def run_apart(opener: str, path: str | os.PathLike[str], size: int) -> TypedCallable:
    """What `opener(path)` returns, a function of one array and the dtype that it takes, run in a process of its own.

    `opener` is written `module:function`; `size` is what memory is allowed by: the bytes of the file and of what it
    brings. The process ends with the function. Raises what `opener` raises of our own errors, and `UnusableInputError`
    with the words of others; the function does, for what goes wrong in it, and where it takes more time or memory than
    it may.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START, json.dumps([*filter(None, sys.path)]), opener, os.fspath(path), str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=-1,
    )
    told, one_at_a_time = os.fspath(path), Lock()
    assert process.stdin is not None and process.stdout is not None
    given, taken = process.stdin, process.stdout

    def run(x: NDArray[Any]) -> NDArray[Any]:
        with one_at_a_time:
            seconds = seconds_allowed(_USUAL_SECONDS + x.nbytes / _BYTES_A_SECOND)
            with _ended_after(process, seconds * _CLOCK), _endings(process, told, size, x.nbytes, seconds):
                _send_array(given, x, seconds=seconds, memory=_memory(size, x.nbytes))
                return _received_array(taken)

    weakref.finalize(run, _stop, process)
    seconds = _start_seconds(size)
    with _ended_after(process, seconds * _CLOCK), _endings(process, told, size, 0, seconds):
        dtype = _receive(taken)["dtype"]
    return TypedCallable(run, dtype)


class _Refused(Exception):
    """What the other process says that went wrong: its class, where it is one of ours, and whether memory ended."""

    def __init__(self, text: str, kind: str, memory: bool) -> None:
        super().__init__(text)
        self.kind, self.memory = kind, memory


@contextmanager
def _endings(process: subprocess.Popen[bytes], path: str, size: int, given: int, seconds: float) -> Iterator[None]:
    """The errors of an exchange: what the other process said, or why it says nothing more."""
    most = _memory(size, given)
    try:
        yield
    except _Refused as problem:
        if problem.memory:
            raise too_large(f"'{path}'", most) from None
        raise getattr(errors, problem.kind)(str(problem)) from None
    except (EOFError, OSError, ValueError):
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TO_DIE)
        ended = _stop(process)
        if ended in (_SIGXCPU, _SIGKILL):
            raise too_slow(f"'{path}'", seconds) from None
        raise UnusableInputError(
            f"'{path}' ended the process that ran it ({ended}): its runtime crashes, or it takes more than "
            f"{most // 1_000_000:,} MB of memory: if you trust it, set {MEGABYTES}={2 * most // 1_000_000}"
        ) from None


_SIGKILL, _SIGXCPU = -9, -24
_TO_DIE = 5.0  # seconds: the system writes a crashed one down first


def _stop(process: subprocess.Popen[bytes]) -> int:
    """End the process, and say how it ended: by itself, where it had."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    return process.wait()


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    timer = Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _start_seconds(size: int) -> float:
    return seconds_allowed(_START_SECONDS + size / _BYTES_A_SECOND)


def _memory(size: int, given: int) -> int:
    """The bytes that a run may take for an input of `given` bytes."""
    return memory_allowed(size) + _COPIES * given


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error of a runtime's says that memory ended: they have no class in common."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _NO_MEMORY)


# ---------------------------------------------------------------------- over the pipes


def _send(pipe: IO[bytes], **told: Any) -> None:
    pipe.write(json.dumps(told).encode() + b"\n")
    pipe.flush()


def _send_array(pipe: IO[bytes], x: NDArray[Any], **told: Any) -> None:
    _send(pipe, dtype=x.dtype.name, shape=x.shape, **told)
    pipe.write(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
    pipe.flush()


def _send_error(pipe: IO[bytes], error: BaseException, before: str) -> None:
    ours = isinstance(error, LayoutBridgeError)
    text = str(error) if ours else f"{before} {class_and_first_line(error)}"
    kind = type(error).__name__ if ours else UnusableInputError.__name__
    _send(pipe, error=text, kind=kind, memory=is_lack_of_memory(error))


def _receive(pipe: IO[bytes]) -> dict[str, Any]:
    line = pipe.readline(1 << 20)
    if not line.endswith(b"\n"):
        raise EOFError
    told: dict[str, Any] = json.loads(line)
    if "error" in told:
        raise _Refused(told["error"], told["kind"], told["memory"])
    return told


def _received_array(pipe: IO[bytes], told: dict[str, Any] | None = None) -> NDArray[Any]:
    told = told or _receive(pipe)
    dtype = numpy_dtype(told["dtype"])
    content = bytearray(prod(told["shape"]) * dtype.itemsize)
    if pipe.readinto(content) != len(content):  # type: ignore[attr-defined]
        raise EOFError
    return np.frombuffer(content, dtype).reshape(told["shape"])


# ---------------------------------------------------------------------- in the other process


def serve(opener: str, path: str, size: str) -> None:
    """Open `path`, and answer arrays on standard input with arrays on standard output until that is closed."""
    given, taken = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a runtime prints is no answer
    module, _, name = opener.partition(":")
    try:
        _limit(_start_seconds(int(size)), _memory(int(size), 0))
        run = getattr(import_module(module), name)(path)
    except BaseException as error:
        _send_error(taken, error, f"'{path}' raised")
        return
    _send(taken, dtype=run.dtype)
    while True:
        try:
            told = _receive(given)
            x = _received_array(given, told)
        except EOFError:
            return
        _limit(told["seconds"], told["memory"])
        try:
            result = np.asarray(run(x))
            if result.dtype.hasobject:
                raise UnusableInputError(f"'{path}' gives {result.dtype}, not numbers")
        except BaseException as error:
            _send_error(taken, error, f"'{path}' raised")
        else:
            _send_array(taken, result)


def _limit(seconds: float, more_bytes: int) -> None:
    """Let this process take so much more time of the processor and so much more memory, where the system can."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 1
    _set_limit(resource.RLIMIT_CPU, until)
    held = _bytes_of_data()
    if held is not None:
        _set_limit(resource.RLIMIT_DATA, held + more_bytes)


def _set_limit(which: int, value: int) -> None:
    import resource

    _, most = resource.getrlimit(which)
    with suppress(ValueError, OSError):
        resource.setrlimit(which, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _bytes_of_data() -> int | None:
    """The writable memory that this process has mapped; None where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration), open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmData:"))
        return int(line.split()[1]) * 1024
    return None
