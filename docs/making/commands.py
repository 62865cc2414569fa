"""A page for each command, from what its own help is made of, and one that lists them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_MARKS = re.compile(r"[\[\]*_|<>\\]")
_CODE = re.compile(r"(`[^`]+`)")
_PAGE = re.compile(r"\bdocs/([\w-]+\.md)")


@cache
def commands() -> dict[str, Any]:
    """Every command by its name, in the order of the help."""
    from typer.main import get_command

    from layoutbridge.cli.commands import application

    found: dict[str, Any] = dict(get_command(application()).commands)  # type: ignore[attr-defined]  # it is a group
    return found


@cache
def options(command: str) -> frozenset[str]:
    """The options of a command, --help among them."""
    params = _params(commands()[command])
    return frozenset(name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-"))


def takes_parameters(command: str) -> bool:
    """Whether what a catalogue entry takes is an option of it, too.

    >>> takes_parameters("table"), takes_parameters("scan")
    (True, False)
    """
    return any(param.name == "parameters" for param in commands()[command].params)


def pages() -> dict[str, str]:
    """The pages by their names."""
    rows = [f"| [`{name}`]({name}.md) | {plain(_first_line(command))} |" for name, command in commands().items()]
    index = "\n".join(
        [
            "# Commands",
            "",
            "What `layoutbridge --help` lists, each with its own page. All that report take `--json`. "
            "`layoutbridge --install-completion` completes names in your shell.",
            "",
            "| command | what it does |",
            "|---|---|",
            *rows,
            "",
            "Exit codes: 0 all holds; 1 a finding; 2 the call or its input is unusable, told in one line; 3 a fault of "
            "layoutbridge itself, with its trace in a file.",
        ]
    )
    return {"commands/index.md": index} | {f"commands/{name}.md": _page(name) for name in commands()}


def _page(name: str) -> str:
    command = commands()[name]
    context = command.context_class(command, info_name=f"layoutbridge {name}")
    usage = command.get_usage(context).removeprefix("Usage: ").strip()
    parts = [f"# layoutbridge {name}", *_prose(command.help or ""), f"```text\n{usage}\n```"]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        records = [
            (param.rich_help_panel or title, record)
            for param in _params(command)
            if param.param_type_name == kind and (record := param.get_help_record(context))
        ]
        for panel in dict.fromkeys(panel for panel, _ in records):
            rows = [f"| {_spelled(left)} | {plain(right)} |" for held, (left, right) in records if held == panel]
            parts += [f"## {panel}", "\n".join(["| | |", "|---|---|", *rows])]
    return "\n\n".join(parts)


def _params(command: Any) -> list[Any]:
    context = command.context_class(command, info_name=command.name)
    return list(command.get_params(context))


def _first_line(command: Any) -> str:
    return str(command.help or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _prose(text: str) -> list[str]:
    paragraphs = (plain(paragraph) for paragraph in text.replace("\b", "").split("\n\n") if paragraph.strip())
    return [_PAGE.sub(r"[docs/\1](../\1)", paragraph) for paragraph in paragraphs]


def _spelled(left: str) -> str:
    """The names of an option as code, its kind of value behind them."""
    names, _, kind = left.strip().partition(" <")
    return f"`{names.strip()}`" + f" &lt;{plain(kind)}" * bool(kind)


def plain(text: str) -> str:
    r"""`text` with nothing in it that Markdown would take for a mark, but for code.

    >>> print(plain("a [list] of `x_y` | x_y"))
    a \[list\] of `x_y` \| x\_y
    """
    parts = _CODE.split(text.replace("\n", " "))
    return "".join(
        part.replace("|", "&#124;") if part.startswith("`") else _MARKS.sub(lambda mark: f"\\{mark[0]}", part)
        for part in parts
    )
