"""Copying where some digits are read backwards or in an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.copying.numpy_copy import Copier
from layoutbridge.copying.plan import Digits, Shape, source_view

Read = slice | NDArray[np.int64]  # which values of a digit are read, one after another
_FEW = 64  # values that are copied one at a time: each is a plain strided copy


def build_read_copier(in_shape: Shape, digits: Digits, reads: Sequence[Read], out_shape: Shape) -> Copier:
    """As `build_copier`, for digits of which each reads the source's values in the order that `reads` says.

    A slice says `slice(None)` or backwards; an array lists the values.

    >>> import numpy as np
    >>> copier = build_read_copier((3, 2), ((3, 2), (2, 1)), (np.array([2, 0, 1]), slice(None, None, -1)), (3, 2))
    >>> copier(np.arange(6).reshape(3, 2)).tolist()
    [[5, 4], [1, 0], [3, 2]]
    """
    sizes, order = source_view(digits)
    written = tuple(size for size, _ in digits)
    slices = tuple(read if isinstance(read, slice) else slice(None) for read in reads)
    orders = [(axis, read) for axis, read in enumerate(reads) if not isinstance(read, slice)]

    def copy(x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        target = out if out is not None and out.flags.c_contiguous and not np.may_share_memory(x, out) else None
        result = np.empty(out_shape, x.dtype) if target is None else target
        source = x.reshape(sizes).transpose(order)[slices]
        for axis, read in orders[1:]:
            source = source.take(read, axis)
        _write(source, result.reshape(written), *(orders[0] if orders else (0, None)))
        if out is None or result is out:
            return result
        out[...] = result
        return out

    return copy


def _write(source: NDArray[Any], result: NDArray[Any], axis: int, read: NDArray[np.int64] | None) -> None:
    if read is None:
        np.copyto(result, source)
    elif read.size <= _FEW:
        source, result = np.moveaxis(source, axis, 0), np.moveaxis(result, axis, 0)
        for place, value in enumerate(read.tolist()):
            result[place] = source[value]
    else:
        np.copyto(result, source.take(read, axis))
