"""Copies by compiled kernels: loaded when the first array is large enough to repay it, NumPy's copier till then."""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from layoutbridge.copying import blocks, threads
from layoutbridge.copying.blocks import BlockPlan, plan_blocks
from layoutbridge.copying.numpy_copy import Array, Copier
from layoutbridge.copying.plan import Digits, Shape

LOAD_BYTES = 4 << 20  # importing numba costs about a second: only an array of this size brings it in
USE_BYTES = 128 << 10  # once it is there it pays from this size on
RESIDENT_BYTES = 2 << 20  # and from this size on where NumPy's copy stays in the nearest cache:
RESIDENT_BLOCK_BYTES = 32 << 10  # blocks of this size, whole in the source and in the output
PIECE_BYTES = 512 << 10  # less work than this is not worth waking a thread for
_PIECES_A_WORKER = 4


class _State:
    """What this process has loaded so far."""

    enabled = True  # False: numba failed, or is not wanted
    kernels: ModuleType | None = None  # `kernels.py` once it has been imported


state = _State()
_ready: set[tuple[str, int]] = set()  # (kernel, item size) compiled and known to run
_KINDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def worth_compiling(elements: int, dtype: np.dtype[Any], digits: Digits) -> bool:
    """Whether kernels gain anything on such an array; references, which need counting, they cannot copy."""
    size = elements * dtype.itemsize
    if len(digits) < 2 or size < min(USE_BYTES, LOAD_BYTES) or dtype.hasobject:
        return False
    block = digits[0][1] * dtype.itemsize
    if (
        size < min(RESIDENT_BYTES, LOAD_BYTES)
        and digits[-1][1] > 1
        and block <= RESIDENT_BLOCK_BYTES
        and _leads(digits)
    ):
        return False
    run, stride = digits[-1]
    long_runs = stride == 1 and run * dtype.itemsize >= blocks.STREAM_RUN_BYTES
    return not long_runs or size >= blocks.STREAM_BYTES  # in the caches memmove is all that such runs need


def _leads(digits: Digits) -> bool:
    """Whether the outermost digit is the same on both sides, so that the copy goes block by block."""
    return all(stride < digits[0][1] for _, stride in digits[1:])


def build_compiled_copier(
    in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape, fallback: Copier
) -> Copier:
    """`copier(x, out=None)` that uses kernels where it can and `fallback` for the rest."""
    plan = plan_blocks(digits, dtype.itemsize)
    size = prod(in_shape) * dtype.itemsize
    may_load = size >= LOAD_BYTES
    empty, may_share_memory = np.empty, np.may_share_memory

    def copier(x: Array, out: Array | None = None) -> Array:
        if not state.enabled or not (may_load or state.kernels) or not x.flags.c_contiguous:
            return fallback(x, out)
        if out is None:
            if not _prepare(plan):
                return fallback(x)
            out = empty(out_shape, dtype)
        elif not out.flags.carray or may_share_memory(x, out) or not _prepare(plan):
            return fallback(x, out)
        _run(plan, x.ctypes.data, out.ctypes.data, size)
        return out

    return copier


def _prepare(plan: BlockPlan) -> bool:
    """Import and compile what the plan needs; on any failure never try again."""
    key = (plan.kernel, plan.item)
    if key in _ready:
        return True
    try:
        if state.kernels is None:
            from layoutbridge.copying import kernels

            state.kernels = kernels
        _call(plan, 0, 0, 0, 0)  # no blocks: compiles, moves nothing
    except Exception:  # numba is absent, or cannot work here: NumPy is always right
        state.enabled = False
        return False
    _ready.add(key)
    return True


def _call(plan: BlockPlan, source: int, out: int, first: int, last: int) -> None:
    kernel = getattr(state.kernels, plan.kernel)
    if plan.kernel == "copy_runs":  # bytes are bytes: one compiled kernel for every item size
        kernel(source, out, plan.table, first, last, plan.item, plan.streaming)
    else:
        kernel(source, out, plan.table, first, last, _KINDS[plan.item](plan.item), plan.source_inner)


def _run(plan: BlockPlan, source: int, out: int, size: int) -> None:
    workers = min(threads.worker_count(), size // PIECE_BYTES, plan.blocks)
    if workers < 2:
        _call(plan, source, out, 0, plan.blocks)
        return
    pieces = min(workers * _PIECES_A_WORKER, size // PIECE_BYTES, plan.blocks)

    def job(piece: int) -> None:
        _call(plan, source, out, plan.blocks * piece // pieces, plan.blocks * (piece + 1) // pieces)

    threads.run_pieces(job, pieces, workers)
