"""The forward pass: each layer in turn, outputs kept only as long as a later layer needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.reference.values import RULES, Array, Feed
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.settings import Flavor


def forward(
    network: Network,
    parameters: Mapping[tuple[int, str], NDArray[np.float32]],
    x: NDArray[Any],
    *,
    every_layer: bool = True,
    dtype: DTypeLike = np.float64,
) -> list[Array]:
    """The outputs of all layers for `x` [N, C, H, W] or [N, K], as Darknet holds them; or of the last alone.

    Arrays are [N, C, H, W], or [N, K] where the layer is flat, of `dtype`. Nothing is checked here:
    `DarknetNetwork.run` does that.
    """
    start: Array = np.asarray(x, dtype)
    last_use = {source: layer.index for layer in network.layers for source in layer.inputs}
    values: dict[int, Array] = {-1: start}
    for layer in network.layers:
        inputs = [values[source] for source in layer.inputs]
        values[layer.index] = forward_layer(layer, parameters, inputs, network.flavor, start.shape[0], start.dtype)
        if not every_layer:
            for source in {*layer.inputs, layer.index - 1}:
                if last_use.get(source, -1) <= layer.index and source in values:
                    del values[source]
    if not every_layer:
        return [values[len(network.layers) - 1]]
    return [values[layer.index] for layer in network.layers]


def forward_layer(
    layer: Layer,
    parameters: Mapping[tuple[int, str], NDArray[np.float32]],
    inputs: Sequence[Array],
    flavor: Flavor,
    batch: int,
    dtype: DTypeLike = np.float64,
) -> Array:
    """The output of one layer for its `inputs`, in its own shape with the batch in front."""
    own = {p.name: np.asarray(parameters[layer.index, p.name], dtype) for p in layer.parameters}
    result: Array = RULES[layer.kind](Feed(layer, tuple(inputs), own, flavor, batch), layer.settings)
    assert result.size == batch * prod(layer.out_shape), f"{layer.name}: {result.shape} for {layer.out_shape}"
    return result.reshape(batch, *layer.out_shape).astype(dtype, copy=False)
