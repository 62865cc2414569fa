"""Darknet networks in the float64 reference, one layer after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reference.passes import States, forward_layer
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.heads import Region, YoloHead
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.errors import ShapeError
from layoutbridge.scanning.graphs.graph import Graph

Output = Callable[[Feed], NDArray[Any] | None]


def values(
    net: DarknetNetwork,
    graph: Graph,
    given: Mapping[str, NDArray[Any]],
    *,
    overrides: Mapping[int, Output] = MappingProxyType({}),
    begin: int = 0,
    before: Callable[[Layer], NDArray[Any]] | None = None,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The outputs of all layers for the one input of `graph`, as `by_axes` has them, let go when nobody needs them.

    `overrides` compute layers in another way, by their indices; one that gives None leaves its layer as it is. Layers
    in front of the index `begin` are not computed: what is read of theirs is what `before` has, as it was given here.
    Raises `WeightsError` where the network has no weights, and `ShapeError` for an input of another size.
    """
    del graph
    network, parameters = net.network, net.parameters
    x = np.asarray(next(iter(given.values())), np.float64)
    if x.shape[1:] != network.in_shape:
        raise ShapeError(
            f"{network.source} takes [1, {', '.join(map(str, network.in_shape))}], not {list(x.shape)}: load it with "
            "size=(width, height)"
        )
    last_use = {source: layer.index for layer in network.layers for source in layer.inputs}
    held: dict[int, NDArray[Any]] = {-1: x}
    if before is not None:
        read = {source for layer in network.layers[begin:] for source in layer.inputs if 0 <= source < begin}
        held |= {source: _in_order(network.layers[source], before(network.layers[source])) for source in sorted(read)}
    states: States = {}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for layer in network.layers[begin:]:
            inputs = [held[source] for source in layer.inputs]
            made = _otherwise(net, layer, inputs, overrides.get(layer.index))
            if made is None:
                made = forward_layer(layer, parameters, inputs, network.flavor, x.shape[0], x.dtype, 1, states)
            held[layer.index] = made
            yield layer.name, by_axes(layer, made)
            for source in [source for source in held if last_use.get(source, -1) <= layer.index]:
                del held[source]


def by_axes(layer: Layer, output: NDArray[Any]) -> NDArray[Any]:
    """A layer's output with an axis for all that ports turn round: [N, C, H, W], a head's [N, boxes, entries, H, W]."""
    settings, batch = layer.settings, len(output)
    if not isinstance(settings, Region | YoloHead):
        return output.reshape(batch, *layer.out_shape)
    _, height, width = layer.out_shape
    if isinstance(settings, Region) and settings.channels_last:
        return output.reshape(batch, height, width, settings.num, settings.entries).transpose(0, 3, 4, 1, 2)
    return output.reshape(batch, settings.num, settings.entries, height, width)


def _in_order(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """What `by_axes` gave, as Darknet holds it."""
    settings = layer.settings
    if isinstance(settings, Region) and settings.channels_last:
        values = values.transpose(0, 3, 4, 1, 2)
    return np.asarray(values, np.float64).reshape(len(values), *layer.out_shape)


def _otherwise(
    net: DarknetNetwork, layer: Layer, inputs: list[NDArray[Any]], output: Output | None
) -> NDArray[Any] | None:
    if output is None:
        return None
    own = {each.name: np.asarray(net.parameters[layer.index, each.name], np.float64) for each in layer.parameters}
    batch = inputs[0].shape[0]
    made = output(Feed(layer, tuple(inputs), own, net.network.flavor, batch))
    if made is None or made.size != batch * prod(layer.out_shape):
        return None
    return made.reshape(batch, *layer.out_shape)
