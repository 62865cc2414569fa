"""Figures on a terminal: planes of coloured, numbered cells, as many side by side as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from layoutbridge.report.figures.colours import colour, ink, on_any_ground
from layoutbridge.report.figures.figure import Figure
from layoutbridge.report.figures.lanes import Axes, Crossing
from layoutbridge.report.figures.panels import Cell, Panel, Picture, Plane
from layoutbridge.report.figures.scene import a_line

_BETWEEN = "   "
_LANES, _FEWEST_LANES = 24, 6  # characters from a digit to where it is written, if there is room for so many
_ROWS = 2  # a digit
_BRAILLE = 0x2800  # the pattern without dots; each of eight bits sets one
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column and row within a character
_MARK = "*"  # behind the number of a cell that differs: seen without colours too


def show_figure(console: Console, figure: Figure) -> None:
    """The title, then each panel, or each crossing of digits; then how to read it."""
    console.print(Text(figure.title, "bold"))
    if figure.picture is not None:
        for panel in figure.picture.panels:
            console.print(Text(f"\n{panel.title} {list(panel.shape)}", "bold"))
            if panel.part:
                console.print(Text(panel.part, "dim"))
            for line in _panel_lines(panel, figure.picture, console.width):
                console.print(line, no_wrap=True, overflow="crop")
            if (columns := _columns(panel, figure.picture, console.width)) < len(panel.planes[0].rows[0]):
                told = f"the first {columns} columns: this terminal is {console.width} wide, and a file has more"
                console.print(Text(told, "dim"))
        console.print()
        for note in figure.picture.notes:
            console.print(Text(note.replace("Marked:", f"Marked {_MARK}:"), "dim"))
    for crossing in figure.crossings:
        _show_crossing(console, crossing, is_named=crossing.title != figure.title)


def _panel_lines(panel: Panel, picture: Picture, width: int) -> Iterator[Text]:
    digits = _number_width(picture)
    columns = _columns(panel, picture, width)
    plane_width = max(columns * (digits + 2), *(len(plane.name) for plane in panel.planes))
    each = a_line((width + len(_BETWEEN)) // (plane_width + len(_BETWEEN)), panel)
    count = len(panel.planes)
    for start in range(0, count, each):
        line = panel.planes[start : start + each]
        if line[0].name:
            yield Text(_BETWEEN.join(plane.name.ljust(plane_width) for plane in line).rstrip(), "dim")
        yield from _plane_rows(line, columns, digits, picture, plane_width)


def _number_width(picture: Picture) -> int:
    return max(len(str(cell.source)) for panel in picture.panels for cell in panel.cells)


def _columns(panel: Panel, picture: Picture, width: int) -> int:
    """How many columns of a plane a terminal of this width has room for."""
    return max(1, min(len(panel.planes[0].rows[0]), width // (_number_width(picture) + 2)))


def _plane_rows(planes: Sequence[Plane], columns: int, digits: int, picture: Picture, width: int) -> Iterator[Text]:
    for row in range(len(planes[0].rows)):
        line = Text()
        for number, plane in enumerate(planes):
            line.pad_right(number * (width + len(_BETWEEN)) - line.cell_len)
            for cell in plane.rows[row][:columns]:
                line.append(*_cell(cell, digits, picture))
        yield line


def _cell(cell: Cell, digits: int, picture: Picture) -> tuple[str, Style]:
    fill = colour(cell.colour, picture.colours)
    words = f" {cell.source:>{digits}}{_MARK if cell.differs else ' '}"
    return words, Style(color=ink(fill), bgcolor=fill, bold=cell.differs, underline=cell.differs)


def _show_crossing(console: Console, crossing: Crossing, *, is_named: bool) -> None:
    """Digits as they are read and as they are written, with the lanes between them, as long as there is room."""
    if is_named:
        console.print(Text(f"\n{crossing.title}", "bold"))
    count, is_drawn = len(crossing.order), not console.options.ascii_only
    width = max((len(digit.written) for digit in crossing.digits), default=0) + 2
    first, last = (_axes_by_row(own, _ROWS * count - 1) for own in (crossing.read_axes, crossing.written_axes))
    axes, behind = (max(map(len, own.values()), default=0) for own in (first, last))
    needed = axes + 2 * width + behind + 4
    length = max(_FEWEST_LANES, min(_LANES, console.width - needed))
    lines = [Text(f"{'':{axes}}  {'read as':{width + length}}  {'written as'}", "dim")]
    for row, lanes in enumerate(_lanes(crossing.order, length)):
        place, is_between = divmod(row, _ROWS)
        line = Text(f"{first.get(row, ''):>{axes}}  ")
        line.append(*_digit("" if is_between else crossing.digits[place].read, place, count, width))
        for dots, source in lanes:
            stroke = Style(color=on_any_ground(colour(source, count)))
            line.append(chr(_BRAILLE + dots) if is_drawn and dots else " ", stroke)
        source = crossing.order[place]
        line.append(*_digit("" if is_between else crossing.digits[source].written, source, count, width))
        lines.append(line.append(f"  {last.get(row, '')}"))
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis")
    if length + needed > console.width:
        console.print(Text(f"this terminal is {console.width} wide, and a file has more", "dim"))


def _axes_by_row(groups: Sequence[Axes], rows: int) -> dict[int, str]:
    """What stands beside the digits, by row: an axis a row, and what a group has no rows for in its last one."""
    found: dict[int, str] = {}
    for group in groups:
        start = min(_ROWS * group.start, rows - 1)
        end = max(start + 1, min(_ROWS * group.end, rows))
        *own, others = group.words.split(", ", end - start - 1)
        found |= {start + number: f"{words}," for number, words in enumerate(own)}
        found[start + len(own)] = others
    return found


def _digit(words: str, number: int, count: int, width: int) -> tuple[str, Style | None]:
    if not words:
        return " " * width, None
    fill = colour(number, count)
    return f" {words:<{width - 1}}", Style(color=ink(fill), bgcolor=fill)


def _lanes(order: Sequence[int], length: int) -> list[list[tuple[int, int]]]:
    """Rows of characters between two columns of digits: the dots that are set in each, as bits, and by which lane."""
    rows = _ROWS * (len(order) - 1) + 1
    grid = [[(0, 0)] * length for _ in range(rows)]
    for place, source in enumerate(order):
        before = source * _ROWS * 4 + 1
        for x in range(2 * length):
            share = x / (2 * length - 1)
            y = round((source + (place - source) * share * share * (3 - 2 * share)) * _ROWS * 4) + 1
            for dot in range(min(y, before + (y > before)), max(y, before - (y < before)) + 1):
                row, column = grid[dot // 4], x // 2
                row[column] = row[column][0] | _DOTS[x % 2][dot % 4], source
            before = y
    return grid
