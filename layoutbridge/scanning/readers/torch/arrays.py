"""PyTorch's movements that NumPy has no one function for, as functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.scanning.graphs.graph import Movement

Array = NDArray[Any]


def concatenated(*parts: Array, axis: int) -> Array:
    """Arrays one behind the other; PyTorch leaves out those of shape [0], whatever the others have."""
    kept = [part for part in parts if part.shape != (0,)] or list(parts[:1])
    return np.concatenate(kept, axis)


def on_pictures(x: Array, *, operation: Rearrangement) -> Array:
    """An operation on the last three axes, [..., C, H, W]."""
    y = operation(x.reshape(-1, *x.shape[-3:]))
    return y.reshape(*x.shape[:-3], *y.shape[1:])


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
    >>> from layoutbridge.scanning.graphs.movements import sliced
    >>> odd = partial(sliced, places=(slice(1, None, 2),))
    >>> written(np.arange(4), np.array([8, 9]), places=odd).tolist()
    [0, 8, 2, 9]
    """
    kept = np.array(base, order="C")
    places(kept)[...] = part
    return kept


def replaced(base: Array, part: Array, *, shape: tuple[int, ...]) -> Array:
    """`part` repeated to the shape of `base`, whose elements all go."""
    return np.broadcast_to(part, shape)
