"""The sizes of a graph's tensors: numbers at which it was read, and which of them the model leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from layoutbridge.scanning.graphs.graph import Graph, Tensor

OpenLengths = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Sized:
    """A tensor's shape at the sizes at which the model was read, the same at others, and its bytes.

    >>> Sized((2, 3, 64), (3, 3, 160), 1536).known
    (None, 3, None)
    """

    shape: tuple[int, ...]
    second: tuple[int, ...]
    bytes: int
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def known(self) -> OpenLengths:
        """The lengths that are always the same, None for the others."""
        return tuple(one if one == two else None for one, two in zip(self.shape, self.second, strict=True))

    @property
    def itemsize(self) -> int:
        """The bytes of an element, rounded up."""
        return -(-self.bytes // max(1, prod(self.shape)))

    def is_one(self, axis: int) -> bool:
        """Whether an axis always has the length 1."""
        return self.shape[axis] == self.second[axis] == 1


class Sizes:
    """The sizes of tensors by name, of those that have known ones.

    `is_open` says that the model leaves sizes open: where it could not be read at others, no length counts as known.
    """

    def __init__(self, graph: Graph, second: Graph | None, *, is_open: bool) -> None:
        self._tensors = graph.tensors
        self._again: Mapping[str, Tensor] | None = second.tensors if second is not None else None
        self._is_open = is_open

    def __call__(self, name: str | None) -> Sized | None:
        """The tensor of that name; None where its shape is not known."""
        held = self._tensors.get(name or "")
        if held is None:
            return None
        if held.is_constant or not self._is_open:
            return Sized(held.shape, held.shape, held.bytes, held.dtype)
        if self._again is None:  # a length that is never any real one
            return Sized(held.shape, tuple(-1 for _ in held.shape), held.bytes, held.dtype)
        again = self._again.get(held.name)
        if again is None or len(again.shape) != len(held.shape):
            return None
        return Sized(held.shape, again.shape, held.bytes, held.dtype)


def target(before: Sequence[object], after: Sequence[object]) -> list[int] | None:
    """What a Reshape is told, from lengths to lengths: numbers, and anything else for a length that is open.

    An open length is said by its place, where it stands at the same, else one of them is what is left. None where
    that does not do.

    >>> target(["n", 4, "h"], ["n", 2, 2, "h"]), target(["n", 4, "h"], [4, "n", "h"]), target(["a", "b"], ["b", "a"])
    ([0, 2, 2, -1], [4, -1, 0], None)
    """
    made: list[int] = []
    for place, length in enumerate(after):
        if isinstance(length, int):
            made.append(length)
        elif place < len(before) and before[place] == length:
            made.append(0)
        else:
            made.append(-1)
    return made if made.count(-1) <= 1 and 0 not in after else None
