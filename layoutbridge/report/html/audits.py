"""The page of `audit`: operations, suspicious places, files that could not be scanned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layoutbridge.auditing.audits import Audit
from layoutbridge.report.audits import summary_lines
from layoutbridge.report.numbers import size_told
from layoutbridge.report.pages.charts import bar
from layoutbridge.report.pages.frame import Section, Tone, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import code, facts, first_of, number, size, table, text, without_passwords

_ROWS = 2000  # of a table: a page with more is slow to open, and the report has them all
_NUMBERS = ("places", "files", "moved")


def audit_page(found: Audit, targets: Sequence[str], origin: Origin) -> str:
    """The page: the verdict first, then suspicious places, operations, files that could not be scanned.

    >>> page = audit_page(Audit({"scanned": 2}, 0, 0, (), (), (), {}, ()), ["models"], Origin(["audit", "models"]))
    >>> "nothing is suspicious" in page, "2 files: 2 scanned" in page
    (True, True)
    """
    count = len(found.suspicious)
    words = f"{count:,} suspicious {'place' if count == 1 else 'places'}" if count else "nothing is suspicious"
    scanned = found.files.get("scanned", 0)
    tone: Tone = "wrong" if count else "right" if scanned else "open"
    opening = facts(
        {
            "files scanned": f"{scanned:,}",
            "not scanned": f"{len(found.failed):,}",
            "places": f"{found.places:,}",
            "moved in one run of each": size_told(found.bytes_moved),
        }
    )
    parts = []
    if found.suspicious:
        shown, more = first_of(found.suspicious, _ROWS)
        rows = (
            (_file(each.file), code(", ".join(each.nodes)), text(each.suspicion), code(each.pattern or ""))
            for each in shown
        )
        parts.append(Section("Suspicious", [*table(("file", "nodes", "why", "pattern"), rows), *more]))
    if found.operations:
        parts.append(Section("Operations", _operations(found)))
    if found.failed:
        failures, more = first_of(found.failed, _ROWS)
        told = ((_file(file), _file(message)) for file, message in failures)
        parts.append(Section("Not scanned", [*table(("file", "why"), told), *more]))
    lines = [without_passwords(line) for line in summary_lines(found)]
    return page(
        f"layoutbridge audit: {words}", f"What moves elements in {without_passwords(', '.join(targets))}",
        Verdict(tone, words, lines), [*parts, *sections(origin)], opening=opening, made_by="layoutbridge audit",
    )  # fmt: skip


def _file(told: str) -> str:
    return text(without_passwords(told))


def _operations(found: Audit) -> list[str]:
    shown, more = first_of(found.operations, _ROWS)
    most = shown[0].places
    rows: Iterable[Sequence[str]] = (
        (text(each.operation), bar(each.places, most), number(each.places, ",d"), number(each.files, ",d"),
         size(each.bytes))
        for each in shown
    )  # fmt: skip
    columns = ("operation", "share", "places", "files", "moved")
    return [*table(columns, rows, numbers=_NUMBERS, bars=("share",)), *more]
