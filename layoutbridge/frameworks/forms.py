"""How a rearrangement can be computed: as a sequence of views and moves that every framework has.

Seen with its batch axis, a step of the algebra is one of three moves:

- `space_to_depth`: digits (a, x, p, w, q) written as (a, p, q, x, w) with p = q = block. Between two free views
  this is a framework's own space-to-depth or pixel-unshuffle of [a, 1, x·block, w·block] (with one channel all
  their modes agree). It covers space-to-depth in both orders, and Darknet's reorg.
- `depth_to_space`: the inverse of that, on [a, block², x, w].
- `transpose`: everything else, as reshape, transpose, reshape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Size

MoveKind = Literal["space_to_depth", "depth_to_space", "transpose"]


@dataclass(frozen=True, slots=True)
class Move:
    """One move on a contiguous tensor, between a view of its input and a view of its output.

    `view` is the shape to look at the input with; sizes are monomials in the lengths of the input's axes, axis 0
    being the batch. For `transpose`, `order` permutes the axes of `view`; the other kinds have `block` and act
    on a `view` of four axes as the framework's op does in NCHW.
    """

    kind: MoveKind
    view: tuple[Size, ...]
    order: tuple[int, ...] = ()
    block: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """`moves` one after another, then a view as `result`; sizes in terms of the whole input [N, ...]."""

    in_shape: tuple[Size, ...]
    moves: tuple[Move, ...]
    result: tuple[Size, ...]


def form_of(op: Rearrangement, *, native: bool = True) -> Form:
    """The form of `op` on a tensor with a batch axis in front; with `native` off, transposes alone.

    >>> from layoutbridge.operations.catalog import op
    >>> [move.kind for move in form_of(op("darknet_reorg")).moves]
    ['space_to_depth']
    >>> [move.kind for move in form_of(op("focus")).moves]
    ['transpose']
    """
    batched = with_batch_axis(op, op.rank + 1)
    moves = tuple(_move(step, native) for step in batched.steps)
    return Form(batched.in_shape, moves, batched.result_shape)


def _move(step: DigitStep, native: bool) -> Move:
    sizes = step.sizes
    if native and step.order == (0, 2, 4, 1, 3) and _block(sizes[2], sizes[4]):
        a, x, p, w, q = sizes
        return Move("space_to_depth", (a, Size.constant(1), x * p, w * q), block=int(p.coefficient))
    if native and step.order == (0, 3, 1, 4, 2) and _block(sizes[1], sizes[2]):
        a, p, q, x, w = sizes
        return Move("depth_to_space", (a, p * q, x, w), block=int(p.coefficient))
    return Move("transpose", sizes, step.order)


def _block(p: Size, q: Size) -> bool:
    return p == q and p.is_constant
