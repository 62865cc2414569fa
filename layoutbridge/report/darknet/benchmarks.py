"""Formats side by side on a terminal: size, load, time, memory, deviation, boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.report.numbers import size_told

if TYPE_CHECKING:
    from layoutbridge.darknet.benchmarking.formats import Benchmark, FormatRow
    from layoutbridge.darknet.benchmarking.roofline import Roofline


def show_benchmark(console: Console, found: Benchmark) -> None:
    """A line a format, the fastest first; below, why others did not run, or could not be looked at."""
    ran = [row for row in found.rows if row.seconds is not None]
    columns: dict[str, Callable[[FormatRow], str]] = {
        "size": lambda row: "" if row.bytes is None else size_told(row.bytes),
        "load": lambda row: "" if row.load_seconds is None else f"{row.load_seconds:.2f} s",
        "ms": lambda row: f"{1000 * (row.seconds or 0):.2f}",
        "±": lambda row: "" if row.spread is None else f"{500 * row.spread:.2f}",
        "memory": lambda row: "" if row.memory is None else size_told(row.memory),
    }
    if any(row.deviation is not None for row in ran):
        columns["deviation"] = lambda row: "" if row.deviation is None else f"{row.deviation:.0e}"
    if any(row.boxes is not None for row in ran):
        columns["boxes apart"] = lambda row: "" if row.boxes is None else f"{row.boxes_differ} of {row.boxes}"
    roofline = found.roofline
    if roofline is not None:
        columns["of direct"] = lambda row: share_told(roofline.shares(row.seconds)[0])
        columns["of Winograd"] = lambda row: share_told(roofline.shares(row.seconds)[1])
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("format", overflow="fold")
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in ran:
        table.add_row(escape(row.name), *(told(row) for told in columns.values()))
    console.print(table)
    console.print(
        "load with the runtime's own start; ms a picture: the median, ± half of the middle half; "
        f"{threads_told(found.threads)}",
        highlight=False,
        markup=False,
    )
    if roofline is not None:
        for line in roofline_told(roofline):
            console.print(line, highlight=False, markup=False)
    for row in found.rows:
        if row.reason:
            console.print(f"{row.name}: {row.reason}", highlight=False, markup=False)


def share_told(share: float | None) -> str:
    """A share as percents.

    >>> share_told(0.618), share_told(None)
    ('62 %', '')
    """
    return "" if share is None else f"{100 * share:.0f} %"


def roofline_told(roofline: Roofline) -> list[str]:
    """What the machine can do at most, the least time of the network that this gives, and what the shares mean."""
    peak, work = roofline.peak, roofline.work
    threads = "1 thread" if peak.threads == 1 else f"{peak.threads} threads"
    lines = [
        f"this machine with {threads}: {peak.multiplications / 1e9:.3g} billion multiplications a second, each with "
        f"its addition ({peak.measured_with}), and moves {size_told(peak.bytes)} a second",
        f"so a picture takes at least {_least(roofline.direct_seconds)}: {work.direct / 1e9:.3g} billion "
        f"multiplications, {size_told(work.bytes)} of weights and activations",
    ]
    if work.winograd < work.direct:
        lines[-1] += f"; in Winograd's form {_least(roofline.winograd_seconds)}: {work.winograd / 1e9:.3g} billion"
    return [
        *lines,
        "of direct, of Winograd: that least time as a share of the format's; over 100 % it multiplies less than that",
    ]


def _least(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def threads_told(threads: int) -> str:
    """How many threads each had.

    >>> threads_told(1), threads_told(0)
    ('1 thread each', 'threads as each runtime chooses')
    """
    if not threads:
        return "threads as each runtime chooses"
    return "1 thread each" if threads == 1 else f"{threads} threads each"
