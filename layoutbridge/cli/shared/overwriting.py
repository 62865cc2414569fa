"""Asking before a file is lost, where somebody is there to ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from layoutbridge.errors import UnusableInputError, visible
from layoutbridge.inputs import is_regular_file

Force = Annotated[bool, typer.Option("--force", help="Overwrite files without asking, on a terminal.")]


def ask_before_overwriting(paths: Iterable[str | os.PathLike[str]], *, force: bool) -> None:
    """Ask on a terminal whether the files among `paths` that exist may be lost; raises `UnusableInputError` for no.

    With `force`, and where no terminal is on standard input and on an output, as in scripts, nobody is asked.
    """
    there = [os.fspath(path) for path in paths if is_regular_file(path)]
    ask = next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
    if force or not there or ask is None or not sys.stdin.isatty():
        return
    named = " and ".join(f"'{path}'" for path in there)
    ask.write(visible(f"{named} {'exists' if len(there) == 1 else 'exist'}: overwrite? [y/N] "))
    ask.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UnusableInputError(f"{named} {'stays' if len(there) == 1 else 'stay'}, and nothing is written")
