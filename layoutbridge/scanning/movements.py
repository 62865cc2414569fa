"""What movements do to arrays: plain functions of NumPy arrays that a reader binds to a node's attributes.

`reshape`, `transpose` and the like are NumPy's own, `functools.partial(np.transpose, axes=(0, 2, 3, 1))`; here is what
NumPy has no one function for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sliced(x: NDArray[Any], *, places: tuple[slice, ...]) -> NDArray[Any]:
    """A part of each axis.

    >>> sliced(np.arange(6), places=(slice(1, None, 2),)).tolist()
    [1, 3, 5]
    """
    return x[places]


def joined(*parts: NDArray[Any], axis: int) -> NDArray[Any]:
    """Arrays one behind the other along an axis."""
    return np.concatenate(parts, axis)


def taken(x: NDArray[Any], *, indices: NDArray[np.int64], axis: int) -> NDArray[Any]:
    """The positions `indices` of an axis, in place of that axis the axes of `indices`."""
    return np.take(x, indices, axis)


def patches(x: NDArray[Any], *, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> NDArray[Any]:
    """Patches of [N, C, *spatial] without padding, as columns: [N, C·kernel, L], as `torch.nn.functional.unfold`.

    >>> patches(np.arange(16).reshape(1, 1, 4, 4), kernel=(2, 2), stride=(2, 2), dilation=(1, 1))[0].tolist()
    [[0, 2, 8, 10], [1, 3, 9, 11], [4, 6, 12, 14], [5, 7, 13, 15]]
    """
    spans = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True)]
    spatial = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, spatial)
    places = tuple(slice(None, None, step) for step in stride)
    inside = tuple(slice(None, None, gap) for gap in dilation)
    windows = windows[(slice(None), slice(None), *places, *inside)]
    count = len(spatial)
    order = (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count))
    n, c = x.shape[:2]
    return windows.transpose(order).reshape(n, c * int(np.prod(kernel)), -1)
