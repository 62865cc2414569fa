"""HTML pages that need nothing beside them: their frame, text and tables, on light and on dark screens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from layoutbridge.errors import visible
from layoutbridge.version import __version__

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --wrong: #c0262d; --right: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --wrong: #ff7b72; --right: #56d364; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
meter { width: 8rem; }
.verdict { font-weight: 600; }
footer { margin-top: 3rem; font-size: 13px; opacity: .75; }
"""


def page(title: str, heading: str, body: Iterable[str], made_by: str, style: str = "") -> str:
    """A whole page: `title`, `heading` and `made_by` are text, `body` is HTML; `style` is what else of it is styled.

    >>> page("a < b", "One", ["<p>two</p>"], "me").count("&lt;")
    1
    """
    parts = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title><style>{_STYLE}{style}</style></head><body>", f"<h1>{text(heading)}</h1>",
        *body, f"<footer>layoutbridge {__version__}: {text(made_by)}</footer>", "</body></html>", "",
    ]  # fmt: skip
    return "\n".join(parts)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = (), marked: Collection[int] = ()
) -> list[str]:
    """A table whose cells are HTML; `numbers` are the columns that hold some, `marked` the rows that stand out.

    >>> table(["n"], [["1"]], numbers=["n"])[1]
    '<tr><td class="number">1</td></tr>'
    """

    def cell(tag: str, column: str, html: str) -> str:
        return f'<{tag} class="number">{html}</{tag}>' if column in numbers else f"<{tag}>{html}</{tag}>"

    head = "".join(cell("th", column, text(column)) for column in columns)
    lines = ["".join(cell("td", column, html) for column, html in zip(columns, row, strict=True)) for row in rows]
    starts = ('<tr class="marked">' if index in marked else "<tr>" for index in range(len(lines)))
    return [
        f"<table><thead><tr>{head}</tr></thead><tbody>",
        *(f"{start}{line}</tr>" for start, line in zip(starts, lines, strict=True)),
        "</tbody></table>",
    ]


def text(value: str) -> str:
    """Text as HTML, and what could not be seen of it as Python writes it.

    >>> text("<b>" + chr(27))
    '&lt;b&gt;\\\\x1b'
    """
    return escape(visible(value))


def code(value: str) -> str:
    """The same in the type of programs; nothing of nothing."""
    return f"<code>{text(value)}</code>" if value else ""
