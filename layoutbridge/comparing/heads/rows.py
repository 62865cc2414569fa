"""Whether the numbers of a box stand in one row, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np

from layoutbridge.comparing.heads.columns import Array, Column, together
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.comparing.heads.matching import Told, furthest

MIXED = "numbers of different boxes in one row"
_MOST_PERMUTED = 4  # heads whose orders are all tried
_AXES = ("box", "row", "column")


def mixed_rows(
    group: Group, names: Sequence[str], columns: Sequence[Column], made: Sequence[Column], tolerance: float
) -> tuple[Told, ...]:
    """What is told of columns that are right each for itself, and not row by row; nothing where they are."""
    found, before = together(columns, made, tolerance)
    if len(found) < 2:
        return ()
    parts = []
    for numbers in found:
        own, wanted = [columns[number] for number in numbers], [made[number] for number in numbers]
        order = _order(group, own, wanted, tolerance)
        parts.append(listed([names[number] for number in numbers], names) + (f" by {order}" if order else ""))
    return (Told("", f"{MIXED}: {' | '.join(parts)}", before, furthest(columns, made)),)


def mixed_outputs(
    columns: Sequence[Sequence[Column]], made: Sequence[Sequence[Column]], tolerance: float
) -> tuple[Told, ...]:
    """What is told of outputs in each of which the numbers of a box stand in one row, and not in all of them."""
    own, wanted = ([column for output in outputs for column in output] for outputs in (columns, made))
    found, before = together(own, wanted, tolerance)
    if len(found) < 2:
        return ()
    return (Told("", "boxes in another order in one output than in another", before, furthest(own, wanted)),)


def listed(names: Sequence[str], all_names: Sequence[str]) -> str:
    """Names of columns in a line, those of all classes as one.

    >>> listed(["x", "classes 0", "classes 1"], ["x", "y", "classes 0", "classes 1"])
    'x, classes'
    """
    told: list[str] = []
    for name in names:
        kind = name.rpartition(" ")[0]
        whole = kind and all(each in names for each in all_names if each.startswith(f"{kind} "))
        told.append(kind if whole else name)
    return ", ".join(dict.fromkeys(told))


def _order(group: Group, columns: Sequence[Column], made: Sequence[Column], tolerance: float) -> str:
    """The order of the boxes in the port, slowest axis first, where it is one of the usual ones."""
    starts = np.cumsum([0, *(head.boxes for head in group.heads)])
    heads = permutations(range(len(group.heads))) if len(group.heads) <= _MOST_PERMUTED else [range(len(group.heads))]
    for places, axes in product(list(heads), permutations(range(len(_AXES)))):
        if all(
            np.abs(_laid(group, each.values, starts, places, axes) - column.values).max() <= tolerance * each.largest
            for column, each in zip(columns, made, strict=True)
        ):
            return ", ".join(_AXES[axis] for axis in axes)
    return ""


def _laid(group: Group, values: Array, starts: Array, places: Sequence[int], axes: Sequence[int]) -> Array:
    """The boxes [N, boxes] of heads in another order, and those of each in another order of box, row and column."""
    parts = []
    for place in places:
        batch, num, _, height, width = group.heads[place].raw.shape
        part = values[:, starts[place] : starts[place + 1]].reshape(batch, num, height, width)
        parts.append(part.transpose(0, *(1 + axis for axis in axes)).reshape(batch, -1))
    return np.concatenate(parts, axis=1)
