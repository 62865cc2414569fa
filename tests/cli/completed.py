"""Lines of which a shell may ask how they go on: of every command, its options and its arguments."""

from __future__ import annotations

from typing import Any


def asked_words() -> list[str]:
    """Lines that end with a space: behind the program, behind each command, behind each option that has values."""
    from typer.main import get_command

    from layoutbridge.cli.commands import application

    group: Any = get_command(application())
    asked = ["layoutbridge "]
    for name, command in group.commands.items():
        asked.append(f"layoutbridge {name} ")
        for param in command.params:
            if param.param_type_name == "option" and not param.is_flag:
                asked.append(f"layoutbridge {name} {param.opts[0]} ")
    return asked
