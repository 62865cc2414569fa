"""The forward pass: each layer in turn, outputs kept only as long as a later layer needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.reference import combining, heads, moving, parametric, pointwise, pooling
from layoutbridge.darknet.reference.values import Array, Given
from layoutbridge.darknet.structure.model import Flavor, Layer, Network

Rule = Callable[[Given], Array]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "convolutional": parametric.convolutional,
        "deconvolutional": parametric.deconvolutional,
        "connected": parametric.connected,
        "local": parametric.local,
        "maxpool": pooling.maxpool,
        "local_avgpool": pooling.local_avgpool,
        "avgpool": pooling.avgpool,
        "upsample": pooling.upsample,
        "crop": pooling.crop,
        "route": combining.route,
        "shortcut": combining.shortcut,
        "scale_channels": combining.scale_channels,
        "sam": combining.sam,
        "implicit": combining.implicit,
        "reorg": moving.reorg,
        "reorg3d": moving.reorg3d,
        "batchnorm": pointwise.batchnorm,
        "activation": pointwise.activation,
        "dropout": pointwise.unchanged,
        "empty": pointwise.unchanged,
        "cost": pointwise.unchanged,
        "lrn": pointwise.lrn,
        "l2norm": pointwise.l2norm,
        "logistic": pointwise.logistic,
        "softmax": pointwise.softmax,
        "region": heads.region,
        "yolo": heads.yolo,
        "Gaussian_yolo": heads.gaussian_yolo,
        "detection": heads.detection,
    }
)


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
    held: dict[int, Array] = {-1: start}
    for layer in network.layers:
        inputs = [held[source] for source in layer.inputs]
        held[layer.index] = forward_layer(layer, parameters, inputs, network.flavor, start.shape[0], start.dtype)
        if not every_layer:
            for source in {*layer.inputs, layer.index - 1}:
                if last_use.get(source, -1) <= layer.index and source in held:
                    del held[source]
    if not every_layer:
        return [held[len(network.layers) - 1]]
    return [held[layer.index] for layer in network.layers]


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
    result = RULES[layer.kind](Given(layer, tuple(inputs), own, flavor, batch))
    assert result.size == batch * prod(layer.out_shape), f"{layer.name}: {result.shape} for {layer.out_shape}"
    return result.reshape(batch, *layer.out_shape).astype(dtype, copy=False)
