"""Windows over pictures as Keras has them: which of its paddings makes them, which places a stride takes."""

from __future__ import annotations

from math import ceil, prod

import keras
import numpy as np
from numpy.typing import NDArray

from layoutbridge.frameworks.primitives import Padding, Pair, Shape, windows


def taking_every(strides: Pair, name: str) -> keras.Layer:
    """A layer that takes every so many rows and columns."""
    return keras.layers.MaxPooling2D(1, strides, data_format="channels_last", name=name)


def padding_mode(shape: Shape, size: Pair, stride: Pair, padding: Padding) -> str | None:
    """Keras' padding that makes these very windows of a picture (C, H, W), "valid" or "same"; None: neither does.

    >>> padding_mode((8, 5, 5), (3, 3), (1, 1), (1, 1, 1, 1)), padding_mode((8, 6, 6), (3, 3), (2, 2), (1, 1, 1, 1))
    ('same', None)
    """
    counts = windows(shape, size, stride, padding)
    lengths = shape[1:]
    reach = [(counts[k] - 1) * stride[k] + size[k] - lengths[k] for k in (0, 1)]  # zeros on both sides together
    if max(padding[:2]) == 0 and max(reach) <= 0:
        return "valid"
    same = [counts[k] == ceil(lengths[k] / stride[k]) and padding[k] == max(reach[k], 0) // 2 for k in (0, 1)]
    return "same" if all(same) else None


def shares_inside(shape: Shape, out_shape: Shape, size: Pair, stride: Pair, padding: Padding) -> NDArray[np.float64]:
    """What share of each window lies inside the picture, [1, H, W]."""
    inside = []
    for k in (0, 1):
        starts = np.arange(out_shape[k + 1]) * stride[k] - padding[k]
        inside.append(np.minimum(starts + size[k], shape[k + 1]) - np.maximum(starts, 0))
    return np.multiply.outer(*inside)[None] / prod(size)
