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
from layoutbridge.version import __version__

_PLURALS = {"runtime": "runtimes", "importer": "importers", "converter": "converters"}
_HEADINGS = ("op", "mode", "layout", "is", "strides", "dtypes", "gradient", "since", "refuses")
_LONGEST = 110  # characters of what a subject said


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
        "# The atlas of layout ops", "",
        "What space-to-depth, pixel-shuffle, reorg and channel-shuffle ops of runtimes really do, and whether "
        "importers and converters keep them: measured by running each at several shapes, strides and dtypes. The names "
        "are those of `layoutbridge list`; names in one cell are the same map.", "",
        f"{summary(atlas)}. Written by `make atlas`, layoutbridge {__version__}; the same as JSON: "
        "`layoutbridge/atlas/atlas.json`, described by [atlas.schema.json](atlas.schema.json).", "",
    ]  # fmt: skip
    if atlas.findings:
        lines += ["## What contradicts its own documentation", ""]
        for each in atlas.findings:
            lines += _finding(each)
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
    if answer.contradicts:
        what = f"{_op(answer)} is documented as {answer.documented}, and is {_map(answer)}"
        told = (
            f"The documentation ({answer.source}) says of {_op(answer)} what ONNX, PyTorch and others call "
            f"`{answer.documented}`. What it does to elements is `{_map(answer)}`. Shapes are the same, values end up "
            "in other places, and models that rely on the documentation lose accuracy without an error."
        )
    else:
        what = f"the gradient of {_op(answer)} is not that of its forward map"
        told = f"{_op(answer)} is `{_map(answer)}`, and its gradient moves elements otherwise than the inverse of that."
    return (
        f"{answer.title}: {what}\n\n{told}\n\n{answer.version}. To see it:\n\n{answer.program}\n\nprints {answer.shown}"
    )


def _finding(answer: Answer) -> Iterator[str]:
    first, _, rest = upstream_text(answer).partition("\n\n")
    told = rest.partition("\n\n")[0]
    yield from (f"### {first}", "", told, "", f"{answer.version}; install: {_packages(answer)}.", "")
    yield from ("```python", answer.program, "```", "", f"It prints `{answer.shown}`.", "")


def _packages(answer: Answer) -> str:
    return " ".join(f"`{each}`" for each in answer.packages) or "beside layoutbridge"


def _by_title(answers: Iterable[Answer]) -> Iterator[tuple[str, list[Answer]]]:
    held: dict[str, list[Answer]] = {}
    for each in answers:
        held.setdefault(f"{each.title} ({each.version}), measured by `layoutbridge atlas {each.subject}`", []).append(
            each
        )
    yield from held.items()


def _table(answers: Iterable[Answer]) -> Iterator[str]:
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|" + "---|" * len(_HEADINGS)
    for each in answers:
        mark = " **(not what is documented)**" if each.contradicts else ""
        cells = (
            f"`{each.op}`", each.mode, each.layout, f"{_map(each)}{mark}", ", ".join(map(str, each.strides)),
            ", ".join(each.dtypes), each.gradient, each.since, _refusals(each),
        )  # fmt: skip
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _refusals(answer: Answer) -> str:
    """What it refuses, what it said once for all that it said it of."""
    by_words: dict[str, list[str]] = {}
    for what, words in answer.refused.items():
        by_words.setdefault(words, []).append(what)
    return "; ".join(f"{', '.join(what)}: {_cut(words)}" for words, what in by_words.items())


def _cut(words: str) -> str:
    return html(words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…", quote=False)


def _op(answer: Answer) -> str:
    return " ".join(part for part in (answer.op, answer.mode, "" if answer.layout == "NCHW" else answer.layout) if part)


def _map(answer: Answer) -> str:
    return ", ".join(answer.names) or f"none of the catalogue: {answer.detail}"


# ---------------------------------------------------------------------- for a terminal


def show_atlas(console: Console, atlas: Atlas) -> None:
    """A line for each op, the findings, and what could not be measured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("subject", "op", "is", "dtypes", "gradient"):
        table.add_column(heading)
    for each in atlas.answers:
        table.add_row(*map(escape, (each.title, _op(each), _map(each), str(len(each.dtypes)), each.gradient)))
    console.print(table)
    for each in atlas.findings:
        console.print(f"[bold red]{escape(upstream_text(each).partition(chr(10))[0])}[/]", highlight=False)
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
    console.print(f"{escape(', '.join(ported.names))} in {escape(ported.target)}:", highlight=False)
    for each in ported.answers:
        console.print(f"[bold]{escape(_op(each))}[/] ({escape(each.version)})", highlight=False)
        console.print(escape(each.code), highlight=False, soft_wrap=True)
    if ported.code:
        console.print("no op of its own; this is the same map:", highlight=False)
        console.print(escape(ported.code), highlight=False, soft_wrap=True)
    elif not ported.answers:
        console.print("no op of its own was found, and no code is written for it", highlight=False)
