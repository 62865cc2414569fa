"""A layout: in which order the axes of a tensor are stored, and the places along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Part = tuple[int, int]  # of an axis: every so many places, so many times
Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tensor is stored: its axes, as the file has them, in another `order`.

    `parts` has the axes whose places change, too: such an axis is cut in parts, as a number is in digits, and they are
    stored in the order in which they stand here. Made by `laid_out`, which gives one layout one form.

    >>> nhwc = Layout((0, 2, 3, 1))
    >>> nhwc.stored(np.zeros((1, 3, 4, 5))).shape
    (1, 4, 5, 3)
    >>> shuffled = laid_out((0, 1), {1: ((1, 2), (2, 3))})
    >>> shuffled.stored(np.arange(6)[None]).tolist()
    [[0, 2, 4, 1, 3, 5]]
    """

    order: tuple[int, ...]
    parts: tuple[tuple[int, Parts], ...] = ()

    @property
    def rank(self) -> int:
        """How many axes the tensor has."""
        return len(self.order)

    @property
    def is_plain(self) -> bool:
        """Whether this is how the file has it."""
        return not self.parts and self.order == tuple(range(len(self.order)))

    @property
    def cut(self) -> Mapping[int, Parts]:
        """The parts of the axes that have any."""
        return dict(self.parts)

    def place_of(self, axis: int) -> int:
        """Where an axis is stored."""
        return self.order.index(axis)

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as it is stored."""
        for axis, parts in self.parts:
            array = np.take(array, places(parts), axis)
        return array.transpose(self.order)

    def named(self, names: Mapping[int, int]) -> Layout:
        """The same of a tensor whose axes have other names; those that have none are not among them."""
        order = tuple(names[axis] for axis in self.order if axis in names)
        return Layout(order, tuple(sorted((names[axis], parts) for axis, parts in self.parts if axis in names)))


def plain(rank: int) -> Layout:
    """The layout of the file.

    >>> plain(3)
    Layout(order=(0, 1, 2), parts=())
    """
    return Layout(tuple(range(rank)))


def laid_out(order: Iterable[int], parts: Mapping[int, Sequence[Part]]) -> Layout:
    """The layout with its parts in their shortest form; parts that leave every place where it is are left out.

    >>> laid_out((1, 0), {0: ((6, 2), (2, 3), (1, 2))})
    Layout(order=(1, 0), parts=())
    """
    short = {axis: _merged(each) for axis, each in parts.items()}
    return Layout(tuple(order), tuple(sorted((axis, each) for axis, each in short.items() if len(each) > 1)))


def _merged(parts: Sequence[Part]) -> Parts:
    made: list[Part] = []
    for step, length in parts:
        if length == 1:
            continue
        if made and made[-1][0] == step * length:
            made[-1] = (step, made[-1][1] * length)
        else:
            made.append((step, length))
    return tuple(made)


def places(parts: Parts) -> NDArray[np.int64]:
    """Which place of the file's axis stands at each place of the stored one.

    >>> places(((1, 2), (2, 2))).tolist()
    [0, 2, 1, 3]
    """
    made = np.zeros(1, np.int64)
    for step, length in parts:
        made = (made[:, None] + step * np.arange(length)).reshape(-1)
    return made


def length_of(parts: Parts) -> int:
    """The length of an axis that is cut so."""
    return prod(length for _, length in parts)


def pieces(parts: Parts, steps: Sequence[int]) -> list[Part] | None:
    """The parts, cut at more `steps`, each a multiple of the one before; None where a part cannot be cut there.

    >>> pieces(((1, 12),), (1, 3, 12))
    [(3, 4), (1, 3)]
    >>> pieces(((1, 12),), (1, 5, 12)) is None
    True
    """
    made: list[Part] = []
    for step, length in parts:
        end = step * length
        inner = [each for each in steps if step < each < end]
        bounds = [step, *inner, end]
        found = []
        for low, high in pairwise(bounds):
            if high % low:
                return None
            found.append((low, high // low))
        made += found[::-1]
    return made
