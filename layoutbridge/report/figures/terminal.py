"""Figures on a terminal: planes of coloured, numbered cells, as many side by side as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from layoutbridge.report.figures.colours import colour, ink
from layoutbridge.report.figures.figure import Figure
from layoutbridge.report.figures.lanes import Crossing, Digit
from layoutbridge.report.figures.panels import Cell, Panel, Picture, Plane

_BETWEEN = "   "
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
    each = max(1, (width + len(_BETWEEN)) // (columns * cell_width + len(_BETWEEN)))
    count = len(panel.planes)
    each = max(divisor for divisor in range(1, min(each, count) + 1) if count % divisor == 0 or divisor == each)
    is_cut = columns < len(panel.planes[0].rows[0])
    for start in range(0, count, each):
        line = panel.planes[start : start + each]
        names = [f"[{', '.join(map(str, plane.outer))}]" if count > 1 else "" for plane in line]
        if any(names):
            yield Text(_BETWEEN.join(name.ljust(columns * cell_width) for name in names).rstrip(), "dim")
        yield from _plane_rows(line, columns, digits, picture)
    if is_cut:
        yield Text(f"the first {columns} columns: this terminal is {width} wide, and a file has more", "dim")


def _plane_rows(planes: Sequence[Plane], columns: int, digits: int, picture: Picture) -> Iterator[Text]:
    for row in range(len(planes[0].rows)):
        line = Text()
        for number, plane in enumerate(planes):
            line.append(_BETWEEN if number else "")
            for cell in plane.rows[row][:columns]:
                line.append(*_cell(cell, digits, picture))
        yield line


def _cell(cell: Cell, digits: int, picture: Picture) -> tuple[str, Style]:
    fill = colour(cell.colour, picture.colours)
    words = f" {cell.source:>{digits}}{_MARK if cell.differs else ' '}"
    return words, Style(color=ink(fill), bgcolor=fill, bold=cell.differs, underline=cell.differs)


def _show_crossing(console: Console, crossing: Crossing, *, is_named: bool) -> None:
    """Two columns: digits as they are read, and as they are written, each with where it was read."""
    if is_named:
        console.print(Text(f"\n{crossing.title}", "bold"))
    width = max((len(digit.words) for digit in crossing.digits), default=0) + 4
    axes = max((len(group.words) for group in crossing.read_axes), default=0)
    first, last = ({group.start: group.words for group in own} for own in (crossing.read_axes, crossing.written_axes))
    console.print(Text(f"{'':{axes}}  {'read as':{width + 4}}     {'written as'}", "dim"))
    for place, source in enumerate(crossing.order):
        line = Text(f"{first.get(place, ''):>{axes}}  ")
        line.append(*_digit(crossing.digits[place], place, len(crossing.order), width))
        line.append(f"     {'│' if source == place else '╳'}     ")
        line.append(*_digit(crossing.digits[source], source, len(crossing.order), width))
        line.append(f"  {last.get(place, '')}")
        console.print(line, no_wrap=True, overflow="crop")


def _digit(digit: Digit, number: int, count: int, width: int) -> tuple[str, Style]:
    fill = colour(number, count)
    return f" {number + 1}  {digit.words:<{width - 3}}", Style(color=ink(fill), bgcolor=fill)
