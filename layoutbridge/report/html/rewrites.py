"""The page of `rewrite`: what was done in which places, why it is the same, and the model before and after."""

from __future__ import annotations

from layoutbridge.report.html.sides import Marked, side_of
from layoutbridge.report.numbers import size_told
from layoutbridge.report.pages import drawing
from layoutbridge.report.pages.alignment import aligned
from layoutbridge.report.pages.charts import bar
from layoutbridge.report.pages.drawing import drawn_beside
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import facts, number, paragraphs, table, text
from layoutbridge.rewriting.rewrites import Rewrite

_FIRST = "first"


def rewrite_page(done: Rewrite, model: str, output: str | None, origin: Origin) -> str:
    """The page; `output` is where the model was written, None where that was not asked for."""
    names = ", ".join(dict.fromkeys(each.name for each in done.passes))
    words = f"rewritten: {names}" if done.changed else "nothing to do: every place is as asked for"
    if output is None and done.changed:
        words = f"would be rewritten: {names}"
    meant = "; a fix is meant to change them" if any(each.name.startswith("fix") for each in done.passes) else ""
    tried = (
        "neither model was run"
        if done.deviation is None
        else f"outputs before and after differ by {done.deviation:.3g} of the largest value, on one random input{meant}"
    )
    lines = [tried, *([] if output is None else [f"written to {output}"])]
    rows, marks = _rows(done)
    jump = ("Jump to the first change", _FIRST) if any(marks) else None
    opening = facts(
        {
            "nodes": f"{done.nodes_before:,} → {done.nodes_after:,}",
            "moved in one run": f"{size_told(done.bytes_moved_before)} → {size_told(done.bytes_moved_after)}",
            "deviation of outputs": number(done.deviation, ".3g"),
        }
    )
    before, after = done.outlines
    parts = [Section("What was done", _passes(done))] if done.changed else []
    parts.append(Section("Bytes moved and nodes", _sums(done)))
    if done.changed and before and after:
        caption = "Steps that stand alone in their row are only in that model: they were taken out, or put in."
        if not any(marks):
            caption = "No step was taken out or put in: what is other is in weights and attributes."
        sides = (side_of("before", before, marks[0]), side_of("after", after, marks[1]))
        parts.append(Section("Before and after", drawn_beside(*sides, rows, "", caption)))
    return page(
        f"layoutbridge rewrite: {words}", f"{model}, {'rewritten' if done.changed else 'as it was'}",
        Verdict("right", words, lines, jump), [*parts, *sections(origin)], opening=opening,
        made_by="layoutbridge rewrite",
    )  # fmt: skip


def _passes(done: Rewrite) -> list[str]:
    made: list[str] = []
    for each in done.passes:
        places = f"Places {', '.join(map(str, each.places))}. " if each.places else ""
        moved = f"{size_told(each.bytes_before)} moved before, {size_told(each.bytes_after)} after."
        made += [f"<h3>{text(each.name)}</h3>", *paragraphs([f"{places}{moved}", each.proof])]
    return made


def _sums(done: Rewrite) -> list[str]:
    rows = []
    for what, before, after in (
        ("bytes moved", done.bytes_moved_before, done.bytes_moved_after),
        ("nodes", done.nodes_before, done.nodes_after),
    ):
        most = max(before, after)
        rows += [
            (f"{what} before", number(before, ",d"), bar(before, most)),
            (f"{what} after", number(after, ",d"), bar(after, most)),
        ]
    return table(("", "count", "share"), rows, numbers=("count",), bars=("share",))


def _rows(done: Rewrite) -> tuple[list[drawing.Row], tuple[dict[int, Marked], dict[int, Marked]]]:
    """The steps of both models in rows, those that are the same in both side by side; what one has alone is marked."""
    before, after = done.outlines
    places = {(step.output, step.operator): place for place, step in reversed(list(enumerate(after)))}
    pairs = {place: places[key] for place, step in enumerate(before) if (key := (step.output, step.operator)) in places}
    rows: list[drawing.Row] = []
    marks: tuple[dict[int, Marked], dict[int, Marked]] = {}, {}
    for one, other in aligned(pairs, len(before), len(after)):
        alone = one is None or other is None
        anchor = _FIRST if alone and not any(marks) else ""
        if one is not None and other is None:
            marks[0][one] = Marked("apart", "taken out", anchor)
        elif one is None and other is not None:
            marks[1][other] = Marked("place", "put in", anchor)
        rows.append(drawing.Row(one, other, "", "apart" if other is None else "place" if alone else ""))
    return rows, marks
