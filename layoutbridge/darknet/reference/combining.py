"""route, shortcut, scale_channels, sam, implicit."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Feed, computes
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

_WEIGHT_EPSILON = 0.0001  # in the sum that normalised weights are divided by
_SMALLEST_RELU = 0.001  # Darknet's "lrelu" of a shortcut's weight


@computes(Route)
def route(feed: Feed, settings: Route) -> Array:
    """One group of each input's values, side by side."""
    parts = []
    for x in feed.inputs:
        flat = x.reshape(feed.batch, -1)
        length = flat.shape[1] // settings.groups
        start = length * settings.group_id
        parts.append(flat[:, start : start + length])
    return np.concatenate(parts, axis=1)


@computes(Shortcut)
def shortcut(feed: Feed, settings: Shortcut) -> Array:
    """The fork's weighted sum, the original's scaled sum, or the second-order sum."""
    return activate(settings.activation, _added(feed, settings.way))


def _added(feed: Feed, way: Sum | ScaledSum | SecondOrderSum) -> Array:
    match way:
        case Sum():
            return _summed(feed, way)
        case ScaledSum():
            return _scaled(feed, way)
        case SecondOrderSum():
            return _second_order(feed, way)


def _summed(feed: Feed, way: Sum) -> Array:
    """shortcut_multilayer_cpu: an input adds to the first channels that it has."""
    weights = _shortcut_weights(feed, way)
    channels = feed.x.shape[1]
    y = feed.x * weights[0] if weights is not None else feed.x.copy()
    for k, other in enumerate(feed.inputs[1:], 1):
        shared = min(channels, other.shape[1])
        part = other[:, :shared]
        y[:, :shared] += part if weights is None else part * weights[k][:shared]
    return y


def _shortcut_weights(feed: Feed, way: Sum) -> Array | None:
    """The weights [inputs, C, 1, 1] after normalisation, None where the layer has none."""
    if way.weights_type == "none":
        return None
    w = feed.parameters["weights"]
    if way.weights_normalization == "relu":
        w = np.maximum(w, _SMALLEST_RELU)
        w = w / (_WEIGHT_EPSILON + w.sum(axis=0))
    elif way.weights_normalization == "softmax":
        w = np.exp(w - w.max(axis=0))
        w = w / (_WEIGHT_EPSILON + w.sum(axis=0))
    return np.broadcast_to(w, (len(feed.inputs), feed.x.shape[1]))[..., None, None]


def _scaled(feed: Feed, way: ScaledSum) -> Array:
    """shortcut_cpu: alpha and beta act in the overlap alone."""
    channels, height, width = way.overlap
    step, sample = way.step, way.sample
    y = feed.x.copy()
    target = y[:, :channels, : (height - 1) * sample + 1 : sample, : (width - 1) * sample + 1 : sample]
    other = feed.inputs[1][:, :channels, : (height - 1) * step + 1 : step, : (width - 1) * step + 1 : step]
    target[:] = way.alpha * target + way.beta * other
    return y


def _second_order(feed: Feed, way: SecondOrderSum) -> Array:
    a, b = feed.inputs
    result: Array = a + b + np.sqrt(np.maximum(a, 0) * np.maximum(b, 0) + way.epsilon)
    return result


@computes(ScaleChannels)
def scale_channels(feed: Feed, settings: ScaleChannels) -> Array:
    """The picture times a factor for each channel, or for each place."""
    factors, picture = feed.inputs
    return activate(settings.activation, picture * factors)


@computes(Sam)
def sam(feed: Feed, settings: Sam) -> Array:
    """The product of both inputs."""
    return activate(settings.activation, feed.inputs[0] * feed.inputs[1])


@computes(Implicit)
def implicit(feed: Feed, settings: Implicit) -> Array:
    """The weights, for every picture."""
    weights = feed.parameters["weights"]
    return np.repeat(weights[None], feed.batch, axis=0)
