"""How a shell completes a word: commands and options are looked up, values on the line are not read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer import Typer


def completes() -> bool:
    """Whether a shell asks how a word goes on."""
    return any(name.endswith("_COMPLETE") for name in os.environ)


def words_in_front() -> list[str]:
    """The words between the program's name and the one to go on."""
    words = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    whole = words.split() if words[-1:].isspace() else words.split()[:-1]
    return whole[1:]


def command_for_completion(app: Typer, words: Sequence[str]) -> Any:
    """The command of typer's `app` for a word behind `words`: looked up in it, and read as little as that takes.

    Where no command is among them it is one that is completed: their options are not made then.
    """
    from typer.main import get_command

    if all(word.startswith("-") for word in words):
        for each in app.registered_commands:
            each.callback = _without_options(each.callback)
    command = get_command(app)
    _leave_values_unread(command)
    return command


def _without_options(callback: Any) -> Callable[[], None]:
    def told() -> None:
        """Stand for it: what is told of a command is its name and its docstring."""

    told.__name__, told.__doc__ = callback.__name__, callback.__doc__
    return told


def _leave_values_unread(command: Any) -> None:
    """Have typer's `command`, and those in it, take values as they stand: what reads and checks them loads slowly."""
    listed = command.get_params

    def get_params(context: Any) -> Any:
        params = listed(context)
        for param in params:
            param.process_value = _as_given
        return params

    command.get_params = get_params
    for each in getattr(command, "commands", {}).values():
        _leave_values_unread(each)


def _as_given(_: Any, value: Any) -> Any:
    return value
