"""Darknet networks in the float64 reference, one layer after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.network import DarknetNetwork
from layoutbridge.darknet.reference.passes import States, forward_layer
from layoutbridge.scanning.graphs.graph import Graph


def values(
    net: DarknetNetwork, graph: Graph, given: Mapping[str, NDArray[Any]], dtype: type[np.floating[Any]] = np.float64
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The outputs of all layers for the one input of `graph`, [N, C, H, W]; a layer's is let go when nobody needs it.

    Raises `WeightsError` where the network has no weights.
    """
    network, parameters = net.network, net.parameters
    x = np.asarray(next(iter(given.values())), dtype)
    last_use = {source: layer.index for layer in network.layers for source in layer.inputs}
    held: dict[int, NDArray[Any]] = {-1: x}
    states: States = {}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for layer in network.layers:
            inputs = [held[source] for source in layer.inputs]
            made = forward_layer(layer, parameters, inputs, network.flavor, x.shape[0], x.dtype, 1, states)
            held[layer.index] = made
            yield layer.name, made
            for source in [source for source in held if last_use.get(source, -1) <= layer.index]:
                del held[source]
