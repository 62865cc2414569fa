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
from functools import lru_cache
from math import prod
from typing import Literal

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import ONE, Size, product
from layoutbridge.algebra.table import gather_table

Operator = Literal["SpaceToDepth", "DepthToSpace", "Transpose", "Gather"]
Mode = Literal["", "DCR", "CRD"]
Shape = tuple[Size, ...]
NATIVE_DTYPES = ("float32", "float64", "uint8", "int8")
_VIEWED_DTYPES = ("float32", "float64")  # where SpaceToDepth between two views beats two Transposes
SPACE_TO_DEPTH_MODE_OPSET = 28
_LONGEST_CHAIN = 3
_MOST_DIGITS = 6  # of a permutation that is cut into block swaps; 720 orders at most


@dataclass(frozen=True, slots=True)
class Stage:
    """One operator: it takes the tensor as `view` and gives it as `written`.

    `numbers` is the Transpose's perm or the Gather's indices on `axis`; SpaceToDepth and DepthToSpace have `block`.
    """

    operator: Operator
    view: Shape
    written: Shape
    numbers: tuple[int, ...] = ()
    axis: int = 1
    block: int = 0
    mode: Mode = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`stages` one after another on a tensor of `in_shape`, then a view as `result`. Sizes in lengths of input axes."""

    axes: tuple[str, ...]
    in_shape: Shape
    stages: tuple[Stage, ...]
    result: Shape
    divisors: tuple[int, ...]  # what the length of each input axis must be a multiple of


def plan(op: Rearrangement, known: Mapping[int, int], dtype: str, opset: int, native: bool = True) -> Plan:
    """How to write `op` on a tensor with a batch axis in front; `known` are the lengths of axes that are fixed.

    With `native` off, without SpaceToDepth and DepthToSpace.

    >>> from layoutbridge.operations.catalog import op
    >>> [stage.operator for stage in plan(op("darknet_reorg"), {}, "float32", 17).stages]
    ['SpaceToDepth']
    >>> [stage.operator for stage in plan(op("darknet_reorg"), {}, "int32", 17).stages]
    ['Transpose', 'Transpose']
    >>> [stage.operator for stage in plan(op("focus"), {1: 3}, "float32", 17).stages]
    ['SpaceToDepth', 'Gather']
    """
    whole = with_batch_axis(op, op.rank + 1)
    sizes = {axis: Size.constant(length) for axis, length in known.items()}
    if not native:
        dtype = ""  # one that nothing but Transpose and Gather takes
    stages: tuple[Stage, ...] = ()
    for step in whole.steps:
        alone = len(whole.steps) == 1
        stages += (alone and _same_map(whole, step, dtype, opset)) or _fastest(whole, step, sizes, dtype)
    fixed = tuple(_substituted(stage, sizes) for stage in stages)
    divisors = tuple(whole.domain.divisor(axis) for axis in range(whole.rank))
    return Plan(whole.axes, _known(whole.in_shape, sizes), fixed, _known(whole.result_shape, sizes), divisors)


# ---------------------------------------------------------------------- operators that are the map themselves


def _same_map(op: Rearrangement, step: DigitStep, dtype: str, opset: int) -> tuple[Stage, ...]:
    """The one operator that is `op` without any view around it, or nothing."""
    perm = _axis_order(op)
    if perm is not None and DigitStep(op.in_shape, perm).normalized() == step:
        return (Stage("Transpose", op.in_shape, op.result_shape, perm),)
    if op.rank != 4 or dtype not in NATIVE_DTYPES:
        return ()
    batch, channels, height, width = op.in_shape
    block = _block(step, "space_to_depth")
    if block is not None and op.result_shape == _space_to_depth_shape(op.in_shape, block):
        outer, rows, row = step.sizes[0], step.sizes[1] * block, step.sizes[3] * block
        if (outer, rows, row) == (batch, channels * height, width):
            mode: Mode = "DCR" if opset >= SPACE_TO_DEPTH_MODE_OPSET else ""
            return (_native("SpaceToDepth", op.in_shape, block, mode),)
        if (outer, rows, row) == (batch * channels, height, width) and opset >= SPACE_TO_DEPTH_MODE_OPSET:
            return (_native("SpaceToDepth", op.in_shape, block, "CRD"),)
    block = _block(step, "depth_to_space")
    if block is not None and op.result_shape == _depth_to_space_shape(op.in_shape, block):
        outer, rows, row = step.sizes[0], step.sizes[3], step.sizes[4]
        fewer = channels / (block * block)
        if (outer, rows, row) == (batch, fewer * height, width):
            return (_native("DepthToSpace", op.in_shape, block, "DCR"),)
        if (outer, rows, row) == (batch * fewer, height, width):
            return (_native("DepthToSpace", op.in_shape, block, "CRD"),)
    return ()


def _axis_order(op: Rearrangement) -> tuple[int, ...] | None:
    """For each axis of the result the input axis that it is, where the result only reorders them."""
    axes = tuple(size.single_axis for size in op.result_shape)
    if sorted(axis for axis in axes if axis is not None) != list(range(op.rank)):
        return None
    order = tuple(axis for axis in axes if axis is not None)
    return order if tuple(op.in_shape[axis] for axis in order) == op.result_shape else None


def _block(step: DigitStep, family: Literal["space_to_depth", "depth_to_space", "focus"]) -> Size | None:
    """The block size s where the step's digits are those of `family`: all cut [.., x·s, w·s] into s × s blocks."""
    orders = {"space_to_depth": (0, 2, 4, 1, 3), "depth_to_space": (0, 3, 1, 4, 2), "focus": (0, 4, 2, 1, 3)}
    if step.order != orders[family]:
        return None
    p, q = (step.sizes[1], step.sizes[2]) if family == "depth_to_space" else (step.sizes[2], step.sizes[4])
    return p if p == q and p.is_constant else None


def _native(operator: Operator, view: Shape, block: Size, mode: Mode) -> Stage:
    written = _space_to_depth_shape(view, block) if operator == "SpaceToDepth" else _depth_to_space_shape(view, block)
    return Stage(operator, view, written, block=int(block.coefficient), mode=mode)


def _space_to_depth_shape(view: Shape, block: Size) -> Shape:
    return (view[0], view[1] * block * block, view[2] / block, view[3] / block)


def _depth_to_space_shape(view: Shape, block: Size) -> Shape:
    return (view[0], view[1] / (block * block), view[2] * block, view[3] * block)


# ---------------------------------------------------------------------- operators between views


def _fastest(op: Rearrangement, step: DigitStep, known: dict[int, Size], dtype: str) -> tuple[Stage, ...]:
    gather = _channel_gather(op, step, known)
    if gather is not None:
        return (gather,)
    if dtype in _VIEWED_DTYPES:
        block = _block(step, "space_to_depth")
        if block is not None:
            return (_native("SpaceToDepth", _one_channel(step, block), block, ""),)
        block = _block(step, "focus")
        if block is not None:
            return _focus(op, step, block, known)
    return _block_swaps(step)


def _one_channel(step: DigitStep, block: Size) -> Shape:
    return (step.sizes[0], ONE, step.sizes[1] * block, step.sizes[3] * block)


def _focus(op: Rearrangement, step: DigitStep, block: Size, known: dict[int, Size]) -> tuple[Stage, ...]:
    """SpaceToDepth, then the blocks of channels in the other order."""
    view = _one_channel(step, block)
    if op.rank == 4 and op.result_shape == _space_to_depth_shape(op.in_shape, block) and view[0] == op.in_shape[0]:
        whole_channels = op.in_shape[1].substitute(known)
        if whole_channels.is_constant and view[3] == op.in_shape[3]:
            view = op.in_shape  # with all channels in it, the Gather's result has the right shape already
    first = _native("SpaceToDepth", view, block, "")
    s, channels = int(block.coefficient), int(view[1].substitute(known).coefficient)
    turned = gather_table(((s, channels), (s, s * channels), (channels, 1)))
    return first, Stage("Gather", first.written, first.written, tuple(turned.tolist()))


def _channel_gather(op: Rearrangement, step: DigitStep, known: dict[int, Size]) -> Stage | None:
    """A Gather where only positions on one axis of known length are permuted, and rows behind it stay whole."""
    if op.result_shape != op.in_shape or len(step.sizes) < 4:
        return None
    last = len(step.sizes) - 1
    if step.order[0] != 0 or step.order[last] != last:
        return None
    for axis in range(1, op.rank - 1):
        before, behind = product(op.in_shape[:axis]), product(op.in_shape[axis + 1 :])
        inside = [size.substitute(known) for size in step.sizes[1:last]]
        if step.sizes[0] == before and step.sizes[last] == behind and all(size.is_constant for size in inside):
            lengths = [int(size.coefficient) for size in inside]
            strides = [prod(lengths[k + 1 :]) for k in range(len(lengths))]
            digits = tuple((lengths[k - 1], strides[k - 1]) for k in step.order[1:last])
            return Stage("Gather", op.in_shape, op.in_shape, tuple(gather_table(digits).tolist()), axis)
    return None


def _block_swaps(step: DigitStep) -> tuple[Stage, ...]:
    """The step as Transposes that each move one block of digits past the next, or as one Transpose."""
    swaps = swap_chain(step.order)
    if swaps is None:
        return (Stage("Transpose", step.sizes, step.written_sizes, step.order),)
    stages = []
    digits = step.sizes
    for start, middle, end in swaps:
        blocks = (digits[start:middle], digits[middle:end], digits[end:])
        # the digits in front stay apart: more axes that a Reshape can copy, and no other speed
        view = digits[:start] + tuple(product(block) for block in blocks if block)
        behind = range(start + 2, len(view))
        perm = (*range(start), start + 1, start, *behind)
        stages.append(Stage("Transpose", view, tuple(view[axis] for axis in perm), perm))
        digits = digits[:start] + digits[middle:end] + digits[start:middle] + digits[end:]
    return tuple(stages)


@lru_cache(maxsize=256)
def swap_chain(order: tuple[int, ...]) -> tuple[tuple[int, int, int], ...] | None:
    """The fewest swaps (start, middle, end) of neighbouring blocks that make `order`.

    None where that takes so many that one Transpose does as well. Of chains that are equally short, the one that
    keeps long rows together: rows behind a swap are copied whole, and a swap that reaches the last digit runs best
    with few digits in front of it.

    >>> swap_chain((0, 2, 4, 1, 3))
    ((1, 2, 3), (2, 4, 5))
    """
    count = len(order)
    if count > _MOST_DIGITS:
        return None
    best: dict[tuple[int, ...], tuple[int, tuple[tuple[int, int, int], ...]]] = {tuple(range(count)): (0, ())}
    for _ in range(_LONGEST_CHAIN):
        reached: dict[tuple[int, ...], tuple[int, tuple[tuple[int, int, int], ...]]] = {}
        for digits, (cost, chain) in best.items():
            for start in range(count - 1):
                for middle in range(start + 1, count):
                    for end in range(middle + 1, count + 1):
                        swapped = digits[:start] + digits[middle:end] + digits[start:middle] + digits[end:]
                        total = cost + (start if end == count else 2 * (end - count))
                        if swapped not in reached or total < reached[swapped][0]:
                            reached[swapped] = total, (*chain, (start, middle, end))
        if order in reached:
            return reached[order][1]
        best = reached
    return None


# ---------------------------------------------------------------------- lengths that are known


def _known(shape: Shape, known: dict[int, Size]) -> Shape:
    return tuple(size.substitute(known) for size in shape)


def _substituted(stage: Stage, known: dict[int, Size]) -> Stage:
    return replace(stage, view=_known(stage.view, known), written=_known(stage.written, known))
