"""The Keras layer that `emission` makes. Importing this module imports Keras and registers it.

A rearrangement runs here as few `tf.transpose` between free reshapes. Transposes of merged digits run at the speed
of a copy in TensorFlow, so native ops gain little: `tf.nn.space_to_depth` and `depth_to_space` are used where a layer
is exactly that (channels last) and has many channels. `benchmarks/bench_tensorflow_forms.py` measures it.

Known axis lengths are put into the algebra first. They often let steps merge: Darknet's reorg on channels-last
tensors takes three transposes, and one where H is known to be a multiple of stride².
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from layoutbridge.algebra.fitting import Lengths
from layoutbridge.algebra.moves import Lowering, Move, axis_order, lower, own_blocks
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.errors import LayoutBridgeError, ShapeError
from layoutbridge.frameworks import batch as batches
from layoutbridge.frameworks.tensorflow.data_formats import in_layout
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.catalog import op as catalog_op

_FEWEST_NATIVE_CHANNELS = 32  # with fewer, the native ops' loops over short runs lose to one transpose

View = tuple[int | Size, ...]  # lengths that are known, and those that the tensor's shape gives


@keras.saving.register_keras_serializable(package="layoutbridge")
class Rearrange(keras.layers.Layer):
    """A rearrangement of tensors [N, ...] as a layer: no weights, any dtype, unknown lengths allowed.

    `rearrangement` is a `Rearrangement`, a pattern, or a list of patterns that follow one another. With `batch` off its
    pattern names every axis of the tensor, Keras' batch axis being the first; with None either will do. With
    `data_format="channels_last"` an image op, defined on [N, C, H, W], takes [N, H, W, C] and gives the same image
    that way round; everything else takes the tensor as it is (see `data_formats`). `operation` and `parameters` are the
    catalogue's name for it, for errors to quote. Raises `PatternError`, `ParameterError`, and `ShapeError` for a shape
    that does not fit, as far as its lengths are known.

    >>> layer = Rearrange("c (h p) (w q) -> (c p q) h w, p=2, q=2")
    >>> layer.compute_output_shape((None, 26, None, 3))
    (None, 13, None, 12)
    >>> layer(tf.zeros([1, 4, 6, 3], tf.uint8)).shape
    TensorShape([1, 2, 3, 12])
    """

    def __init__(
        self,
        rearrangement: Rearrangement | str | Sequence[str],
        *,
        operation: str | None = None,
        parameters: Mapping[str, int] | None = None,
        data_format: str = "channels_last",
        batch: bool | None = True,
        name: str | None = None,
        **options: Any,
    ) -> None:
        op = _as_rearrangement(rearrangement, operation, parameters or {})
        batches.check_batch(batch)
        options["autocast"] = False  # a rearrangement gives back the dtype that it is given
        super().__init__(name=name or _free_name(op.name or "rearrangement"), **options)
        self.rearrangement = op
        self.data_format = data_format
        self.batch = batch
        # what `batch` rules out is never asked for, and takes a while to work out
        self._behind_batch = op if batch is False else in_layout(op, data_format)
        self._alone = op if batch is True else in_layout(op, data_format, batched=False)

    def get_config(self) -> dict[str, Any]:
        """Patterns, names and numbers, from which the constructor makes the same layer."""
        op = self.rearrangement
        own = {
            "rearrangement": op.pattern if len(op.steps) <= 1 else step_patterns(op),
            "operation": op.name,
            "parameters": dict(op.parameters),
            "data_format": self.data_format,
            "batch": self.batch,
        }
        return {**super().get_config(), **own}

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Lengths:
        """The result's shape; unknown lengths stay None. Raises `ShapeError` for a shape that does not fit."""
        lengths = tuple(input_shape)
        result = with_batch_axis(self._applied(lengths), len(lengths)).result_shape
        return _known_lengths(tuple(_evaluated(size, lengths) for size in result))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """The result's shape and the input's own dtype, whatever the dtype policy."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    @tf.autograph.experimental.do_not_convert  # nothing here depends on values; conversion would only slow tracing
    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """The layer on a tensor or an array; a misfit is told before Keras adds its own paragraph to the error."""
        shape = getattr(inputs, "shape", None)
        if shape is not None:
            self._applied(_lengths(shape))
        return super().__call__(inputs, *args, **options)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any) -> Any:
        """The rearranged tensor, of the same dtype."""
        return rearrange(self._applied(_lengths(inputs.shape)), inputs)

    def _applied(self, lengths: Lengths) -> Rearrangement:
        """What is done to a tensor of these lengths; raises `ShapeError` where it cannot be one."""
        alone = self.batch is False or (self.batch is None and len(lengths) == self.rearrangement.rank)
        op = self._alone if alone else self._behind_batch
        batches.refuse_misfit(op, lengths, self.batch, may_be_empty=() if alone else (0,))
        return op


# ---------------------------------------------------------------------- the text of a rearrangement


def step_patterns(op: Rearrangement) -> list[str]:
    """A pattern for each step of `op`; one after another, by `then`, they are `op` again."""
    shapes = [*[op.in_shape] * (len(op.steps) - 1), op.result_shape]
    parts = [
        Rearrangement._from_parts(op.axes, op.in_shape, shape, [step], op.domain)
        for shape, step in zip(shapes, op.steps, strict=True)
    ]
    return [part.pattern for part in parts]


def _as_rearrangement(
    given: Rearrangement | str | Sequence[str], operation: str | None, parameters: Mapping[str, int]
) -> Rearrangement:
    if isinstance(given, Rearrangement):
        return given
    patterns = [given] if isinstance(given, str) else list(given)
    op = Rearrangement(patterns[0])
    for pattern in patterns[1:]:
        op = op.then(Rearrangement(pattern))
    if operation is None:
        return op
    if operation in catalog():
        try:
            known = catalog_op(operation, **parameters)
        except LayoutBridgeError:  # an entry of this name that takes other parameters today
            return op.named(operation, tuple(parameters.items()))
        if known == op:
            return known
    return op.named(operation, tuple(parameters.items()))


def _free_name(base: str) -> str:
    """`base`, then `base_1`, `base_2`, ..., as Keras numbers its own layers: names in a model differ."""
    number = keras.backend.get_uid(base) - 1
    return f"{base}_{number}" if number else base


# ---------------------------------------------------------------------- shapes that are known in part


def _lengths(shape: Any) -> Lengths:
    if getattr(shape, "rank", 0) is None:
        raise ShapeError("the number of axes is unknown: give the tensor a shape first, with None for unknown lengths")
    return tuple(shape)


def _evaluated(size: Size, lengths: Lengths) -> int | Size:
    """Its number, or the size itself where the lengths do not tell."""
    if any(lengths[axis] is None for axis, _ in size.powers):
        return size
    return int(size.evaluate([length or 0 for length in lengths]))


def _known_lengths(view: View) -> Lengths:
    return tuple(length if isinstance(length, int) else None for length in view)


# ---------------------------------------------------------------------- as TensorFlow's operations


def rearrange(op: Rearrangement, x: tf.Tensor) -> tf.Tensor:
    """`op` on a tensor [N, ...], or on one of its own axes alone, of lengths that fit as far as they are known."""
    lowering = fastest_lowering(op, op.domain, _lengths(x.shape))
    y, shape = x, lowering.in_shape
    for move in lowering.moves:
        if move.view != shape:
            y = tf.reshape(y, _in_numbers(move.view, x))
        y = _applied(move, y)
        shape = move.written
    if lowering.result != shape:
        y = tf.reshape(y, _in_numbers(lowering.result, x))
    known = _known_lengths(lowering.result)
    if None in known:
        y.set_shape(known)  # computed shapes hide the lengths that are known
    return y


def _applied(move: Move[int | Size], y: tf.Tensor) -> tf.Tensor:
    match move.kind:
        case "transpose":
            return tf.transpose(y, np.array(move.order, np.int32))
        case "gather":
            return tf.gather(y, move.indices, axis=move.axis)
        case "flip":
            return tf.reverse(y, move.flipped)
        case _:
            return getattr(tf.nn, move.kind)(y, move.block)


@lru_cache(maxsize=2048)
def fastest_lowering(op: Rearrangement, domain: Domain, lengths: Lengths) -> Lowering[int | Size]:
    """How to run `op` on tensors of these lengths. `domain` is its own: equal rearrangements may accept other shapes.

    >>> from layoutbridge.operations.catalog import op
    >>> reorg = in_layout(op("darknet_reorg"), "channels_last")
    >>> [len(fastest_lowering(reorg, reorg.domain, (None, h, 26, 64)).moves) for h in (26, 28)]
    [3, 1]
    """
    lowering = lower(op, (None, *lengths[1:]) if len(lengths) > op.rank else lengths)  # no step depends on a batch
    if len(lowering.moves) == 1 and lowering.moves[0].kind == "transpose":
        lowering = replace(lowering, moves=(_whole_map(lowering) or lowering.moves[0],))
    return lowering.map_lengths(lambda size: _evaluated(size, lengths))


def _whole_map(lowering: Lowering[Size]) -> Move[Size] | None:
    """The native op, or a transpose of its own axes, on the tensor as it is; None where the move is neither."""
    (move,) = lowering.moves
    in_shape, result = lowering.in_shape, lowering.result
    blocks = own_blocks(move, in_shape, result, axis=3)
    if blocks is not None:
        channels = (in_shape if blocks.kind == "space_to_depth" else result)[3]
        if not channels.is_constant or channels.coefficient >= _FEWEST_NATIVE_CHANNELS:
            return blocks
    order = axis_order(move, in_shape, lowering.domain)
    if order is None:
        return None
    return Move("transpose", in_shape, tuple(in_shape[axis] for axis in order), order)


def with_inferred(view: View) -> View:
    """The view with -1 for an unknown length: that which holds the batch, if there is one.

    So the batch is never multiplied out, and what is computed stays far below 2^31.
    """
    unknown = [(0 not in dict(length.powers), k) for k, length in enumerate(view) if isinstance(length, Size)]
    if not unknown:
        return view
    _, inferred = min(unknown)
    return tuple(-1 if k == inferred else length for k, length in enumerate(view))


def _in_numbers(view: View, x: tf.Tensor) -> Any:
    """`view` for `tf.reshape`: numbers, or a tensor computed from the shape of `x`."""
    target = with_inferred(view)
    numbers = [length for length in target if isinstance(length, int)]
    if len(numbers) == len(target):
        return np.array(numbers, np.int32 if max(numbers, default=0) < 2**31 else np.int64)  # sooner read than a tuple
    shape = tf.shape(x)

    def number(length: int | Size) -> Any:
        if isinstance(length, int):
            return length
        over, under = [length.coefficient.numerator], [length.coefficient.denominator]
        for axis, exponent in length.powers:
            (over if exponent > 0 else under).extend([shape[axis]] * abs(exponent))
        return prod(over) // prod(under)

    return tf.stack([number(length) for length in target])
