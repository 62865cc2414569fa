"""Where the commands print: standard output for answers, standard error for the rest."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from layoutbridge.errors import visible

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """For answers; in a pipe, which has no width, wide enough to leave lines whole."""
    from layoutbridge.report.pipes import PipeConsole

    # a pipe has no width: leave lines whole instead of folding them at a guess
    return PipeConsole(emoji=False) if sys.stdout.isatty() else PipeConsole(width=200, emoji=False)


def errors_console() -> Console:
    """For progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, emoji=False)


def remark(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"layoutbridge: {visible(' '.join(text.split()))}\n")


def print_text(text: str) -> None:
    """One line of an answer."""
    sys.stdout.write(text + "\n")


def print_json(value: object) -> None:
    """An answer for machines."""
    print_text(json.dumps(value, indent=2, ensure_ascii=False))
