"""The page of `scan`: what moves elements in a model, where, and what of it is another map than expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import op
from layoutbridge.report.html.sides import Marked, side_of
from layoutbridge.report.numbers import size_told
from layoutbridge.report.pages.cells import cells_apart
from layoutbridge.report.pages.drawing import Mark, drawn, rows_drawn
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import code, facts, first_of, paragraphs, size, table, text
from layoutbridge.report.scans import named_place
from layoutbridge.scanning.graphs.sizes import shape_text
from layoutbridge.scanning.models import Scan
from layoutbridge.scanning.places import Place

_ROWS, _TOLD = 2000, 100


def scan_page(
    found: Scan, expect: str | None, others: Sequence[int], remedies: Mapping[int, str], origin: Origin
) -> str:
    """The page; `others` are the numbers of the places that are another map than what was to be expected there."""
    marks = _marks(found, others)
    anchors = {mark.anchor for mark in marks.values()}
    moving = sum(place.kind != "view" for place in found.places)
    places = f"{len(found.places):,} {'place' if len(found.places) == 1 else 'places'}"
    if others:
        first = found.places[others[0]]
        words = f"not {expect}: {len(others)} of {places}"
        lines = [f"the first is {first.title}"]
        verdict = Verdict(
            "wrong",
            words,
            lines,
            ("Jump to it in the network", _anchor(others[0])) if _anchor(others[0]) in anchors else None,
        )
    elif expect is not None:
        verdict = Verdict("right", f"every place that could be {expect} by its shapes is that")
    elif not found.places:
        verdict = Verdict("told", "nothing in it moves elements")
    else:
        jump = ("Jump to the first in the network", _anchor(0)) if _anchor(0) in anchors else None
        verb = "moves" if moving == 1 else "move"
        verdict = Verdict("told", f"{moving:,} of {places} {verb} elements", (), jump)
    opening = facts(
        {
            "format": text(found.format),
            "nodes": f"{found.nodes:,}",
            "places": f"{len(found.places):,}",
            "that move elements": f"{moving:,}",
            "written by these": size_told(sum(place.bytes for place in found.places if place.kind != "view")),
        }
    )
    parts = [Section("Places", _table(found, others, anchors))] if found.places else []
    if others and expect is not None:
        parts.append(Section("What differs", _differing(found, expect, others, remedies)))
    if found.outline:
        parts.append(Section("The network", _drawn(found, marks)))
    if found.places:
        parts.append(Section("Every place", _told(found)))
    if found.notes:
        parts.append(Section("Notes", paragraphs(found.notes, "note")))
    return page(
        f"layoutbridge scan: {verdict.words}", f"What moves elements in {found.model}", verdict,
        [*parts, *sections(origin)], opening=opening, made_by="layoutbridge scan",
    )  # fmt: skip


def _anchor(number: int) -> str:
    return f"place-{number}"


def _table(found: Scan, others: Collection[int], anchors: Collection[str]) -> list[str]:
    shown, more = first_of(found.places, _ROWS)
    rows = (
        (
            _link(place_number, anchors), code(", ".join(place.nodes)),
            text(named_place(place)), code(place.pattern or ""),
            text(f"{' '.join(map(shape_text, place.in_shapes[:2]))} → {shape_text(place.out_shape)}"),
            size(place.bytes),
        )
        for place_number, place in enumerate(shown)
    )  # fmt: skip
    columns = ("place", "nodes", "what it is", "pattern", "shapes", "bytes")
    return [*table(columns, rows, numbers=("place", "bytes"), marked=[n for n in others if n < _ROWS]), *more]


def _link(place_number: int, anchors: Collection[str]) -> str:
    """The number of a place; it leads to where that is drawn, if it is."""
    anchor = _anchor(place_number)
    return f'<a href="#{anchor}">{place_number}</a>' if anchor in anchors else f"{place_number}"


def _differing(found: Scan, expect: str, others: Sequence[int], remedies: Mapping[int, str]) -> list[str]:
    made: list[str] = []
    shown, more = first_of(others, _TOLD)
    for place_number in shown:
        place = found.places[place_number]
        made.append(f"<h3>Place {place_number}: {text(place.title)}</h3>")
        made += _cells(place, expect)
        if place_number in remedies:
            made += ["<p>To put the other op there:</p>", f"<pre>{text(remedies[place_number])}</pre>"]
    return [*made, *more]


def _cells(place: Place, expect: str) -> list[str]:
    """The place's map beside the expected one, where both are of the catalogue and take the same parameters."""
    for match in (*place.seen.matches, *place.seen.also):
        try:
            return cells_apart(match.op, op(expect, **match.parameters))
        except LayoutBridgeError:
            continue
    return []


def _marks(found: Scan, others: Collection[int]) -> dict[int, Marked]:
    """The steps of places; the first of each that is drawn has the anchor that links lead to."""
    by_output = {place.output: place_number for place_number, place in enumerate(found.places)}
    names = Counter(name for place in found.places for name in place.nodes)
    by_node = {name: number for number, place in enumerate(found.places) for name in place.nodes if names[name] == 1}
    owners = {
        step_number: owner
        for step_number, step in enumerate(found.outline)
        if (owner := by_output.get(step.output, by_node.get(step.name))) is not None
    }
    marks: dict[int, Marked] = {}
    for step_number, owner in owners.items():
        place = found.places[owner]
        mark: Mark = "place" if owner not in others else "first" if owner == min(others) else "apart"
        marks[step_number] = Marked(mark, f"[{owner}] {', '.join(place.names[:1]) or place.kind}")
    anchored: set[int] = set()
    for row in rows_drawn([marks[at].mark if at in marks else "" for at in range(len(found.outline))]):
        if row in owners and owners[row] not in anchored:
            anchored.add(owners[row])
            marks[row] = marks[row]._replace(anchor=_anchor(owners[row]))
    return marks


def _drawn(found: Scan, marks: Mapping[int, Marked]) -> list[str]:
    caption = f"{found.model}: places by their numbers; lanes lead to nodes that read others than the one above."
    return drawn(side_of(found.model, found.outline, marks), {}, caption)


def _told(found: Scan) -> list[str]:
    shown, more = first_of(found.places, _TOLD)
    made: list[str] = []
    for place_number, place in enumerate(shown):
        made.append(f"<h3>[{place_number}] {code(', '.join(place.nodes[:6]))}</h3>")
        others = f"not {', '.join(place.is_not)}: the same shapes, other elements" if place.is_not else ""
        tensors = f"{', '.join(place.inputs[:6])} to {place.output}"
        made += paragraphs(
            filter(None, [named_place(place), tensors, place.pattern, place.reason, others, place.advice])
        )
    return [*made, *more]
