"""batchnorm, activation, dropout, empty, cost, lrn, l2norm, logistic, softmax."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference import values
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Given, normalize


def batchnorm(given: Given) -> Array:
    """Batch norm as a layer of its own."""
    return normalize(given, given.x)


def activation(given: Given) -> Array:
    """An activation as a layer of its own."""
    return activate(given["activation"], given.x)


def unchanged(given: Given) -> Array:
    """The input."""
    return given.x


def logistic(given: Given) -> Array:
    """The logistic of every value."""
    return values.logistic(given.x)


def lrn(given: Given) -> Array:
    """The running sum of normalization_layer.c: it starts with size//2 channels and never adds channel size//2."""
    x, size, alpha = given.x, given["size"], given["alpha"]
    squared = x * x
    channels = x.shape[1]
    norms = np.empty_like(x)
    norms[:, 0] = given["kappa"] + alpha * squared[:, : size // 2].sum(axis=1)
    for k in range(1, channels):
        norms[:, k] = norms[:, k - 1]
        leaving, entering = k - (size - 1) // 2 - 1, k + size // 2
        if leaving >= 0:
            norms[:, k] -= alpha * squared[:, leaving]
        if entering < channels:
            norms[:, k] += alpha * squared[:, entering]
    result: Array = x * norms ** -given["beta"]
    return result


def l2norm(given: Given) -> Array:
    """Each position over the root of the sum of its squares."""
    lengths = np.sqrt((given.x**2).sum(axis=1, keepdims=True))
    result: Array = given.x / lengths
    return result


def softmax(given: Given) -> Array:
    """Over each of `groups` parts, or over each group of the tree."""
    flat = given.x.reshape(given.batch, -1)
    if given["tree"] is not None:
        return softmax_groups(flat, given["tree"].sizes, given["temperature"], 1)
    parts = flat.reshape(given.batch, given["groups"], -1)
    return values.softmax(parts, given["temperature"])


def softmax_groups(x: Array, sizes: tuple[int, ...], temperature: float, axis: int) -> Array:
    """A softmax for each run of `sizes` values along `axis`."""
    ends = np.cumsum(sizes)[:-1]
    parts = [values.softmax(part, temperature, axis) for part in np.split(x, ends, axis=axis)]
    return np.concatenate(parts, axis=axis)
