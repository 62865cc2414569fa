"""The page of `compare`: two models side by side, where they part, why, and what to change."""

from __future__ import annotations

import re

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.comparison import Comparison, Row
from layoutbridge.errors import LayoutBridgeError, counted
from layoutbridge.operations.catalog import op
from layoutbridge.report.comparisons import everywhere_lines, relation_told, verdict_lines
from layoutbridge.report.html.sides import Marked, side_of
from layoutbridge.report.numbers import short
from layoutbridge.report.pages import drawing
from layoutbridge.report.pages.alignment import aligned
from layoutbridge.report.pages.cells import cells_apart
from layoutbridge.report.pages.charts import deviations
from layoutbridge.report.pages.drawing import drawn_beside
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import facts, first_of, folded, number, paragraphs, table, text

_ROWS = 2000
_FIRST = "first"
_LONGEST = 120  # characters of a name
_MATCH = re.compile(r"(\w+)(?: \((.*)\))?")  # a name of the catalogue, with its parameters or without


def comparison_page(found: Comparison, origin: Origin) -> str:
    """The page of two models."""
    words, *lines = verdict_lines(found)
    if found.causes:
        lines = [f"{each.cause} at {each.at}: {each.found}, where {each.expected} is expected" for each in found.causes]
    is_drawn = found.first is not None and any(step.output == found.first.reference for step in found.outlines[0])
    jump = ("Jump to the first that differs", _FIRST) if is_drawn else None
    same = sum(row.relation == "same" for row in found.rows)
    deviation = None if found.first is None else found.first.deviation
    opening = facts(
        {
            "tensors compared": f"{len(found.rows):,}",
            "the same": f"{same:,}",
            "not the same": f"{len(found.rows) - same:,}",
            "the first is apart by": number(deviation),
            "tolerance": number(found.tolerance, "g"),
        }
    )
    parts = [Section("Why", [line for cause in found.causes for line in _cause(cause)])] if found.causes else []
    parts += [
        Section("Side by side", _side_by_side(found)),
        Section("Deviation of every tensor", _chart(found)),
        Section(
            "All numbers", folded(f"{counted(len(found.rows), 'tensor', form=',')} of {found.reference}", _rows(found))
        ),
    ]
    if found.notes:
        parts.append(Section("Notes", paragraphs(found.notes, "note")))
    return page(
        f"layoutbridge compare: {'equal' if found.equal else 'different'}",
        f"{found.candidate} beside {found.reference}", Verdict("right" if found.equal else "wrong", words, lines, jump),
        [*parts, *sections(origin)], opening=opening, made_by="layoutbridge compare",
    )  # fmt: skip


def _cause(cause: Cause) -> list[str]:
    told = [cause.explanation, *everywhere_lines(cause)]
    effect = (
        f"<p>Apart by {number(cause.deviation_before)}, and by {number(cause.deviation_after)} with this fault in the "
        "reference.</p>"
    )
    rows = [("found", text(cause.found)), ("expected", text(cause.expected)), ("to do", text(cause.fix))]
    return [
        f"<h3>{text(cause.cause)} at {text(cause.at)}</h3>", *table(("", ""), rows), *paragraphs(told), effect,
        *_cells(cause),
    ]  # fmt: skip


def _cells(cause: Cause) -> list[str]:
    """Both maps, where they are of the catalogue."""
    try:
        return cells_apart(_operation(cause.found), _operation(cause.expected))
    except (LayoutBridgeError, ValueError):
        return []


def _operation(told: str) -> Rearrangement:
    match = _MATCH.fullmatch(told)
    if match is None:
        raise ValueError(told)
    pairs = (each.rpartition(" ") for each in (match[2] or "").split(", ") if each)
    return op(match[1], **{name: int(value) for name, _, value in pairs})


def _side_by_side(found: Comparison) -> list[str]:
    reference, candidate = found.outlines
    by_name = {row.reference: row for row in found.rows}
    told = {place: by_name[step.output] for place, step in enumerate(reference) if step.output in by_name}
    places = {step.output: place for place, step in reversed(list(enumerate(candidate)))}
    pairs = {place: places[row.candidate] for place, row in told.items() if row.candidate in places}
    marks: tuple[dict[int, Marked], dict[int, Marked]] = {}, {}
    rows = []
    for one, other in aligned(pairs, len(reference), len(candidate)):
        row = None if one is None else told.get(one)
        if one is None or row is None:
            rows.append(drawing.Row(one, other))
            continue
        mark = _mark(found, row)
        rows.append(drawing.Row(one, other, _between(row, other is None), mark))
        if not mark:
            continue
        badge = "first apart" if mark == "first" else "apart"
        is_first = mark == "first" and not any(each.anchor for each in marks[0].values())
        marks[0][one] = Marked(mark, badge, _FIRST if is_first else "")
        if other is not None:
            marks[1][other] = Marked(mark, badge)
    caption = (
        "Each step of the reference beside its partner in the candidate: = is the same within the tolerance, ≠ is not. "
        "What stands alone in its row has no partner in the other model, or one further up or down."
    )
    left, right = side_of(found.reference, reference, marks[0]), side_of(found.candidate, candidate, marks[1])
    return drawn_beside(left, right, rows, "deviation", caption)


def _mark(found: Comparison, row: Row) -> drawing.Mark:
    if found.first is not None and row.reference == found.first.reference:
        return "first"
    return "apart" if row.relation not in ("same", "missing") and not row.healed else ""


def _between(row: Row, is_elsewhere: bool) -> str:
    """What is said between two partners; `is_elsewhere` is on where the candidate's stands in another row."""
    if row.candidate is None:
        return '<span class="soft">no partner</span>'
    where = f" with {text(row.candidate, most=_LONGEST)}" if is_elsewhere else ""
    if row.relation == "same":
        return f'<span class="right">=</span> {number(row.deviation)}{where}'
    again = ", the same again behind it" if row.healed else ""
    return f'<span class="wrong">≠ {number(row.deviation)}</span> {row.relation}{again}{where}'


def _chart(found: Comparison) -> list[str]:
    values = [row.deviation for row in found.rows]
    names = [row.reference for row in found.rows]
    first = None if found.first is None else found.first.reference
    place = None if first not in names else (names.index(first), first)
    told = "The largest difference of each tensor, as a share of its largest value; each step up is ten times more."
    limits = {short(found.tolerance, "g"): found.tolerance}
    made = deviations({found.candidate: values}, limits, place, "tensor of the reference, in the order of computing")
    return [f"<figure><figcaption>{told}</figcaption>", *made, "</figure>"]


def _rows(found: Comparison) -> list[str]:
    rows, more = first_of(found.rows, _ROWS)
    cells = (
        (
            text(row.reference, most=_LONGEST), text(row.candidate or "", most=_LONGEST),
            text(relation_told(row)), number(row.deviation),
        )
        for row in rows
    )  # fmt: skip
    marked = [place for place, row in enumerate(rows) if _mark(found, row)]
    columns = ("reference", "candidate", "relation", "deviation")
    return [*table(columns, cells, numbers=("deviation",), marked=marked), *more]
