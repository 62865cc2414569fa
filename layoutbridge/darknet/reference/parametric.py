"""convolutional, deconvolutional, connected, local: im2col and matrix products.

Definition: gemm.c, im2col.c, col2im.c and the layers' own files.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Feed, computes, normalize
from layoutbridge.darknet.structure.kinds import Connected, Convolutional, Deconvolutional, Local
from layoutbridge.darknet.structure.settings import Blur, Normalizable

_COLUMNS_BYTES = 64 << 20  # of one matrix of windows


@computes(Convolutional)
def convolutional(feed: Feed, settings: Convolutional) -> Array:
    """Correlate, batch norm or biases, activation; then the blur where antialiasing asks for it."""
    strides = settings.stride_y, settings.stride_x
    if settings.xnor and feed.flavor == "alexey":
        return activate(settings.activation, _packed_xnor(feed, settings))
    x, weights = feed.x, feed.parameters["weights"]
    if settings.xnor:
        x, weights = _signs(x), _binarized(weights)
    x = _with_overhang(x, settings.overhang)
    y = correlate(x, weights, strides, settings.padding, settings.dilation, settings.groups)
    return blurred(activate(settings.activation, _normalized(feed, settings, y)), settings.antialiasing)


def _with_overhang(x: Array, overhang: tuple[int, int]) -> Array:
    """Zeros below and right, where im2col reads past the picture: a window that is larger counts as one."""
    below, right = overhang
    return np.pad(x, ((0, 0), (0, 0), (0, below), (0, right))) if below or right else x


def correlate(
    x: Array, weights: Array, strides: tuple[int, int], padding: int, dilation: int = 1, groups: int = 1
) -> Array:
    """x [N, C, H, W] with weights [F, C/groups, k, k], `padding` zeros on each side."""
    filters, per_group, size, _ = weights.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding))) if padding else x
    windows = _windows(padded, size, strides, dilation)
    batch, channels, _, _, rows, columns = windows.shape
    out = np.empty((batch, filters, rows, columns), x.dtype)
    if per_group == 1 and filters == channels:
        return _depthwise(windows, weights[:, 0], out)
    each = filters // groups
    matrices = weights.reshape(groups, each, per_group * size * size)
    at_once = max(1, _COLUMNS_BYTES // (per_group * size * size * columns * x.itemsize))
    for n in range(batch):
        for group in range(groups):
            part = windows[n, group * per_group : (group + 1) * per_group]
            target = out[n, group * each : (group + 1) * each]
            for row in range(0, rows, at_once):
                taken = part[..., row : row + at_once, :]
                matrix = taken.reshape(per_group * size * size, -1)
                target[:, row : row + at_once] = (matrices[group] @ matrix).reshape(each, -1, columns)
    return out


def _packed_xnor(feed: Feed, settings: Convolutional) -> Array:
    """The main fork's: batch norm folded before the signs are taken, the picture in a frame of −1.

    Definition: fuse_conv_batchnorm and calculate_binary_weights in network.c, gemm_nn_custom_bin_mean_transposed.
    """
    held = feed.parameters
    weights, biases, padding = held["weights"], held["biases"], settings.padding
    if settings.batch_normalize:
        factor = held["scales"] / np.sqrt(held["variances"] + 0.00001)
        weights, biases = weights * factor.reshape(-1, 1, 1, 1), biases - held["means"] * factor
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    framed = np.pad(_signs(feed.x), sides, constant_values=-1)
    return correlate(framed, _binarized(weights), (settings.stride_y, settings.stride_x), 0) + biases.reshape(-1, 1, 1)


def _signs(x: Array) -> Array:
    return np.where(x > 0, 1, -1).astype(x.dtype)


def _binarized(weights: Array) -> Array:
    """± the mean magnitude of each filter [F, ...]."""
    return _signs(weights) * np.abs(weights).mean(axis=(1, 2, 3), keepdims=True)


def _windows(x: Array, size: int, strides: tuple[int, int], dilation: int) -> Array:
    """A view [N, C, k, k, rows, columns] of the places that each window sees."""
    batch, channels, height, width = x.shape
    reach = dilation * (size - 1) + 1
    rows, columns = (height - reach) // strides[0] + 1, (width - reach) // strides[1] + 1
    n, c, h, w = x.strides
    return as_strided(
        x,
        (batch, channels, size, size, rows, columns),
        (n, c, h * dilation, w * dilation, h * strides[0], w * strides[1]),
        writeable=False,
    )


def _depthwise(windows: Array, weights: Array, out: Array) -> Array:
    out[:] = 0
    for i in range(weights.shape[1]):
        for j in range(weights.shape[2]):
            out += windows[:, :, i, j] * weights[:, i, j].reshape(-1, 1, 1)
    return out


def blurred(x: Array, blur: Blur | None) -> Array:
    """The fixed depthwise blur behind an antialiased layer: 1 2 1 in both directions over 16, or the mean of 2 × 2."""
    if blur is None:
        return x
    line = np.array([1, 1] if blur.size == 2 else [1, 2, 1], x.dtype)
    kernel = np.outer(line, line) / line.sum() ** 2
    weights = np.broadcast_to(kernel, (x.shape[1], 1, *kernel.shape))
    strides, padding = (blur.stride_y, blur.stride_x), 0 if blur.size == 2 else 1
    overhang = [max(blur.size - length - 2 * padding, 0) for length in x.shape[2:]]
    return correlate(_with_overhang(x, (overhang[0], overhang[1])), weights, strides, padding, groups=x.shape[1])


@computes(Deconvolutional)
def deconvolutional(feed: Feed, settings: Deconvolutional) -> Array:
    """Weights [C, F, k, k] transposed times the input, every product added at its place, the padding cut off."""
    x, weights = feed.x, feed.parameters["weights"]
    stride, padding = settings.stride, settings.padding
    batch, _, height, width = x.shape
    _, filters, size, _ = weights.shape
    full = np.zeros((batch, filters, (height - 1) * stride + size, (width - 1) * stride + size), x.dtype)
    products = np.einsum("cfij,nchw->nfijhw", weights, x, optimize=True)
    for i in range(size):
        for j in range(size):
            ends = i + (height - 1) * stride + 1, j + (width - 1) * stride + 1
            full[:, :, i : ends[0] : stride, j : ends[1] : stride] += products[:, :, i, j]
    rows, columns = full.shape[2] - padding, full.shape[3] - padding
    y = full[:, :, padding:rows, padding:columns]
    return activate(settings.activation, _normalized(feed, settings, y))


@computes(Connected)
def connected(feed: Feed, settings: Connected) -> Array:
    """Weights [output, inputs] times all values of the input."""
    flat = feed.x.reshape(feed.batch, -1)
    y = flat @ feed.parameters["weights"].T
    return activate(settings.activation, _normalized(feed, settings, y.reshape(feed.batch, -1, 1, 1)))


@computes(Local)
def local(feed: Feed, settings: Local) -> Array:
    """As a convolution with its own weights [places, F, C·k·k] at every place."""
    padding, stride = settings.padding, settings.stride
    x = _with_overhang(feed.x, settings.overhang)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = _windows(padded, settings.size, (stride, stride), 1)
    batch, rows, columns = feed.batch, windows.shape[4], windows.shape[5]
    matrix = windows.reshape(batch, -1, rows * columns)
    y = np.einsum("pfk,nkp->nfp", feed.parameters["weights"], matrix, optimize=True)
    return activate(settings.activation, y.reshape(batch, -1, rows, columns) + feed.parameters["biases"])


def _normalized(feed: Feed, settings: Normalizable, y: Array) -> Array:
    if settings.batch_normalize:
        return normalize(feed, y)
    biased: Array = y + feed.parameters["biases"].reshape(-1, 1, 1)
    return biased
