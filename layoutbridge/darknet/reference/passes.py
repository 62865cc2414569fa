"""The forward pass: each layer in turn, outputs kept only as long as a later layer needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.reference.values import RULES, Array, Feed
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.model import Layer, Network

States = dict[tuple[int, str], Array]  # (layer index, name) to [N, ...]


def forward(
    network: Network,
    parameters: Mapping[tuple[int, str], NDArray[np.float32]],
    x: NDArray[Any],
    *,
    every_layer: bool = True,
    dtype: DTypeLike = np.float64,
    steps: int = 1,
    states: States | None = None,
) -> list[Array]:
    """The outputs of all layers for `x` [N, C, H, W] or [N, K], as Darknet holds them; or of the last alone.

    Arrays are [N, C, H, W], or [N, K] where the layer is flat, of `dtype`. With `steps` T of a sequence in one pass, as
    Darknet's time_steps, they are [T·N, ...], one step behind another. `states` ((layer index, name) to [N, ...]) are
    those before the first step, zeros where there are none; afterwards they are those behind the last. Nothing is
    checked here: `DarknetNetwork.run` does that.
    """
    start: Array = np.asarray(x, dtype)
    memory: States = {} if states is None else states
    last_use = {source: layer.index for layer in network.layers for source in layer.inputs}
    values: dict[int, Array] = {-1: start}
    for layer in network.layers:
        inputs = [values[source] for source in layer.inputs]
        values[layer.index] = forward_layer(
            layer, parameters, inputs, network.flavor, start.shape[0], start.dtype, steps, memory
        )
        if not every_layer:
            for source in {*layer.inputs, layer.index - 1}:
                if last_use.get(source, -1) <= layer.index and source in values:
                    del values[source]
    if not every_layer:
        return [values[len(network.layers) - 1]]
    return [values[layer.index] for layer in network.layers]


def run_sequence(
    network: Network,
    parameters: Mapping[tuple[int, str], NDArray[np.float32]],
    x: NDArray[Any],
    *,
    every_layer: bool = True,
    dtype: DTypeLike = np.float64,
) -> list[Array]:
    """The outputs [T, N, ...] for x [T, N, ...], a pass for each step, states from zeros on and carried."""
    states: States = {}
    made = [forward(network, parameters, step, every_layer=every_layer, dtype=dtype, states=states) for step in x]
    return [np.stack(outputs) for outputs in zip(*made, strict=True)]


def forward_layer(
    layer: Layer,
    parameters: Mapping[tuple[int, str], NDArray[np.float32]],
    inputs: Sequence[Array],
    flavor: Flavor,
    batch: int,
    dtype: DTypeLike = np.float64,
    steps: int = 1,
    memory: States | None = None,
) -> Array:
    """The output of one layer for its `inputs`, in its own shape with the batch in front.

    `memory` holds the states of recurrent layers, as `states` of `forward`; this layer's are replaced.
    """
    held = {} if memory is None else memory
    own = {p.name: np.asarray(parameters[layer.index, p.name], dtype) for p in layer.parameters}
    states = {
        state.name: held.get((layer.index, state.name), np.zeros((batch // steps, *state.shape), dtype))
        for state in layer.states
    }
    feed = Feed(layer, tuple(inputs), own, flavor, batch, steps, states)
    result: Array = RULES[layer.kind](feed, layer.settings)
    held.update({(layer.index, name): state for name, state in feed.carried.items()})
    assert result.size == batch * prod(layer.out_shape), f"{layer.name}: {result.shape} for {layer.out_shape}"
    return result.reshape(batch, *layer.out_shape).astype(dtype, copy=False)
