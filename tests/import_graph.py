"""Which module of a package imports which, and what that means for its parts. Not a test itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

Arrows = Mapping[str, frozenset[str]]  # a file of the package to the files that it imports, by their paths in it


def arrows(package: Path) -> Arrows:
    """Every import of the package by itself, at the top, in functions and for type checkers alike."""
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    modules = {_module(package.name, name): name for name in files}
    return {
        name: frozenset({modules[target] for target in _imported(path, package.name, modules)} - {name})
        for name, path in files.items()
    }


def _module(package: str, name: str) -> str:
    parts = [package, *name.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, package: str, modules: Mapping[str, str]) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name their module in full"
            if (node.module or "").split(".")[0] == package:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in modules else str(node.module)


def cycles(graph: Arrows) -> list[list[str]]:
    """The groups of two and more that reach one another, each sorted."""
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted({name} | {n for n in reach if name in reached.get(n, ())})) for name, reach in reached.items()
    }
    return sorted(list(group) for group in groups if len(group) > 1)


def _reachable(graph: Arrows, start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        fresh = graph.get(ahead.pop(), frozenset()) - found
        found |= fresh
        ahead += fresh
    return found


def between_folders(graph: Arrows) -> Arrows:
    """The same from folder to folder: "" holds the package's own files."""
    folders: dict[str, set[str]] = {}
    for name, targets in graph.items():
        own = _folder(name)
        folders.setdefault(own, set()).update({_folder(target) for target in targets} - {own})
    return {folder: frozenset(targets) for folder, targets in folders.items()}


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def rows_of_table(text: str) -> list[list[str]]:
    """The places in the first column of the table headed `part`, row by row, as they stand between backticks."""
    lines = text.split("\n")
    start = next(k for k, line in enumerate(lines) if re.match(r"\|\s*part\s*\|", line)) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(re.findall(r"`([^`]+)`", line.split("|")[1]))
    return rows


def place_of(name: str, rows: list[list[str]]) -> tuple[int, str]:
    """The row of a file, and which of its places it is in: the most special one that names it, `*` being any folder."""
    fitting = [
        (place.count("/"), -place.count("*"), row, _matched(name, place))
        for row, places in enumerate(rows)
        for place in places
        if _matched(name, place)
    ]
    if not fitting:
        raise LookupError(f"no row of the table names {name}")
    _, _, row, place = max(fitting)
    return row, place


def _matched(name: str, place: str) -> str:
    """The part of a file's path that `place` stands for, or nothing."""
    if not place.endswith("/"):
        return place if name == place else ""
    depth = place.count("/")
    head = "/".join(name.split("/")[:depth]) + "/"
    return head if name.count("/") >= depth and fnmatchcase(head, place) else ""


def against_the_table(graph: Arrows, rows: list[list[str]]) -> list[str]:
    """The arrows to a row further down, or to another place of the same row."""
    wrong = []
    for name, targets in graph.items():
        row, place = place_of(name, rows)
        for target in sorted(targets):
            other_row, other_place = place_of(target, rows)
            if other_row > row or (other_row == row and other_place != place):
                wrong.append(f"{name} -> {target}")
    return sorted(wrong)
