"""Two models compared, for a terminal: rows with what is equal folded, the first place apart, and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.comparison import Comparison, Row

_UNFOLDED = 2  # rows at each end of a run that is told row by row
_MOST_EVERYWHERE = 4


def show_comparison(console: Console, found: Comparison) -> None:
    """The rows, a long run of equal ones as one; then the verdict, and a paragraph for each cause."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("reference", "candidate", "relation"):
        table.add_column(name, overflow="fold")
    table.add_column("deviation", justify="right", no_wrap=True)
    for cells, is_first in folded_rows(found):
        table.add_row(*(f"[bold red]{escape(cell)}[/]" if is_first else escape(cell) for cell in cells))
    console.print(table)
    console.print()
    show_causes(console, found)
    for line in verdict_lines(found):
        console.print(escape(line), highlight=False)


def show_causes(console: Console, found: Comparison) -> None:
    """A paragraph for each cause."""
    for cause in found.causes:
        _show_cause(console, cause)


def verdict_lines(found: Comparison) -> list[str]:
    """The verdict in a sentence or two."""
    if found.equal:
        same = sum(row.relation == "same" for row in found.rows)
        return [f"equal: {same} of {len(found.rows)} tensors of {found.reference} are in {found.candidate}, "
                f"within {found.tolerance:g} of their largest value"]  # fmt: skip
    assert found.first is not None
    partner = "nothing" if found.first.candidate is None else found.first.candidate
    deviation = "" if found.first.deviation is None else f", {found.first.deviation:.1e} apart"
    lines = [f"the first that differs: {found.first.reference}, beside {partner} ({found.first.relation}{deviation})"]
    if not found.causes:
        lines.append("no cause is known that makes the difference vanish: look at what computes it")
    return lines


def folded_rows(found: Comparison) -> Iterator[tuple[tuple[str, str, str, str], bool]]:
    """The cells of each row, with runs of equal rows folded; and whether it is the first that differs."""
    for is_same, group in groupby(found.rows, key=lambda row: row.relation == "same"):
        run = list(group)
        folded = len(run) - 2 * _UNFOLDED if is_same else 0
        if folded <= 1:
            yield from ((_cells(row), row == found.first) for row in run)
            continue
        yield from ((_cells(row), False) for row in run[:_UNFOLDED])
        largest = max(row.deviation or 0 for row in run)
        yield (f"... {folded} more", "", "same", f"at most {largest:.1e}"), False
        yield from ((_cells(row), False) for row in run[-_UNFOLDED:])


def _cells(row: Row) -> tuple[str, str, str, str]:
    deviation = "" if row.deviation is None else f"{row.deviation:.1e}"
    return row.reference, row.candidate or "", relation_told(row), deviation


def relation_told(row: Row) -> str:
    """How the two are related, and whether that is all."""
    return f"{row.relation}, and the same again behind it" if row.healed and row.relation != "same" else row.relation


def _show_cause(console: Console, cause: Cause) -> None:
    console.print(f"[bold]{escape(cause.cause)}[/] at [cyan]{escape(cause.at)}[/]", highlight=False)
    lines = [
        f"found: {cause.found}", f"expected: {cause.expected}", cause.explanation,
        f"deviation {cause.deviation_before:.1e}, and {cause.deviation_after:.1e} with this fault in the reference",
        f"to do: {cause.fix}", *everywhere_lines(cause),
    ]  # fmt: skip
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False)
    console.print()


def everywhere_lines(cause: Cause) -> list[str]:
    """A line with the other places at which the same holds, where there are any."""
    if not cause.everywhere:
        return []
    named = ", ".join(cause.everywhere[:_MOST_EVERYWHERE])
    more = len(cause.everywhere) - _MOST_EVERYWHERE
    return [f"the same at {named}{f' and {more} more' if more > 0 else ''}"]
