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
    """Fill `result` [C, H, W] from `top` and `start` on with uint8 `pixels` [H, W, C], mixed as the taps say."""
    channels, old_width, width, byte = result.shape[0], pixels.shape[1], len(left), np.float32(255)
    shares = np.empty(old_width * channels, np.float32)
    lines = np.empty((2, channels, width), np.float32)  # of rows that are even, and odd
    held = np.full(2, -1)
    for y in range(len(upper)):
        for row in (upper[y], lower[y]):
            if held[row & 1] == row:
                continue
            held[row & 1] = row
            taken = pixels[row].reshape(-1)
            for k in range(old_width * channels):
                shares[k] = np.float32(taken[k]) / byte
            for c in range(channels):
                line = lines[row & 1, c]
                for x in range(width):
                    line[x] = near[x] * shares[left[x] * channels + c] + far[x] * shares[right[x] * channels + c]
        first, second = lines[upper[y] & 1], lines[lower[y] & 1]
        for c in range(channels):
            for x in range(width):
                result[c, top + y, start + x] = above[y] * first[c, x] + below[y] * second[c, x]
