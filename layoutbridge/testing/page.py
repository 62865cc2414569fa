"""The page of all layout assertions that ran in a session: verdicts, and for failures the places that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from layoutbridge.report.pages.frame import Section, Tone, Verdict, page
from layoutbridge.report.pages.parts import code, first_of, table, text
from layoutbridge.testing.checks import Check, Picture

_ROWS = 2000  # of the table of all: a page with more is slow to open
_SECTIONS = 200  # of failures that are told in full
_PLANES = 16  # of a picture
_WORDS = {"same": "same", "differs": "different", "unusable": "not checked"}
_STYLE = """
.same { color: var(--right); } .differs, .unusable { color: var(--wrong); font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--wrong); padding-left: .8rem; }
.planes { display: flex; flex-wrap: wrap; gap: 1rem; }
.planes table { width: auto; } .planes caption { text-align: left; font: 12px/1.5 ui-monospace, monospace; }
.planes td { border: 1px solid var(--line); padding: .1rem .4rem; text-align: center; min-width: 1.6rem;
  font: 12px/1.3 ui-monospace, monospace; overflow-wrap: normal; }
.planes td.apart { font-weight: 600; outline: 2px solid var(--wrong); outline-offset: -2px; }
.planes s { color: var(--wrong); font-weight: 400; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A check of the session, the test that made it and how that ended."""

    test: str
    outcome: str
    check: Check


def layout_page(lines: Iterable[Line]) -> str:
    """The page: how many hold, all of them in a table, then each failure with its message and a picture.

    >>> page = layout_page([Line("test_port.py::test_reorg", "passed", Check("port and focus (stride 2)", "same"))])
    >>> "1 layout assertion: 1 same" in page, "No layout assertion ran" in layout_page([])
    (True, True)
    """
    told = sorted(lines, key=lambda line: line.test)
    checks = [line.check for line in told]
    words = _verdict(checks)
    failures = [(number, line) for number, line in enumerate(told) if line.check.verdict != "same"]
    parts = []
    if told:
        shown, more = first_of(list(enumerate(told)), _ROWS)
        rows = (_cells(*each) for each in shown)
        parts.append(Section("All assertions", [*table(("test", "compared", "verdict"), rows), *more]))
    if failures:
        shown, more = first_of(failures, _SECTIONS)
        parts.append(Section("What does not hold", [*(line for each in shown for line in _section(*each)), *more]))
    tone: Tone = "wrong" if failures else "right" if told else "open"
    return page(
        f"layoutbridge: {words}", "Layouts and models in tests", Verdict(tone, words), parts,
        made_by="pytest --layout-report", style=_STYLE,
    )  # fmt: skip


def _verdict(checks: Sequence[Check]) -> str:
    if not checks:
        return "No layout assertion ran in this session."
    counts = {word: sum(check.verdict == verdict for check in checks) for verdict, word in _WORDS.items()}
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    return f"{len(checks):,} layout assertion{'' if len(checks) == 1 else 's'}: {told}"


def _cells(number: int, line: Line) -> tuple[str, str, str]:
    word = f'<span class="{line.check.verdict}">{_WORDS[line.check.verdict]}</span>'
    if line.check.verdict != "same":
        word = f'<a href="#check-{number}">{word}</a>'
    return f"{code(line.test)} {text(line.outcome)}", text(line.check.compared), word


def _section(number: int, line: Line) -> Iterator[str]:
    check = line.check
    yield f'<h3 id="check-{number}">{text(check.compared)}</h3><p>{code(line.test)} {text(line.outcome)}</p>'
    yield "<pre>" + "\n".join(map(text, check.lines)) + "</pre>"
    if check.rows:
        yield from table(
            check.columns,
            ([text(cell) for cell in row] for row in check.rows),
            numbers=("deviation",),
            marked=check.marked,
        )
    if check.picture is not None:
        yield from _planes(check.picture)


def _planes(picture: Picture) -> Iterator[str]:
    """The result in planes of its last two axes that are longer than 1."""
    yield (
        "<p>The result, each element by the number of the input's element that it is. A number that is struck through "
        "should be the one below it.</p>"
    )
    yield '<div class="planes">'
    long = [axis for axis, length in enumerate(picture.shape) if length > 1]
    plane, outside = long[-2:], long[:-2]
    starts = list(product(*(range(picture.shape[axis]) for axis in outside)))
    for start in starts[:_PLANES]:
        yield from _plane(picture, dict(zip(outside, start, strict=True)), plane)
    yield "</div>"
    if len(starts) > _PLANES:
        yield f"<p>and {len(starts) - _PLANES} planes more</p>"


def _plane(picture: Picture, fixed: dict[int, int], plane: Sequence[int]) -> Iterator[str]:
    place = [":" if axis in plane else str(fixed.get(axis, 0)) for axis in range(len(picture.shape))]
    yield f"<table><caption>[{', '.join(place)}]</caption>"
    rows = range(picture.shape[plane[0]]) if len(plane) > 1 else range(1)
    for row in rows:
        yield "<tr>"
        for column in range(picture.shape[plane[-1]]) if plane else range(1):
            at = {**fixed, **dict(zip(plane, (row, column)[-len(plane) :], strict=True))}
            yield _element(picture, [at.get(axis, 0) for axis in range(len(picture.shape))])
        yield "</tr>"
    yield "</table>"


def _element(picture: Picture, place: Sequence[int]) -> str:
    flat = 0
    for index, length in zip(place, picture.shape, strict=True):
        flat = flat * length + index
    read, wanted = picture.reads[flat], picture.wanted[flat]
    if read == wanted:
        return f"<td>{read}</td>"
    return f'<td class="apart"><s>{read if read >= 0 else "none"}</s><br>{wanted}</td>'
