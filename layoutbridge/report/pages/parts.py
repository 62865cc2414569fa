"""Text and tables in pages: whatever a file named comes in through `text`, and stays text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isfinite
from typing import TypeVar

from layoutbridge.report.figures.markup import escaped
from layoutbridge.report.numbers import short, size_told

_Item = TypeVar("_Item")
_SECRET = re.compile(r"(?<=://)[^/\s@]*@")  # a name and a password in an address
_LONGEST = 300  # characters of a name: files may hold some of megabytes


def text(value: str, *, most: int | None = None) -> str:
    """Text as HTML, and what could not be seen of it as Python writes it; `most` characters at most.

    >>> text("<b>" + chr(27)), text("abcdef", most=3)
    ('&lt;b&gt;\\\\x1b', 'abc…')
    """
    held = value if most is None or len(value) <= most else f"{value[:most]}…"
    return escaped(held)


def without_passwords(value: str) -> str:
    """Addresses without the names and passwords in them: pages are sent to others.

    >>> without_passwords("s3://me:secret@bucket/models")
    's3://bucket/models'
    """
    return _SECRET.sub("", value)


def code(value: str) -> str:
    """A name in the type of programs; nothing of nothing.

    >>> code("<i>"), code("")
    ('<code>&lt;i&gt;</code>', '')
    """
    return f"<code>{text(value, most=_LONGEST)}</code>" if value else ""


def number(value: float | None, form: str = ".1e", *, unit: str = "") -> str:
    """A number as people read it, with all of its digits for programs; nothing for None.

    >>> number(1.25e-7), number(None), number(1234, ",d", unit=" kB")
    ('<data value="1.25e-07">1.2e-7</data>', '', '<data value="1234">1,234 kB</data>')
    """
    if value is None:
        return ""
    told = short(value, form) if isfinite(value) else "not finite"
    whole = value if isinstance(value, int) else float(value)  # NumPy's numbers write their types, too
    return f'<data value="{whole!r}">{told}{unit}</data>'


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    numbers: Collection[str] = (),
    bars: Collection[str] = (),
    marked: Collection[int] = (),
) -> list[str]:
    """A table whose cells are HTML; `numbers` and `bars` are columns that hold such, `marked` rows that stand out.

    >>> table(["n"], [["1"]], numbers=["n"])[1]
    '<tr><td class="number">1</td></tr>'
    """

    def cell(tag: str, column: str, html: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kind = ' class="number"' if column in numbers else ' class="bars"' if column in bars else ""
        return f"<{tag}{kind}{scope}>{html}</{tag}>"

    head = "".join(cell("th", column, text(column)) for column in columns)
    told = f"<caption>{text(caption)}</caption>" if caption else ""
    lines = ["".join(cell("td", column, html) for column, html in zip(columns, row, strict=True)) for row in rows]
    starts = ('<tr class="marked">' if index in marked else "<tr>" for index in range(len(lines)))
    return [
        f'<div class="wide"><table>{told}<thead><tr>{head}</tr></thead><tbody>',
        *(f"{start}{line}</tr>" for start, line in zip(starts, lines, strict=True)),
        "</tbody></table></div>",
    ]


def facts(values: Mapping[str, str]) -> list[str]:
    """A few things worth seeing at once, as HTML, by what they are.

    >>> facts({"layers": "107"})[1]
    '<div><dt>layers</dt><dd>107</dd></div>'
    """
    held = (f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in values.items() if value)
    return ['<dl class="facts">', *held, "</dl>"]


def paragraphs(lines: Iterable[str], kind: str = "") -> list[str]:
    """Lines of text, each a paragraph."""
    start = f'<p class="{kind}">' if kind else "<p>"
    return [f"{start}{text(line)}</p>" for line in lines]


def folded(summary: str, body: Iterable[str]) -> list[str]:
    """HTML that is shown when its summary is opened."""
    return [f"<details><summary>{text(summary)}</summary>", *body, "</details>"]


def first_of(items: Sequence[_Item], most: int) -> tuple[Sequence[_Item], list[str]]:
    """The first ones, and a line of how many others there are: a page with all of very many is slow to open.

    >>> first_of([1, 2, 3], 2), first_of([1], 2)
    (([1, 2], ['<p>and 1 more</p>']), ([1], []))
    """
    more = len(items) - most
    return items[:most], [f"<p>and {more:,} more</p>"] if more > 0 else []


def size(value: int | None) -> str:
    """Bytes as people read them, with all digits for programs; nothing for None.

    >>> size(1500), size(None)
    ('<data value="1500">1.5 kB</data>', '')
    """
    return "" if value is None else f'<data value="{value}">{size_told(value)}</data>'
