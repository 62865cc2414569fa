"""The layers that take other layers' outputs: route, shortcut, scale_channels, sam; and implicit, which takes none.

Definition: route_layer.c, shortcut_layer.c, blas.c (shortcut_cpu, shortcut_multilayer_cpu), scale_channels_layer.c,
sam_layer.c, representation_layer.c. SORT's second-order term is ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.context import Context, first_axis, means
from layoutbridge.darknet.structure.kinds import (
    Implicit,
    Route,
    Sam,
    ScaleChannels,
    ScaledSum,
    SecondOrderSum,
    Shortcut,
    Sum,
)
from layoutbridge.frameworks.primitives import V

_LEAST_SUM = 0.0001  # Darknet's eps below the line of normalised weights
_LEAST_WEIGHT = 0.001  # and what its relu of a weight is at least


@means(Route)
def route(context: Context[V], settings: Route) -> V:
    """[route]: inputs, or one of `groups` parts of each, side by side; flat where they are no pictures of one size."""
    target, groups, group = context.target, settings.groups, settings.group_id
    parts = list(context.inputs)
    if groups > 1:
        parts = [first_axis(target, x, group * x.shape[0] // groups, (group + 1) * x.shape[0] // groups) for x in parts]
    if len(context.layer.out_shape) == 1:
        parts = [context.flat(x) for x in parts]
    return target.concat(parts)


@means(Shortcut)
def shortcut(context: Context[V], settings: Shortcut) -> V:
    """[shortcut] in its three ways, then the activation."""
    return activate(context.target, _added(context, settings.way), settings.activation)


def _added(context: Context[V], way: Sum | ScaledSum | SecondOrderSum) -> V:
    match way:
        case Sum():
            return _summed(context, way)
        case ScaledSum():
            return _scaled(context, way)
        case SecondOrderSum():
            return _second_order(context, way)


@means(ScaleChannels)
def scale_channels(context: Context[V], settings: ScaleChannels) -> V:
    """[scale_channels]: one factor a channel, or with `scale_wh` one a place."""
    factors, picture = context.inputs
    return activate(context.target, context.target.multiply(picture, factors), settings.activation)


@means(Sam)
def sam(context: Context[V], settings: Sam) -> V:
    """[sam]: the product."""
    return activate(context.target, context.target.multiply(*context.inputs), settings.activation)


@means(Implicit)
def implicit(context: Context[V], settings: Implicit) -> V:
    """[implicit]: its weights."""
    return context.target.constant(context.lazy("weights"))


def _summed(context: Context[V], way: Sum) -> V:
    target = context.target
    channels = context.layer.out_shape[0]
    parts = [_first_channels(context, x, channels) for x in context.inputs]
    if way.weights_type != "none":
        weights = normalized_weights(context.array("weights"), way.weights_normalization)
        parts = [
            target.multiply(x, target.constant(context.constant(f"weights_{k}", _one_place(row[: x.shape[0]]))))
            for k, (x, row) in enumerate(zip(parts, weights, strict=True))
        ]
    total = parts[0]
    for x in parts[1:]:
        total = _added_to_first(context, total, x)
    return total


def normalized_weights(weights: NDArray[np.float32], normalization: str) -> NDArray[np.float64]:
    """Weights [inputs, 1 or C] as the layer multiplies by them, float64; each column is normalised over the inputs."""
    values = weights.astype(np.float64)
    if normalization == "none":
        return values
    values = np.maximum(values, _LEAST_WEIGHT) if normalization == "relu" else np.exp(values - values.max(axis=0))
    return values / (_LEAST_SUM + values.sum(axis=0))


def _one_place(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(-1, 1, 1)


def _first_channels(context: Context[V], x: V, channels: int) -> V:
    return x if x.shape[0] <= channels else first_axis(context.target, x, 0, channels)


def _added_to_first(context: Context[V], total: V, x: V) -> V:
    """total + x, where x may have fewer channels: the others stay as they are."""
    missing = total.shape[0] - x.shape[0]
    if missing:
        x = context.target.pad(x, (0, 0, 0), (missing, 0, 0))
    return context.target.add(total, x)


def _scaled(context: Context[V], way: ScaledSum) -> V:
    """The original's: alpha·x + beta·other where they overlap, x alone elsewhere."""
    target = context.target
    x, other = context.inputs
    alpha, beta, step, sample = way.alpha, way.beta, way.step, way.sample
    channels, rows, columns = way.overlap
    stops = (channels, (rows - 1) * step + 1, (columns - 1) * step + 1)
    part = target.slice(other, (0, 0, 0), stops, (1, step, step))
    written = np.zeros(x.shape)
    written[:channels, : rows * sample : sample, : columns * sample : sample] = 1
    if sample > 1:  # each value lands on the first place of its block
        part = target.upsample(part, sample)
        part = target.multiply(
            part, target.constant(context.constant("places", written[:channels, : part.shape[1], : part.shape[2]]))
        )
    if beta != 1:
        part = target.multiply(part, beta)
    if alpha != 1:
        share = context.constant("alpha", 1 + (alpha - 1) * written)
        x = target.multiply(x, alpha if written.all() else target.constant(share))
    after = tuple(length - there for length, there in zip(x.shape, part.shape, strict=True))
    return target.add(x, target.pad(part, (0, 0, 0), after))


def _second_order(context: Context[V], way: SecondOrderSum) -> V:
    """SORT: a + b + sqrt(relu(a)·relu(b) + ε)."""
    target = context.target
    a, b = context.inputs
    product = target.multiply(target.activation(a, "relu"), target.activation(b, "relu"))
    term = target.activation(target.add(product, way.epsilon), "sqrt")
    return target.add(target.add(a, b), term)
