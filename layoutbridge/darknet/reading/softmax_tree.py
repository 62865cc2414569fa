"""The tree of classes that a softmax or a region layer may name: lines of `name parent`, groups of one parent each.

Definition: tree.c (read_tree). A group ends where the parent changes.
"""

from __future__ import annotations

import re
from pathlib import Path

from layoutbridge.darknet.reading.cfg import quoted
from layoutbridge.darknet.reading.place import Place
from layoutbridge.darknet.structure.settings import SoftmaxTree

_LARGEST_TREE = 16 << 20
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


def read_tree(place: Place) -> SoftmaxTree | None:
    """The tree that the section's `tree` names, None where it names none.

    The file is looked for from here, as Darknet does, then from the cfg's folder and the folder above it. Raises
    `CfgError` where it is missing or unreadable.
    """
    name = place.options.text("tree")
    if name is None:
        return None
    path = _find(place, name)
    try:
        if path.stat().st_size > _LARGEST_TREE:
            raise place.error(f"the tree {quoted(name)} has over {_LARGEST_TREE:,} bytes", "tree")
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except (OSError, ValueError) as error:
        raise place.error(f"cannot read the tree {quoted(name)}: {error}", "tree") from None
    return parse_tree(place, lines)


def parse_tree(place: Place, lines: list[str]) -> SoftmaxTree:
    """The tree in `lines`; an error about the section where a line is no `name parent`, or a parent stands ahead."""
    parents: list[int] = []
    names: list[str] = []
    sizes: list[int] = []
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    for number, line in enumerate(lines, 1):
        words = line.split()
        if len(words) < 2 or not _WHOLE.fullmatch(words[1]):
            raise place.error(f"line {number} of its tree is no class with a parent: {quoted(line)}", "tree")
        parent = int(words[1])
        if not -1 <= parent < number - 1:
            raise place.error(f"line {number} of its tree names the parent {parent}, which is not above it", "tree")
        if not parents or parent != parents[-1]:
            sizes.append(0)
        sizes[-1] += 1
        parents.append(parent)
        names.append(words[0])
    if not parents:
        raise place.error("its tree is empty", "tree")
    return SoftmaxTree(tuple(parents), tuple(sizes), tuple(names))


def _find(place: Place, name: str) -> Path:
    here = Path(name)
    folder = Path(place.folder) if place.folder is not None else None
    candidates = [here] if folder is None else [here, folder / name, folder.parent / name]
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except (OSError, ValueError):
            break
    raise place.error(f"its tree {quoted(name)} is not found here nor beside the cfg", "tree")
