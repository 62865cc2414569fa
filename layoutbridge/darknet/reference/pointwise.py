"""batchnorm, activation, dropout, empty, cost, lrn, l2norm, logistic, softmax."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference import values
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Feed, computes, normalize
from layoutbridge.darknet.structure.kinds import (
    Activation,
    Batchnorm,
    Contrastive,
    Cost,
    Dropout,
    Empty,
    Iseg,
    L2norm,
    Logistic,
    Lrn,
    Softmax,
)
from layoutbridge.darknet.structure.settings import Settings


@computes(Batchnorm)
def batchnorm(feed: Feed, settings: Batchnorm) -> Array:
    """Batch norm as a layer of its own."""
    return normalize(feed, feed.x)


@computes(Activation)
def activation(feed: Feed, settings: Activation) -> Array:
    """An activation as a layer of its own."""
    return activate(settings.activation, feed.x)


@computes(Dropout, Empty, Cost, Contrastive)
def unchanged(feed: Feed, _: Settings) -> Array:
    """The input."""
    return feed.x


@computes(Logistic)
def logistic(feed: Feed, settings: Logistic) -> Array:
    """The logistic of every value."""
    return values.logistic(feed.x)


@computes(Iseg)
def iseg(feed: Feed, settings: Iseg) -> Array:
    """The logistic of the first channels, as forward_iseg_layer of iseg_layer.c."""
    y = feed.x.copy()
    y[:, : settings.classes] = values.logistic(y[:, : settings.classes])
    return y


@computes(Lrn)
def lrn(feed: Feed, settings: Lrn) -> Array:
    """The running sum of normalization_layer.c: it starts with size//2 channels and never adds channel size//2."""
    x, size, alpha = feed.x, settings.size, settings.alpha
    squared = x * x
    channels = x.shape[1]
    norms = np.empty_like(x)
    norms[:, 0] = settings.kappa + alpha * squared[:, : size // 2].sum(axis=1)
    for k in range(1, channels):
        norms[:, k] = norms[:, k - 1]
        leaving, entering = k - (size - 1) // 2 - 1, k + size // 2
        if leaving >= 0:
            norms[:, k] -= alpha * squared[:, leaving]
        if entering < channels:
            norms[:, k] += alpha * squared[:, entering]
    result: Array = x * norms**-settings.beta
    return result


@computes(L2norm)
def l2norm(feed: Feed, settings: L2norm) -> Array:
    """Each position over the root of the sum of its squares."""
    lengths = np.sqrt((feed.x**2).sum(axis=1, keepdims=True))
    result: Array = feed.x / lengths
    return result


@computes(Softmax)
def softmax(feed: Feed, settings: Softmax) -> Array:
    """Over each of `groups` parts, or over each group of the tree."""
    flat = feed.x.reshape(feed.batch, -1)
    if settings.tree is not None:
        return softmax_groups(flat, settings.tree.sizes, settings.temperature, 1)
    parts = flat.reshape(feed.batch, settings.groups, -1)
    return values.softmax(parts, settings.temperature)


def softmax_groups(x: Array, sizes: tuple[int, ...], temperature: float, axis: int) -> Array:
    """A softmax for each run of `sizes` values along `axis`."""
    ends = np.cumsum(sizes)[:-1]
    parts = [values.softmax(part, temperature, axis) for part in np.split(x, ends, axis=axis)]
    return np.concatenate(parts, axis=axis)
