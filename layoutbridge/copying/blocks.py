"""Plan a large copy: which kernel, and which blocks in which order.

Needs no numba, so a plan can be made and tested without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from layoutbridge.copying.plan import Digits, with_out_strides

# Rows of the table that a kernel reads; see `kernels.py`.
SIZE, EXTENT, SOURCE, OUT, VISIT, REST = range(6)

BLOCK_BYTES = 384 << 10  # a block's source and its place in the output stay in a second-level cache together
STREAM_BYTES = 12 << 20  # such an array leaves the caches anyway,
STREAM_RUN_BYTES = 2048  # and such runs are long enough to be written past them
_LANES = 16  # blocks end on whole vectors where they can
_VECTOR_WAYS = (2, 3)  # (de)interleaving kernels exist for these


@dataclass(frozen=True)
class BlockPlan:
    """What a kernel is called with, apart from the two addresses and the range of blocks."""

    kernel: str  # the function's name in `kernels.py`
    table: np.ndarray[Any, Any]  # int64 [6, digits]
    source_inner: int  # the source's innermost digit, as an index into the output's digits
    item: int  # bytes: 1, 2, 4 or 8
    blocks: int
    streaming: bool  # write runs past the caches


def plan_blocks(digits: Digits, itemsize: int) -> BlockPlan:
    """A plan for at least two digits."""
    if itemsize not in (1, 2, 4, 8):  # an item is a run of smaller ones: one more digit, innermost on both sides
        item = 8 if itemsize % 8 == 0 else 1
        parts = itemsize // item
        digits = (*((size, stride * parts) for size, stride in digits), (parts, 1))
    else:
        item = itemsize
    terms = with_out_strides(digits)
    sizes = [size for size, _, _ in terms]
    source_order = sorted(range(len(terms)), key=lambda k: -terms[k][1])
    out_order = list(range(len(terms)))
    source_inner, out_inner = source_order[-1], out_order[-1]

    if source_inner == out_inner:
        kernel = "copy_runs"
    elif sizes[source_inner] in _VECTOR_WAYS and source_order[-2] == out_inner:
        kernel = "deinterleave"
    elif sizes[out_inner] in _VECTOR_WAYS and out_order[-2] == source_inner:
        kernel = "interleave"
    else:
        kernel = "transpose"

    extents = _extents(sizes, source_order, out_order, BLOCK_BYTES // item)
    rest_order = out_order if kernel == "interleave" else source_order
    rest = [k for k in rest_order if k not in (source_inner, out_inner)]
    table = np.array(
        [
            sizes,
            extents,
            [source * item for _, source, _ in terms],
            [out * item for _, _, out in terms],
            source_order,
            [-1] * (len(terms) - len(rest)) + rest,
        ],
        np.int64,
    )
    return BlockPlan(
        kernel=kernel,
        table=table,
        source_inner=source_inner,
        item=item,
        blocks=prod(-(-size // extent) for size, extent in zip(sizes, extents, strict=True)),
        streaming=prod(sizes) * item >= STREAM_BYTES and extents[out_inner] * item >= STREAM_RUN_BYTES,
    )


def _extents(sizes: Sequence[int], source_order: Sequence[int], out_order: Sequence[int], budget: int) -> list[int]:
    """How much of each digit a block covers: the longest runs on both sides that fit `budget` items."""
    best: list[int] = []
    run = _LANES
    while True:
        extents = [1] * len(sizes)
        for order in (source_order, out_order):
            _cover_run(extents, sizes, order, run)
        if best and (prod(extents) > budget or extents == best):
            return best
        best = extents
        run *= 2


def _cover_run(extents: list[int], sizes: Sequence[int], order: Sequence[int], run: int) -> None:
    """Grow `extents` until they hold a run of `run` items in an array whose digits nest in this order."""
    covered = 1
    for k in reversed(order):
        wanted = -(-run // covered)
        if sizes[k] > max(wanted, _LANES):
            parts = -(-sizes[k] // wanted)
            even = -(-sizes[k] // parts)
            extents[k] = max(extents[k], min(sizes[k], -(-even // _LANES) * _LANES if wanted >= _LANES else even))
            return
        extents[k] = sizes[k]
        covered *= sizes[k]
        if covered >= run:
            return
