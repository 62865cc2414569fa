"""The catalogue on a terminal: all entries by family, or all about one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.algebra.rearrangement import told
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter

_TAKES_WIDTH = 17
_FORMS_SHOWN = 10


def show_catalog(console: Console, entries: Sequence[CatalogEntry]) -> None:
    """A line an entry, under the headings of their families: its name, what it takes, what it does."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, min_width=max(map(len, (entry.name for entry in entries)), default=0))
    table.add_column(overflow="fold", max_width=_TAKES_WIDTH, style="dim")
    table.add_column(overflow="fold")
    families: dict[str, list[CatalogEntry]] = {}
    for entry in entries:
        families.setdefault(entry.family, []).append(entry)
    for number, (family, own) in enumerate(families.items()):
        if number:
            table.add_row()
        table.add_row(f"[bold]{escape(family)}[/]", "" if number else "takes", "" if number else "what it does")
        for entry in own:
            table.add_row(f"[cyan]{entry.name}[/]", ", ".join(entry.parameters), escape(entry.summary))
    console.print(table)


def show_entry(console: Console, entry: CatalogEntry) -> None:
    """All that the catalogue says of one entry: what it takes, and a pattern for each thing that can be asked for."""
    table = _two_columns()
    table.add_row("name", f"[cyan]{entry.name}[/]")
    table.add_row("what it does", escape(entry.summary or "-"))
    table.add_row("family", escape(entry.family))
    for number, parameter in enumerate(entry.parameters.values()):
        table.add_row("takes" if number == 0 else "", escape(_parameter_told(entry, parameter)))
    if not entry.parameters:
        table.add_row("takes", "nothing")
    for number, form in enumerate(entry.forms[:_FORMS_SHOWN]):
        asked = asked_of(entry, form)
        table.add_row("pattern" if number == 0 else "", escape(form.pattern))
        if asked:
            table.add_row("", f"  [dim]by {escape(asked)}[/]")
    if (more := len(entry.forms) - _FORMS_SHOWN) > 0:
        table.add_row("", f"and {more} more: --json has them all")
    if not entry.has_batch:
        table.add_row("", "the pattern names every axis: there is no batch axis in front")
    table.add_row("defined by", escape(entry.provenance))
    table.add_row("also known as", escape(", ".join(entry.also_known_as) or "-"))
    table.add_row("equals", escape(entry.equals or "-"))
    console.print(table)


def entry_record(entry: CatalogEntry) -> dict[str, object]:
    """The same for machines."""
    return {
        "name": entry.name,
        "family": entry.family,
        "pattern": entry.pattern,
        "parameters": entry.defaults,
        "takes": {
            name: {
                "default": parameter.default,
                "meaning": parameter.meaning,
                "values": entry.choices(name) or None,
            }
            for name, parameter in entry.parameters.items()
        },
        "forms": [
            {"pattern": form.pattern, "letters": dict(form.letters), "fixed": dict(form.fixed)} for form in entry.forms
        ],
        "has_batch": entry.has_batch,
        "summary": entry.summary,
        "provenance": entry.provenance,
        "also_known_as": entry.also_known_as,
        "equals": entry.equals,
    }


def asked_of(entry: CatalogEntry, form: Form) -> str:
    """What is asked for to have this form, beside what is usual: `--stride s1xs2 --spatial 3`."""
    usual = {name: parameter.default for name, parameter in entry.parameters.items()}
    letters = [
        f"--{name} {'x'.join(letters)}"
        for name, letters in form.letters.items()
        if letters != (name,) or len(letters) > 1
    ]
    fixed = [f"--{name} {told(value)}" for name, value in form.fixed.items() if usual.get(name) != value]
    return " ".join([*letters, *fixed])


def _parameter_told(entry: CatalogEntry, parameter: Parameter) -> str:
    meaning = f": {parameter.meaning}" if parameter.meaning else ""
    values = [told(value) for value in entry.choices(parameter.name)]
    choice = f" ({_either(values)})" if values and not all(value in parameter.meaning for value in values) else ""
    return f"{parameter.name}={told(parameter.default)}{meaning}{choice}"


def _either(values: Iterable[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _two_columns() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
