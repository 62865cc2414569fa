"""Whole networks on a terminal: Darknet's table, the check of every layer, detections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from layoutbridge.errors import counted, visible
from layoutbridge.report.numbers import short

if TYPE_CHECKING:
    from layoutbridge.darknet.classification.results import Classification
    from layoutbridge.darknet.detection.detections import Detections
    from layoutbridge.darknet.networks.flavors import FlavorDifference
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from layoutbridge.darknet.networks.summary import SummaryRow
    from layoutbridge.darknet.ports.check import Check, LayerCheck, OtherFlavor, TargetCheck

_OVER_SHOWN = 10
_LEAST_LABEL = 8
_MOST_IN_TABLE = 1000
_NOT_FINITE = "NaN or infinity"
_FIRST = (" <- first", "<")  # what marks the first layer to diverge, and where that is too wide


def show_summary(console: Console, net: DarknetNetwork) -> None:
    """One line a layer, narrow enough for 80 columns, then the sums."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    table.add_column("filters", justify="right", no_wrap=True)
    table.add_column("size", no_wrap=True)
    table.add_column("input", justify="right", overflow="ellipsis", no_wrap=True, max_width=18)
    for heading in ("output", "parameters", "BFLOPs"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = net.summary()
    for row in rows:
        table.add_row(
            f"{row.index:>3} [cyan]{_short_name(row.kind)}[/]",
            "" if row.filters is None else str(row.filters),
            _window(row),
            _inputs(row),
            _shape(row.out_shape),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.flops / 1e9:.3f}" if row.flops else "",
        )
    console.print(table)
    console.print(
        f"{counted(len(rows), 'layer')}, {counted(sum(row.parameters for row in rows), 'parameter', form=',')}, "
        f"{sum(row.flops for row in rows) / 1e9:.3f} BFLOPs at {net.network.width} x {net.network.height}, "
        f"flavor {net.network.flavor}",
        highlight=False,
    )


def show_flavors(console: Console, net: DarknetNetwork, differences: tuple[FlavorDifference, ...]) -> None:
    """Where the other flavour would make something else of the network, if anywhere."""
    from layoutbridge.darknet.networks.flavors import told_differences

    told = told_differences(net.network, differences)
    if told:
        console.print(f"[dim]{escape(told)}[/]", highlight=False)


def _short_name(kind: str) -> str:
    from layoutbridge.darknet.structure.kinds import KINDS

    return KINDS[kind].short_name or kind


def _window(row: SummaryRow) -> str:
    if row.size is None and row.stride is None:
        return ""
    size = "" if row.size is None else f"{row.size[0]}x{row.size[1]}"
    if row.stride is None:
        return size
    across, down = row.stride
    return f"{size}/{across}" if across == down else f"{size}/{across}x{down}"


def _inputs(row: SummaryRow) -> str:
    """The input's shape, or which layers it reads where that is not just the one before."""
    if row.inputs == (row.index - 1,):
        return _shape(row.in_shape)
    return " ".join("input" if index < 0 else str(index) for index in row.inputs)


def _shape(shape: tuple[int, ...]) -> str:
    """Darknet's own order: width x height x channels."""
    return "x".join(map(str, reversed(shape)))


def show_check(console: Console, result: Check, *, every_layer: bool) -> None:
    """A table of layers and targets, the first layer to diverge marked; then a line for each target, and the verdict.

    Without `every_layer` only layers over the tolerance are listed, the first ones. Columns are left out until the
    table fits the console: first the largest values, then float32's rounding; deviations have one digit where two are
    too wide.
    """
    over = [row for row in result.rows if row.over]
    rows = result.rows if every_layer else over[:_OVER_SHOWN]
    if rows:
        console.print(_check_table(rows, result, console.width))
        if over:
            console.print("[dim]* is over its target's tolerance, < marks the first layer with one[/]", highlight=False)
        if not every_layer and len(over) > len(rows):
            console.print(f"[dim]... {len(over) - len(rows)} more over the tolerance[/]", highlight=False)
    for target in result.targets:
        console.print(_target_line(target, result), highlight=False)
    for line in not_finite_told(result):
        console.print(escape(line).replace(_NOT_FINITE, f"[red]{_NOT_FINITE}[/]", 1), highlight=False)
    if result.other is not None:
        style = "yellow" if result.against is None and result.other.first is not None else None
        console.print(escape(other_flavor_told(result, result.other)), style=style, highlight=False)
    head, rest = verdict_told(result)
    told = f"[bold green]{head}[/]:" if result.ok else f"[bold red]{head}[/]"
    console.print(f"{told} {escape(rest)}", highlight=False)
    if rounding := rounding_told(result):
        console.print(rounding, highlight=False)


def verdict_told(result: Check) -> tuple[str, str]:
    """The verdict in a word or two, and what goes on behind it."""
    if result.ok:
        checked = sum(target.status == "equal" for target in result.targets) - (result.against is not None)
        held = "the target holds" if checked == 1 else f"{checked} targets hold"
        held = held if result.against is None else f"the reference and {held.replace('holds', 'hold')}"
        yardstick = "the reference in float64" if result.against is None else f"the recorded {result.against}"
        return "equal", f"{held} all {len(result.rows)} layers against {yardstick}"
    first = result.first_over
    assert first is not None
    where = f"first at {first.name} (cfg line {first.line})"
    if first.not_finite:
        return "not finite", f"{where}: nothing can be compared with NaN or infinity"
    most = short(max(first.deviations[name] for name in first.over))
    return "diverges", f"{where}, in {', '.join(first.over)}: {most} of its largest value"


def rounding_told(result: Check) -> str:
    """That nothing but float32's rounding is to blame, where it is; else nothing."""
    over = [row for row in result.rows if row.over]
    if not over or any(
        row.not_finite or row.rounding is None or row.deviations[name] > 2 * row.rounding
        for row in over
        for name in row.over
    ):
        return ""
    return (
        "float32 rounding alone moves these layers as far: the reference in float32 strays by "
        f"{short(max(row.rounding or 0 for row in over))}"
    )


def other_flavor_told(result: Check, other: OtherFlavor) -> str:
    """What the other flavour makes of the same files."""
    if result.against is not None:
        if other.first is not None:
            return f"flavor {other.flavor!r} would not fit them: first at {_named([result.rows[other.first]])}"
        fitting = "fits them, too" if result.ok else "fits them"
        return f"flavor {other.flavor!r} {fitting}: every layer of its reference"
    if other.first is None:
        return f"flavor {other.flavor!r} would give the same within {short(other.share)} of an output's largest value"
    return (
        f"flavor {other.flavor!r} would give other outputs, by up to {short(other.share)} of the largest "
        f"value: first at {_named([result.rows[other.first]])}"
    )


def not_finite_told(result: Check) -> Iterator[str]:
    """Where there is NaN or infinity, and in what; last where Darknet itself has it."""
    bad = [row for row in result.rows if row.not_finite]
    for where in dict.fromkeys(name for row in bad if row.over for name in row.not_finite):
        yield f"{_NOT_FINITE} in {where} at {_named(row for row in bad if where in row.not_finite)}"
    if own := [row for row in bad if not row.over]:
        yield f"NaN as in Darknet, where an l2norm divides 0 by 0, at {_named(own)}"


def _named(rows: Iterable[LayerCheck]) -> str:
    told = [f"{row.name} (cfg line {row.line})" for row in rows]
    return ", ".join(told[:_OVER_SHOWN]) + (f" and {len(told) - _OVER_SHOWN} more" if len(told) > _OVER_SHOWN else "")


def _target_line(target: TargetCheck, result: Check) -> str:
    name = f"{target.name} {target.version}" if target.version else target.name
    if target.status == "missing":
        return f"[dim]{escape(target.name)}: {escape(target.detail)}[/]"
    if target.status == "unsupported":
        return f"[yellow]{escape(name)}[/]: cannot express this network: {escape(target.detail)}"
    assert target.worst is not None
    worst = result.rows[target.worst]
    color = "green" if target.status == "equal" else "red"
    over = ""
    if target.first_over is not None:
        first = result.rows[target.first_over]
        over = f"first over at {escape(first.name)} (cfg line {first.line}), "
    return (
        f"[{color}]{escape(name)} {target.status}[/]: {over}worst {short(worst.deviations[target.name])} "
        f"at {escape(worst.name)} (cfg line {worst.line}), tolerance {short(target.tolerance, 'g')}"
    )


def _check_table(rows: Sequence[LayerCheck], result: Check, width: int) -> Table:
    """A deviation over its tolerance bears a star, for where there are no colors."""
    columns, narrow = (
        {
            target.heading or target.name: [
                f"{'*' if target.name in row.over else ''}{short(row.deviations[target.name], form)}" for row in rows
            ]
            for target in result.targets
            if target.worst is not None
        }
        for form in (".1e", ".0e")
    )
    sizes = {"largest": [short(row.largest, ".3g") for row in rows]}
    rounding = {"float32": ["" if row.rounding is None else short(row.rounding) for row in rows]}
    rounded = columns | (rounding if any(rounding["float32"]) else {})
    digits = max(len(str(row.index)) for row in rows)
    labels = [f"{row.index:>{digits}} {_short_name(row.kind)}" for row in rows]
    for shown, first_mark in product((sizes | rounded, rounded, columns, narrow), _FIRST):
        marked = [f"{label}{first_mark * (row is result.first_over)}" for label, row in zip(labels, rows, strict=True)]
        left = width - sum(1 + max(map(len, [heading, *cells])) for heading, cells in shown.items())
        if max(map(len, marked)) <= left:
            break
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True, max_width=max(left, _LEAST_LABEL))
    for heading in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    for k, row in enumerate(rows):
        color = "bold red" if row is result.first_over else "red" if row.over else ""
        cells = [Text(cell[k], "bold red" if cell[k].startswith("*") else "") for cell in shown.values()]
        table.add_row(Text(marked[k], color), *cells)
    return table


def show_classification(console: Console, shown: Classification) -> None:
    """One line a class, the surest first; with a tree the class above it, too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    table.add_column("score", justify="right")
    parents = any(item.parent is not None for item in shown)
    if parents:
        table.add_column("of")
    for item in shown:
        above = (escape(item.parent or ""),) if parents else ()
        table.add_row(f"[cyan]{escape(item.label)}[/]", f"{item.score:.6f}", *above)
    console.print(table)


def show_detections(console: Console, found: Detections) -> None:
    """One line a detection, the surest first."""
    width, height = found.picture_size
    if not found:
        console.print(f"nothing found in the picture of {width} x {height}", highlight=False)
        return
    headings = ("what", "score", "left", "top", "width", "height")
    rows = [
        (item.label, f"{item.score:.3f}", *(f"{one:.1f}" for one in (item.left, item.top, item.width, item.height)))
        for item in sorted(found, key=lambda item: -item.score)
    ]
    if len(rows) > _MOST_IN_TABLE:
        _show_many(console, headings, rows)
    elif (straight := _Straight(headings, rows)).fits(console.width):
        console.print(straight)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left")
        for label, *numbers in rows:
            table.add_row(f"[cyan]{escape(label)}[/]", *numbers)
        console.print(table)
    if found.left_out:
        console.print(f"and {found.left_out:,} more: --max all tells them", highlight=False)


class _Straight:
    """A table of labels and numbers that needs neither folding nor cutting: what rich's gives, in a tenth of its time.

    `rows` are a label and numbers, as the `headings` say.
    """

    def __init__(self, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        self._headings, self._rows = headings, rows
        self._labels = {label: cell_len(label) for label, *_ in rows}
        longest = max(len(headings[0]), *self._labels.values())
        numbers = (max(map(len, column)) for column in [*zip(headings, *rows, strict=True)][1:])
        self._widths = longest, *numbers

    def fits(self, width: int) -> bool:
        """Whether it is not wider than that, and no label has anything that rich's table would change."""
        plain = all(label.isprintable() and label == label.strip() and ":" not in label for label in self._labels)
        return plain and "" not in self._labels and sum(self._widths) + 2 * (len(self._widths) - 1) <= width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """The headings in bold, then the rows, their labels in cyan."""
        bold, cyan = console.get_style("bold"), console.get_style("cyan")
        first, *others = zip(self._headings, self._widths, strict=True)
        yield Segment(first[0].ljust(first[1]), bold)
        for heading, width in others:
            yield from (Segment(" ", bold), Segment(" ", bold), Segment(heading.rjust(width), bold))
        yield Segment.line()
        for label, *numbers in self._rows:
            told = "".join(f"  {number:>{width}}" for number, width in zip(numbers, self._widths[1:], strict=True))
            yield Segment(label, cyan)
            yield Segment(" " * (self._widths[0] - self._labels[label]) + told)
            yield Segment.line()


def _show_many(console: Console, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """The same columns as plain lines: a table of very many takes a minute."""
    shown = [headings, *((visible(label), *numbers) for label, *numbers in rows)]
    longest = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join([label + " " * (longest[0] - cell_len(label)), *map(str.rjust, numbers, longest[1:])])
        for label, *numbers in shown
    ]
    for start in range(0, len(lines), _MOST_IN_TABLE):
        console.out("\n".join(lines[start : start + _MOST_IN_TABLE]), highlight=False)
