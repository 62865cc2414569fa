"""What movements do to arrays: plain functions of NumPy arrays that a reader binds to a node's attributes.

Most are NumPy's own, `functools.partial(np.transpose, axes=(0, 2, 3, 1))`; here is what NumPy has no one function for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def einsum_order(equation: str) -> tuple[int, ...] | None:
    """How an einsum of one operand turns its axes; None where it does anything else.

    >>> einsum_order("nchw -> nhwc"), einsum_order("ij->ji"), einsum_order("ba"), einsum_order("ij->i")
    ((0, 2, 3, 1), (1, 0), (1, 0), None)
    """
    taken, arrow, given = equation.replace(" ", "").partition("->")
    given = given if arrow else "".join(sorted(taken))
    if not taken.isalpha() or len(set(taken)) != len(taken) or sorted(taken) != sorted(given):
        return None
    return tuple(taken.index(letter) for letter in given)


def sliced(x: NDArray[Any], *, places: tuple[Any, ...]) -> NDArray[Any]:
    """NumPy's indexing, whose result is an array also where one element is left.

    >>> sliced(np.arange(6).reshape(2, 3), places=(slice(None), 1)).tolist()
    [1, 4]
    """
    return np.asarray(x[places])


def python_slice(start: int, end: int, step: int, length: int) -> slice:
    """The places from `start` to before `end`, cut off at the axis' ends, as NumPy takes them.

    >>> np.arange(5)[python_slice(-1, -(2**63), -2, 5)].tolist(), python_slice(1, 2**63 - 1, 1, 5)
    ([4, 2, 0], slice(1, 5, 1))
    """
    start = start + length if start < 0 else start
    end = end + length if end < 0 else end
    if step > 0:
        return slice(min(max(start, 0), length), min(max(end, 0), length), step)
    start, end = min(max(start, 0), length - 1), min(max(end, -1), length - 1)
    return slice(start, None if end < 0 else end, step)


def joined(*parts: NDArray[Any], axis: int) -> NDArray[Any]:
    """Arrays one behind the other along an axis."""
    return np.concatenate(parts, axis)


def stacked(*parts: NDArray[Any], axis: int) -> NDArray[Any]:
    """Arrays side by side along a new axis."""
    return np.stack(parts, axis)


def repeated(x: NDArray[Any], *, factors: Sequence[int], first_axis: int) -> NDArray[Any]:
    """Each element so many times, along the axes from `first_axis` on."""
    for axis, factor in enumerate(factors, first_axis):
        x = np.repeat(x, factor, axis)
    return x


def padded(x: NDArray[Any], *, widths: Sequence[Sequence[int]], mode: Any) -> NDArray[Any]:
    """Elements of the array again around it, as NumPy's modes have it."""
    return np.pad(x, widths, mode)


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


def gathered_along(x: NDArray[Any], *, indices: NDArray[np.int64], axis: int) -> NDArray[Any]:
    """For each place of `indices` the element at that position of an axis, as ONNX's GatherElements."""
    places: list[NDArray[Any]] = list(np.indices(indices.shape))
    places[axis] = np.where(indices < 0, indices + x.shape[axis], indices)
    return x[tuple(places)]


def gathered(x: NDArray[Any], *, indices: NDArray[np.int64], leading: int) -> NDArray[Any]:
    """The parts at coordinates, the innermost axis of `indices`, behind `leading` axes in common: ONNX's GatherND."""
    front = x.shape[:leading]
    flat, flat_indices = x.reshape(-1, *x.shape[leading:]), indices.reshape(-1, *indices.shape[leading:])
    parts = [own[tuple(np.moveaxis(at, -1, 0))] for own, at in zip(flat, flat_indices, strict=True)]
    made = np.stack(parts)
    return made.reshape(*front, *made.shape[1:])


def one_hot_convolution(
    x: NDArray[Any],
    *,
    channels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    strides: tuple[int, ...],
    shape: tuple[int, ...],
) -> NDArray[Any]:
    """A convolution that gives each output channel the elements of one input channel, at one offset in the kernel.

    >>> x = np.arange(4).reshape(1, 1, 2, 2)
    >>> offsets = np.array([[0, 1], [1, 0]])
    >>> one_hot_convolution(x, channels=np.array([0, 0]), offsets=offsets, strides=(2, 2), shape=(1, 2, 1, 1)).tolist()
    [[[[1]], [[2]]]]
    """
    lengths = shape[2:]
    outputs = []
    for channel, offset in zip(channels.tolist(), offsets.tolist(), strict=True):
        steps = zip(offset, strides, lengths, strict=True)
        places = tuple(slice(start, start + step * (length - 1) + 1, step) for start, step, length in steps)
        outputs.append(x[(slice(None), channel, *places)])
    return np.stack(outputs, 1)
