"""The commands, each in a module that is imported when one of its commands is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer
    from typer.models import CommandInfo

COMMANDS: dict[str, tuple[str, ...]] = {
    "networks.summary": ("summary", "check"),
    "exports.export": ("export",),
    "networks.weights": ("weights",),
    "networks.detect": ("detect", "predict"),
    "networks.classify": ("classify",),
    "networks.evaluate": ("map",),
    "networks.benchmark": ("benchmark",),
    "exports.tune": ("tune",),
    "models.compare": ("compare",),
    "models.scan": ("scan",),
    "models.rewrite": ("rewrite",),
    "models.audit": ("audit",),
    "operations.questions": ("identify", "prove", "list", "table", "code", "verify"),
    "operations.show": ("show",),
    "operations.explore": ("explore",),
    "models.checkpoint": ("checkpoint",),
    "operations.atlas": ("atlas", "port"),
}
"""Each module's commands, in the order in which help lists them."""


def application(words: Sequence[str] = ()) -> Typer:
    """The command line for these words, behind the program's name: with all commands, unless the first word is one."""
    from layoutbridge.cli.shared.application import app

    first = next((word for word in words if not word.startswith("-")), None)
    asked = [module for module, names in COMMANDS.items() if first in names]
    for module in asked or COMMANDS:
        import_module(f"{__name__}.{module}")
    order = [name for names in COMMANDS.values() for name in names]
    app.registered_commands.sort(key=lambda command: order.index(_name_of(command)))
    return app


def _name_of(command: CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", ""))
