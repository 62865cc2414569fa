"""The compiled kernels. Importing this module imports numba: only `compiled.py` does, and only when it pays.

A kernel copies blocks `first` to `last` of a plan (see `blocks.py`) with these rows, one column a digit, in
output order: SIZE, EXTENT (how much of the digit a block covers), SOURCE and OUT (strides in bytes), VISIT
(the digits in the order in which blocks are visited, outermost first) and REST (the digits that a block loops
over around its innermost rows, outermost first, padded with -1 in front).
"""

# Every argument is an integer but `plan` and its like; numba infers the types, and types its own decorators badly.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg, misc"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from layoutbridge.copying import vectors as v
from layoutbridge.copying.blocks import EXTENT, OUT, REST, SIZE, SOURCE, VISIT

_LINE = v.LINE
# Bytes ahead of the current place, measured: the hardware loses short rows that jump between streams.
_READ_AHEAD = 4096
_WRITE_AHEAD = 1024
_TILE_AHEAD = 2048
_Kernel = Callable[..., Any]


def _compiled(function: _Kernel) -> _Kernel:
    """Compile at first call, without the interpreter's lock, and keep the machine code where that is possible."""
    options: Any = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        return njit(**options)(function)


@_compiled
def _enter(plan, block, extent):
    """Fill `extent` (items of each digit) for a block; its offsets in the source and the output, in bytes."""
    source = 0
    out = 0
    for i in range(plan.shape[1] - 1, -1, -1):
        k = plan[VISIT, i]
        count = (plan[SIZE, k] + plan[EXTENT, k] - 1) // plan[EXTENT, k]
        at = (block % count) * plan[EXTENT, k]
        block //= count
        extent[k] = min(plan[EXTENT, k], plan[SIZE, k] - at)
        source += at * plan[SOURCE, k]
        out += at * plan[OUT, k]
    return source, out


@_compiled
def _loop(plan, extent, back):
    """Count and steps of the REST digit that many places from the end, for a plain loop around the rows."""
    k = plan[REST, plan.shape[1] - back]
    if k < 0:
        return 1, 0, 0
    return extent[k], plan[SOURCE, k], plan[OUT, k]


@_compiled
def _turns(plan, extent):
    """How often a block runs its two plain loops."""
    rows = 1
    for j in range(plan.shape[1] - 2):
        k = plan[REST, j]
        if k >= 0:
            rows *= extent[k]
    return rows


@_compiled
def _advance(plan, extent, position, source, out):
    """The addresses for the next turn: an odometer, too slow for single rows, over the other REST digits."""
    for j in range(plan.shape[1] - 3, -1, -1):
        k = plan[REST, j]
        if k < 0:
            continue
        position[k] += 1
        source += plan[SOURCE, k]
        out += plan[OUT, k]
        if position[k] < extent[k]:
            break
        position[k] = 0
        source -= extent[k] * plan[SOURCE, k]
        out -= extent[k] * plan[OUT, k]
    return source, out


@_compiled
def _stream(source, out, count):
    """Copy `count` bytes past the caches, except the ends that share a cache line with something else."""
    head = min((-out) & (_LINE - 1), count)
    if head:
        v.move_bytes(source, out, head)
    done = head
    while done + _LINE <= count:
        v.stream_line(source + done, out + done)
        done += _LINE
    if done < count:
        v.move_bytes(source + done, out + done, count - done)


@_compiled
def copy_runs(source, out, plan, first, last, item, streaming):
    """The innermost digit is the same in source and output: runs of bytes. `item` is the item size."""
    digits = plan.shape[1]
    extent = np.empty(digits, np.int64)
    position = np.zeros(digits, np.int64)
    for block in range(first, last):
        source_offset, out_offset = _enter(plan, block, extent)
        a = source + source_offset
        o = out + out_offset
        run = extent[digits - 1] * item
        slow, slow_source, slow_out = _loop(plan, extent, 2)
        fast, fast_source, fast_out = _loop(plan, extent, 1)
        for _ in range(_turns(plan, extent)):
            for i in range(slow):
                for j in range(fast):
                    from_ = a + i * slow_source + j * fast_source
                    to = o + i * slow_out + j * fast_out
                    if streaming:
                        _stream(from_, to, run)
                    else:
                        v.move_bytes(from_, to, run)
            a, o = _advance(plan, extent, position, a, o)
    v.fence()


@_compiled
def _deinterleave_row(a, o, step, ways, count, item, kind):
    """out[k][i] = source[i * ways + k] for i < count; the last vector overlaps the one before it."""
    i = 0
    if ways == 2:
        if count >= 16:
            while i + 16 <= count:
                for k in range(2):
                    v.prefetch_read(a + 2 * i * item + k * _LINE + _READ_AHEAD)
                    v.prefetch_write(o + k * step + i * item + _WRITE_AHEAD)
                v.deinterleave_2(a + 2 * i * item, o + i * item, step, kind)
                i += 16
            if i < count:
                i = count - 16
                v.deinterleave_2(a + 2 * i * item, o + i * item, step, kind)
            return
        if count >= 8:
            v.deinterleave_2_half(a, o, step, kind)
            i = count - 8
            v.deinterleave_2_half(a + 2 * i * item, o + i * item, step, kind)
            return
        if count >= 4:
            v.deinterleave_2_quarter(a, o, step, kind)
            i = count - 4
            v.deinterleave_2_quarter(a + 2 * i * item, o + i * item, step, kind)
            return
    elif ways == 3:
        if count >= 16:
            while i + 16 <= count:
                for k in range(3):
                    v.prefetch_read(a + 3 * i * item + k * _LINE + _READ_AHEAD)
                    v.prefetch_write(o + k * step + i * item + _WRITE_AHEAD)
                v.deinterleave_3(a + 3 * i * item, o + i * item, step, kind)
                i += 16
            if i < count:
                i = count - 16
                v.deinterleave_3(a + 3 * i * item, o + i * item, step, kind)
            return
        if count >= 8:
            v.deinterleave_3_half(a, o, step, kind)
            i = count - 8
            v.deinterleave_3_half(a + 3 * i * item, o + i * item, step, kind)
            return
        if count >= 4:
            v.deinterleave_3_quarter(a, o, step, kind)
            i = count - 4
            v.deinterleave_3_quarter(a + 3 * i * item, o + i * item, step, kind)
            return
    for j in range(count):
        for k in range(ways):
            v.move_item(a + (j * ways + k) * item, o + k * step + j * item, kind)


@_compiled
def deinterleave(source, out, plan, first, last, kind, source_inner):
    """The source's innermost digit has few values, and the output's innermost digit is next to it."""
    digits = plan.shape[1]
    item = np.int64(kind)
    extent = np.empty(digits, np.int64)
    position = np.zeros(digits, np.int64)
    out_step = plan[OUT, source_inner]
    for block in range(first, last):
        source_offset, out_offset = _enter(plan, block, extent)
        a = source + source_offset
        o = out + out_offset
        slow, slow_source, slow_out = _loop(plan, extent, 2)
        fast, fast_source, fast_out = _loop(plan, extent, 1)
        for _ in range(_turns(plan, extent)):
            for i in range(slow):
                for j in range(fast):
                    from_ = a + i * slow_source + j * fast_source
                    to = o + i * slow_out + j * fast_out
                    _deinterleave_row(from_, to, out_step, extent[source_inner], extent[digits - 1], item, kind)
            a, o = _advance(plan, extent, position, a, o)


@_compiled
def _interleave_row(a, step, o, ways, count, item, kind):
    """out[i * ways + k] = source[k][i] for i < count."""
    i = 0
    if ways == 2:
        if count >= 16:
            while i + 16 <= count:
                for k in range(2):
                    v.prefetch_read(a + k * step + i * item + _READ_AHEAD)
                    v.prefetch_write(o + 2 * i * item + k * _LINE + _WRITE_AHEAD)
                v.interleave_2(a + i * item, step, o + 2 * i * item, kind)
                i += 16
            if i < count:
                i = count - 16
                v.interleave_2(a + i * item, step, o + 2 * i * item, kind)
            return
        if count >= 8:
            v.interleave_2_half(a, step, o, kind)
            i = count - 8
            v.interleave_2_half(a + i * item, step, o + 2 * i * item, kind)
            return
        if count >= 4:
            v.interleave_2_quarter(a, step, o, kind)
            i = count - 4
            v.interleave_2_quarter(a + i * item, step, o + 2 * i * item, kind)
            return
    elif ways == 3:
        if count >= 16:
            while i + 16 <= count:
                for k in range(3):
                    v.prefetch_read(a + k * step + i * item + _READ_AHEAD)
                    v.prefetch_write(o + 3 * i * item + k * _LINE + _WRITE_AHEAD)
                v.interleave_3(a + i * item, step, o + 3 * i * item, kind)
                i += 16
            if i < count:
                i = count - 16
                v.interleave_3(a + i * item, step, o + 3 * i * item, kind)
            return
        if count >= 8:
            v.interleave_3_half(a, step, o, kind)
            i = count - 8
            v.interleave_3_half(a + i * item, step, o + 3 * i * item, kind)
            return
        if count >= 4:
            v.interleave_3_quarter(a, step, o, kind)
            i = count - 4
            v.interleave_3_quarter(a + i * item, step, o + 3 * i * item, kind)
            return
    for j in range(count):
        for k in range(ways):
            v.move_item(a + k * step + j * item, o + (j * ways + k) * item, kind)


@_compiled
def interleave(source, out, plan, first, last, kind, source_inner):
    """The output's innermost digit has few values, and the source's innermost digit is next to it."""
    digits = plan.shape[1]
    item = np.int64(kind)
    extent = np.empty(digits, np.int64)
    position = np.zeros(digits, np.int64)
    source_step = plan[SOURCE, digits - 1]
    for block in range(first, last):
        source_offset, out_offset = _enter(plan, block, extent)
        a = source + source_offset
        o = out + out_offset
        slow, slow_source, slow_out = _loop(plan, extent, 2)
        fast, fast_source, fast_out = _loop(plan, extent, 1)
        for _ in range(_turns(plan, extent)):
            for i in range(slow):
                for j in range(fast):
                    from_ = a + i * slow_source + j * fast_source
                    to = o + i * slow_out + j * fast_out
                    _interleave_row(from_, source_step, to, extent[digits - 1], extent[source_inner], item, kind)
            a, o = _advance(plan, extent, position, a, o)


@_compiled
def _square(source, source_step, out, out_step, side, kind):
    if side == 16:
        v.transpose_16(source, source_step, out, out_step, kind)
    elif side == 8:
        v.transpose_8(source, source_step, out, out_step, kind)
    else:
        v.transpose_4(source, source_step, out, out_step, kind)


@_compiled
def _transpose_tile(a, source_step, o, out_step, height, width, item, kind):
    """out[j][i] = source[i][j], i < height, j < width, in squares; the last squares overlap their neighbours."""
    side = min(height, width)
    if side >= 16 and item < 8:  # sixteen 8-byte items a row would not fit the registers
        side = 16
    elif side >= 8:
        side = 8
    elif side >= 4:
        side = 4
    else:
        for i in range(height):
            for j in range(width):
                v.move_item(a + i * source_step + j * item, o + j * out_step + i * item, kind)
        return
    # The longer step goes outside: then sixteen streams run on one side and short hops stay in cache on the other.
    if source_step > out_step:
        i = 0
        while i < height:
            i = min(i, height - side)
            j = 0
            while j < width:
                j = min(j, width - side)
                from_ = a + i * source_step + j * item
                for k in range(side):
                    v.prefetch_read(from_ + k * source_step + _TILE_AHEAD)
                _square(from_, source_step, o + j * out_step + i * item, out_step, side, kind)
                j += side
            i += side
    else:
        j = 0
        while j < width:
            j = min(j, width - side)
            i = 0
            while i < height:
                i = min(i, height - side)
                from_ = a + i * source_step + j * item
                _square(from_, source_step, o + j * out_step + i * item, out_step, side, kind)
                i += side
            j += side


@_compiled
def transpose(source, out, plan, first, last, kind, source_inner):
    """The innermost digits of source and output differ: a table to turn, for each value of the other digits."""
    digits = plan.shape[1]
    item = np.int64(kind)
    extent = np.empty(digits, np.int64)
    position = np.zeros(digits, np.int64)
    source_step = plan[SOURCE, digits - 1]
    out_step = plan[OUT, source_inner]
    for block in range(first, last):
        source_offset, out_offset = _enter(plan, block, extent)
        a = source + source_offset
        o = out + out_offset
        slow, slow_source, slow_out = _loop(plan, extent, 2)
        fast, fast_source, fast_out = _loop(plan, extent, 1)
        for _ in range(_turns(plan, extent)):
            for i in range(slow):
                for j in range(fast):
                    from_ = a + i * slow_source + j * fast_source
                    to = o + i * slow_out + j * fast_out
                    _transpose_tile(
                        from_, source_step, to, out_step, extent[digits - 1], extent[source_inner], item, kind
                    )
            a, o = _advance(plan, extent, position, a, o)
