"""Surfaces that do each what a find is, for the hunt's own tests. Not a test itself."""

from __future__ import annotations

import os
import signal
import time
from itertools import count
from pathlib import Path

from layoutbridge.errors import CfgError, UnusableInputError
from tests.fuzzing.surface import surface

_CALLS, _FIRST = count(), 50  # what a worker starts with goes well


@surface(".txt")
def raises(data: bytes, folder: Path) -> None:
    """What no caller expects."""
    raise KeyError("x")


@surface(".txt")
def steers(data: bytes, folder: Path) -> None:
    """An error of ours with an empty line."""
    raise CfgError("one", "")


@surface(".txt")
def prints(data: bytes, folder: Path) -> None:
    """Something onto the terminal, past Python."""
    os.write(2, b"libnet warning\n")


@surface(".txt")
def crashes(data: bytes, folder: Path) -> None:
    """The process ends."""
    if next(_CALLS) > _FIRST:
        os.kill(os.getpid(), signal.SIGSEGV)


@surface(".txt")
def hangs(data: bytes, folder: Path) -> None:
    """It never ends."""
    if next(_CALLS) > _FIRST:
        time.sleep(1000)


@surface(".txt")
def swells(data: bytes, folder: Path) -> None:
    """More memory than an input may take."""
    if next(_CALLS) > _FIRST:
        assert bytearray(600 << 20)


@surface(".txt")
def refuses(data: bytes, folder: Path) -> None:
    """As a reader should."""
    raise UnusableInputError("it is none")
