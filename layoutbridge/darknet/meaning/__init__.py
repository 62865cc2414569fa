"""What every layer of Darknet computes, written once over the primitives of every framework: a function a kind.

The functions take a `Context` and return the layer's output in the target. Where the forks differ, the layer's
settings say how, but for batch norm (`normalization`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from layoutbridge.darknet.meaning import combining, heads, normalization, parametric, pointwise, pooling
from layoutbridge.darknet.meaning.context import Arrays, Context, Options
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.primitives import Target, V

__all__ = ["MEANINGS", "Arrays", "Context", "Options", "write_layers"]

MEANINGS: dict[str, Callable[[Context[Any]], Any]] = {
    "convolutional": parametric.convolutional,
    "deconvolutional": parametric.deconvolutional,
    "connected": parametric.connected,
    "local": parametric.local,
    "maxpool": pooling.maxpool,
    "local_avgpool": pooling.local_avgpool,
    "avgpool": pooling.avgpool,
    "route": combining.route,
    "shortcut": combining.shortcut,
    "reorg": pointwise.reorg,
    "reorg3d": pointwise.reorg,
    "upsample": pooling.upsample,
    "batchnorm": normalization.batchnorm,
    "activation": pointwise.activation,
    "dropout": pointwise.unchanged,
    "empty": pointwise.unchanged,
    "cost": pointwise.cost,
    "crop": pooling.crop,
    "lrn": pointwise.lrn,
    "l2norm": pointwise.l2norm,
    "softmax": pointwise.softmax,
    "logistic": pointwise.logistic,
    "scale_channels": combining.scale_channels,
    "sam": combining.sam,
    "implicit": combining.implicit,
    "region": heads.region,
    "yolo": heads.yolo,
    "Gaussian_yolo": heads.gaussian_yolo,
    "detection": heads.detection,
}


def write_layers(
    target: Target[V],
    network: Network,
    arrays: Arrays,
    x: V,
    *,
    options: Options = Options(),  # noqa: B008
    finish: Callable[[Layer, V], V] = lambda _, value: value,
    context: type[Context[V]] = Context,
) -> list[V]:
    """The outputs of all layers for the input x, in order.

    `finish(layer, value)` is called for each and may replace the value that later layers see; `context` is what the
    layers' meanings are given. Raises `UnsupportedError` for a kind without a meaning here, or what the target lacks,
    with the cfg's line.
    """
    check_kinds(network.layers, network.source)
    values: list[V] = []
    for layer in network.layers:
        inputs = tuple(x if index < 0 else values[index] for index in layer.inputs)
        place = context(target, network, layer, inputs, arrays, options)
        try:
            with target.scope(layer.name):
                value = MEANINGS[layer.kind](place)
        except UnsupportedError as error:
            raise UnsupportedError(f"{network.source}, line {layer.line}: {error}") from None
        if value.shape != layer.out_shape:
            raise AssertionError(f"{layer.name} became {value.shape}, and Darknet's is {layer.out_shape}")
        values.append(finish(layer, value))
    return values


def check_kinds(layers: Iterable[Layer], source: str) -> None:
    """Raise `UnsupportedError` for the first layer whose kind has no meaning here."""
    for layer in layers:
        if layer.kind not in MEANINGS:
            raise UnsupportedError(f"{source}, line {layer.line}: [{layer.kind}] cannot be written")
