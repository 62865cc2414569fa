"""PyTorch's movements that NumPy has no one function for, as functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.graphs.graph import Movement

Array = NDArray[Any]


def indexed(x: Array, *, index: tuple[Any, ...]) -> Array:
    """NumPy's indexing.

    >>> indexed(np.arange(6).reshape(2, 3), index=(slice(None), 1)).tolist()
    [1, 4]
    """
    return x[index]


def concatenated(*parts: Array, axis: int) -> Array:
    """Arrays one behind the other; PyTorch leaves out those of shape [0], whatever the others have."""
    kept = [part for part in parts if part.shape != (0,)] or list(parts[:1])
    return np.concatenate(kept, axis)


def stacked(*parts: Array, axis: int) -> Array:
    """Arrays side by side along a new axis."""
    return np.stack(parts, axis)


def repeated(x: Array, *, factors: Sequence[int], first_axis: int) -> Array:
    """Each element so many times, along the axes from `first_axis` on."""
    for axis, factor in enumerate(factors, first_axis):
        x = np.repeat(x, factor, axis)
    return x


def padded(x: Array, *, widths: Sequence[tuple[int, int]], mode: Any) -> Array:
    """Elements of the array again around it, as NumPy's modes have it."""
    return np.pad(x, widths, mode)


def depth_to_space(x: Array, *, block: int) -> Array:
    """`pixel_shuffle` of [..., C·b·b, H, W]."""
    *front, c, h, w = x.shape
    digits = x.reshape(-1, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return digits.reshape(*front, c // block**2, h * block, w * block)


def space_to_depth(x: Array, *, block: int) -> Array:
    """`pixel_unshuffle` of [..., C, H·b, W·b]."""
    *front, c, h, w = x.shape
    digits = x.reshape(-1, c, h // block, block, w // block, block).transpose(0, 1, 3, 5, 2, 4)
    return digits.reshape(*front, c * block**2, h // block, w // block)


def channels_shuffled(x: Array, *, groups: int) -> Array:
    """`channel_shuffle` of [N, C, ...]."""
    n, c, *rest = x.shape
    return x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape)


def windows(x: Array, *, axis: int, size: int, step: int) -> Array:
    """`Tensor.unfold`: windows along an axis, each laid along a new last axis."""
    places = (*(slice(None) for _ in range(axis)), slice(None, None, step))
    made: Array = np.lib.stride_tricks.sliding_window_view(x, size, axis)[places]
    return made


def diagonal(x: Array, *, offset: int, axes: tuple[int, int]) -> Array:
    """The diagonal of two axes, along a new last one."""
    return x.diagonal(offset, *axes)


def written(base: Array, part: Array, *, places: Movement) -> Array:
    """`base` with `part` at the places that a view of it has.

    >>> from functools import partial
    >>> odd = partial(indexed, index=(slice(1, None, 2),))
    >>> written(np.arange(4), np.array([8, 9]), places=odd).tolist()
    [0, 8, 2, 9]
    """
    kept = np.array(base, order="C")
    places(kept)[...] = part
    return kept


def replaced(base: Array, part: Array, *, shape: tuple[int, ...]) -> Array:
    """`part` repeated to the shape of `base`, whose elements all go."""
    return np.broadcast_to(part, shape)
