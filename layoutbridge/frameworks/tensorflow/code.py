"""TensorFlow: a rearrangement as code to paste."""

from __future__ import annotations

from collections.abc import Sequence

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import Lowering, Move, Shape, lower, own_blocks
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import ONE, Size
from layoutbridge.algebra.spelling import Spelling, spelled
from layoutbridge.frameworks.source_text import (
    Bracketed,
    Lengths,
    call,
    docstring,
    fixed_lengths,
    function_name,
    function_text,
    laid_out,
    listed,
    views_between,
)
from layoutbridge.frameworks.tensorflow.data_formats import has_data_format, in_layout

_MOST_AXES = 8  # of a tensor that tf.reverse takes; digits are merged where there would be more


def write_code(op: Rearrangement, *, batch: bool, data_format: str = "channels_last") -> str:
    """A function of tensors, whose first length may be unknown when it is traced.

    `data_format` is what it is for the layer that `emit` makes: an op on images takes [N, H, W, C] unless it is
    "channels_first". `tf.nn.space_to_depth`, `tf.space_to_batch` and their inverses stand where they are the same map.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("space_to_depth"), batch=True).splitlines()[-1])
        return tf.nn.space_to_depth(x, 2)
    >>> print(write_code(op("space_to_batch"), batch=False).splitlines()[-1])
        return tf.space_to_batch(x, [2, 2], [[0, 0]] * 2)
    """
    held = in_layout(op, data_format, batched=batch)
    note = f", {data_format.replace('_', ' ')}" if has_data_format(op, batched=batch) else ""
    spelling = spelled(held, batch=batch)
    lengths = Lengths(spelling.axes, ["tf"])
    native = _native(held, batch)
    lowering = spelling.lowering
    if any(len(move.view) > _MOST_AXES for move in lowering.moves):
        lowering = lower(held, [None] * len(spelling.in_shape))
    steps = [native] if native is not None else _steps(lowering, lengths)
    *before, last = steps or ["x"]
    body = [line for step in before for line in laid_out("x = ", step)] + laid_out("return ", last)
    fixed = fixed_lengths(spelling, lengths)
    lines = [*docstring(op, note), *_unpacked(spelling, lengths, batch), *fixed, *body]
    name = function_name(op, ["tf"])
    return function_text(["import tensorflow as tf"], name, ["x: tf.Tensor"], "tf.Tensor", lines)


def _unpacked(spelling: Spelling, lengths: Lengths, batch: bool) -> list[str]:
    if not batch:
        return lengths.unpacked(spelling.in_shape)
    others = lengths.unpacked(spelling.in_shape, "x.shape[1:]", first=1)
    return [f"    {lengths.names[0]} = tf.shape(x)[0]", *others] if lengths.uses_any else []  # x.shape[0] may be None


def _steps(lowering: Lowering[Size], lengths: Lengths) -> list[Bracketed | str]:
    steps: list[Bracketed | str] = []
    for view, move in views_between(lowering):
        if view is not None:
            steps.append(call("tf.reshape", "x", listed(lengths.of(view))))
        if move is not None:
            steps.append(_moved(move))
    return steps


def _moved(move: Move[Size]) -> Bracketed:
    match move.kind:
        case "transpose":
            return call("tf.transpose", "x", listed(move.order))
        case "flip":
            return call("tf.reverse", "x", listed(axis - len(move.view) for axis in move.flipped))
        case _:
            return call("tf.gather", "x", listed(move.indices), f"axis={move.axis - len(move.view)}")


# ---------------------------------------------------------------------- TensorFlow's own ops


def _native(op: Rearrangement, batch: bool) -> Bracketed | None:
    lowering = lower(op, [None] * (op.rank + batch))
    if len(lowering.moves) != 1:
        return None
    blocks = own_blocks(lowering.moves[0], lowering.in_shape, lowering.result, axis=3)
    if blocks is not None:
        return call(f"tf.nn.{blocks.kind}", "x", str(blocks.block))
    if batch or len(op.result_shape) != op.rank:
        return None
    (step,) = op.steps
    sides = [_batch_blocks(step, op.in_shape, op.result_shape)]
    sides.append(_batch_blocks(step.inverse(), op.result_shape, op.in_shape))
    for function, sizes in zip(("space_to_batch", "batch_to_space"), sides, strict=True):
        if sizes:
            return call(f"tf.{function}", "x", listed(sizes), f"[[0, 0]] * {len(sizes)}")
    return None


def _batch_blocks(step: DigitStep, wide: Shape, deep: Shape) -> Sequence[int]:
    """The sizes of the blocks, an axis each, that a step moves in front of the first axis; nothing if it does not."""
    ratios = [before / after for before, after in zip(wide[1:], deep[1:], strict=True)]
    if not all(ratio.is_constant and ratio.coefficient.denominator == 1 for ratio in ratios):
        return ()
    sizes = [wide[0], *(size for pair in zip(deep[1:], ratios, strict=True) for size in pair)]
    within, rest = range(2, len(sizes), 2), range(1, len(sizes), 2)
    if DigitStep(tuple(sizes), (*within, 0, *rest)).normalized() != step:
        return ()
    while ratios and ratios[-1] == ONE:
        ratios.pop()
    return [int(ratio.coefficient) for ratio in ratios]
