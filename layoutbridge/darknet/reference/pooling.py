"""maxpool, local_avgpool, avgpool, upsample, crop."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from layoutbridge.darknet.reference.parametric import blur
from layoutbridge.darknet.reference.values import Array, Given


def maxpool(given: Given) -> Array:
    """The largest of each window (or of every out_channels-th channel), then the blur."""
    x = given.x
    if not given["depth"]:
        return blur(given, _pooled(given, x, -np.inf, np.maximum))
    count = given["out_channels"]
    return blur(given, np.stack([x[:, g::count].max(axis=1) for g in range(count)], axis=1))


def local_avgpool(given: Given) -> Array:
    """The mean of the places of each window that lie inside the picture."""
    sums = _pooled(given, given.x, 0.0, np.add)
    counts = _pooled(given, np.ones((1, 1, *given.x.shape[2:]), given.x.dtype), 0.0, np.add)
    result: Array = sums / counts
    return result


def _pooled(given: Given, x: Array, outside: float, join: np.ufunc) -> Array:
    """`join` over each window: first along the columns, then along the rows."""
    size = given["size"]
    for axis, before, after, stride in (
        (3, given["padding_left"], given["padding_right"], given["stride_x"]),
        (2, given["padding_top"], given["padding_bottom"], given["stride_y"]),
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


def avgpool(given: Given) -> Array:
    """The mean of each channel."""
    result: Array = given.x.mean(axis=(2, 3), keepdims=True)
    return result


def upsample(given: Given) -> Array:
    """Each value stride × stride times, or the sums of such blocks; times scale."""
    x, stride, scale = given.x, given["stride"], given["scale"]
    if given["reverse"]:
        batch, channels, height, width = x.shape
        blocks = x.reshape(batch, channels, height // stride, stride, width // stride, stride)
        summed: Array = scale * blocks.sum(axis=(3, 5))
        return summed
    repeated: Array = scale * x.repeat(stride, axis=2).repeat(stride, axis=3)
    return repeated


def crop(given: Given) -> Array:
    """The middle part, scaled and moved."""
    _, rows, columns = given.layer.out_shape
    top, left = given["top"], given["left"]
    part: Array = given.x[:, :, top : top + rows, left : left + columns] * given["scale"] + given["offset"]
    return part
