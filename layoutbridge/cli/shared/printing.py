"""Where the commands print: standard output for answers, standard error for the rest; steering no terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from layoutbridge.errors import visible

if TYPE_CHECKING:
    from rich.console import Console

_WARNINGS_SHOWN = 20
_DRAWING = {"FORCE_COLOR", "TTY_COMPATIBLE"}  # what rich takes for a terminal, whatever stderr is


def console() -> Console:
    """For answers; in a pipe, which has no width, wide enough to leave lines whole."""
    from layoutbridge.report.consoles import PlainConsole

    # a pipe has no width: leave lines whole instead of folding them at a guess
    return PlainConsole(emoji=False) if sys.stdout.isatty() else PlainConsole(width=200, emoji=False)


def progress_console() -> Console | None:
    """For progress; None where nothing can be drawn: rich is slow to load."""
    if not (sys.stderr.isatty() or _DRAWING & os.environ.keys()):
        return None
    from layoutbridge.report.consoles import PlainConsole

    return PlainConsole(stderr=True, emoji=False)


def remark(text: str) -> None:
    """One line on standard error; where nothing can be written there, there is nobody to tell."""
    try:
        sys.stderr.write(f"layoutbridge: {visible(' '.join(text.split()))}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Let nothing more be written to `stream`: what it still holds would fail again, and change the exit code."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def remark_warnings(warnings: Sequence[str], more: int = 0) -> None:
    """The first twenty warnings, a line each, and how many others there are, with `more` that are not in the list."""
    for warning in warnings[:_WARNINGS_SHOWN]:
        remark(f"warning: {warning}")
    others = more + max(len(warnings) - _WARNINGS_SHOWN, 0)
    if others:
        remark(f"warning: and {others:,} more")


def print_text(text: str) -> None:
    """One line of an answer."""
    sys.stdout.write(visible(text) + "\n")


def print_json(value: object) -> None:
    """An answer for machines."""
    print_json_text(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_text(text: str) -> None:
    """The same where it is JSON already."""
    lines = text.split("\n")
    sys.stdout.write("\n".join(line if line.isprintable() else _escaped(line) for line in lines) + "\n")


def _escaped(line: str) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
