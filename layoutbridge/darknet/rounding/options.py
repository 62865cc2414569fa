"""What is asked for: the pictures that ranges are measured over, and the layers that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ShapeError, UnsupportedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Int8:
    """A network in int8, its ranges measured over `pictures`, float32 [N, C, H, W] as the network takes them.

    What the layers `in_float` (their indices) give is not rounded; their weights are, where a format has that.
    `measured` keeps what was seen of the pictures, for when the same network is written again.
    """

    pictures: NDArray[np.float32]
    in_float: frozenset[int] = frozenset()
    measured: dict[Any, Any] = field(default_factory=dict, repr=False)

    def keeping(self, layers: Sequence[int]) -> Int8:
        """The same with these layers in float32."""
        return Int8(self.pictures, frozenset(layers), self.measured)

    def once(self, parameters: Arrays, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What `make` gives, made the first time that these very parameters come with this key."""
        at = (id(parameters), *key)
        if at not in self.measured:
            self.measured[at] = (parameters, make())  # the parameters, too: nothing else gets their id then
        made: T = self.measured[at][1]
        return made

    def check(self, network: Network) -> None:
        """Raise `ShapeError` for pictures that the network does not take, `UnsupportedError` for recurrent networks."""
        shape = np.shape(self.pictures)
        if shape[1:] != network.in_shape or not shape[0]:
            wanted = ", ".join(map(str, network.in_shape))
            raise ShapeError(f"int8 is measured over pictures [N, {wanted}] with N of at least 1, not {list(shape)}")
        if network.states:
            raise UnsupportedError(
                f"{network.source} has recurrent layers, whose states pictures do not tell: take half instead of int8"
            )
