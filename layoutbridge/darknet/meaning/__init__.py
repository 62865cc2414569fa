"""What every layer of Darknet computes, written once over the primitives of every framework: a function a kind.

The functions take a `Context` and return the layer's output in the target. Where the forks differ, the layer's
settings say how, but for batch norm (`normalization`).
"""

from __future__ import annotations

from collections.abc import Callable

from layoutbridge.darknet.meaning import combining, heads, normalization, parametric, pointwise, pooling, recurrent
from layoutbridge.darknet.meaning.context import MEANINGS, Arrays, Context, Memory, Variant
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.primitives import Target, V

__all__ = [
    "MEANINGS",
    "Arrays",
    "Context",
    "Memory",
    "Variant",
    "check_kinds",
    "combining",
    "heads",
    "normalization",
    "parametric",
    "pointwise",
    "pooling",
    "recurrent",
    "write_layer",
    "write_layers",
]


def write_layers(
    target: Target[V],
    network: Network,
    arrays: Arrays,
    x: V,
    *,
    variant: Variant = Variant(),  # noqa: B008
    finish: Callable[[Layer, V], V] = lambda _, value: value,
    context: type[Context[V]] = Context,
    memory: Memory[V] | None = None,
) -> list[V]:
    """The outputs of all layers for the input x, in order.

    `finish(layer, value)` is called for each and may replace the value that later layers see; `context` is what the
    layers' meanings are given, `memory` what recurrent layers start from and leave their states in. Raises
    `UnsupportedError` for a kind without a meaning here, or what the target lacks, with the cfg's line.
    """
    check_kinds(network)
    memory = Memory() if memory is None else memory
    values: list[V] = []
    for layer in network.layers:
        inputs = tuple(x if index < 0 else values[index] for index in layer.inputs)
        with target.scope(layer.name):
            value = write_layer(context(target, network, layer, inputs, arrays, variant, memory))
        values.append(finish(layer, value))
    return values


def write_layer(context: Context[V]) -> V:
    """The output of one layer; raises as `write_layers` does."""
    network, layer = context.network, context.layer
    try:
        value: V = MEANINGS[layer.kind](context, layer.settings)
    except UnsupportedError as error:
        raise UnsupportedError(f"{network.where(layer)}: {error}") from None
    if value.shape != layer.out_shape:
        raise AssertionError(f"{layer.name} became {value.shape}, and Darknet's is {layer.out_shape}")
    return value


def check_kinds(network: Network) -> None:
    """Raise `UnsupportedError` for the first layer whose kind has no meaning here."""
    for layer in network.layers:
        if layer.kind not in MEANINGS:
            raise UnsupportedError(f"{network.where(layer)}: [{layer.kind}] cannot be written")
