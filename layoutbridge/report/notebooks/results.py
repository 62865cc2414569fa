"""Results as HTML to stand in a notebook: their verdict, what it rests on, and a figure where one helps.

Colours, borders and type are the notebook's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from layoutbridge.algebra.proof import Proof
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.comparing.comparison import Comparison
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.matrix import native_matrix
from layoutbridge.recognition.verification import Verification
from layoutbridge.report.comparisons import everywhere_lines, folded_rows, verdict_lines
from layoutbridge.report.figures.markup import escaped
from layoutbridge.report.figures.plotting import plot
from layoutbridge.scanning.graphs.sizes import shape_text
from layoutbridge.scanning.models import Scan

_ROWS = 50  # of a table: a notebook keeps all that it shows in its file


def result_html(value: object) -> str:
    """The HTML of a result of a kind that is known here; of another its text."""
    for kind, told in _KINDS:
        if isinstance(value, kind):
            return "\n".join(["<div>", *told(value), "</div>"])
    return f"<pre>{escaped(str(value))}</pre>"


def _rearrangement(op: Rearrangement) -> Iterator[str]:
    yield f"<p><code>{escaped(op.pattern)}</code></p>"
    yield from _figure(op, None)


def _figure(op: Rearrangement, shape: Sequence[int] | None) -> Iterator[str]:
    with suppress(LayoutBridgeError):  # there are operations that no shape fits which can be drawn
        yield plot(op, shape)._repr_html_()


def _proof(verdict: Proof) -> Iterator[str]:
    yield _headline(str(verdict))
    yield f"<ol>{''.join(f'<li>{escaped(line)}</li>' for line in verdict.argument)}</ol>"


def _identification(found: Identification) -> Iterator[str]:
    yield _headline(str(found))
    yield "<br>".join(map(escaped, found.explain().splitlines()))
    if found.matches and len(found.in_shape) - found.matches[0].op.rank in (0, 1) and not found.wrapping.words:
        yield from _folded("where each element goes", _figure(found.matches[0].op, found.in_shape))


def _verification(found: Verification) -> Iterator[str]:
    yield _headline(str(found))
    if found.findings:
        rows = [
            (each.framework, each.op, str(list(each.shape)), each.dtype, each.direction, each.status, each.detail)
            for each in found.findings
        ]
        yield from _table(("framework", "op", "shape", "dtype", "direction", "status", "why"), rows)
    native = native_matrix(found.rows)
    if native:
        ops = [(each.op, each.version, each.layout, ", ".join(each.names) or "no entry") for each in native]
        yield from _folded("native ops", _table(("native op", "in", "layout", "is"), ops))


def _scan(found: Scan) -> Iterator[str]:
    yield _headline(str(found).split("\n", 1)[0].removesuffix(":"))
    rows = [
        (
            str(number),
            ", ".join(place.nodes),
            place.title.split(": ", 1)[-1],
            f"{' '.join(map(shape_text, place.in_shapes))} → {shape_text(place.out_shape)}",
            place.pattern or place.reason,
            place.advice,
        )
        for number, place in enumerate(found.places)
    ]
    if rows:
        yield from _table(("", "nodes", "is", "shapes", "pattern", "advice"), rows)
    yield from (f"<p>{escaped(note)}</p>" for note in found.notes)


def _comparison(found: Comparison) -> Iterator[str]:
    yield from map(_headline, verdict_lines(found))
    for cause in found.causes:
        lines = [f"found: {cause.found}", f"expected: {cause.expected}", cause.explanation, f"to do: {cause.fix}"]
        lines += everywhere_lines(cause)
        yield f"<p>{escaped(cause.cause)} at <code>{escaped(cause.at)}</code><br>{'<br>'.join(map(escaped, lines))}</p>"
    rows = (cells for cells, _ in folded_rows(found))
    yield from _folded("tensors", _table(("reference", "candidate", "relation", "deviation"), rows))


_KINDS: tuple[tuple[type, Callable[..., Iterator[str]]], ...] = (
    (Rearrangement, _rearrangement),
    (Proof, _proof),
    (Identification, _identification),
    (Verification, _verification),
    (Scan, _scan),
    (Comparison, _comparison),
)


# ---------------------------------------------------------------------- pieces


def _headline(words: str) -> str:
    return f"<p><strong>{escaped(words)}</strong></p>"


def _folded(summary: str, inside: Iterable[str]) -> Iterator[str]:
    """Something that a click opens; nothing where there is nothing inside."""
    parts = list(inside)
    if parts:
        yield f"<details><summary>{escaped(summary)}</summary>"
        yield from parts
        yield "</details>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"<table><thead><tr>{''.join(f'<th>{escaped(column)}</th>' for column in columns)}</tr></thead><tbody>"
    told = list(rows)
    for row in told[:_ROWS]:
        yield f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>"
    yield "</tbody></table>"
    if len(told) > _ROWS:
        yield f"<p>and {len(told) - _ROWS:,} more</p>"
