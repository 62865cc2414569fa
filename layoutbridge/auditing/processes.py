"""How the processes that look at files are started: from a server that has imported what all need, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

if sys.platform == "win32":
    from multiprocessing.context import SpawnContext as _Context
    from multiprocessing.context import SpawnProcess as _Process
else:
    from multiprocessing.context import ForkServerContext as _Context
    from multiprocessing.context import ForkServerProcess as _Process

_PRELOADED = ["layoutbridge.auditing.examining", "layoutbridge.scanning.readers.onnx", "onnx"]


class LonelyProcess(_Process):
    """A process that does not run the caller's program again, which may audit itself, or come from standard input."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _main_module_hidden():
            return _Process._Popen(process_obj)


class LonelyContext(_Context):
    """Makes such processes."""

    Process = LonelyProcess


def prepared() -> LonelyContext:
    """How processes are started; what they all import is begun with, beside whatever is done meanwhile."""
    context = LonelyContext()
    if sys.platform != "win32":
        from multiprocessing import forkserver

        context.set_forkserver_preload(_PRELOADED)  # what is imported once need not be for each process
        forkserver.ensure_running()
    return context


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """What tells a new process which program it belongs to has an empty one to tell of."""
    own = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own
