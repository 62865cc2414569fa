"""Figures on a terminal: planes of coloured, numbered cells, as many side by side as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from layoutbridge.report.figures.colours import colour, ink, on_any_ground
from layoutbridge.report.figures.figure import Figure
from layoutbridge.report.figures.lanes import Crossing
from layoutbridge.report.figures.panels import Cell, Panel, Picture, Plane
from layoutbridge.report.figures.scene import a_line

_BETWEEN = "   "
_LANES, _ROWS = 24, 2  # characters from a digit to where it is written; rows a digit
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
        console.print()
        for note in figure.picture.notes:
            console.print(Text(note.replace("Marked:", f"Marked {_MARK}:"), "dim"))
    for crossing in figure.crossings:
        _show_crossing(console, crossing, is_named=crossing.title != figure.title)


def _panel_lines(panel: Panel, picture: Picture, width: int) -> Iterator[Text]:
    digits = max(len(str(cell.source)) for each in picture.panels for cell in each.cells)
    cell_width = digits + 2
    columns = max(1, min(len(panel.planes[0].rows[0]), width // cell_width))
    plane_width = max(columns * cell_width, *(len(plane.name) for plane in panel.planes))
    each = a_line((width + len(_BETWEEN)) // (plane_width + len(_BETWEEN)), panel)
    count = len(panel.planes)
    is_cut = columns < len(panel.planes[0].rows[0])
    for start in range(0, count, each):
        line = panel.planes[start : start + each]
        if line[0].name:
            yield Text(_BETWEEN.join(plane.name.ljust(plane_width) for plane in line).rstrip(), "dim")
        yield from _plane_rows(line, columns, digits, picture, plane_width)
    if is_cut:
        yield Text(f"the first {columns} columns: this terminal is {width} wide, and a file has more", "dim")


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
    """Digits as they are read and as they are written, with the lanes between them."""
    if is_named:
        console.print(Text(f"\n{crossing.title}", "bold"))
    count, is_drawn = len(crossing.order), not console.options.ascii_only
    width = max((len(digit.written) for digit in crossing.digits), default=0) + 2
    axes = max((len(group.words) for group in crossing.read_axes), default=0)
    first, last = ({group.start: group.words for group in own} for own in (crossing.read_axes, crossing.written_axes))
    console.print(Text(f"{'':{axes}}  {'read as':{width + _LANES}}  {'written as'}", "dim"))
    for row, lanes in enumerate(_lanes(crossing.order)):
        place, is_between = divmod(row, _ROWS)
        line = Text(" " * (axes + 2) if is_between else f"{first.get(place, ''):>{axes}}  ")
        line.append(*_digit("" if is_between else crossing.digits[place].read, place, count, width))
        for dots, source in lanes:
            stroke = Style(color=on_any_ground(colour(source, count)))
            line.append(chr(_BRAILLE + dots) if is_drawn and dots else " ", stroke)
        source = crossing.order[place]
        line.append(*_digit("" if is_between else crossing.digits[source].written, source, count, width))
        line.append("" if is_between else f"  {last.get(place, '')}")
        console.print(line, no_wrap=True, overflow="ellipsis")


def _digit(words: str, number: int, count: int, width: int) -> tuple[str, Style | None]:
    if not words:
        return " " * width, None
    fill = colour(number, count)
    return f" {words:<{width - 1}}", Style(color=ink(fill), bgcolor=fill)


def _lanes(order: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Rows of characters between two columns of digits: the dots that are set in each, as bits, and by which lane."""
    rows = _ROWS * (len(order) - 1) + 1
    grid = [[(0, 0)] * _LANES for _ in range(rows)]
    for place, source in enumerate(order):
        before = source * _ROWS * 4 + 1
        for x in range(2 * _LANES):
            share = x / (2 * _LANES - 1)
            y = round((source + (place - source) * share * share * (3 - 2 * share)) * _ROWS * 4) + 1
            for dot in range(min(y, before + (y > before)), max(y, before - (y < before)) + 1):
                row, column = grid[dot // 4], x // 2
                row[column] = row[column][0] | _DOTS[x % 2][dot % 4], source
            before = y
    return grid
