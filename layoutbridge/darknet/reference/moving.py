"""reorg and reorg3d by the C loops' own index arithmetic, not by the catalogue's patterns.

Definition: blas.c, reorg_cpu(x, w, h, c, batch, stride, forward, out) and flatten; reorg_layer.c says which sizes the
loops are given: [reorg] the input's, [reorg3d] the output's.
"""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference.values import Array, Feed, computes
from layoutbridge.darknet.structure.kinds import Reorg, Reorg3d


@computes(Reorg)
def reorg(feed: Feed, settings: Reorg) -> Array:
    """The original's reorg with flatten and extra; the fork's plain one."""
    flat = feed.x.reshape(feed.batch, -1)
    channels, height, width = feed.layer.in_shape
    if settings.flatten:
        length = channels * height * width
        first = np.arange(length)
        second = (first % (height * width)) * channels + first // (height * width)
        return _moved(flat, first, second) if not settings.reverse else _moved(flat, second, first)
    if settings.extra:
        return np.concatenate([flat, np.zeros((feed.batch, settings.extra), flat.dtype)], axis=1)
    return _reorg(flat, channels, height, width, settings.stride, settings.reverse)


@computes(Reorg3d)
def reorg3d(feed: Feed, settings: Reorg3d) -> Array:
    """The fork's: the same loops with the output's sizes."""
    channels, height, width = feed.layer.out_shape
    return _reorg(feed.x.reshape(feed.batch, -1), channels, height, width, settings.stride, settings.reverse)


def _reorg(flat: Array, channels: int, height: int, width: int, stride: int, forward: bool) -> Array:
    k, j, i = np.ogrid[:channels, :height, :width]
    in_index = i + width * (j + height * k)
    fewer = channels // (stride * stride)
    channel, offset = k % fewer, k // fewer
    column, row = i * stride + offset % stride, j * stride + offset // stride
    out_index = column + width * stride * (row + height * stride * channel)
    if forward:
        return _moved(flat, in_index.ravel(), out_index.ravel())
    return _moved(flat, out_index.ravel(), in_index.ravel())


def _moved(flat: Array, source: Array, target: Array) -> Array:
    out = np.zeros_like(flat)
    out[:, target] = flat[:, source]
    return out
