"""Networks drawn in a page: one as a column of steps, or two side by side with what belongs together in one row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from layoutbridge.report.pages.lanes import Column, column, lane_cells
from layoutbridge.report.pages.parts import text

Mark = Literal["", "place", "apart", "first"]
_MOST_ROWS = 1200  # that are drawn: of more those around what is marked
_AROUND = 12
_NAME, _SHAPE = 80, 40  # characters
_SIGNS = {"place": "◆", "apart": "≠", "first": "▶"}
_CUT_TOLD = 3


@dataclass(frozen=True)
class Box:
    """A step as it is drawn: all of it text. `badge` says what its `mark` means; `anchor` is where links lead."""

    title: str
    operator: str
    shape: str
    mark: Mark = ""
    badge: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Side:
    """Boxes in the order in which they are computed, and which boxes each reads, by their places among them."""

    heading: str
    boxes: Sequence[Box]
    sources: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Row:
    """A row of two networks: the boxes in it, None where there is none, and what is said between them, as HTML."""

    left: int | None
    right: int | None
    between: str = ""
    mark: Mark = ""


def drawn(side: Side, columns: Mapping[str, Sequence[str]], caption: str, *, bars: Collection[str] = ()) -> list[str]:
    """One network; `columns` have HTML for each of its boxes, numbers or `bars`.

    >>> boxes = [Box("x", "input", "1x3"), Box("<y>", "Conv", "1x8", "first", "the first", "first")]
    >>> made = drawn(Side("m", boxes, {1: [0]}), {}, "a network")
    >>> "&lt;y&gt;" in "".join(made), 'id="first"' in "".join(made)
    (True, True)
    """
    rows = rows_drawn([box.mark for box in side.boxes])
    made = column(rows, side.sources)
    lanes = lane_cells(made, len(rows))
    kinds = {name: "bars" if name in bars else "number" for name in columns}
    lines = []
    for row, place in enumerate(rows):
        if place is None:
            lines.append(_gap(rows, row, len(side.boxes), 1 + len(columns), lanes[row]))
            continue
        others = "".join(f'<td class="{kinds[name]}">{cells[place]}</td>' for name, cells in columns.items())
        cut = _cut_told(side, rows, made.cut.get(row, ()))
        lines.append(f"<tr>{lanes[row]}{_cell(side.boxes[place], row in made.flows, cut)}{others}</tr>")
    head = f'{"<td></td>" if made.lanes else ""}<th scope="col">{text(side.heading, most=_NAME)}</th>' + "".join(
        f'<th scope="col" class="{kinds[name]}">{text(name)}</th>' for name in columns
    )
    return _framed(head, lines, [None if place is None else side.boxes[place].mark for place in rows], caption)


def drawn_beside(left: Side, right: Side, rows: Sequence[Row], between: str, caption: str) -> list[str]:
    """Two networks in the same rows, so that what belongs together stands side by side."""
    kept = rows_drawn([row.mark for row in rows])
    lefts = [None if place is None else rows[place].left for place in kept]
    rights = [None if place is None else rows[place].right for place in kept]
    one, other = column(lefts, left.sources), column(rights, right.sources)
    left_lanes, right_lanes = lane_cells(one, len(kept)), lane_cells(other, len(kept), mirrored=True)
    lines = []
    for number, place in enumerate(kept):
        if place is None:
            span = 3 + bool(other.lanes)
            lines.append(_gap(kept, number, len(rows), span, left_lanes[number]))
            continue
        cells = [
            _beside(side, places, made, number) for side, places, made in ((left, lefts, one), (right, rights, other))
        ]
        lines.append(
            f'<tr>{left_lanes[number]}{cells[0]}<td class="between">{rows[place].between}</td>{cells[1]}'
            f"{right_lanes[number]}</tr>"
        )
    head = (
        f'{"<td></td>" if one.lanes else ""}<th scope="col">{text(left.heading, most=_NAME)}</th>'
        f'<th scope="col">{text(between)}</th><th scope="col">{text(right.heading, most=_NAME)}</th>'
        f"{'<td></td>' if other.lanes else ''}"
    )
    return _framed(head, lines, [None if place is None else rows[place].mark for place in kept], caption)


def _beside(side: Side, places: Sequence[int | None], made: Column, row: int) -> str:
    """The cell of one of two networks, which may have nothing in this row."""
    at = places[row]
    if at is None:
        return f'<td class="{"at through" if row in made.through else "at"}"></td>'
    return _cell(side.boxes[at], row in made.flows, _cut_told(side, places, made.cut.get(row, ())))


def rows_drawn(marks: Sequence[Mark]) -> list[int | None]:
    """The rows that are drawn, None for each run of rows that are not: of very many those around what is marked.

    >>> rows_drawn(["", "first"]), len(rows_drawn([""] * 5000))
    ([0, 1], 27)
    """
    if len(marks) <= _MOST_ROWS:
        return list(range(len(marks)))
    order = ("first", "apart", "place")
    marked = [row for row, mark in enumerate(marks) if mark]
    chosen = sorted(marked, key=lambda row: order.index(marks[row]))[: _MOST_ROWS // (2 * _AROUND + 1)]
    near = {0, len(marks) - 1, *marked[:1], *chosen}
    kept = sorted({row for at in near for row in range(at - _AROUND, at + _AROUND + 1) if 0 <= row < len(marks)})
    made: list[int | None] = []
    for row in kept:
        if made and made[-1] is not None and row > made[-1] + 1:
            made.append(None)
        made.append(row)
    return made


def _gap(rows: Sequence[int | None], at: int, count: int, span: int, lanes: str) -> str:
    before, behind = rows[at - 1], rows[at + 1] if at + 1 < len(rows) else count
    assert before is not None and behind is not None
    return f'<tr class="gap">{lanes}<td colspan="{span}">⋮ {behind - before - 1:,} more, not drawn</td></tr>'


def _cell(box: Box, flows: bool, cut: str) -> str:
    kind = f"step {box.mark}" if box.mark else "step"
    anchor = f' id="{text(box.anchor)}"' if box.anchor else ""
    badge = (
        f'<span class="badge {box.mark}">{_SIGNS[box.mark]} {text(box.badge, most=_NAME)}</span>' if box.mark else ""
    )
    return (
        f'<td class="{"at flows" if flows else "at"}"><div class="{kind}"{anchor}>'
        f"<b>{text(box.operator, most=_SHAPE)}</b>"
        f'<i title="{text(box.title, most=_NAME * 2)}">{text(box.title, most=_NAME)}</i>{badge}{cut}'
        f"<code>{text(box.shape, most=_SHAPE)}</code></div></td>"
    )


def _cut_told(side: Side, rows: Sequence[int | None], starts: Sequence[int]) -> str:
    """What a step reads for which there is no lane."""
    names = [side.boxes[place].title for start in starts[:_CUT_TOLD] if (place := rows[start]) is not None]
    more = ", …" if len(starts) > _CUT_TOLD else ""
    return f'<span class="badge">← {text(", ".join(names), most=_NAME)}{more}</span>' if names else ""


def _framed(head: str, lines: Sequence[str], marks: Sequence[Mark | None], caption: str) -> list[str]:
    return [
        f"<figure><figcaption>{text(caption)}</figcaption>",
        f'<div class="drawn"><div class="steps" tabindex="0" role="region" aria-label="{text(caption)}">',
        f"<table><thead><tr>{head}</tr></thead><tbody>", *lines, "</tbody></table></div>", *_overview(marks),
        "</div></figure>",
    ]  # fmt: skip


def _overview(marks: Sequence[Mark | None]) -> Iterator[str]:
    """The whole height at a glance: where the marks are."""
    count = len(marks)
    if count < 2 * _AROUND or not any(marks):
        return
    yield f'<div class="overview"><svg aria-hidden="true" viewBox="0 0 20 {count}" preserveAspectRatio="none">'
    high = max(1.0, count / 150)
    for row, mark in enumerate(marks):
        if mark:
            left, width = {"place": (7, 6), "apart": (4, 12), "first": (0, 20)}[mark]
            top = min(row, count - high)
            yield f'<rect class="{mark}" x="{left}" y="{top:g}" width="{width}" height="{high:g}"/>'
    yield "</svg></div>"
