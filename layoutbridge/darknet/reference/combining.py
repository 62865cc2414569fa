"""route, shortcut, scale_channels, sam, implicit."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Given

_WEIGHT_EPSILON = 0.0001  # in the sum that normalised weights are divided by
_SMALLEST_RELU = 0.001  # Darknet's "lrelu" of a shortcut's weight


def route(given: Given) -> Array:
    """One group of each input's values, side by side."""
    parts = []
    for x in given.inputs:
        flat = x.reshape(given.batch, -1)
        length = flat.shape[1] // given["groups"]
        start = length * given["group_id"]
        parts.append(flat[:, start : start + length])
    return np.concatenate(parts, axis=1)


def shortcut(given: Given) -> Array:
    """The fork's weighted sum, the original's scaled sum, or the second-order sum."""
    y = {"sum": _summed, "scaled": _scaled, "second_order": _second_order}[given["mode"]](given)
    return activate(given["activation"], y)


def _summed(given: Given) -> Array:
    """shortcut_multilayer_cpu: an input adds to the first channels that it has."""
    weights = _shortcut_weights(given)
    channels = given.x.shape[1]
    y = given.x * weights[0] if weights is not None else given.x.copy()
    for k, other in enumerate(given.inputs[1:], 1):
        shared = min(channels, other.shape[1])
        part = other[:, :shared]
        y[:, :shared] += part if weights is None else part * weights[k][:shared]
    return y


def _shortcut_weights(given: Given) -> Array | None:
    """The weights [inputs, C, 1, 1] after normalisation, None where the layer has none."""
    if given["weights_type"] == "none":
        return None
    w = given.parameters["weights"]
    if given["weights_normalization"] == "relu":
        w = np.maximum(w, _SMALLEST_RELU)
        w = w / (_WEIGHT_EPSILON + w.sum(axis=0))
    elif given["weights_normalization"] == "softmax":
        w = np.exp(w - w.max(axis=0))
        w = w / (_WEIGHT_EPSILON + w.sum(axis=0))
    return np.broadcast_to(w, (len(given.inputs), given.x.shape[1]))[..., None, None]


def _scaled(given: Given) -> Array:
    """shortcut_cpu: alpha and beta act in the overlap alone."""
    channels, height, width = given["overlap"]
    step, sample = given["step"], given["sample"]
    y = given.x.copy()
    target = y[:, :channels, : (height - 1) * sample + 1 : sample, : (width - 1) * sample + 1 : sample]
    other = given.inputs[1][:, :channels, : (height - 1) * step + 1 : step, : (width - 1) * step + 1 : step]
    target[:] = given["alpha"] * target + given["beta"] * other
    return y


def _second_order(given: Given) -> Array:
    a, b = given.inputs
    result: Array = a + b + np.sqrt(np.maximum(a, 0) * np.maximum(b, 0) + given["epsilon"])
    return result


def scale_channels(given: Given) -> Array:
    """The picture times a factor for each channel, or for each place."""
    factors, picture = given.inputs
    return activate(given["activation"], picture * factors)


def sam(given: Given) -> Array:
    """The product of both inputs."""
    return activate(given["activation"], given.inputs[0] * given.inputs[1])


def implicit(given: Given) -> Array:
    """The weights, for every picture."""
    weights = given.parameters["weights"]
    return np.repeat(weights[None], given.batch, axis=0)
