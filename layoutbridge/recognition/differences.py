"""How a target is another map than it should be: in words, and element by element."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import unravel
from layoutbridge.errors import counted


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference in words, and the shapes at which it shows, where it does.

    Of a result that has the right shape, `reads` are the flat places in the input from which its elements come, and
    `wanted` those from which they should; a number that is no place means that an element comes from none.
    """

    told: str
    in_shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()
    reads: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    wanted: NDArray[Any] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.told

    @property
    def places(self) -> NDArray[np.intp]:
        """The flat places in the result whose elements differ."""
        if self.reads is None or self.wanted is None:
            return np.zeros(0, np.intp)
        return np.flatnonzero(self.reads != self.wanted)


def table_difference(
    title: str, shape: tuple[int, ...], out_shape: tuple[int, ...] | None, table: NDArray[Any], wanted: NDArray[Any]
) -> Difference | None:
    """The first place at which a table over an input of `shape` is another than `wanted`; None where it is the same.

    `title` names what is wanted, `out_shape` is the result's, where known.

    >>> print(table_difference("flip", (3,), (3,), np.array([2, 0, 1]), np.array([2, 1, 0])))
    input [3]: the result's element [1] comes from input [0], in flip from [1]
    """
    where, flat, expected = f"input {list(shape)}", table.reshape(-1), wanted.reshape(-1)
    if out_shape is not None and out_shape != wanted.shape:
        return Difference(f"{where}: the result's shape is {list(out_shape)}, in {title} {list(wanted.shape)}", shape)
    if flat.size != expected.size:
        return Difference(f"{where}: the result has {counted(flat.size, 'element')}, in {title} {expected.size}", shape)
    different = np.flatnonzero(flat != expected)
    if not different.size:
        return None
    index = int(different[0])
    place, there = list(unravel(index, wanted.shape)), list(unravel(int(expected[index]), shape))
    read = int(flat[index])
    here = f"comes from input {list(unravel(read, shape))}" if 0 <= read < prod(shape) else "comes from no input"
    told = f"{where}: the result's element {place} {here}, in {title} from {there}"
    return Difference(told, shape, wanted.shape, flat, expected)


def proved_difference(operation: Rearrangement, wanted: Rearrangement, title: str, told: str) -> Difference | None:
    """The smallest difference for all sizes, in the words of a table's; None where there is none that can be shown."""
    example = prove(operation, wanted).counterexample
    if example is None:
        return None
    where = f"input {list(example.shape)}: the result's"
    if example.position is None or example.reads is None:
        shapes = [list(shape) for shape in example.out_shapes]
        return Difference(f"{where} shape is {shapes[0]}{told}, in {title} {shapes[1]}", example.shape)
    here, there = (list(read) for read in example.reads)
    element = f"element {list(example.position)} comes from input {here}{told}, in {title} from {there}"
    tables = (each.table(example.shape) for each in (operation, wanted))
    return Difference(f"{where} {element}", example.shape, example.out_shapes[0], *tables)
