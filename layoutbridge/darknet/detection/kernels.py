"""Darknet's resize and its suppression, compiled.

Importing this module imports numba: only `resizing.py` and `suppression.py` do, where it pays.
"""

# numba infers the types, and types its own decorators badly.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, assignment"

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
def _slot(level, row, column):
    """Where a cell is looked up: a number that spreads neighbours."""
    return (level * 73_856_093) ^ (row * 19_349_663) ^ (column * 83_492_791)


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


@_compiled
def suppress_into(lost, x, y, w, h, limit, exponent, ratio):
    """Mark in `lost` which boxes, the best first, overlap a better one that is left by more than `limit`.

    `exponent` is the distance's, negative where none is subtracted. Only boxes are compared of which neither is shorter
    than `ratio` times the other, and whose middles are as near as that asks for: those that are left lie in the cells
    of a grid for each power of two of their longer side. False where a power's last digit decides: NumPy's may differ.
    """
    count, half, zero = len(x), np.float32(0.5), np.float32(0)
    near = (1 - ratio) / (2 * (1 + ratio))  # of the sum of two lengths: so far apart may their middles be
    slots = 16
    while slots < 2 * count:
        slots *= 2
    first, following = np.full(slots, -1, np.int32), np.empty(count, np.int32)
    lowest, highest = 1 << 20, -(1 << 20)
    for one in range(count):
        side = max(w[one], h[one])
        alive, level = True, lowest
        while alive and level <= highest:
            cell = 2.0**level
            level += 1
            if 2 * cell < ratio * side or ratio * cell > side:
                continue
            across, down = near * (w[one] + 2 * cell), near * (h[one] + 2 * cell)
            left, right = np.int64(np.floor((x[one] - across) / cell)), np.int64(np.floor((x[one] + across) / cell))
            top, bottom = np.int64(np.floor((y[one] - down) / cell)), np.int64(np.floor((y[one] + down) / cell))
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    other = first[_slot(level - 1, row, column) & (slots - 1)]
                    while other >= 0 and alive:
                        if abs(x[one] - x[other]) <= near * (w[one] + w[other]) and abs(y[one] - y[other]) <= near * (
                            h[one] + h[other]
                        ):
                            edge = min(x[one] + w[one] * half, x[other] + w[other] * half)
                            wide = edge - max(x[one] - w[one] * half, x[other] - w[other] * half)
                            edge = min(y[one] + h[one] * half, y[other] + h[other] * half)
                            high = edge - max(y[one] - h[one] * half, y[other] - h[other] * half)
                            shared = zero if wide < 0 or high < 0 else wide * high
                            union = w[one] * h[one] + w[other] * h[other] - shared
                            overlap = zero if shared == 0 or union == 0 else shared / union
                            if exponent >= 0 and overlap > limit:
                                edge = max(x[one] + w[one] * half, x[other] + w[other] * half)
                                wide = edge - min(x[one] - w[one] * half, x[other] - w[other] * half)
                                edge = max(y[one] + h[one] * half, y[other] + h[other] * half)
                                high = edge - min(y[one] - h[one] * half, y[other] - h[other] * half)
                                diagonal = wide * wide + high * high
                                apart = (x[one] - x[other]) * (x[one] - x[other])
                                apart += (y[one] - y[other]) * (y[one] - y[other])
                                term = np.float64(zero if diagonal == 0 else apart / diagonal) ** exponent
                                most = overlap - np.float32(term * (1 - 1e-14))
                                overlap -= np.float32(term * (1 + 1e-14))
                                if (most > limit) != (overlap > limit):
                                    return False
                            alive = not overlap > limit
                        other = following[other]
        lost[one] = not alive
        if alive:
            level = np.int64(np.floor(np.log2(side)))
            lowest, highest, cell = min(lowest, level), max(highest, level), 2.0**level
            slot = _slot(level, np.int64(np.floor(y[one] / cell)), np.int64(np.floor(x[one] / cell))) & (slots - 1)
            following[one], first[slot] = first[slot], one
    return True
