"""maxpool, local_avgpool, avgpool, upsample, crop."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from layoutbridge.darknet.reference.parametric import blurred
from layoutbridge.darknet.reference.values import Array, Feed, computes
from layoutbridge.darknet.structure.kinds import Avgpool, Crop, LocalAvgpool, Maxpool, Upsample
from layoutbridge.darknet.structure.settings import Windowed


@computes(Maxpool)
def maxpool(feed: Feed, settings: Maxpool) -> Array:
    """The largest of each window (or of every out_channels-th channel), then the blur."""
    x = feed.x
    if not settings.depth:
        return blurred(_pooled(settings, x, -np.inf, np.maximum), settings.antialiasing)
    count = settings.out_channels
    return blurred(np.stack([x[:, g::count].max(axis=1) for g in range(count)], axis=1), settings.antialiasing)


@computes(LocalAvgpool)
def local_avgpool(feed: Feed, settings: LocalAvgpool) -> Array:
    """The mean of the places of each window that lie inside the picture."""
    sums = _pooled(settings, feed.x, 0.0, np.add)
    counts = _pooled(settings, np.ones((1, 1, *feed.x.shape[2:]), feed.x.dtype), 0.0, np.add)
    result: Array = sums / counts
    return result


def _pooled(settings: Windowed, x: Array, outside: float, join: np.ufunc) -> Array:
    """`join` over each window: first along the columns, then along the rows."""
    size = settings.size
    for axis, before, after, stride in (
        (3, settings.padding_left, settings.padding_right, settings.stride_x),
        (2, settings.padding_top, settings.padding_bottom, settings.stride_y),
    ):
        if after < 0:  # no window reaches the last ones
            x = x[(slice(None),) * axis + (slice(0, x.shape[axis] + after),)]
        widths = [(before, max(after, 0)) if k == axis else (0, 0) for k in range(4)]
        padded = np.pad(x, widths, constant_values=outside)
        windows = sliding_window_view(padded, size, axis=axis)
        windows = windows[(slice(None),) * axis + (slice(None, None, stride),)]
        x = windows[..., 0].copy()
        for k in range(1, size):
            join(x, windows[..., k], out=x)
    return x


@computes(Avgpool)
def avgpool(feed: Feed, settings: Avgpool) -> Array:
    """The mean of each channel."""
    result: Array = feed.x.mean(axis=(2, 3), keepdims=True)
    return result


@computes(Upsample)
def upsample(feed: Feed, settings: Upsample) -> Array:
    """Each value stride × stride times, or the sums of such blocks; times scale."""
    x, stride, scale = feed.x, settings.stride, settings.scale
    if settings.reverse:
        batch, channels, height, width = x.shape
        blocks = x.reshape(batch, channels, height // stride, stride, width // stride, stride)
        summed: Array = scale * blocks.sum(axis=(3, 5))
        return summed
    repeated: Array = scale * x.repeat(stride, axis=2).repeat(stride, axis=3)
    return repeated


@computes(Crop)
def crop(feed: Feed, settings: Crop) -> Array:
    """The middle part, scaled and moved."""
    _, rows, columns = feed.layer.out_shape
    top, left = settings.top, settings.left
    part: Array = feed.x[:, :, top : top + rows, left : left + columns] * settings.scale + settings.offset
    return part
