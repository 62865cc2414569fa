"""One call in a program, its arguments as plain values, and what is told of its movement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.graphs.graph import Move, Movement

Shape = tuple[int, ...]


class Ref(str):
    """The name of a tensor among the arguments of a call."""

    __slots__ = ()


class Held(NamedTuple):
    """A tensor's shape, dtype and, where it is a small constant, what is in it; `fixed` is off where it is made up."""

    shape: Shape
    dtype: str
    value: NDArray[Any] | None = None
    fixed: bool = True


class Moved(NamedTuple):
    """The tensors whose elements a call moves, and a `Move` for each output."""

    sources: tuple[Ref, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of `operator`, such as "aten.view" of overload "default", with `arguments` by their names."""

    operator: str
    overload: str
    arguments: Mapping[str, Any]
    tensors: Mapping[str, Held]
    outputs: tuple[Held, ...]

    @property
    def x(self) -> Ref:
        """The first tensor."""
        for value in self.arguments.values():
            if isinstance(value, Ref):
                return value
        raise KeyError("a tensor")

    @property
    def shape(self) -> Shape:
        """The first tensor's shape."""
        return self.tensors[self.x].shape

    @property
    def rank(self) -> int:
        """How many axes the first tensor has."""
        return len(self.shape)

    @property
    def out_shape(self) -> Shape:
        """The first output's shape."""
        return self.outputs[0].shape

    def get(self, name: str, usual: Any = None) -> Any:
        """An argument, `usual` where it is not given or None."""
        value = self.arguments.get(name)
        return usual if value is None else value

    def axis(self, name: str = "dim", usual: int = 0, rank: int | None = None) -> int:
        """An axis counted from the front."""
        rank = self.rank if rank is None else rank
        axis = int(self.get(name, usual))
        return axis + rank if axis < 0 else axis

    def axes(self, name: str) -> tuple[int, ...]:
        """Several of them."""
        given = self.get(name, ())
        listed = (given,) if isinstance(given, int) else given
        return tuple(axis + self.rank if axis < 0 else axis for axis in listed)

    def one(self, move: Move) -> Moved:
        """The movement of the first tensor to the one output."""
        return Moved((self.x,), (move,))

    def viewed(self) -> Moved:
        """The same elements in the same order, under the output's shape."""
        return self.one(view(self.out_shape))

    def moved(self, function: Movement, **settings: Any) -> Moved:
        """`function` of the first tensor with these settings."""
        return self.one(Move(partial(function, **settings)))

    def transposed(self, order: tuple[int, ...]) -> Moved:
        """The axes in another order."""
        return self.one(Move(partial(np.transpose, axes=order), "transpose", order))


def view(shape: Shape) -> Move:
    """The elements as they lie, under another shape."""
    return Move(methodcaller("reshape", shape), "view")
