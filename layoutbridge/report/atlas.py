"""The atlas for people: a page with its findings and tables, a summary for a terminal, and one the size of a badge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape as html
from typing import get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.atlas.answers import Answer, Atlas
from layoutbridge.atlas.changes import Change
from layoutbridge.atlas.descriptions.subject import Role
from layoutbridge.atlas.porting import Ported
from layoutbridge.frameworks.base import DTYPE_NAMES
from layoutbridge.version import __version__

_PLURALS = {"runtime": "runtimes", "importer": "importers", "converter": "converters"}
_HEADINGS = ("op", "mode", "layout", "is", "strides", "dtypes", "gradient", "since", "refuses")
_LEFT_OUT_IF_EMPTY = ("mode", "gradient", "since", "refuses")
_END = 90  # characters of the beginning and the end of what a subject said
_INTRODUCTION = """\
What space-to-depth, pixel-shuffle, reorg and channel-shuffle ops of runtimes really do, and whether importers and
converters keep them: measured by running each at several shapes, strides and dtypes. [How to use it](atlas-use.md)."""
_READING = f"""\
- **is**: the name that `layoutbridge list` has for the map, the same at every stride from 2 on. Other names of it:
  {{aliases}}.
- **strides**: of 1, 2, 3 and 4, those that it takes: with one channel too, with several pictures, and with one column,
  where a run takes less than seconds. **dtypes**: *all* are {", ".join(DTYPE_NAMES)}. A dtype that is neither there nor
  under *refuses* is one that the interface has no arrays of.
- **gradient**: whether it is that of the map; *none* where it does not differentiate.
- **since**: the version of the operator set, for LiteRT the first runtime, as the runtime itself tells; a table without
  the column is of one that tells nothing.
- **refuses**: shapes, strides, dtypes, and rows and columns that the stride does not divide; or where it is another
  map. The number is that of what it said, below the table."""


def summary(atlas: Atlas) -> str:
    """How much there is, in a line.

    >>> summary(Atlas((), {}))
    '0 runtimes, 0 importers, 0 converters, 0 ops, 0 findings'
    """
    subjects = {role: {each.subject for each in atlas.answers if each.role == role} for role in get_args(Role)}
    counts = [f"{len(found)} {_PLURALS[role]}" for role, found in subjects.items()]
    return ", ".join([*counts, f"{len(atlas.answers)} ops", f"{len(atlas.findings)} findings"])


def badge(atlas: Atlas) -> str:
    """The summary as a small SVG."""
    label, told = "layout atlas", summary(atlas)
    left, right = 6 * len(label) + 20, 6 * len(told) + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{html(f"{label}: {told}")}"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="#1a5fb4"/>'
        f'<g fill="#fff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{label}</text><text x="{left + right / 2:g}" y="14">{told}</text></g></svg>\n'
    )


def atlas_page(atlas: Atlas) -> str:
    """The whole atlas as Markdown: findings first, each with a program and a text to file; then one table a subject."""
    lines = [
        "# The atlas of layout ops", "", _INTRODUCTION, "",
        f"{summary(atlas)}. Written by `make atlas`, layoutbridge {__version__}; the same as JSON: "
        "`layoutbridge/atlas/atlas.json`, described by [atlas.schema.json](atlas.schema.json).", "",
        _READING.format(aliases="; ".join(_aliases(atlas))), "",
    ]  # fmt: skip
    if atlas.findings:
        lines += ["## What contradicts its own documentation", "", *_overview(atlas.findings), ""]
        for number, each in enumerate(atlas.findings, 1):
            lines += _finding(number, each)
    for role, heading in (
        ("runtime", "Runtimes"),
        ("importer", "Importers: does the op survive?"),
        ("converter", "Converters: does the op survive?"),
    ):
        lines += [f"## {heading}", ""]
        for title, own in _by_title(each for each in atlas.answers if each.role == role):
            lines += [f"### {title}", "", *_table(own), ""]
    lines += ["## Could not be measured here", ""]
    lines += [f"- {name}: {reason}" for name, reason in atlas.missing.items()] or ["Nothing."]
    return "\n".join(lines).rstrip() + "\n"


def upstream_text(answer: Answer) -> str:
    """A finding as text for the subject's maintainers: what is documented, what is found, and how to see it."""
    return (
        f"{_claim(answer)}\n\n{_explained(answer)}\n\n{answer.version}. To see it:\n\n{answer.program}\n\n"
        f"prints {answer.shown}"
    )


def _claim(answer: Answer) -> str:
    if answer.contradicts:
        return f"{answer.title}: {_op(answer)} is {_found(answer)}, and not {answer.documented}"
    return f"{answer.title}: the gradient of {_op(answer)} is not that of its forward map"


def _explained(answer: Answer) -> str:
    if not answer.contradicts:
        return (
            f"{_op(answer)} is `{_found(answer)}`, and its gradient moves elements otherwise than the inverse of that."
        )
    said = (
        "The documentation says of it"
        if answer.role == "runtime"
        else "What is imported is"
        if answer.role == "importer"
        else "What is converted is"
    )
    found = f"`{_found(answer)}`" if answer.names else _found(answer)
    return (
        f"{said} what ONNX, PyTorch and others call `{answer.documented}` ({answer.source}). What it does is "
        f"{found}: values end up in other places, without an error."
    )


def _overview(findings: Iterable[Answer]) -> Iterator[str]:
    yield "| | | op | is | and not |"
    yield "|---|---|---|---|---|"
    for number, each in enumerate(findings, 1):
        yield f"| [{number}](#finding-{number}) | {each.title} | {_op(each)} | {_found(each)} | {each.documented} |"


def _finding(number: int, answer: Answer) -> Iterator[str]:
    yield from (f"### Finding {number}", "", f"{_claim(answer)}.", "", _explained(answer), "")
    yield from (f"{answer.version}; install: {_packages(answer)}.", "", "```python", answer.program, "```", "")
    yield from (f"It prints `{answer.shown}`.", "")


def _packages(answer: Answer) -> str:
    return " ".join(f"`{each}`" for each in answer.packages) or "beside layoutbridge"


def _aliases(atlas: Atlas) -> Iterator[str]:
    """For each name that is shown, the others of the same map."""
    held: dict[str, tuple[str, ...]] = {}
    for each in atlas.answers:
        if len(each.names) > 1:
            held.setdefault(each.names[0], each.names[1:])
    yield from (f"`{name}` is {', '.join(others)}" for name, others in sorted(held.items()))


def _by_title(answers: Iterable[Answer]) -> Iterator[tuple[str, list[Answer]]]:
    held: dict[str, list[Answer]] = {}
    for each in answers:
        held.setdefault(f"{each.title} ({each.version}), measured by `layoutbridge atlas {each.subject}`", []).append(
            each
        )
    yield from held.items()


def _table(answers: Iterable[Answer]) -> Iterator[str]:
    """One row an op, and below them what was said, by the numbers that stand in the rows."""
    said: dict[str, int] = {}
    rows = [dict(zip(_HEADINGS, _row(each, said), strict=True)) for each in answers]
    headings = [each for each in _HEADINGS if each not in _LEFT_OUT_IF_EMPTY or any(row[each] for row in rows)]
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(row[each].replace("|", "\\|").replace("\n", " ") for each in headings) + " |"
    if said:
        yield from ("", *(f"{number}. {words}" for words, number in said.items()))


def _row(answer: Answer, said: dict[str, int]) -> tuple[str, ...]:
    found = _found(answer) + (" **(not what is documented)**" if answer.contradicts else "")
    return (
        f"`{answer.op}`", answer.mode, answer.layout, found, ", ".join(map(str, answer.strides)), _dtypes(answer),
        answer.gradient, answer.since, _refusals(answer, said),
    )  # fmt: skip


def _dtypes(answer: Answer) -> str:
    others = [each for each in DTYPE_NAMES if each not in answer.dtypes]
    if len(others) > 2:
        return ", ".join(answer.dtypes)
    return f"all but {', '.join(others)}" if others else "all"


def _refusals(answer: Answer, said: dict[str, int]) -> str:
    """What it refuses, with the number of what it said."""
    by_number: dict[int, list[str]] = {}
    for what, words in answer.refused.items():
        by_number.setdefault(said.setdefault(_cut(words), len(said) + 1), []).append(what)
    if len(by_number) == 1 and not _ran(answer):
        return f"everything ({next(iter(by_number))})"
    return "; ".join(f"{', '.join(_shortened(what, answer))} ({number})" for number, what in by_number.items())


def _shortened(whats: Iterable[str], answer: Answer) -> Iterator[str]:
    """Shapes, or their stride alone where none at that stride ran; dtypes as they are."""
    by_stride = {what: what.rpartition(" at ")[2] for what in whats}
    ran = {f"stride {each}" for each in answer.strides}
    yield from dict.fromkeys(what if stride in ran or stride == what else stride for what, stride in by_stride.items())


def _cut(words: str) -> str:
    """The beginning and the end, where most say what is the matter."""
    shown = words if len(words) <= 2 * _END else f"{words[:_END].rstrip()} … {words[-_END:].lstrip()}"
    return html(shown, quote=False).replace("][", "]\\[").replace("](", "]\\(")  # which Markdown takes for links


def _op(answer: Answer) -> str:
    return " ".join(part for part in (answer.op, answer.mode, "" if answer.layout == "NCHW" else answer.layout) if part)


def _ran(answer: Answer) -> bool:
    return bool(answer.strides or answer.dtypes)


def _found(answer: Answer) -> str:
    """The first of its names, or that it has none."""
    return answer.names[0] if answer.names else "a map without a name" if _ran(answer) else "refused"


# ---------------------------------------------------------------------- for a terminal


def show_atlas(console: Console, atlas: Atlas) -> None:
    """A line for each op, the findings, and what could not be measured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("subject", "op", "is", "dtypes", "gradient"):
        table.add_column(heading)
    for each in atlas.answers:
        table.add_row(*map(escape, (each.title, _op(each), _found(each), str(len(each.dtypes)), each.gradient)))
    console.print(table)
    for each in atlas.findings:
        console.print(f"[bold red]{escape(_claim(each))}[/]", highlight=False)
    for name, reason in atlas.missing.items():
        console.print(f"{escape(name)}: not measured: {escape(reason)}", highlight=False)
    console.print(summary(atlas), highlight=False)


def show_changes(console: Console, changes: Iterable[Change]) -> None:
    """A line for each thing that is not as it was."""
    for each in changes:
        versions = f"{each.version_before} → {each.version_after}".strip(" →")
        console.print(
            escape(f"{each.key}: {each.what}: {each.before or 'none'} → {each.after or 'none'} ({versions})"),
            highlight=False,
        )


def show_ported(console: Console, ported: Ported) -> None:
    """The ops of the runtime that are the map, each with its text; or the text of a function."""
    given = " of x at stride s" if ported.answers else ""
    console.print(f"{escape(', '.join(ported.names))}{given} in {escape(ported.target)}:", highlight=False)
    for each in ported.answers:
        console.print(f"[bold]{escape(_op(each))}[/] ({escape(each.version)})", highlight=False)
        console.print(escape(each.code), highlight=False, soft_wrap=True)
    if ported.code:
        console.print("no op of its own; this is the same map:", highlight=False)
        console.print(escape(ported.code), highlight=False, soft_wrap=True)
    elif not ported.answers:
        console.print("no op of its own was found, and no code is written for it", highlight=False)
