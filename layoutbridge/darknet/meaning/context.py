"""What a layer's meaning is written from: the layer, its inputs in the target, its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType
from typing import Any, Generic

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.registry import register
from layoutbridge.darknet.structure.settings import S
from layoutbridge.frameworks.primitives import LazyArray, Target, V

Arrays = Mapping[tuple[int, str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Variant:
    """How a network may be written: batch norm as a layer of its own; sizes of input that are not the cfg's."""

    keep_batch_norm: bool = False
    open_size: bool = False


@dataclass(slots=True)
class Memory(Generic[V]):
    """What recurrent layers carry, by (layer index, name of the state).

    A batch is `steps` steps of a sequence of N, [T·N, ...], as the target's `unstacked` takes it apart. `before` are
    the states [N, ...] before the first of them, zeros where there is none. `after` gets those behind the last one.
    """

    steps: int = 1
    before: Mapping[tuple[int, str], V] = field(default_factory=dict)
    after: dict[tuple[int, str], V] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context(Generic[V]):
    """One layer, or a part of one, to be written: its `inputs` stand in the order of `layer.inputs`."""

    target: Target[V]
    network: Network
    layer: Layer
    inputs: tuple[V, ...]
    arrays: Arrays
    variant: Variant = Variant()
    memory: Memory[V] = field(default_factory=Memory)

    @property
    def x(self) -> V:
        """The first input."""
        return self.inputs[0]

    def array(self, name: str) -> NDArray[np.float32]:
        """The parameter `name`, in its shape; mostly a view of the weights file."""
        return self.arrays[self.layer.index, self.layer.key(name)]

    def lazy(self, name: str) -> LazyArray:
        """The parameter `name` to be read when it is written; one that is another layer's bears that layer's name."""
        owner = next((p.shared_with for p in self.layer.parameters if p.name == name), None)
        layer = self.layer if owner is None else self.network.layers[owner]
        return LazyArray.of(f"{layer.name}/{name}", self.arrays[self.layer.index, self.layer.key(name)])

    def constant(self, name: str, values: ArrayLike) -> LazyArray:
        """A constant of the layer's own."""
        return LazyArray.of(f"{self.layer.name}/{name}", values)

    def flat(self, x: V) -> V:
        """x as a vector."""
        return self.target.reshape(x, (prod(x.shape),))

    def of_part(self, name: str, x: V) -> Context[V]:
        """The part `name` of a recurrent layer, its input x in the part's own shape."""
        part = self.layer.part_called(name)
        return replace(self, layer=part, inputs=(self.target.reshape(x, part.in_shape),))


Meaning = Callable[[Context[V], S], V]
_meanings: dict[str, Meaning[Any, Any]] = {}
MEANINGS: Mapping[str, Meaning[Any, Any]] = MappingProxyType(_meanings)


def means(*kinds: type[S]) -> Callable[[Meaning[V, S]], Meaning[V, S]]:
    """Say that a function writes the layers of these kinds."""

    def add(meaning: Meaning[V, S]) -> Meaning[V, S]:
        register(_meanings, kinds, meaning)
        return meaning

    return add


def first_axis(target: Target[V], x: V, start: int, stop: int) -> V:
    """Entries start to stop (excluded) of x's first axis: channels, or values of a vector."""
    rest = x.shape[1:]
    return target.slice(x, (start, *(0 for _ in rest)), (stop, *rest))
