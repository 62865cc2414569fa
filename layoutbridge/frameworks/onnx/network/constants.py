"""Constants of a graph, and those that are repeated in the file because a runtime repeats none itself."""

from __future__ import annotations

from math import prod

import numpy as np

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.values import OnnxValue
from layoutbridge.frameworks.primitives import LazyArray, Shape


class Constants:
    """The arrays of a graph's constants, by the names of their initializers [1, ...]."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._arrays: dict[str, LazyArray] = {}

    def add(self, array: LazyArray) -> OnnxValue:
        """One more, without a batch."""
        name = self._graph.parameter(array, (1, *array.shape))
        self._arrays[name] = array
        return OnnxValue(name, array.shape, batched=False)

    def __contains__(self, x: OnnxValue) -> bool:
        return x.name in self._arrays

    def repeated(self, x: OnnxValue, shape: Shape, batch: int | None) -> OnnxValue:
        """x repeated to the batch, one where that is open, and to `shape`."""
        lengths = (batch or 1, *shape)
        values = np.broadcast_to(self._arrays[x.name].read(), lengths)
        held = LazyArray.of(f"{x.name}/{'x'.join(map(str, lengths))}", values)
        return OnnxValue(self._graph.parameter(held), shape)

    def beside(self, x: OnnxValue, other: OnnxValue, batch: int | None) -> OnnxValue:
        """x as long as `other` where it is a constant, and neither a number nor one a channel.

        Raises `UnsupportedError` where there are several pictures.
        """
        if x not in self or prod(x.shape) == 1 or other.open:
            return x
        if batch != 1:
            raise UnsupportedError(
                f"{self._graph.where or 'the graph'} has constants for one picture that the runtime repeats for no "
                f"batch of {batch}: leave out batch"
            )
        is_plain = x.shape == other.shape or (len(x.shape) == 3 and x.shape[1:] == (1, 1))
        return x if is_plain else self.repeated(x, other.shape, batch)
