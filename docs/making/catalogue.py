"""The page of the catalogue: every operation, from its entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.making.commands import plain

if TYPE_CHECKING:
    from layoutbridge import CatalogEntry

_SHOWN = 5  # patterns of one entry


def pages() -> dict[str, str]:
    """The page by its name."""
    from layoutbridge import catalog

    entries = list(catalog().values())
    parts = [
        "# The catalogue",
        f"{len(entries)} operations, as `layoutbridge list` tells of them. [How patterns are read](patterns.md).",
    ]
    for family in dict.fromkeys(entry.family for entry in entries):
        own = [entry for entry in entries if entry.family == family]
        rows = [f"| [`{entry.name}`](#{entry.name}) | {plain(entry.summary)} |" for entry in own]
        parts += [f"## {family[0].upper()}{family[1:]}", "\n".join(["| | |", "|---|---|", *rows])]
        parts += [_section(entry) for entry in own]
    return {"catalogue.md": "\n\n".join(parts)}


def _section(entry: CatalogEntry) -> str:
    from layoutbridge.report.catalogue import asked_of

    asked = {form.pattern: asked_of(entry, form) for form in entry.forms[:_SHOWN]}
    told = [f"`{pattern}`" + f" by `{options}`" * bool(options) for pattern, options in asked.items()]
    more = len(entry.forms) - len(told)
    facts = {
        "takes": ", ".join(f"`{name}` ({plain(each.meaning)})" for name, each in entry.parameters.items()),
        "patterns": "<br>".join(told) + f"<br>and {more} more: `layoutbridge list {entry.name}`" * bool(more),
        "defined by": plain(entry.provenance),
        "also known as": plain(", ".join(entry.also_known_as)),
        "equals": plain(entry.equals),
    }
    rows = [f"| {title} | {fact} |" for title, fact in facts.items() if fact]
    return "\n".join(
        [f"### {entry.name} {{#{entry.name}}}", "", f"{plain(entry.summary)}.", "", "| | |", "|---|---|", *rows]
    )
