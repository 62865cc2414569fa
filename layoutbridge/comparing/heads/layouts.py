"""The columns of a port's output: in which layout it may lie, and what may stand side by side in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from layoutbridge.comparing.heads.entries import Array

# Blocks of columns: the four numbers of a box or two of them, objectness, classes, the best class, deviations.
_WIDTHS = {"box": 4, "centre": 2, "size": 2, "objectness": 1, "best": 1, "deviations": 4}
_PATTERNS = (
    ("box", "objectness", "classes"), ("box", "classes"), ("box", "objectness"), ("box", "best"), ("box",),
    ("box", "objectness", "best"), ("classes",), ("objectness",), ("best",), ("objectness", "classes"),
    ("objectness", "best"), ("centre",), ("size",),
    ("box", "objectness", "classes", "deviations"), ("box", "classes", "deviations"), ("box", "deviations"),
    ("deviations",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """Columns from `start` to `end` that hold what is called `kind`."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Laid:
    """An output as `columns` [entries, N, boxes]; of these boxes `axes` are the lengths in the output, but for ones."""

    columns: Array
    axes: tuple[int, ...]


def layouts(output: Array, boxes: int, batch: int) -> Iterator[Laid]:
    """The columns of an output that has a number, or more, for each of so many boxes of each picture."""
    count = batch * boxes
    if not output.size or output.size % count:
        return
    width = output.size // count
    if width == 1:
        yield _laid(output.reshape(1, *output.shape), batch)
        return
    for axis in range(output.ndim - 1, -1, -1):
        length = output.shape[axis]
        moved = np.moveaxis(output, axis, 0)
        if length == width:
            yield _laid(moved, batch)
        elif length and length % width == 0:  # boxes of a place and their entries in one axis
            rest = moved.shape[1:]
            parts = moved.reshape(length // width, width, *rest)
            yield _laid(np.moveaxis(parts, 0, 1 + axis), batch)
            parts = moved.reshape(width, length // width, *rest)
            yield _laid(np.moveaxis(parts, 1, 1 + axis), batch)


def _laid(columns: Array, batch: int) -> Laid:
    axes = tuple(length for length in columns.shape[1:] if length != 1)
    leading = columns.shape[1] if columns.ndim > 1 else 1
    if leading != batch and batch > 1:  # pictures are somewhere else: they are not told apart
        return Laid(columns.reshape(len(columns), 1, -1), axes)
    return Laid(columns.reshape(len(columns), batch, -1), axes)


def patterns(width: int, classes: int, has_deviations: bool) -> Iterator[tuple[Block, ...]]:
    """What so many columns may hold, the usual order of blocks first.

    >>> [[block.kind for block in pattern] for pattern in patterns(2, 80, False)]
    [['objectness', 'best'], ['best', 'objectness'], ['centre'], ['size']]
    """
    widths = {**_WIDTHS, "classes": classes}
    found: dict[tuple[str, ...], None] = {}
    for kinds in _PATTERNS:
        if "deviations" in kinds and not has_deviations:
            continue
        if sum(widths[kind] for kind in kinds) == width:
            found.update(dict.fromkeys(permutations(kinds)))
    for order in found:
        ends = np.cumsum([widths[kind] for kind in order]).tolist()
        yield tuple(Block(kind, end - widths[kind], end) for kind, end in zip(order, ends, strict=True))
