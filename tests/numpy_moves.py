"""Moves as NumPy does them, from their definitions alone; rearrangements and shapes to draw."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from layoutbridge import Rearrangement, op
from tests.pictures import pictures

PATTERNS = [
    "c (h p:2) (w q:2) -> (q p c) h w",
    "c (h p:3) (w q:3) -> (p c q) h w",
    "c (h p:2) (w q:3) -> (c p q) h w",
    "a b c d e -> e d c b a",
    "a b c d e -> c a e b d",
    "a b -> b a",
    "(a b) (c d) -> (d a) (b c), b=2, d=3",
    "(a b) c -> (b a) c, a=2, b=3",
    "c h w -> h w c, c=3",
    "a b c -> c a b",
]
ENTRIES = [entry.build_at(s) for entry in pictures().values() for s in (1, 2, 3)]
CHAINS = [
    op("darknet_reorg").then(op("nchw_to_nhwc")),
    op("nhwc_to_nchw").then(op("darknet_reorg")).then(op("nchw_to_nhwc")),
    op("darknet_reorg").then(op("darknet_reorg")),
    Rearrangement("(a b) c -> (b a) c, a=2").then(Rearrangement("(a b) c -> (b a) c, a=3")),
]
OPS = [*ENTRIES, *map(Rearrangement, PATTERNS), *CHAINS]


@st.composite
def ops_and_items(draw, ops=OPS, largest=4000):
    """A rearrangement and the shape of one item that it takes."""
    chosen = draw(st.sampled_from(ops))
    fixed = dict(chosen.domain.fixed)
    divisors = [chosen.domain.divisor(axis) for axis in range(chosen.rank)]
    shape, left = [], largest
    for axis, divisor in enumerate(divisors):
        most = max(1, min(4, left // int(np.prod(divisors[axis:]))))
        shape.append(fixed.get(axis, divisor * draw(st.integers(1, most))))
        left //= max(1, shape[-1] // divisor)
    return chosen, tuple(shape)


def counting(shape):
    """An array of the numbers from 0 on."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape)


def apply_move(move, x):
    """The move, whose lengths are numbers, on an array."""
    x = x.reshape(move.view)
    if move.kind == "transpose":
        x = x.transpose(move.order)
    elif move.kind == "gather":
        x = x.take(move.indices, move.axis)
    elif move.kind == "flip":
        x = np.flip(x, move.flipped)
    elif move.axis == 3:
        x = _blocks(move, x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    else:
        x = _blocks(move, x)
    assert x.shape == move.written
    return x


def _blocks(move, x):
    s, crd = move.block, move.mode == "CRD"
    n, c, h, w = x.shape
    if move.kind == "space_to_depth":
        split = x.reshape(n, c, h // s, s, w // s, s)
        return split.transpose((0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)).reshape(n, -1, h // s, w // s)
    split = x.reshape((n, -1, s, s, h, w) if crd else (n, s, s, -1, h, w))
    return split.transpose((0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)).reshape(n, -1, h * s, w * s)


def apply_moves(moves, x):
    """Moves one after another, on all tensors where some cut the one into parts; they must be joined in the end."""
    parts = [x]
    for move in moves:
        viewed = [part.reshape(move.view) for part in parts]
        if move.kind in ("split", "slice"):
            ranges = [range(count) for _, count, _ in move.cuts]
            parts = [_part(part, move.cuts, places) for part in viewed for places in product(*ranges)]
        elif move.kind == "join":
            parts = [np.concatenate([viewed[number] for number in group], move.axis) for group in move.groups]
        else:
            parts = [apply_move(move, part) for part in viewed]
        assert all(part.shape == move.written for part in parts)
    (made,) = parts
    return made


def _part(x, cuts, places):
    """The part at these places: a block of an axis, or every so many-th of its positions."""
    for (axis, count, outer), place in zip(cuts, places, strict=True):
        length = x.shape[axis] // count
        x = x.take(range(place * length, (place + 1) * length) if outer else range(place, x.shape[axis], count), axis)
    return x


def apply_lowering(lowering, x):
    """All moves of a lowering in numbers, and the view at its end."""
    assert x.shape == lowering.in_shape
    for move in lowering.moves:
        x = apply_move(move, x)
    return x.reshape(lowering.result)
