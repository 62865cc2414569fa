"""The Keras layer that `emission` makes. Importing this module imports Keras and registers it.

A rearrangement runs here as few `tf.transpose` between free reshapes. Transposes of merged digits run at the speed
of a copy in TensorFlow, so native ops gain little: `tf.nn.space_to_depth` and `depth_to_space` are used where a layer
is exactly that (channels last) and has many channels. `benchmarks/bench_tensorflow_forms.py` measures it.

Known axis lengths are put into the algebra first. They often let steps merge: Darknet's reorg on channels-last
tensors takes three transposes, and one where H is known to be a multiple of stride².
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import keras
import tensorflow as tf

from layoutbridge.algebra.digits import DigitStep, common_refinement, reduce_chain
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Domain, Size, whole_conditions
from layoutbridge.errors import LayoutBridgeError, ShapeError
from layoutbridge.frameworks.tensorflow.data_formats import check_data_format
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.catalog import op as catalog_op

_TO_FIRST = Rearrangement("H W C -> C H W")
_TO_LAST = Rearrangement("C H W -> H W C")
_FEWEST_NATIVE_CHANNELS = 32  # with fewer, the native ops' loops over short runs lose to one transpose

Lengths = tuple[int | None, ...]  # an axis of unknown length is None


@keras.saving.register_keras_serializable(package="layoutbridge")
class Rearrange(keras.layers.Layer):
    """A rearrangement of tensors [N, ...] as a layer: no weights, any dtype, unknown lengths allowed.

    `rearrangement` is a `Rearrangement`, a pattern, or a list of patterns that follow one another. With
    `data_format="channels_last"` an image op, defined on [N, C, H, W], takes [N, H, W, C] and gives the same image
    that way round. The layout changes themselves, and whatever does not map three axes to three, take the tensor
    as it is. `operation` and `parameters` are the catalogue's name for it, for errors to quote. Raises
    `PatternError`, `ParameterError`, and `ShapeError` for a shape that does not fit, as far as its lengths are known.

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
        name: str | None = None,
        **options: Any,
    ) -> None:
        op = _as_rearrangement(rearrangement, operation, parameters or {})
        options["autocast"] = False  # a rearrangement gives back the dtype that it is given
        super().__init__(name=name or _free_name(op.name or "rearrangement"), **options)
        self.rearrangement = op
        self.data_format = data_format
        self._applied = in_layout(op, data_format)

    def get_config(self) -> dict[str, Any]:
        """Patterns, names and numbers, from which the constructor makes the same layer."""
        op = self.rearrangement
        own = {
            "rearrangement": op.pattern if len(op.steps) <= 1 else step_patterns(op),
            "operation": op.name,
            "parameters": dict(op.parameters),
            "data_format": self.data_format,
        }
        return {**super().get_config(), **own}

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Lengths:
        """The result's shape; unknown lengths stay None. Raises `ShapeError` for a shape that does not fit."""
        lengths = tuple(input_shape)
        refuse_misfit(self._applied, lengths)
        result = with_batch_axis(self._applied, self._applied.rank + 1).result_shape
        return tuple(_evaluated(size, lengths) for size in result)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """The result's shape and the input's own dtype, whatever the dtype policy."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    @tf.autograph.experimental.do_not_convert  # nothing here depends on values; conversion would only slow tracing
    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """The layer on a tensor or an array; a misfit is told before Keras adds its own paragraph to the error."""
        shape = getattr(inputs, "shape", None)
        if shape is not None:
            refuse_misfit(self._applied, _lengths(shape))
        return super().__call__(inputs, *args, **options)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: Any) -> Any:
        """The rearranged tensor, of the same dtype."""
        return rearrange(self._applied, inputs)


# ---------------------------------------------------------------------- the layout and the text of a rearrangement


def in_layout(op: Rearrangement, data_format: str) -> Rearrangement:
    """What `op` does to tensors held in `data_format`; raises `ParameterError` for a format there is not.

    >>> from layoutbridge.operations.catalog import op
    >>> in_layout(op("space_to_depth"), "channels_last").out_shape((4, 6, 3))
    (2, 3, 12)
    """
    check_data_format(data_format)
    if data_format == "channels_first" or not has_data_format(op):
        return op
    refusal = op._refusal
    conjugated = _TO_FIRST.then(op).then(_TO_LAST)
    if op.name is None:
        return conjugated
    told = None if refusal is None else (lambda item: refusal((item[2], item[0], item[1])))
    return conjugated.named(f"{op.name} on channels-last tensors", op.parameters, told)


def has_data_format(op: Rearrangement) -> bool:
    """Whether `op` maps images to images, so that channels may come first or last; layout changes do not."""
    return op.rank == 3 and len(op.result_shape) == 3 and op not in (_TO_FIRST, _TO_LAST)


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


def refuse_misfit(op: Rearrangement, lengths: Lengths) -> None:
    """Raise `ShapeError` where [N, ...] of these lengths cannot fit, as far as they are known; N may be 0."""
    item = lengths[1:]
    known = [length for length in item if length is not None]
    if len(lengths) != op.rank + 1:
        wanted = ", ".join(["N" if "N" not in op.axes else "batch", *op.axes])
        raise ShapeError(f"{op.label} takes {op.rank + 1} axes [{wanted}], and shape {lengths} has {len(lengths)}")
    if len(known) == len(item):
        op.out_shape(known)
        return
    refused = f"{op.label} does not take shape {lengths}"
    for axis, length in op.domain.fixed:
        if item[axis] not in (None, length):
            raise ShapeError(f"{refused}: {op.axes[axis]} = {item[axis]} must be {length}")
    for size in op.domain.whole:
        if all(item[axis] is not None for axis, _ in size.powers):
            value = size.evaluate([length or 0 for length in item])
            if value.denominator != 1:
                raise ShapeError(f"{refused}: {size.format(op.axes)} = {float(value):g} must be a whole number")


def _evaluated(size: Size, lengths: Lengths) -> int | None:
    if any(lengths[axis] is None for axis, _ in size.powers):
        return None
    return int(size.evaluate([length or 0 for length in lengths]))


# ---------------------------------------------------------------------- as TensorFlow's operations

View = tuple[int | Size, ...]  # lengths, at most one of them -1 (all the rest), or what the tensor's shape gives


@dataclass(frozen=True, slots=True)
class Move:
    """See the tensor as `view` (None: as it is), then transpose it by `order`, or apply a native op with `block`."""

    kind: str  # transpose, space_to_depth or depth_to_space
    view: View | None
    order: tuple[int, ...] = ()
    block: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Moves one after another, then a view as `result` (None: it has that shape already), of `out_lengths`."""

    moves: tuple[Move, ...]
    result: View | None
    out_lengths: Lengths


def rearrange(op: Rearrangement, x: tf.Tensor) -> tf.Tensor:
    """`op` on a tensor [N, ...]; raises `ShapeError` where its known lengths do not fit."""
    made = recipe(op, op.domain, _lengths(x.shape))
    y = x
    for move in made.moves:
        if move.view is not None:
            y = tf.reshape(y, _in_numbers(move.view, x))
        y = tf.transpose(y, move.order) if move.kind == "transpose" else getattr(tf.nn, move.kind)(y, move.block)
    if made.result is not None:
        y = tf.reshape(y, _in_numbers(made.result, x))
    if None in made.out_lengths:
        y.set_shape(made.out_lengths)  # computed shapes hide the lengths that are known
    return y


@lru_cache(maxsize=2048)
def recipe(op: Rearrangement, domain: Domain, lengths: Lengths) -> Recipe:
    """How to run `op` on tensors of these lengths. `domain` is its own: equal rearrangements may accept other shapes.

    >>> from layoutbridge.operations.catalog import op
    >>> reorg = in_layout(op("darknet_reorg"), "channels_last")
    >>> [len(recipe(reorg, reorg.domain, (None, h, 26, 64)).moves) for h in (26, 28)]
    [3, 1]
    """
    refuse_misfit(op, lengths)
    batched = with_batch_axis(op, op.rank + 1)
    known = {axis: Size.constant(length) for axis, length in enumerate(lengths) if length is not None and axis}
    in_shape, result = (tuple(size.substitute(known) for size in s) for s in (batched.in_shape, batched.result_shape))
    fixed = tuple((axis, int(size.coefficient)) for axis, size in sorted(known.items()))
    pinned = Domain(batched.rank, whole_conditions(s.substitute(known) for s in batched.domain.whole), fixed)
    steps = reduce_chain([step.map_sizes(known) for step in batched.steps], pinned)
    moves = [Move("transpose", _view(step.sizes, lengths), step.order) for step in steps]
    last = steps[-1].written_sizes if steps else in_shape
    native = _native(steps[0], in_shape, result) if len(steps) == 1 else None
    order = _axes_order(steps[0], in_shape, pinned) if len(steps) == 1 else None
    if native is not None:
        moves, last = [native], result
    elif order is not None:
        moves, last = [Move("transpose", None, order)], tuple(in_shape[axis] for axis in order)
    out_lengths = tuple(_evaluated(size, lengths) for size in batched.result_shape)
    return Recipe(tuple(moves), None if last == result else _view(result, lengths), out_lengths)


def _native(step: DigitStep, in_shape: tuple[Size, ...], result: tuple[Size, ...]) -> Move | None:
    """The native op on the tensor as it is, where the step swaps two digits around whole pixels of many channels."""
    if step.order != (0, 2, 1, 3) or len(in_shape) != 4 or len(result) != 4:
        return None
    _, outer, inner, run = step.sizes
    _, height, width, channels = in_shape
    if outer.is_constant and width == outer * inner and run == outer * channels and result[3] == outer * run:
        if result[1:3] != (height / outer, inner):
            return None
        kind, block, fewest = "space_to_depth", outer, channels
    elif inner.is_constant and width == outer and channels == inner * run and run == inner * result[3]:
        if result[1:3] != (height * inner, width * inner):
            return None
        kind, block, fewest = "depth_to_space", inner, result[3]
    else:
        return None
    if fewest.is_constant and fewest.coefficient < _FEWEST_NATIVE_CHANNELS:
        return None
    return Move(kind, None, block=int(block.coefficient))


def _axes_order(step: DigitStep, in_shape: tuple[Size, ...], domain: Domain) -> tuple[int, ...] | None:
    """The step as a transpose of the tensor's own axes, where it cuts none."""
    pieces = common_refinement(in_shape, step.sizes, domain)
    if pieces is None or pieces[1] != list(range(len(in_shape))):
        return None
    place = {source: target for target, source in enumerate(step.order)}
    return tuple(sorted(range(len(in_shape)), key=lambda axis: place[pieces[2][axis]]))


def _view(sizes: Sequence[Size], lengths: Lengths) -> View:
    """Lengths as far as they are known, and -1 for an unknown one: that which holds the batch, if there is one."""
    values: list[int | Size | None] = [_evaluated(size, lengths) for size in sizes]
    unknown = sorted(
        (k for k, value in enumerate(values) if value is None), key=lambda k: (0 not in dict(sizes[k].powers), k)
    )
    for k in unknown[1:]:
        values[k] = sizes[k]
    return tuple(-1 if value is None else value for value in values)


def _in_numbers(view: View, x: tf.Tensor) -> Any:
    """`view` for `tf.reshape`: a tuple of numbers, or a tensor computed from the shape of `x`."""
    if all(isinstance(length, int) for length in view):
        return view
    shape = tf.shape(x)

    def number(length: int | Size) -> Any:
        if isinstance(length, int):
            return length
        over, under = [length.coefficient.numerator], [length.coefficient.denominator]
        for axis, exponent in length.powers:
            (over if exponent > 0 else under).extend([shape[axis]] * abs(exponent))
        return prod(over) // prod(under)

    return tf.stack([number(length) for length in view])
