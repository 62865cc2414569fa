"""Darknet's resize and its suppression, compiled.

Importing this module imports numba: only `resizing.py` and `crowds.py` do, where it pays.
"""

# numba infers the types, and types its own decorators badly.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, assignment"

from __future__ import annotations

from collections.abc import Callable
from math import floor, frexp, ldexp
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


@_compiled
def _power(side):
    """The power of two that is at most so long."""
    return frexp(side)[1] - 1


@_compiled
def _key(wide, tall, row, column):
    """A cell's own number: its powers have 7 bits, rows and columns 22, which is enough for boxes that are plain."""
    return ((wide + 64) << 51) ^ ((tall + 64) << 44) ^ ((row + (1 << 21)) << 22) ^ (column + (1 << 21))


@_compiled
def _slot(key, slots):
    """Where a cell is looked up: a number that spreads neighbours."""
    spread = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    spread = (spread ^ (spread >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(spread >> np.uint64(36)) & (slots - 1)


@_compiled
def _sort_into_cells(boxes, grid):
    """Put each plain box into the cell of its middle: of its width and height in powers of two, cells half as large."""
    x, y, w, h, kinds = boxes
    first, following, keys, sizes = grid
    for one in range(len(x)):
        if kinds[one] == 1:
            wide, tall = _power(w[one]), _power(h[one])
            sizes[wide + 64, tall + 64] = True
            keys[one] = _key(wide, tall, floor(y[one] / ldexp(1.0, tall - 1)), floor(x[one] / ldexp(1.0, wide - 1)))
            slot = _slot(keys[one], len(first))
            following[one], first[slot] = first[slot], one


@_compiled
def _over(boxes, one, other, limit, exponent):
    """1 where two boxes overlap by more than `limit`, 0 where not, 2 where a power's last digit decides."""
    x, y, w, h, _ = boxes
    half, zero = np.float32(0.5), np.float32(0)
    edge = min(x[one] + w[one] * half, x[other] + w[other] * half)
    wide = edge - max(x[one] - w[one] * half, x[other] - w[other] * half)
    edge = min(y[one] + h[one] * half, y[other] + h[other] * half)
    high = edge - max(y[one] - h[one] * half, y[other] - h[other] * half)
    shared = zero if wide < 0 or high < 0 else wide * high
    union = w[one] * h[one] + w[other] * h[other] - shared
    overlap = zero if shared == 0 or union == 0 else shared / union
    if not overlap > limit:
        return 0
    if exponent < 0:
        return 1
    edge = max(x[one] + w[one] * half, x[other] + w[other] * half)
    wide = edge - min(x[one] - w[one] * half, x[other] - w[other] * half)
    edge = max(y[one] + h[one] * half, y[other] + h[other] * half)
    high = edge - min(y[one] - h[one] * half, y[other] - h[other] * half)
    diagonal = wide * wide + high * high
    apart = (x[one] - x[other]) * (x[one] - x[other])
    apart += (y[one] - y[other]) * (y[one] - y[other])
    term = np.float64(zero if diagonal == 0 else apart / diagonal) ** exponent
    most = overlap - np.float32(term * (1 - 1e-14))
    least = overlap - np.float32(term * (1 + 1e-14))
    return 2 if (most > limit) != (least > limit) else np.int64(least > limit)


@_compiled
def _met_across(met, one, others, boxes, limit, exponent):
    """Write into `met` which of `others` `one` overlaps by more than `limit`, of those whose edges cross its own.

    Gives their number, negative where a pair is unsure.
    """
    x, y, w, h, kinds = boxes
    half, number = np.float32(0.5), 0
    left, right = x[one] - w[one] * half, x[one] + w[one] * half
    top, bottom = y[one] - h[one] * half, y[one] + h[one] * half
    for other in others:
        across, down = w[other] * half, h[other] * half
        if not (right > x[other] - across and left < x[other] + across):
            continue
        if not (bottom > y[other] - down and top < y[other] + down) or other == one or kinds[other] == 0:
            continue
        over = _over(boxes, one, other, limit, exponent)
        if over == 2:
            return -1
        if over == 1:
            met[number] = other
            number += 1
    return number


@_compiled
def _met_beside(met, number, one, boxes, grid, state, limit, exponent, ratio):
    """The same behind the first `number`, of the plain boxes: only those are looked at that are near enough.

    Neither may be shorter than `ratio` times the other, and their middles are as near as that asks for.
    """
    x, y, w, h, _ = boxes
    first, following, keys, sizes = grid
    near = (1 - ratio) / (2 * (1 + ratio))  # of the sum of two lengths: so far apart may their middles be
    for wide in range(_power(w[one] * ratio), _power(w[one] / ratio) + 1):
        cell = ldexp(1.0, wide - 1)
        across = near * (w[one] + 4 * cell)
        left, right = floor((x[one] - across) / cell), floor((x[one] + across) / cell)
        for tall in range(_power(h[one] * ratio), _power(h[one] / ratio) + 1):
            if not sizes[wide + 64, tall + 64]:
                continue
            cell = ldexp(1.0, tall - 1)
            down = near * (h[one] + 4 * cell)
            top, bottom = floor((y[one] - down) / cell), floor((y[one] + down) / cell)
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    key = _key(wide, tall, row, column)
                    other = np.int64(first[_slot(key, len(first))])
                    while other >= 0:
                        state[1] += 1
                        if (
                            keys[other] == key
                            and abs(x[one] - x[other]) <= near * (w[one] + w[other])
                            and abs(y[one] - y[other]) <= near * (h[one] + h[other])
                            and other != one
                        ):
                            over = _over(boxes, one, other, limit, exponent)
                            if over == 2 or number == len(met):
                                return -1
                            if over == 1:
                                met[number] = other
                                number += 1
                        other = np.int64(following[other])
    return number


@_compiled
def suppress_into(lost, order, place, state, boxes, grid, others, known, limit, exponent, ratio):
    """Mark in `lost` what the boxes of a class, in `order` from `place` on, suppress: the best first.

    `boxes` are x, y, w, h and their kinds: 0 overlaps nothing, 1 is plain, 2 is compared with all. `grid` are first
    [a power of two], following and keys [boxes], and which powers of two there are, bool [128, 128]; `others` all
    numbers of boxes and those of kind 2; `known` what has been found for other classes: where it begins and ends, and
    the numbers themselves, whose room may be nothing. `exponent` is the distance's, negative where none is subtracted.
    `state`: how much of that room is used (negative before the first class), how many pairs may yet be looked at,
    counted up to 0.

    Gives the place to go on from, or -1 where a power's last digit decides: NumPy's may differ.
    """
    begins, ends, room, met = known
    everything, careful = others
    if state[0] < 0:
        _sort_into_cells(boxes, grid)
        state[0] = 0
    while place < len(order) and state[1] < 0:
        one = order[place]
        place += 1
        if lost[one] or boxes[4][one] == 0:
            continue
        if begins[one] >= 0:
            for k in range(begins[one], ends[one]):
                lost[room[k]] = True
            continue
        plain = boxes[4][one] == 1
        number = _met_across(met, one, careful if plain else everything, boxes, limit, exponent)
        state[1] += len(careful) if plain else len(everything)
        if plain and number >= 0:
            number = _met_beside(met, number, one, boxes, grid, state, limit, exponent, ratio)
        if number < 0:
            return -1
        keeps = number <= len(room) - state[0]
        if keeps:
            begins[one], ends[one] = state[0], state[0] + number
        for k in range(number):
            lost[met[k]] = True
            if keeps:
                room[state[0] + k] = met[k]
        if keeps:
            state[0] += number
    return place
