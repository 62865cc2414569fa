"""Which ONNX operators compute a rearrangement, chosen by what onnxruntime runs fastest.

Measured in onnxruntime 1.31.1 on the CPU (`benchmarks/bench_onnx_forms.py` repeats it):

- SpaceToDepth on a view is 3 to 8 times as fast as one Transpose of five axes. It has kernels for the dtypes in
  `NATIVE_DTYPES` only (float16 is cast to float32 and back), and beats two plain Transposes for floats alone.
- DepthToSpace is half as fast as two Transposes, so it is written only where it is the same map.
- A Transpose that moves one block of neighbouring axes past another runs at copying speed; other permutations of
  five axes take 2 to 8 times as long (single bytes 20 times). So a permutation is written as such block swaps, two
  of them for every space-to-depth, depth-to-space and Focus.
- Channels permuted by Gather need no Reshape behind it, which at a graph's output is a copy: twice as fast.
- Focus as SpaceToDepth and Gather equals s² Slices and a Concat at stride 2, and is 2.5 times as fast at 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import Lowering, Move, MoveKind, as_blocks, axis_order, lower, own_blocks, transpose
from layoutbridge.algebra.parts import block_swaps, swap_chain
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size, product
from layoutbridge.algebra.table import gather_table

OPERATORS: dict[MoveKind, str] = {
    "transpose": "Transpose",
    "space_to_depth": "SpaceToDepth",
    "depth_to_space": "DepthToSpace",
    "gather": "Gather",
    "flip": "Slice",
    "split": "Split",
    "slice": "Slice",
    "join": "Concat",
}
NATIVE_DTYPES = ("float32", "float64", "uint8", "int8")
_VIEWED_DTYPES = ("float32", "float64")  # where SpaceToDepth between two views beats two Transposes
SPACE_TO_DEPTH_MODE_OPSET = 28
MOST_GATHERED = 1 << 20  # positions, which lie in the model's file; beyond, Transposes need none
_FOCUS, _SPACE_TO_DEPTH = (0, 4, 2, 1, 3), (0, 2, 4, 1, 3)  # digits (a, x, p, w, q): the blocks' columns or rows first


@dataclass(frozen=True)
class Written:
    """What is to be written: `op` on tensors of `dtype` at an opset, with a batch axis in front where it is `batched`.

    `known` are the lengths of axes that are fixed. With `native` off, without SpaceToDepth and DepthToSpace.
    """

    op: Rearrangement
    known: Mapping[int, int]
    dtype: str
    opset: int
    native: bool = True
    batched: bool = True

    @property
    def has_blocks(self) -> bool:
        """Whether SpaceToDepth and DepthToSpace may stand, which have kernels for few dtypes."""
        return self.native and self.dtype in NATIVE_DTYPES

    @property
    def lengths(self) -> tuple[int | None, ...]:
        """The input's, None where one is open."""
        return tuple(self.known.get(axis) for axis in range(self.op.rank + self.batched))


def fastest_lowering(written: Written) -> Lowering[Size]:
    """How to write it for onnxruntime.

    >>> from layoutbridge.operations.catalog import op
    >>> [move.kind for move in fastest_lowering(Written(op("darknet_reorg"), {}, "float32", 17)).moves]
    ['space_to_depth']
    >>> [move.kind for move in fastest_lowering(Written(op("darknet_reorg"), {}, "int32", 17)).moves]
    ['transpose', 'transpose']
    >>> [move.kind for move in fastest_lowering(Written(op("focus"), {1: 3}, "float32", 17)).moves]
    ['space_to_depth', 'gather']
    """
    plain = lower(written.op, (None,) * len(written.lengths))
    sizes = {axis: Size.constant(length) for axis, length in written.known.items()}
    # of no dtype nothing but Transpose and Gather is taken
    dtype, opset = (written.dtype if written.native else ""), written.opset
    moves: tuple[Move[Size], ...] = ()
    for move in plain.moves:
        if move.kind != "transpose":
            moves += (move,)
            continue
        whole = _whole_map(plain, move, dtype, opset) if len(plain.moves) == 1 else None
        moves += (whole,) if whole is not None else _between_views(plain, move, sizes, dtype)
    chosen = Lowering(plain.in_shape, moves, plain.result, plain.domain)
    return chosen.map_lengths(lambda size: size.substitute(sizes))


def _whole_map(plain: Lowering[Size], move: Move[Size], dtype: str, opset: int) -> Move[Size] | None:
    """The one operator that is the whole map without any view around it, where there is one."""
    order = axis_order(move, plain.in_shape, plain.domain)
    if order is not None and tuple(plain.in_shape[axis] for axis in order) == plain.result:
        return Move("transpose", plain.in_shape, plain.result, order)
    blocks = own_blocks(move, plain.in_shape, plain.result) if dtype in NATIVE_DTYPES else None
    if blocks is None or blocks.kind == "depth_to_space" or opset >= SPACE_TO_DEPTH_MODE_OPSET:
        return blocks
    return replace(blocks, mode="") if blocks.mode == "DCR" else None


# ---------------------------------------------------------------------- operators between views


def _between_views(
    plain: Lowering[Size], move: Move[Size], known: dict[int, Size], dtype: str
) -> tuple[Move[Size], ...]:
    gather = _channel_gather(plain, move, known)
    if gather is not None:
        return (gather,)
    if dtype in _VIEWED_DTYPES:
        blocks = as_blocks(move)
        if blocks is not None and blocks.kind == "space_to_depth":
            return (blocks,)
        if move.order == _FOCUS:
            blocks = as_blocks(transpose(DigitStep(move.view, _SPACE_TO_DEPTH)))
            if blocks is not None and blocks.view[1].substitute(known).coefficient * blocks.block**2 <= MOST_GATHERED:
                return _focus(plain, blocks, known)
    swaps = swap_chain(move.order)
    return (move,) if swaps is None else block_swaps(move, swaps)


def _focus(plain: Lowering[Size], blocks: Move[Size], known: dict[int, Size]) -> tuple[Move[Size], ...]:
    """SpaceToDepth, then the blocks of channels in the other order."""
    s = Size.constant(blocks.block)
    if len(plain.in_shape) == 4 and blocks.view[0] == plain.in_shape[0]:
        batch, channels, height, width = plain.in_shape
        deep = (batch, channels * s * s, height / s, width / s)
        if plain.result == deep and channels.substitute(known).is_constant and blocks.view[3] == width:
            # with all channels in it, the Gather's result has the right shape already
            blocks = replace(blocks, view=plain.in_shape, written=deep)
    block, count = blocks.block, int(blocks.view[1].substitute(known).coefficient)
    turned = gather_table(((block, count), (block, block * count), (count, 1)))
    return blocks, Move("gather", blocks.written, blocks.written, indices=tuple(turned.tolist()))


def _channel_gather(plain: Lowering[Size], move: Move[Size], known: dict[int, Size]) -> Move[Size] | None:
    """A Gather where only positions on one axis of known length are permuted, and rows behind it stay whole."""
    shape, sizes = plain.in_shape, move.view
    if plain.result != shape or len(sizes) < 4:
        return None
    last = len(sizes) - 1
    if move.order[0] != 0 or move.order[last] != last:
        return None
    for axis in range(1, len(shape) - 1):
        before, behind = product(shape[:axis]), product(shape[axis + 1 :])
        inside = [size.substitute(known) for size in sizes[1:last]]
        if sizes[0] == before and sizes[last] == behind and all(size.is_constant for size in inside):
            lengths = [int(size.coefficient) for size in inside]
            if prod(lengths) > MOST_GATHERED:
                return None
            strides = [prod(lengths[k + 1 :]) for k in range(len(lengths))]
            digits = tuple((lengths[k - 1], strides[k - 1]) for k in move.order[1:last])
            return Move("gather", shape, shape, axis=axis, indices=tuple(gather_table(digits).tolist()))
    return None
