"""An audit for a terminal: which operations, how often, what is suspicious, what could not be scanned."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.auditing.audits import Audit
from layoutbridge.report.numbers import size_told

_OPERATIONS, _SUSPICIOUS, _FAILED = 30, 20, 10  # shown of each
_NODES = 3


def show_audit(console: Console, found: Audit) -> None:
    """A table of the operations, then lists of what is suspicious and of what failed, then the sum of all."""
    if found.operations:
        console.print(_operations(found))
    if found.suspicious:
        console.print(f"\n[bold]suspicious[/] ({len(found.suspicious):,})", highlight=False)
        for each in found.suspicious[:_SUSPICIOUS]:
            nodes = ", ".join(each.nodes[:_NODES]) + (", ..." if len(each.nodes) > _NODES else "")
            console.print(f"  {escape(each.file)}: {escape(nodes)}: {escape(each.suspicion)}", highlight=False)
        _more(console, len(found.suspicious) - _SUSPICIOUS)
    if found.failed:
        console.print(f"\n[bold]not scanned[/] ({len(found.failed):,})", highlight=False)
        for file, message in found.failed[:_FAILED]:
            console.print(f"  {escape(file)}: {escape(message)}", highlight=False)
        _more(console, len(found.failed) - _FAILED)
    if found.operations or found.failed:
        console.print()
    for line in summary_lines(found):
        console.print(escape(line), highlight=False)


def summary_lines(found: Audit) -> list[str]:
    """How many files there were and what came of them, in a sentence or two."""
    counts = found.files
    told = [f"{counts.get('scanned', 0):,} scanned"]
    if twice := counts.get("duplicate", 0):
        told.append(f"{twice:,} there already under another name")
    told += [f"{counts[status]:,} {status}" for status in ("unusable", "crashed", "timed out") if counts.get(status)]
    total = sum(counts.values())
    lines = [
        f"{total:,} {'file' if total == 1 else 'files'}: {', '.join(told)}",
        f"{found.places:,} {'place' if found.places == 1 else 'places'}, "
        f"{size_told(found.bytes_moved)} moved in one run of each model, {len(found.suspicious):,} suspicious",
    ]
    if found.others:
        lines.append(f"other files were passed over: {others_told(found.others)}")
    if found.unreadable:
        lines.append(f"folders that cannot be read: {', '.join(found.unreadable[:_NODES])}")
    return lines


def others_told(others: Mapping[str, int], most: int = 6) -> str:
    """Endings with their counts, the most frequent first.

    >>> others_told({".txt": 2, ".py": 1200})
    '.py (1,200), .txt (2)'
    """
    order = sorted(others.items(), key=lambda each: (-each[1], each[0]))
    told = [f"{ending} ({count:,})" for ending, count in order[:most]]
    rest = sum(count for _, count in order[most:])
    return ", ".join(told + ([f"others ({rest:,})"] if rest else []))


def _operations(found: Audit) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("operation", overflow="fold")
    for name in ("places", "files", "moved"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.operations[:_OPERATIONS]:
        size = size_told(each.bytes) if each.bytes else "nothing"
        table.add_row(f"[cyan]{escape(each.operation)}[/]", f"{each.places:,}", f"{each.files:,}", size)
    rest = found.operations[_OPERATIONS:]
    if rest:
        moved = size_told(sum(each.bytes for each in rest))
        table.add_row(f"{len(rest)} others", f"{sum(each.places for each in rest):,}", "", moved)
    return table


def _more(console: Console, count: int) -> None:
    if count > 0:
        console.print(f"  and {count:,} more", highlight=False)
