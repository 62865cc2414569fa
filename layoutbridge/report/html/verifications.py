"""The page of `verify`: frameworks and ops as a matrix, findings with what differs, what could not run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import entry, op
from layoutbridge.recognition.matrix import NativeOp, comparable_maps, native_matrix, taken_for
from layoutbridge.recognition.rows import Row
from layoutbridge.recognition.verification import Verification
from layoutbridge.report.pages.cells import cells_apart
from layoutbridge.report.pages.frame import Section, Tone, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import code, facts, first_of, number, table, text
from layoutbridge.report.terminal import finding_told, nearest, not_run, verdict_of

_FINDINGS, _DRAWN, _ROWS = 200, 20, 500
_TAKEN = ("it is", "it is taken for")
_TONES: dict[str, Tone] = {"green": "right", "yellow": "open", "red": "wrong"}
_MARKS = {
    "same": '<span class="right" title="the same map">=</span>',
    "other elements": '<span class="wrong" title="other elements">x</span>',
    "other shape": '<span title="another shape">·</span>',
}


def verification_page(found: Verification, origin: Origin) -> str:
    """The page of one verification."""
    color, words, rest = verdict_of(found)
    native, emitted = native_matrix(found.rows), [row for row in found.rows if row.emitted]
    ran = sum(row.status in ("matches", "differs") for row in found.rows)
    opening = facts(
        {
            "frameworks": f"{len({row.framework for row in found.rows}):,}",
            "runs": number(len(found.rows), ",d"),
            "that ran": number(ran, ",d"),
            "findings": number(len(found.findings), ",d"),
            "native ops": f"{len(native):,}",
        }
    )
    parts = []
    if found.findings:
        parts.append(Section("Findings", _findings(found)))
    if emitted:
        parts.append(Section("Emitted graphs", _emitted(emitted)))
    if native:
        parts += [Section("Native ops", _native(native)), Section("What they are taken for", _taken(native))]
    if told := list(not_run(found.rows)):
        shown, more = first_of(told, _ROWS)
        rows = ((text(place), text(what), text(dtypes or "all"), text(why)) for place, what, dtypes, why in shown)
        parts.append(Section("Did not run", [*table(("in", "what", "dtypes", "why"), rows), *more]))
    return page(
        f"layoutbridge verify: {words}", "Which map is each framework's op?",
        Verdict(_TONES[color], words + rest.replace("above", "below")), [*parts, *sections(origin)], opening=opening,
        made_by="layoutbridge verify",
    )  # fmt: skip


def _findings(found: Verification) -> list[str]:
    shown, more = first_of(found.findings, _FINDINGS)
    rows = ((text(" ".join(finding_told(row))), text(row.detail)) for row in shown)
    made = [*table(("run", "what it does"), rows), *more]
    drawn: set[tuple[str, str, int]] = set()
    for row in shown:
        key = (row.op, row.names[0] if row.names else "", row.stride)
        if row.entry is None or not row.names or key in drawn or len(drawn) == _DRAWN:
            continue
        drawn.add(key)
        wanted = entry(row.entry).build_at(row.stride)
        expected = wanted if row.direction == "forward" else wanted.inverse()
        made.append(f"<h3>{text(row.op)} in {text(row.version)}</h3>")
        made += _cells(row.names[0], row.stride, expected)
    return made


def _cells(name: str, stride: int, expected: Rearrangement) -> list[str]:
    try:
        return cells_apart(entry(name).build_at(stride), expected)
    except LayoutBridgeError:
        return []


def _emitted(rows: Sequence[Row]) -> list[str]:
    """Entries of the catalogue against frameworks: how many runs of each match."""
    places = list(dict.fromkeys((row.version, row.layout) for row in rows))
    held: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        held.setdefault(row.entry or row.op, {}).setdefault((row.version, row.layout), []).append(row)
    lines = [[code(name), *(_count(own.get(place, ())) for place in places)] for name, own in held.items()]
    caption = "Runs that match the entry they were emitted from, over shapes, strides, dtypes and both directions."
    columns = ["entry", *(f"{version} {layout}" for version, layout in places)]
    return table(columns, lines, caption=caption, numbers=columns[1:])


def _count(rows: Sequence[Row]) -> str:
    matching, differing = (sum(row.status == status for row in rows) for status in ("matches", "differs"))
    if differing:
        return f'<span class="wrong">✗ {differing:,} of {matching + differing:,} differ</span>'
    return f'<span class="right">✓</span> {matching:,}' if matching else "not run" if rows else ""


def _native(ops: Sequence[NativeOp]) -> list[str]:
    groups = comparable_maps(ops)
    lines = []
    for native in ops:
        marks = [_MARKS[native.relations[group[0]]] for group in groups]
        names = ", ".join(native.names)
        lines.append([text(native.op), text(native.version), native.layout, code(names) or "no entry", *marks])
    columns = ["native op", "in", "layout", "is", *(f"{number}" for number in range(1, len(groups) + 1))]
    caption = (
        "= the same map at every size, x other elements in the same shape, · another shape; columns are the maps below."
    )
    legend = [(f"{number}", code(", ".join(group))) for number, group in enumerate(groups, 1)]
    return [
        *table(columns, lines, caption=caption, numbers=columns[4:]),
        *table(("", "the same map"), legend, caption="The maps by number"),
    ]


def _taken(ops: Iterable[NativeOp]) -> list[str]:
    """For each pair of maps that are confused, a sentence and both, element by element."""
    made: dict[str, list[str]] = {}
    for native in ops:
        line, other = nearest(native), taken_for(native)
        if not line or other is None or line in made:
            continue
        made[line] = [f"<p>{text(line)}</p>", *cells_apart(op(native.names[0]), op(other[0]), _TAKEN)]
    told = [line for lines in made.values() for line in lines]
    return told or ["<p>None of them has the shapes of another entry.</p>"]
