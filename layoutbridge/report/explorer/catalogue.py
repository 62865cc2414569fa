"""The catalogue as the explorer's page has it: every entry of now, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form
from layoutbridge.report.catalogue import entry_record

_MOST_WRITTEN = 12  # for each number of a pattern that is more than letters: the page has these patterns, and no others


def catalogue_record() -> dict[str, Any]:
    """Every entry with all that the page asks of it.

    >>> focus = next(entry for entry in catalogue_record()["entries"] if entry["name"] == "focus")
    >>> focus["forms"][0]["pattern"], focus["forms"][0]["written"]
    ('c (h p:s) (w q:s) -> (q p c) h w', None)
    """
    return {"entries": [_entry(entry) for entry in catalog().values()]}


def _entry(entry: CatalogEntry) -> dict[str, Any]:
    return {**entry_record(entry), "forms": [_form(form) for form in entry.forms]}


def _form(form: Form) -> dict[str, Any]:
    return {
        "pattern": form.pattern,
        "letters": dict(form.letters),
        "fixed": dict(form.fixed),
        "axes": form.axes,
        "from_one": sorted(form.from_one),
        "written": _written(form),
    }


def _written(form: Form) -> list[tuple[tuple[int, ...], str]] | None:
    """The patterns for small numbers, where a pattern is more than letters with numbers in their place."""
    return None if form.write is None else list(_patterns(form))


def _patterns(form: Form) -> Iterator[tuple[tuple[int, ...], str]]:
    for numbers in product(range(1, _MOST_WRITTEN + 1), repeat=len(form.numbers)):
        try:
            pattern = form.at(numbers).source_pattern
        except LayoutBridgeError:  # numbers that do not go together
            continue
        if pattern is not None:
            yield numbers, pattern
