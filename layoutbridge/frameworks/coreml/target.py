"""The primitives in MIL, Core ML's intermediate language, through the builder of coremltools.

Operations are those of iOS 15 and macOS 12, the first in which outputs and weights are float32. A tensor has at most
five axes, the batch among them, whose length is known. Names that Core ML lets programs use are Python's, so a layer is
called as in `layer_27_reorg`. Definition: coremltools' "MIL Ops".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.moves import lower
from layoutbridge.algebra.parts import in_parts
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.coreml.start_up import load_coremltools
from layoutbridge.frameworks.primitives import (
    NO_PADDING,
    Function,
    LazyArray,
    Padding,
    Pair,
    Shape,
    copying_filters,
    dilated,
    transposed_lengths,
    windows,
)

MOST_AXES = 5
INPUT_NAME = "input"
_LEAST = -3.0e38  # float32's own, nearly: what pads a maximum
_OPERATIONS: dict[Function, tuple[str, dict[str, str]]] = {  # of MIL, and its numbers by those that are given
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "relu": ("relu", {}),
    "leaky_relu": ("leaky_relu", {"alpha": "slope"}),
    "elu": ("elu", {"alpha": "alpha"}),
    "clip": ("clip", {"alpha": "low", "beta": "high"}),
    "swish": ("silu", {}),
    "exp": ("exp", {}),
    "sqrt": ("sqrt", {}),
    "floor": ("floor", {}),
}


@dataclass(frozen=True, slots=True)
class CoremlValue:
    """A tensor of MIL: float32 [N, *shape], or [1, *shape] where it does not depend on the input."""

    var: Any
    shape: Shape
    batched: bool = True


class CoremlTarget:
    """Implements `layoutbridge.frameworks.primitives.Target`, for `batch` pictures at a time.

    Within `building()` operations may be added; `program(outputs)` makes what coremltools converts. `states` are the
    shapes of inputs beside the first, by their names.
    """

    def __init__(self, in_shape: Shape, batch: int, states: Mapping[str, Shape]) -> None:
        load_coremltools()
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import Function as MilFunction
        from coremltools.converters.mil.mil import types

        self.batch = batch
        self._add = Builder
        given = {INPUT_NAME: in_shape, **states}
        for name, shape in given.items():
            _refuse_rank(name, (batch, *shape))
        holders = {
            name: Builder.placeholder(shape=(batch, *shape), dtype=types.fp32, name=name)
            for name, shape in given.items()
        }
        self._function = MilFunction(holders, opset_version=opset())
        values = {name: CoremlValue(self._function.inputs[name], shape) for name, shape in given.items()}
        self.input = values.pop(INPUT_NAME)
        self.states = values
        self._scopes: list[str] = []
        self._viewed: dict[int, CoremlValue] = {}  # a view's tensor, whose name others have too: what it is a view of

    @contextmanager
    def building(self) -> Iterator[None]:
        """Within it, operations go into the function."""
        with self._function:
            yield

    def program(self, outputs: Mapping[str, CoremlValue]) -> Any:
        """The program that gives these outputs; call it within `building`."""
        from coremltools.converters.mil.mil import Program

        named = [self._add.identity(x=self._with_batch(value).var, name=name) for name, value in outputs.items()]
        self._function.set_outputs(named)
        program = Program()
        program.add_function("main", self._function)
        return program

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Within it, operations are called `layer_name_operation`."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    # ------------------------------------------------------------------ with weights

    def constant(self, array: LazyArray) -> CoremlValue:
        """const [1, *shape]."""
        value = np.ascontiguousarray(array.read()[None], np.float32)
        return CoremlValue(self._made("const", val=value).var, array.shape, batched=False)

    def conv2d(
        self,
        x: CoremlValue,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> CoremlValue:
        """conv."""
        size = (weights.shape[2], weights.shape[3])
        shape = (weights.shape[0], *windows(x.shape, dilated(size, dilation), stride, padding))
        return self._made(
            "conv", shape, x=self._with_batch(x).var, **_held(weights, bias), strides=list(stride),
            dilations=list(dilation), groups=groups, **_padded(padding),
        )  # fmt: skip

    def conv_transpose2d(
        self, x: CoremlValue, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> CoremlValue:
        """conv_transpose."""
        size = (weights.shape[2], weights.shape[3])
        shape = (weights.shape[1], *transposed_lengths(x.shape, size, stride, padding))
        return self._made(
            "conv_transpose", shape, x=self._with_batch(x).var, **_held(weights, bias), strides=list(stride),
            **_padded(padding),
        )  # fmt: skip

    def dense(self, x: CoremlValue, weights: LazyArray, bias: LazyArray | None = None) -> CoremlValue:
        """linear."""
        return self._made("linear", (weights.shape[0],), x=self._with_batch(x).var, **_held(weights, bias))

    def locally_connected(
        self, x: CoremlValue, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> CoremlValue:
        """The windows as columns, by a conv that copies; then one matrix a place."""
        channels, area, filters = x.shape[0], prod(size), bias.shape[0]
        rows, columns = windows(x.shape, size, stride, padding)
        places = rows * columns
        seen = self.conv2d(x, copying_filters(channels, size), stride=stride, padding=padding, groups=channels)
        turned = self.rearrange(self.reshape(seen, (channels * area, places)), Rearrangement("a b -> b a"))
        columns_at = self.reshape(turned, (places, channels * area, 1))
        matrices = self.constant(weights)
        product = self._made("matmul", (places, filters, 1), x=matrices.var, y=columns_at.var)
        back = self.rearrange(self.reshape(product, (places, filters)), Rearrangement("a b -> b a"))
        return self.add(self.reshape(back, bias.shape), self.constant(bias))

    def batch_norm(
        self,
        x: CoremlValue,
        scales: LazyArray,
        biases: LazyArray,
        means: LazyArray,
        variances: LazyArray,
        *,
        epsilon: float,
    ) -> CoremlValue:
        """batch_norm, of a picture."""
        picture = x if len(x.shape) == 3 else self.reshape(x, (x.shape[0], prod(x.shape[1:]), 1))
        made = self._made(
            "batch_norm", picture.shape, x=self._with_batch(picture).var, mean=_values(means),
            variance=_values(variances), gamma=_values(scales), beta=_values(biases), epsilon=np.float32(epsilon),
        )  # fmt: skip
        return self.reshape(made, x.shape)

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: CoremlValue, *, size: Pair, stride: Pair, padding: Padding) -> CoremlValue:
        """max_pool; padding as wide as the window is by a pad of its own."""
        if max(padding[0], padding[2]) >= size[0] or max(padding[1], padding[3]) >= size[1]:
            x, padding = self._pad_with(_LEAST, x, (0, *padding[:2]), (0, *padding[2:])), NO_PADDING
        return self._pooled("max_pool", x, size, stride, padding)

    def average_pool(self, x: CoremlValue, *, size: Pair, stride: Pair, padding: Padding) -> CoremlValue:
        """avg_pool without its padding."""
        return self._pooled("avg_pool", x, size, stride, padding, exclude_padding_from_average=True)

    def global_average(self, x: CoremlValue) -> CoremlValue:
        """reduce_mean."""
        return self._made("reduce_mean", (x.shape[0], 1, 1), x=x.var, axes=[2, 3], keep_dims=True)

    def upsample(self, x: CoremlValue, factor: int) -> CoremlValue:
        """upsample_nearest_neighbor."""
        channels, rows, columns = x.shape
        return self._made(
            "upsample_nearest_neighbor", (channels, rows * factor, columns * factor), x=self._with_batch(x).var,
            scale_factor_height=factor, scale_factor_width=factor,
        )  # fmt: skip

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[CoremlValue], axis: int = 0) -> CoremlValue:
        """concat."""
        if len(values) == 1:
            return values[0]
        first, length = values[0].shape, sum(value.shape[axis] for value in values)
        shape = (*first[:axis], length, *first[axis + 1 :])
        return self._made("concat", shape, values=[self._with_batch(value).var for value in values], axis=axis + 1)

    def split(self, x: CoremlValue, sizes: Sequence[int], axis: int = 0) -> list[CoremlValue]:
        """split."""
        if len(sizes) == 1:
            return [x]
        made = self._added("split", x=self._with_batch(x).var, split_sizes=list(sizes), axis=axis + 1)
        shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
        return [CoremlValue(var, shape) for var, shape in zip(made, shapes, strict=True)]

    def slice(
        self, x: CoremlValue, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None
    ) -> CoremlValue:
        """slice_by_index."""
        steps = list(steps or (1,) * len(x.shape))
        stops = [min(stop, length) for stop, length in zip(stops, x.shape, strict=True)]
        if [*starts] == [0] * len(steps) and stops == [*x.shape] and set(steps) == {1}:
            return x
        shape = tuple(len(range(*each)) for each in zip(starts, stops, steps, strict=True))
        x = self._with_batch(x)
        return self._made(
            "slice_by_index", shape, x=x.var, begin=[0, *starts], end=[self.batch, *stops], stride=[1, *steps]
        )

    def pad(self, x: CoremlValue, before: Sequence[int], after: Sequence[int]) -> CoremlValue:
        """pad with zeros."""
        return self._pad_with(0.0, x, before, after) if any(before) or any(after) else x

    def reshape(self, x: CoremlValue, shape: Shape) -> CoremlValue:
        """reshape; a view of a view is one view."""
        x = self._viewed.get(id(x.var), x)
        if shape == x.shape:
            return x
        lead = self.batch if x.batched else 1
        _refuse_rank(self._where(), (lead, *shape))
        made = replace(self._made("reshape", shape, x=x.var, shape=[lead, *shape]), batched=x.batched)
        self._viewed[id(made.var)] = x
        return made

    def rearrange(self, x: CoremlValue, operation: Rearrangement) -> CoremlValue:
        """Transposes of views with five axes at most; reverse and gather for what is read in another order."""
        result = operation.out_shape(x.shape)
        x = self._with_batch(x)
        lowering = lower(operation, (self.batch, *x.shape))
        var = x.var
        for whole in lowering.moves:
            for part in in_parts(whole, MOST_AXES) if whole.kind == "transpose" else [whole]:
                move = part.map_lengths(lambda size: int(size.coefficient))
                _refuse_rank(self._where(), move.view)
                if tuple(var.shape) != move.view:
                    var = self._added("reshape", x=var, shape=list(move.view))
                if move.kind == "transpose":
                    var = self._added("transpose", x=var, perm=list(move.order))
                elif move.kind == "flip":
                    var = self._added("reverse", x=var, axes=list(move.flipped))
                else:
                    var = self._added("gather", x=var, indices=np.array(move.indices, np.int32), axis=move.axis)
        if tuple(var.shape) != (self.batch, *result):
            _refuse_rank(self._where(), (self.batch, *result))
            var = self._added("reshape", x=var, shape=[self.batch, *result])
        return CoremlValue(var, result)

    # ------------------------------------------------------------------ numbers

    def activation(self, x: CoremlValue, function: Function, **numbers: float) -> CoremlValue:
        """MIL's own operation, or a few."""
        if function == "mish":
            softplus = self._made("softplus", x.shape, x=x.var)
            return self.multiply(x, self.activation(softplus, "tanh"))
        if function == "selu":
            return self.multiply(self.activation(x, "elu", alpha=numbers["alpha"]), numbers["gamma"])
        if function == "step":
            return self._like(x, "cast", x=self._added("greater", x=x.var, y=np.float32(0)), dtype="fp32")
        operation, given = _OPERATIONS[function]
        return self._like(x, operation, x=x.var, **{key: np.float32(numbers[name]) for key, name in given.items()})

    def add(self, a: CoremlValue, b: CoremlValue | float) -> CoremlValue:
        """add."""
        return self._binary("add", a, b)

    def multiply(self, a: CoremlValue, b: CoremlValue | float) -> CoremlValue:
        """mul."""
        return self._binary("mul", a, b)

    def divide(self, a: CoremlValue, b: CoremlValue | float) -> CoremlValue:
        """real_div."""
        return self._binary("real_div", a, b)

    def maximum(self, a: CoremlValue, b: CoremlValue) -> CoremlValue:
        """maximum."""
        return self._binary("maximum", a, b)

    def power(self, x: CoremlValue, exponent: float) -> CoremlValue:
        """pow."""
        return self._binary("pow", x, exponent)

    def softmax(self, x: CoremlValue, axis: int) -> CoremlValue:
        """softmax."""
        return self._like(x, "softmax", x=x.var, axis=axis + 1)

    def reduce_sum(self, x: CoremlValue, axis: int) -> CoremlValue:
        """reduce_sum."""
        return self._reduced("reduce_sum", x, axis)

    def reduce_max(self, x: CoremlValue, axis: int) -> CoremlValue:
        """reduce_max."""
        return self._reduced("reduce_max", x, axis)

    # ------------------------------------------------------------------ sequences

    def unstacked(self, x: CoremlValue, steps: int) -> list[CoremlValue]:
        """The one step: Core ML's networks here are one step, with their states."""
        if steps > 1:
            raise UnsupportedError("Core ML's networks are one step of a sequence here, with their states")
        return [x]

    def stacked(self, values: Sequence[CoremlValue]) -> CoremlValue:
        """The one step."""
        (only,) = values
        return only

    def own_recurrence(self, *_: object) -> None:
        """None: MIL's layers go over whole sequences."""

    # ------------------------------------------------------------------ parts

    def _where(self) -> str:
        return "_".join(["layer", *self._scopes]) if self._scopes else "network"

    def _added(self, operation: str, /, **given: Any) -> Any:
        return getattr(self._add, operation)(**given, name=f"{self._where()}_{operation}")

    def _made(self, operation: str, shape: Shape = (), /, **given: Any) -> CoremlValue:
        return CoremlValue(self._added(operation, **given), shape)

    def _like(self, x: CoremlValue, operation: str, /, **given: Any) -> CoremlValue:
        return replace(x, var=self._added(operation, **given))

    def _binary(self, operation: str, a: CoremlValue, b: CoremlValue | float) -> CoremlValue:
        if not isinstance(b, CoremlValue):
            return self._like(a, operation, x=a.var, y=np.float32(b))
        shape = tuple(max(pair) for pair in zip(a.shape, b.shape, strict=True))
        return CoremlValue(self._added(operation, x=a.var, y=b.var), shape, a.batched or b.batched)

    def _reduced(self, operation: str, x: CoremlValue, axis: int) -> CoremlValue:
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return replace(self._like(x, operation, x=x.var, axes=[axis + 1], keep_dims=True), shape=shape)

    def _pooled(
        self, operation: str, x: CoremlValue, size: Pair, stride: Pair, padding: Padding, **more: bool
    ) -> CoremlValue:
        shape = (x.shape[0], *windows(x.shape, size, stride, padding))
        return self._made(
            operation, shape, x=self._with_batch(x).var, kernel_sizes=list(size), strides=list(stride),
            **_padded(padding), **more,
        )  # fmt: skip

    def _pad_with(self, value: float, x: CoremlValue, before: Sequence[int], after: Sequence[int]) -> CoremlValue:
        sides = [side for pair in zip((0, *before), (0, *after), strict=True) for side in pair]
        shape = tuple(a + length + b for a, length, b in zip(before, x.shape, after, strict=True))
        made = self._added("pad", x=self._with_batch(x).var, pad=sides, mode="constant", constant_val=np.float32(value))
        return CoremlValue(made, shape)

    def _with_batch(self, x: CoremlValue) -> CoremlValue:
        """x with the input's batch: a constant is repeated."""
        if x.batched or self.batch == 1:
            return replace(x, batched=True)
        return self._made("tile", x.shape, x=x.var, reps=[self.batch, *(1 for _ in x.shape)])


def opset() -> Any:
    """The first of Core ML's versions that has all of this."""
    return load_coremltools().target.iOS15


def _refuse_rank(where: str, shape: Sequence[int]) -> None:
    if len(shape) > MOST_AXES:
        raise UnsupportedError(
            f"{where}: Core ML's tensors have at most {MOST_AXES} axes with the batch, and {list(shape)} is needed"
        )


def _values(array: LazyArray) -> NDArray[np.float32]:
    return np.ascontiguousarray(array.read(), np.float32)


def _held(weights: LazyArray, bias: LazyArray | None) -> dict[str, NDArray[np.float32]]:
    return {"weight": _values(weights)} | ({} if bias is None else {"bias": _values(bias)})


def _padded(padding: Padding) -> dict[str, Any]:
    top, left, bottom, right = padding
    return {"pad_type": "custom", "pad": [top, bottom, left, right]} if any(padding) else {"pad_type": "valid"}
