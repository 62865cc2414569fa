"""Weights that were brought back to Darknet, for a terminal: where each parameter is from, and whether it is proven."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.comparing.returning import BroughtBack
from layoutbridge.errors import counted
from layoutbridge.report.comparisons import show_causes, verdict_lines

_AS_IT_IS = "as it is"


def show_brought_back(console: Console, done: BroughtBack) -> None:
    """A row for each parameter; then the verdict of the comparison, with causes, or that there is none."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("layer", "parameter"):
        table.add_column(name, overflow="fold")
    table.add_column("shape", no_wrap=True, justify="right")
    table.add_column("from", overflow="fold")
    table.add_column("", overflow="fold")
    before = None
    for row in done.rows:
        table.add_row(
            "" if row.layer == before else f"[cyan]{escape(row.layer)}[/]",
            escape(row.parameter),
            "×".join(map(str, row.shape)),
            "—" if row.source is None else escape(row.source),
            "" if row.how == _AS_IT_IS else escape(row.how),
        )
        before = row.layer
    console.print(table)
    console.print()
    layers = len({row.layer for row in done.rows})
    console.print(
        f"{counted(len(done.rows), 'parameter')} of {counted(layers, 'layer')}, found by {done.how}", highlight=False
    )
    if done.comparison is None:
        console.print("not proven: nothing was run", highlight=False)
        return
    show_causes(console, done.comparison)
    for line in verdict_lines(done.comparison):
        console.print(escape(line), highlight=False)
