"""The order of the pages, in sections by what readers come for. A page that none names goes to the end of *Use*."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("navigation.toml")
_OTHERS = "Use"
_UNLISTED = ("sources/", "project/license")


def navigation(places: Iterable[str]) -> list[dict[str, Any]]:
    """The navigation over these pages; raises `LookupError` for pages that it names and that are not there.

    >>> navigation(["index.md"])
    Traceback (most recent call last):
    LookupError: the navigation names pages that are not there: ...
    """
    there = list(places)
    with _FILE.open("rb") as file:
        sections: dict[str, Any] = tomllib.load(file)
    named = set(_named(sections))
    if missing := sorted(name for name in named if name not in there and not name.endswith("/*")):
        raise LookupError(f"the navigation names pages that are not there: {', '.join(missing)}")
    rest = [place for place in there if place not in named and not place.startswith(_UNLISTED)]
    folders = tuple(name.removesuffix("*") for name in named if name.endswith("/*"))
    sections[_OTHERS] += [place for place in rest if not place.startswith(folders)]
    return [{title: _expanded(entries, rest)} for title, entries in sections.items()]


def _named(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    inner = entries.values() if isinstance(entries, dict) else entries
    return [place for entry in inner for place in _named(entry)]


def _expanded(entries: Any, rest: list[str]) -> Any:
    """The same with "folder/*" as the pages of the folder that nothing names."""
    if isinstance(entries, dict):
        return {title: _expanded(entry, rest) for title, entry in entries.items()}
    if isinstance(entries, str):
        return entries
    expanded: list[Any] = []
    for entry in entries:
        folder = entry.removesuffix("*") if isinstance(entry, str) and entry.endswith("/*") else None
        expanded += [_expanded(entry, rest)] if folder is None else [name for name in rest if name.startswith(folder)]
    return expanded
