"""The tree of classes that a softmax or a region layer may name: lines of `name parent`, groups of one parent each.

Definition: tree.c (read_tree). A group ends where the parent changes.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from layoutbridge.darknet.reading.cfg import quoted
from layoutbridge.darknet.reading.place import Place
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.inputs import is_regular_file, read_bytes

_LARGEST_TREE = 8 << 20  # bytes; that of 9,418 classes has 0.2 million
_DARKNETS_FOLDER = "cfg"  # its cfg files say `tree=data/9k.tree`, and data/ lies beside that folder
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


def read_tree(place: Place) -> SoftmaxTree | None:
    """The tree that the section's `tree` names, None where it names none.

    The file is looked for from here, as Darknet does, then from the cfg's folder and, where that is called `cfg` as
    Darknet's is, from the folder above it, then from those that were allowed. Raises `CfgError` where it is missing or
    unreadable, and where it lies in none of these folders, links followed.
    """
    name = place.options.text("tree")
    if name is None:
        return None
    content = read_bytes(_find(place, name), "tree", most=_LARGEST_TREE, error=partial(place.error, key="tree"))
    return parse_tree(place, content.decode("utf-8", errors="replace").split("\n"))


def parse_tree(place: Place, lines: list[str]) -> SoftmaxTree:
    """The tree in `lines`; an error about the section where a line is no `name parent`, or a parent stands ahead."""
    parents: list[int] = []
    names: list[str] = []
    sizes: list[int] = []
    count = next((number for number in range(len(lines), 0, -1) if lines[number - 1].strip()), 0)
    for number, line in enumerate(lines[:count], 1):
        words = line.split()
        if len(words) < 2 or not _WHOLE.fullmatch(words[1]):
            raise place.error(f"line {number} of its tree is no class with a parent, `name parent`", "tree")
        parent = int(words[1])
        if not -1 <= parent < number - 1:
            raise place.error(f"line {number} of its tree names a parent that is not above it", "tree")
        if not parents or parent != parents[-1]:
            sizes.append(0)
        sizes[-1] += 1
        parents.append(parent)
        names.append(words[0])
    if not parents:
        raise place.error("its tree is empty", "tree")
    return SoftmaxTree(tuple(parents), tuple(sizes), tuple(names))


def _find(place: Place, name: str) -> Path:
    folders = _folders(place)
    outside = False
    for folder in folders:
        candidate = folder / name
        if is_regular_file(candidate):
            real = Path(os.path.realpath(candidate))
            if any(real.is_relative_to(os.path.realpath(allowed)) for allowed in folders):
                return candidate
            outside = True
    if outside:
        raise place.error(
            f"its tree {quoted(name)} lies outside the folder of the cfg and the current one: allow its folder with "
            "--allow-path (allow_paths of load)",
            "tree",
        )
    raise place.error(f"its tree {quoted(name)} is not found here nor beside the cfg", "tree")


def _folders(place: Place) -> list[Path]:
    """Where a tree may lie. The root of all folders, where one may stand by accident, allows nothing."""
    beside: list[Path] = []
    if place.folder is not None:
        beside = [Path(place.folder)]
        if Path(os.path.realpath(place.folder)).name == _DARKNETS_FOLDER:
            beside.append(Path(os.path.realpath(place.folder)).parent)
    usual = [folder for folder in (Path(), *beside) if folder.resolve() != Path(folder.resolve().anchor)]
    return [*usual, *map(Path, place.allow_paths)]
