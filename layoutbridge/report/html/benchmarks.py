"""The page of `benchmark`: formats side by side, how fast, how large, how far from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layoutbridge.report.darknet.benchmarks import roofline_told, share_told, threads_told
from layoutbridge.report.pages.charts import bar
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import number, paragraphs, size, table, text

if TYPE_CHECKING:
    from layoutbridge.darknet.benchmarking.formats import Benchmark, FormatRow
    from layoutbridge.darknet.benchmarking.roofline import Roofline


def benchmark_page(found: Benchmark, origin: Origin) -> str:
    """The page: the fastest first."""
    ran = [row for row in found.rows if row.seconds is not None]
    fastest = ran[0]
    words = f"{fastest.name} is the fastest: {1000 * (fastest.seconds or 0):.2f} ms a picture"
    lines = [
        f"ms: the median; ± half of the middle half; {threads_told(found.threads)}",
        "times hold for this machine alone",
    ]
    smallest = min((row for row in ran if row.bytes is not None), key=lambda row: row.bytes or 0, default=None)
    if smallest is not None and smallest is not fastest and smallest.bytes is not None:
        lines.insert(0, f"{smallest.name} is the smallest")
    parts = [
        Section("Time of a picture", _times(ran)),
        Section("Size, start and memory", _sizes(ran)),
    ]
    if found.roofline is not None:
        parts.insert(1, Section("What the machine leaves", _left(ran, found.roofline)))
    if any(row.deviation is not None or row.boxes is not None for row in ran):
        parts.append(Section("Distance from the reference", _distances(ran)))
    if others := [row for row in found.rows if row.reason]:
        rows = [(text(row.name), text(row.reason)) for row in others]
        parts.append(Section("Not measured", table(("format", "why"), rows)))
    count = f"{len(ran)} {'format' if len(ran) == 1 else 'formats'} measured"
    return page(
        f"layoutbridge benchmark: {fastest.name}", f"{found.source}: {count}",
        Verdict("told", words, lines), [*parts, *sections(origin)], made_by="layoutbridge benchmark",
    )  # fmt: skip


def _times(ran: list[FormatRow]) -> list[str]:
    most = max(row.seconds or 0 for row in ran)
    rows = (
        (
            text(row.name), bar(row.seconds, most), _milliseconds(row.seconds),
            _milliseconds(None if row.spread is None else row.spread / 2),
            number((row.seconds or 0) / (ran[0].seconds or 1), ".2f"),
        )
        for row in ran
    )  # fmt: skip
    columns = ("format", "", "ms", "±", "times the fastest")
    return table(columns, rows, numbers=("ms", "±", "times the fastest"), bars=("",))


def _left(ran: list[FormatRow], roofline: Roofline) -> list[str]:
    shares = [roofline.shares(row.seconds) for row in ran]
    most = max(1.0, *(share or 0 for each in shares for share in each))
    rows = (
        (text(row.name), bar(direct, most), share_told(direct), bar(winograd, most), share_told(winograd))
        for row, (direct, winograd) in zip(ran, shares, strict=True)
    )
    columns = ("format", " ", "of direct", "  ", "of Winograd")
    return [
        *paragraphs(roofline_told(roofline)),
        *table(columns, rows, numbers=("of direct", "of Winograd"), bars=(" ", "  ")),
    ]


def _milliseconds(seconds: float | None) -> str:
    return number(None if seconds is None else 1000 * seconds, ".2f")


def _sizes(ran: list[FormatRow]) -> list[str]:
    largest, loads, memories = (
        max(filter(None, values), default=0)
        for values in zip(*((row.bytes, row.load_seconds, row.memory) for row in ran), strict=True)
    )
    rows = (
        (
            text(row.name), bar(row.bytes, largest), size(row.bytes), bar(row.load_seconds, loads),
            number(row.load_seconds, ".2f", unit=" s"), bar(row.memory, memories), size(row.memory),
        )
        for row in ran
    )  # fmt: skip
    columns = ("format", " ", "size", "  ", "load", "   ", "memory")
    caption = "load: with the runtime's own start; memory: the peak of its process, with its runtime."
    return table(columns, rows, caption=caption, numbers=("size", "load", "memory"), bars=(" ", "  ", "   "))


def _distances(ran: list[FormatRow]) -> list[str]:
    rows = (
        (
            text(row.name), number(row.deviation),
            "" if row.boxes is None else f"{number(row.boxes_differ, 'd')} of {number(row.boxes, 'd')}",
        )
        for row in ran
    )  # fmt: skip
    caption = "deviation: the largest difference, as a share of the largest value; boxes that only one of the two has."
    return table(("format", "deviation", "boxes apart"), rows, caption=caption, numbers=("deviation", "boxes apart"))
