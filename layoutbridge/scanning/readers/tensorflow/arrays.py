"""TensorFlow's and LiteRT's movements that NumPy has no one function for, as functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def space_to_batch(x: Array, *, blocks: Sequence[int]) -> Array:
    """Blocks of [N, *spatial, ...] to the front of the batch."""
    count = len(blocks)
    parts = [part for length, block in zip(x.shape[1:], blocks, strict=False) for part in (length // block, block)]
    rest = x.shape[1 + count :]
    digits = x.reshape(x.shape[0], *parts, *rest)
    inner = tuple(range(2, 2 * count + 1, 2))
    outer = tuple(range(1, 2 * count, 2))
    order = (*inner, 0, *outer, *range(2 * count + 1, digits.ndim))
    return digits.transpose(order).reshape(x.shape[0] * prod(blocks), *parts[::2], *rest)


def batch_to_space(x: Array, *, blocks: Sequence[int], crops: Sequence[Sequence[int]]) -> Array:
    """The inverse of `space_to_batch`, then the edges cut off."""
    count = len(blocks)
    n, spatial, rest = x.shape[0] // prod(blocks), x.shape[1 : 1 + count], x.shape[1 + count :]
    digits = x.reshape(*blocks, n, *spatial, *rest)
    pairs = [axis for k in range(count) for axis in (count + 1 + k, k)]
    order = (count, *pairs, *range(2 * count + 1, digits.ndim))
    lengths = [length * block for length, block in zip(spatial, blocks, strict=True)]
    made = digits.transpose(order).reshape(n, *lengths, *rest)
    kept = [slice(a, length - b) for (a, b), length in zip(crops, lengths, strict=True)]
    return made[(slice(None), *kept)]


def image_patches(x: Array, *, sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int]) -> Array:
    """Patches of [N, H, W, C] without padding: [N, rows, columns, H·W of a patch · C]."""
    spans = [(size - 1) * rate + 1 for size, rate in zip(sizes, rates, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, (1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: rates[0], :: rates[1]]
    made = windows.transpose(0, 1, 2, 4, 5, 3)
    return made.reshape(*made.shape[:3], -1)


def strided_index(
    begin: Sequence[int], end: Sequence[int], strides: Sequence[int], masks: dict[str, int]
) -> tuple[Any, ...]:
    """The index of NumPy that a strided slice is, of its masks by the names "begin", "end", "ellipsis" and so on.

    >>> strided_index([0, 1], [0, 2], [1, 1], {"begin": 1, "end": 1, "shrink": 2})
    (slice(None, None, 1), 1)
    """
    index: list[Any] = []
    for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        has = {name: bool(mask >> place & 1) for name, mask in masks.items()}
        if has.get("ellipsis"):
            index.append(...)
        elif has.get("new"):
            index.append(None)
        elif has.get("shrink"):
            index.append(int(first))
        else:
            start = None if has.get("begin") else int(first)
            stop = None if has.get("end") else int(last)
            index.append(slice(start, stop, int(step)))
    return tuple(index)
