"""An audit as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from layoutbridge.auditing.audits import Audit
from layoutbridge.errors import visible
from layoutbridge.report.audits import summary_lines
from layoutbridge.report.checkpoints import size_told
from layoutbridge.version import __version__

_ROWS = 2000  # of a table: a page with more is slow to open, and the report has them all
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --bar: #4477aa; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font: 13px/1.5 ui-monospace, monospace; }
meter { width: 8rem; }
.verdict { font-weight: 600; }
footer { margin-top: 3rem; font-size: 13px; opacity: .75; }
"""


def audit_page(found: Audit, targets: Sequence[str]) -> str:
    """The page: the verdict first, then operations, suspicious places, files that could not be scanned.

    >>> page = audit_page(Audit({"scanned": 2}, 0, 0, (), (), (), {}, ()), ["models"])
    >>> "nothing is suspicious" in page, "2 files: 2 scanned" in page
    (True, True)
    """
    count = len(found.suspicious)
    verdict = f"{count:,} suspicious {'place' if count == 1 else 'places'}" if count else "nothing is suspicious"
    parts = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>layoutbridge audit: {_text(verdict)}</title><style>{_STYLE}</style></head><body>",
        f'<h1>What moves elements in {_text(", ".join(targets))}</h1><p class="verdict">{_text(verdict)}</p>',
        *(f"<p>{_text(line)}</p>" for line in summary_lines(found)),
    ]  # fmt: skip
    if found.suspicious:
        rows = (
            (_text(each.file), _code(", ".join(each.nodes)), _text(each.suspicion), _code(each.pattern or ""))
            for each in found.suspicious[:_ROWS]
        )
        parts += _table("Suspicious", ("file", "nodes", "why", "pattern"), rows, len(found.suspicious))
    if found.operations:
        most = found.operations[0].places
        counts = (
            (_text(each.operation), f'<meter max="{most}" value="{each.places}"></meter>', f"{each.places:,}",
             f"{each.files:,}", size_told(each.bytes))
            for each in found.operations[:_ROWS]
        )  # fmt: skip
        columns = ("operation", "", "places", "files", "moved")
        parts += _table("Operations", columns, counts, len(found.operations))
    if found.failed:
        failures = ((_text(file), _text(message)) for file, message in found.failed[:_ROWS])
        parts += _table("Not scanned", ("file", "why"), failures, len(found.failed))
    parts.append(f"<footer>layoutbridge {__version__}: layoutbridge audit {_text(' '.join(targets))}</footer>")
    return "\n".join([*parts, "</body></html>", ""])


_NUMBERS = ("places", "files", "moved")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> list[str]:
    def cell(tag: str, column: str, text: str) -> str:
        return f'<{tag} class="number">{text}</{tag}>' if column in _NUMBERS else f"<{tag}>{text}</{tag}>"

    head = "".join(cell("th", column, column) for column in columns)
    lines = ["".join(cell("td", column, text) for column, text in zip(columns, row, strict=True)) for row in rows]
    more = f"<p>and {count - _ROWS:,} more, in the report</p>" if count > _ROWS else ""
    return [
        f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>",
        *(f"<tr>{line}</tr>" for line in lines),
        f"</tbody></table>{more}",
    ]


def _text(text: str) -> str:
    return escape(visible(text))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>" if text else ""
