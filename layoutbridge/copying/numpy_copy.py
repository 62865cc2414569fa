"""Copy by digits with NumPy alone: one gather, one transposed copy, or a few strided-slice copies.

Which of the three is fastest depends on the innermost loop that each leaves to NumPy, so the choice is a
cost model with measured constants, taken once when the copier is built.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from layoutbridge.copying.plan import Digits, Shape, merge, source_view, split_at, with_out_strides

Array = np.ndarray[Any, Any]
Copier = Callable[..., Array]

# Nanoseconds, measured on small arrays: only their ratios matter.
_CALL_COST = 450.0  # one more copyto of a slice
_LOOP_COST = 2.6  # starting one innermost loop
_STRIDED_COST = 0.25  # an element in an innermost loop that strides on one side
_BOTH_STRIDED_COST = 1.0  # or on both: most of every cache line is touched in vain
_CONTIGUOUS_COST = 0.05  # an element in a run that is contiguous on both sides
_GATHER_COST = 0.47  # an element of take()
_GATHER_SAVES = 150.0  # take() needs neither views nor a second array
_GATHER_LIMIT = 8192  # elements: a larger table costs more memory than it saves time
_GATHER_ITEMSIZES = (1, 2, 4, 8, 16)  # take() moves other sizes with one memmove an element
_ROW_BYTES = 256  # shorter rows cost take() more than they cost a transposed copy,
_SHORT_ROW_BYTES = 64  # but for arrays so small that the call is what costs
_SHORT_ROWS_LIMIT = 64 << 10  # bytes
_ROWS_LIMIT = 2 << 20  # bytes: beyond the caches a transposed copy is as quick to call and kinder to memory
_UNROLL_LIMIT = 16  # slices: beyond this Python's share shows


def build_numpy_copier(in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape) -> Copier:
    """The fastest of NumPy's ways for these digits, as `copier(x, out=None)`."""
    if len(digits) < 2:
        return _straight_copier(in_shape, out_shape)
    unrolled, cost = _cheapest_unrolling(digits)
    elements = prod(in_shape)
    if (
        elements <= _GATHER_LIMIT
        and dtype.itemsize in _GATHER_ITEMSIZES
        and not dtype.hasobject
        and elements * _GATHER_COST <= cost + _GATHER_SAVES
    ):
        return _gather_copier(elements, digits, out_shape)
    rows = _whole_rows(digits, dtype, out_shape)
    if rows and elements * dtype.itemsize <= _ROWS_LIMIT:
        return _rows_copier(in_shape, dtype, digits, out_shape, rows)
    if not unrolled:
        return _transposed_copier(in_shape, dtype, digits, out_shape)
    return _sliced_copier(in_shape, dtype, digits, out_shape, unrolled)


def _cheapest_unrolling(digits: Digits) -> tuple[tuple[int, ...], float]:
    """Output digits (by index, at most two) to loop over in Python, and the estimated cost in nanoseconds."""
    terms = with_out_strides(digits)
    small = [k for k, (size, _) in enumerate(digits) if size <= _UNROLL_LIMIT]
    choices = [(), *((k,) for k in small), *combinations(small, 2)]
    best: tuple[tuple[int, ...], float] = ((), float("inf"))
    for unrolled in choices:
        calls = prod(digits[k][0] for k in unrolled)
        if calls > _UNROLL_LIMIT:
            continue
        rest = merge([term for k, term in enumerate(terms) if k not in unrolled])
        elements = prod(size for size, _, _ in rest)
        inner, source_stride, out_stride = rest[-1] if rest else (1, 1, 1)
        each = _STRIDED_COST if 1 in (source_stride, out_stride) else _BOTH_STRIDED_COST
        if source_stride == out_stride == 1:
            each = _CONTIGUOUS_COST
        overhead = (calls + 1) * _CALL_COST if unrolled else _CALL_COST  # + 1: the overlap check and the views
        cost = overhead + calls * (elements / inner * _LOOP_COST + elements * each)
        if cost < best[1]:
            best = (unrolled, cost)
    return best


def _view(array: Array, sizes: Shape) -> Array | None:
    """`array` in other sizes if that takes no copy, else None."""
    view = array.reshape(sizes)
    return view if np.may_share_memory(view, array) else None


def _straight_copier(in_shape: Shape, out_shape: Shape) -> Copier:
    """Same order, maybe another shape."""
    reshaped = in_shape != out_shape

    def copier(x: Array, out: Array | None = None) -> Array:
        if out is None:
            y = x.copy()
            return y.reshape(out_shape) if reshaped else y
        out[...] = x.reshape(out_shape) if reshaped else x
        return out

    return copier


def _gather_copier(elements: int, digits: Digits, out_shape: Shape) -> Copier:
    """For the tiniest arrays one call that makes, fills and shapes the result beats every other way."""
    sizes, order = source_view(digits)
    table = np.ascontiguousarray(np.arange(elements, dtype=np.intp).reshape(sizes).transpose(order))
    table = table.reshape(out_shape)

    def copier(x: Array, out: Array | None = None) -> Array:
        if out is None:
            return x.take(table)
        return x.take(table, None, out, "clip")  # "raise", the default, would fill a buffer first

    return copier


def _whole_rows(digits: Digits, dtype: np.dtype[Any], out_shape: Shape) -> int:
    """How many of the output's last axes make up the innermost digit, if that is one run on both sides, else 0."""
    run, stride = digits[-1]
    total = prod(out_shape) * dtype.itemsize
    least = _SHORT_ROW_BYTES if total <= _SHORT_ROWS_LIMIT else _ROW_BYTES
    if stride != 1 or run * dtype.itemsize < least or dtype.hasobject:
        return 0
    covered = 1
    for axes, size in enumerate(reversed(out_shape), 1):
        covered *= size
        if covered >= run:
            return axes if covered == run else 0
    return 0


def _rows_copier(in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape, axes: int) -> Copier:
    """Rows in another order: take() along one axis, again in one call that makes, fills and shapes the result."""
    row = out_shape[-axes:]
    outer = tuple((size, stride // digits[-1][0]) for size, stride in digits[:-1])
    sizes, order = source_view(outer)
    rows = prod(sizes)
    table = np.ascontiguousarray(np.arange(rows, dtype=np.intp).reshape(sizes).transpose(order))
    table = table.reshape(out_shape[:-axes])
    row_shape = (rows, *row)
    strided = _strided_copier(in_shape, dtype, digits, out_shape)

    def copier(x: Array, out: Array | None = None) -> Array:
        if not x.flags.c_contiguous:
            return strided(x, out)
        if out is None:
            return x.reshape(row_shape).take(table, 0)
        return x.reshape(row_shape).take(table, 0, out, "clip")

    return copier


def _transposed_copier(in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape) -> Copier:
    """One copy through transposed views: NumPy walks it in the output's order."""
    sizes, order = source_view(digits)
    out_sizes = tuple(size for size, _ in digits)
    reshape_result = out_sizes != out_shape
    strided = _strided_copier(in_shape, dtype, digits, out_shape)

    def copier(x: Array, out: Array | None = None) -> Array:
        if not x.flags.c_contiguous:
            return strided(x, out)
        if out is None:
            y = x.reshape(sizes).transpose(order).copy()
            return y.reshape(out_shape) if reshape_result else y
        if not out.flags.c_contiguous:
            return strided(x, out)
        out.reshape(out_sizes)[...] = x.reshape(sizes).transpose(order)  # quicker to call than copyto
        return out

    return copier


def _sliced_copier(
    in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape, unrolled: tuple[int, ...]
) -> Copier:
    """One strided copy for each value of the unrolled digits, so that the innermost loop is a long one."""
    sizes, order = source_view(digits)
    out_sizes = tuple(size for size, _ in digits)
    out_order = unrolled + tuple(k for k in range(len(digits)) if k not in unrolled)
    order = tuple(order[k] for k in out_order)
    empty, may_share_memory = np.empty, np.may_share_memory
    strided = _strided_copier(in_shape, dtype, digits, out_shape)
    indices = tuple(np.ndindex(*(out_sizes[k] for k in unrolled)))

    def copier(x: Array, out: Array | None = None) -> Array:
        if not x.flags.c_contiguous:
            return strided(x, out)
        if out is None:
            out = empty(out_shape, dtype)
        elif not out.flags.c_contiguous or may_share_memory(x, out):
            return strided(x, out)  # one copyto sees an overlap as a whole; several would not
        target = out.reshape(out_sizes).transpose(out_order)
        source = x.reshape(sizes).transpose(order)
        for index in indices:  # cheaper than iterating over the arrays
            target[index] = source[index]
        return out

    return copier


def _strided_copier(in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape) -> Copier:
    """For any strides and any overlap: finer digits, so that most strided arrays need no copy to be viewed."""
    finer: list[tuple[Shape, Shape, Shape]] = []  # filled at the first such call: most copiers never see one

    def copier(x: Array, out: Array | None = None) -> Array:
        if not finer:
            split = split_at(digits, in_shape, out_shape)
            finer.append((*source_view(split), tuple(size for size, _ in split)))
        sizes, order, out_sizes = finer[0]
        if out is None:
            out = np.empty(out_shape, dtype)
        source = x.reshape(sizes).transpose(order)
        target = _view(out, out_sizes)
        if target is None:
            np.copyto(out, np.ascontiguousarray(source).reshape(out_shape))
        else:
            np.copyto(target, source)
        return out

    return copier
