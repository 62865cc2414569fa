"""What changes in a checkpoint, for a terminal: a line for tensors that differ in numbers of their names alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.errors import counted
from layoutbridge.report.numbers import size_told

if TYPE_CHECKING:
    from layoutbridge.checkpoints.rearranging import RearrangedCheckpoint
    from layoutbridge.checkpoints.stored import Change

_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")


def show_checkpoint(console: Console, done: RearrangedCheckpoint) -> None:
    """What each rule does, to which tensors, from which shape to which; then how much that is of all."""
    by_rule: dict[tuple[int, str], list[Change]] = {}
    for change in done.changes:
        by_rule.setdefault((change.rule, change.operation.label), []).append(change)
    for (rule, label), changes in sorted(by_rule.items()):
        console.print(f"[bold]rule {rule}[/]  {escape(label)}", highlight=False)
        console.print(_table(changes))
    moved, rest = sum(change.size for change in done.changes), done.tensors - len(done.changes)
    verb = "changed" if done.written else "would change"
    console.print(
        f"{_tensors(len(done.changes))} of {done.tensors} {verb} ({size_told(moved)} of {size_told(done.size)}), "
        f"{rest} {'stay' if rest != 1 else 'stays'}",
        highlight=False,
    )


def _table(changes: Sequence[Change]) -> Table:
    groups: dict[tuple[str, str, str], int] = {}
    for change in changes:
        key = (_NUMBER.sub("*", change.name), change.dtype, _shapes_told(change))
        groups[key] = groups.get(key, 0) + 1
    single = {_NUMBER.sub("*", change.name): change.name for change in changes}
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold", ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for (name, dtype, shapes), count in groups.items():
        told = single[name] if count == 1 else name
        table.add_row("", f"[cyan]{escape(told)}[/]", f"{count} ×", escape(dtype), escape(shapes))
    return table


def _shapes_told(change: Change) -> str:
    before, after = str(list(change.shape)), str(list(change.result))
    alone = ", each along the first axis" if len(change.shape) > change.operation.rank else ""
    return (f"{before} -> {after}" if before != after else before) + alone


def _tensors(count: int) -> str:
    return counted(count, "tensor")
