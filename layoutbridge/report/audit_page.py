"""An audit as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layoutbridge.auditing.audits import Audit
from layoutbridge.report.audits import summary_lines
from layoutbridge.report.checkpoints import size_told
from layoutbridge.report.pages import code, page, table, text

_ROWS = 2000  # of a table: a page with more is slow to open, and the report has them all
_NUMBERS = ("places", "files", "moved")


def audit_page(found: Audit, targets: Sequence[str]) -> str:
    """The page: the verdict first, then operations, suspicious places, files that could not be scanned.

    >>> page = audit_page(Audit({"scanned": 2}, 0, 0, (), (), (), {}, ()), ["models"])
    >>> "nothing is suspicious" in page, "2 files: 2 scanned" in page
    (True, True)
    """
    count = len(found.suspicious)
    verdict = f"{count:,} suspicious {'place' if count == 1 else 'places'}" if count else "nothing is suspicious"
    body = [f'<p class="verdict">{text(verdict)}</p>', *(f"<p>{text(line)}</p>" for line in summary_lines(found))]
    if found.suspicious:
        rows = (
            (text(each.file), code(", ".join(each.nodes)), text(each.suspicion), code(each.pattern or ""))
            for each in found.suspicious[:_ROWS]
        )
        body += _section("Suspicious", ("file", "nodes", "why", "pattern"), rows, len(found.suspicious))
    if found.operations:
        most = found.operations[0].places
        counts = (
            (text(each.operation), f'<meter max="{most}" value="{each.places}"></meter>', f"{each.places:,}",
             f"{each.files:,}", size_told(each.bytes))
            for each in found.operations[:_ROWS]
        )  # fmt: skip
        columns = ("operation", "", "places", "files", "moved")
        body += _section("Operations", columns, counts, len(found.operations))
    if found.failed:
        failures = ((text(file), text(message)) for file, message in found.failed[:_ROWS])
        body += _section("Not scanned", ("file", "why"), failures, len(found.failed))
    asked = " ".join(targets)
    heading = f"What moves elements in {', '.join(targets)}"
    return page(f"layoutbridge audit: {verdict}", heading, body, f"layoutbridge audit {asked}")


def _section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> list[str]:
    more = [f"<p>and {count - _ROWS:,} more, in the report</p>"] if count > _ROWS else []
    return [f"<h2>{title}</h2>", *table(columns, rows, _NUMBERS), *more]
