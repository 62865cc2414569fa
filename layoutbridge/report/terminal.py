"""Results as tables and sentences on a terminal, with rich."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.algebra.proof import Proof
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import counted
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.expectation import Expectation
from layoutbridge.recognition.matrix import NativeOp, comparable_maps, native_matrix, taken_for
from layoutbridge.recognition.rows import Row
from layoutbridge.recognition.verification import Verification
from layoutbridge.report.tables import first_entries

_OPS_NAMED = 3
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKS = {"same": "[bold green]=[/]", "other elements": "[red]x[/]", "other shape": "[dim].[/]"}
_FINDINGS_SHOWN = 20
_PARTICULARS = re.compile(r"b?float\d+|u?int\d+|bool|DT_\w+|\d+")


def show_table(console: Console, title: str, operation: Rearrangement, shape: tuple[int, ...]) -> None:
    """The first entries of a gather table, with the places that they mean."""
    out_shape = operation.out_shape(shape)
    console.print(f"[bold]{escape(title)}[/]  {list(shape)} -> {list(out_shape)}", highlight=False)
    if title != f"'{operation.pattern}'":
        console.print(escape(operation.pattern), highlight=False)
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("result", "at", "reads", "from"):
        rows.add_column(heading, justify="right")
    entries = first_entries(operation, shape)
    for index, place, position, source in entries:
        rows.add_row(str(index), str(list(place)), f"[cyan]{position}[/]", str(list(source)))
    console.print(rows)
    total = prod(out_shape)
    if total > len(entries):
        console.print(f"[dim]... {total - len(entries)} more: -o FILE or --format writes them all[/]", highlight=False)


def show_proof(console: Console, names: tuple[str, str], verdict: Proof) -> None:
    """The verdict, then the argument."""
    if verdict.equal and verdict.for_all_sizes:
        head = "[bold green]equal for all sizes[/]"
    elif verdict.equal:
        head = "[bold yellow]equal at all sizes that were tried, not proved for others[/]"
    elif verdict.counterexample is None:
        head = "[bold red]not comparable[/]"
    else:
        head = "[bold red]not equal[/]"
    console.print(f"{escape(names[0])}  and  {escape(names[1])}: {head}", highlight=False)
    console.print(escape(verdict.explain()), highlight=False)


def show_expectation(console: Console, expected: Expectation) -> None:
    """Whether it is what it should be; if not, the difference."""
    if expected.holds:
        console.print(f"[bold green]it is {escape(expected.title)}[/], as expected", highlight=False)
    else:
        told = f"[bold red]not {escape(expected.title)}[/]: {escape(str(expected.difference))}"
        console.print(told, highlight=False)


def show_identification(console: Console, target: str, found: Identification) -> None:
    """Names first, then the reasons."""
    if found.names:
        head = f"[bold green]{', '.join(found.names)}[/]"
    elif found.is_permutation:
        head = "[bold yellow]a permutation without a name[/]"
    else:
        head = "[bold red]no permutation[/]"
    console.print(f"{escape(target)}: {head}", highlight=False)
    console.print(escape(found.explain()), highlight=False)


def show_verification(console: Console, result: Verification) -> None:
    """The matrix of native ops against catalogue names, the emitted graphs, what could not run, the verdict."""
    native = native_matrix(result.rows)
    emitted = [row for row in result.rows if row.emitted]
    if native:
        _show_matrix(console, native)
    if emitted:
        _show_emitted(console, emitted)
    _show_not_run(console, result.rows)
    _show_verdict(console, result)


def _show_matrix(console: Console, ops: Sequence[NativeOp]) -> None:
    """A mark for every map that a native op may be taken for, lettered, and how it differs from the nearest."""
    groups = comparable_maps(ops)
    left_out = len(groups) - len(_LETTERS)
    groups = groups[: len(_LETTERS)]
    letters = _LETTERS[: len(groups)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("native op", overflow="fold")
    table.add_column("in", overflow="fold")
    table.add_column("layout", no_wrap=True)
    table.add_column(" ".join(letters), no_wrap=True)
    for native in ops:
        marks = " ".join(_MARKS[native.relations[group[0]]] for group in groups)
        table.add_row(escape(native.op), escape(native.version), native.layout, marks)
    console.print(table)
    console.print(
        f"{_MARKS['same']} the same map at every size, {_MARKS['other elements']} other elements in the same shape, "
        f"{_MARKS['other shape']} another shape",
        highlight=False,
    )
    legend = Table(box=None, pad_edge=False, show_header=False)
    legend.add_column(no_wrap=True)
    legend.add_column(overflow="fold")
    for letter, group in zip(letters, groups, strict=True):
        legend.add_row(f"[bold]{letter}[/]", ", ".join(f"[cyan]{name}[/]" for name in group))
    console.print(legend)
    if left_out > 0:
        console.print(f"and {left_out} maps more: --ops shows those that it names", highlight=False)
    for line in dict.fromkeys(filter(None, map(nearest, ops))):
        console.print(escape(line), highlight=False)
    console.print()


def nearest(native: NativeOp) -> str:
    """How the op differs from the first entry that gives the same shape and other elements: what it is taken for."""
    found = taken_for(native)
    if found is None or found[1].position is None or found[1].reads is None:
        return ""
    name, example = found
    here, there = (list(read) for read in found[1].reads)
    return (
        f"{' = '.join(native.names)} is not {name}: of an input {list(example.shape)}, the result's "
        f"{list(found[1].position)} is {here}, not {there}"
    )


def _show_emitted(console: Console, rows: Sequence[Row]) -> None:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.version, row.layout), []).append(row)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("emitted graphs in", "layout"):
        table.add_column(heading)
    for heading in ("entries", "runs", "match", "differ", "not run"):
        table.add_column(heading, justify="right")
    for (version, layout), own in groups.items():
        matching, differing = (sum(row.status == status for row in own) for status in ("matches", "differs"))
        differ = f"[bold red]{differing}[/]" if differing else "0"
        rest = str(len(own) - matching - differing)
        entries = str(len({row.entry for row in own}))
        table.add_row(escape(version), layout, entries, str(len(own)), f"[green]{matching}[/]", differ, rest)
    console.print(table)
    console.print()


def _show_not_run(console: Console, rows: Sequence[Row]) -> None:
    told = list(not_run(rows))
    if not told:
        return
    console.print("[bold]did not run[/]")
    for place, what, dtypes, detail in told:
        shown = f" ({dtypes})" if dtypes else ""
        console.print(f"- {escape(place)}: [bold]{escape(what)}[/]{shown}: {escape(detail)}", highlight=False)
    console.print()


def not_run(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Refusals: where, of what, at which dtypes if not at all, and why; those that differ only in numbers together."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.status in ("unavailable", "unsupported"):
            place = row.framework if row.op == "*" else f"{row.version} {row.layout}"
            groups.setdefault((place, _PARTICULARS.sub("#", row.detail)), []).append(row)
    every = {row.dtype for row in rows if row.dtype != "*"}
    for (place, _), refused in groups.items():
        ops = {"everything" if r.op == "*" else f"emitted {r.entry}" if r.emitted else r.op for r in refused}
        what = ", ".join(sorted(ops)) if len(ops) <= _OPS_NAMED else f"{len(ops)} ops"
        dtypes = {row.dtype for row in refused}
        yield place, what, "" if "*" in dtypes or dtypes >= every else ", ".join(sorted(dtypes)), refused[0].detail


def _show_verdict(console: Console, result: Verification) -> None:
    for row in result.findings[:_FINDINGS_SHOWN]:
        verb, where = finding_told(row)
        console.print(f"[bold red]{verb}[/] {escape(where)}: {escape(row.detail)}", highlight=False)
    tone, words, rest = verdict_of(result)
    console.print(f"[bold {tone}]{words}[/]{rest}", highlight=False)


def finding_told(row: Row) -> tuple[str, str]:
    """What a run does that it should not, and which run that is."""
    where = f"{row.op} in {row.version} {row.layout} {list(row.shape)} stride {row.stride} {row.dtype} {row.direction}"
    return "differs" if row.status == "differs" else "fails", where


def verdict_of(result: Verification) -> tuple[Literal["green", "yellow", "red"], str, str]:
    """The verdict's color, its words, and what goes on behind them."""
    ran = sum(row.status in ("matches", "differs") for row in result.rows)
    if not result.ok:
        return "red", counted(len(result.findings), "finding"), f" in {counted(len(result.rows), 'run')}"
    if not ran:
        return "yellow", "nothing ran", ": see the reasons above"
    rest = len(result.rows) - ran
    aside = f"; {rest} could not run, for the reasons above" if rest else ""
    return "green", "all hold", f": {counted(ran, 'run')}, each permutation recovered exactly{aside}"
