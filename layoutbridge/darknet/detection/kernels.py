"""Darknet's resize, compiled. Importing this module imports numba: only `resizing.py` does, where it pays."""

# numba infers the types, and types its own decorators badly.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at first call, without the interpreter's lock, and keep the machine code where that is possible."""
    options: Any = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        return njit(**options)(function)


@_compiled
def resize_into(result, top, start, pixels, left, right, near, far, upper, lower, above, below):
    """Fill `result` [C, H, W] from `top` and `start` on with `pixels`, mixed as the taps say.

    `pixels` [H, W] are uint32, the first channel in the lowest byte: one look-up brings all channels of a pixel.
    """
    channels, width, byte = result.shape[0], len(left), np.float32(255)
    one, other = np.empty(width, np.uint32), np.empty(width, np.uint32)
    lines = np.empty((2, channels, width), np.float32)  # of rows that are even, and odd
    held = np.full(2, -1)
    for y in range(len(upper)):
        for row in (upper[y], lower[y]):
            if held[row & 1] == row:
                continue
            held[row & 1] = row
            taken = pixels[row]
            for x in range(width):
                one[x], other[x] = taken[left[x]], taken[right[x]]
            for c in range(channels):
                line, shift, low = lines[row & 1, c], np.uint32(8 * c), np.uint32(255)
                for x in range(width):
                    share, beside = np.float32(one[x] >> shift & low) / byte, np.float32(other[x] >> shift & low) / byte
                    line[x] = near[x] * share + far[x] * beside
        first, second = lines[upper[y] & 1], lines[lower[y] & 1]
        for c in range(channels):
            for x in range(width):
                result[c, top + y, start + x] = above[y] * first[c, x] + below[y] * second[c, x]
