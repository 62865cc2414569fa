"""Layers that Keras lacks and some Darknet networks need. Importing this module imports Keras and registers them.

All are registered under the package `layoutbridge`, hold their settings in their config, and run on tensors with
channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from math import prod
from types import MethodType
from typing import Any

import keras
import tensorflow as tf

from layoutbridge.frameworks.primitives import Padding, Pair

_LEAST = float(tf.float32.min)
_registered = partial(keras.saving.register_keras_serializable, package="layoutbridge")


@tf.custom_gradient
def _step(x: Any) -> Any:
    """1 where x > 0, else 0; its gradient is that of x/2 within −1 and 1, with which Darknet trains signs."""
    return tf.math.ceil(tf.clip_by_value(x, 0.0, 1.0)), lambda above: tf.where(tf.abs(x) < 1, above / 2, 0.0)


_FUNCTIONS = {"sqrt": tf.sqrt, "floor": tf.floor, "step": _step, "divide": tf.divide, "power": tf.pow}
_REDUCTIONS = {"sum": tf.reduce_sum, "max": tf.reduce_max}


@_registered()
class Parameter(keras.layers.Layer):
    """An array of weights as a tensor; the input only tells the batch, for which `repeated` repeats it."""

    def __init__(self, shape: Sequence[int], repeated: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.array_shape = tuple(shape)
        self.repeated = repeated
        self.array_initializer: Any = "zeros"

    def build(self, _: Sequence[int | None]) -> None:
        """Make the variable."""
        initializer = keras.initializers.get(self.array_initializer)
        self.array = self.add_weight(shape=self.array_shape, initializer=initializer, name="array")

    def call(self, inputs: Any) -> Any:
        """The array, [N, ...] where it is repeated."""
        array = tf.convert_to_tensor(self.array)
        if not self.repeated:
            return array
        return tf.broadcast_to(array, [tf.shape(inputs)[0], *self.array_shape])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The array's shape, behind the batch where it is repeated."""
        return (input_shape[0], *self.array_shape) if self.repeated else self.array_shape

    def get_config(self) -> dict[str, Any]:
        """Shape, and whether it is repeated."""
        return {**super().get_config(), "shape": self.array_shape, "repeated": self.repeated}


@_registered()
class Arithmetic(keras.layers.Layer):
    """One function of each element: sqrt, floor, step, power (to `number`), or divide (the first of two inputs)."""

    def __init__(self, function: str, number: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.function, self.number = function, number

    def call(self, inputs: Any) -> Any:
        """The function's values."""
        function = _FUNCTIONS[self.function]
        if self.function == "divide":
            return function(inputs[0], inputs[1])
        return function(inputs) if self.number is None else function(inputs, self.number)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input; of two, the first, which is not repeated."""
        return input_shape[0] if self.function == "divide" else input_shape

    def get_config(self) -> dict[str, Any]:
        """The function and its number."""
        return {**super().get_config(), "function": self.function, "number": self.number}


@_registered()
class Reduction(keras.layers.Layer):
    """The sum or the maximum ("sum", "max") along one axis of [N, ...], which stays with length 1."""

    def __init__(self, function: str, axis: int, **options: Any) -> None:
        super().__init__(**options)
        self.function, self.axis = function, axis

    def call(self, inputs: Any) -> Any:
        """The sums, or the largest values."""
        return _REDUCTIONS[self.function](inputs, self.axis, keepdims=True)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """That of the input with a length of 1."""
        return (*input_shape[: self.axis], 1, *input_shape[self.axis + 1 :])

    def get_config(self) -> dict[str, Any]:
        """The function and the axis."""
        return {**super().get_config(), "function": self.function, "axis": self.axis}


@_registered()
class StepsAsBatch(keras.layers.Layer):
    """Sequences [N, T, ...] as a batch [N·T, ...]."""

    def call(self, inputs: Any) -> Any:
        """The steps of each sequence, one behind another."""
        return tf.reshape(inputs, [-1, *inputs.shape[2:]])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Both lengths multiplied, where both are known."""
        batch, steps, *rest = input_shape
        return (None if batch is None or steps is None else batch * steps, *rest)


@_registered()
class BatchAsSteps(keras.layers.Layer):
    """A batch [N·T, ...] as sequences [N, T, ...] of `steps` T."""

    def __init__(self, steps: int, **options: Any) -> None:
        super().__init__(**options)
        self.steps = steps

    def call(self, inputs: Any) -> Any:
        """The sequences."""
        return tf.reshape(inputs, [-1, self.steps, *inputs.shape[1:]])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The batch divided."""
        batch, *rest = input_shape
        return (None if batch is None else batch // self.steps, self.steps, *rest)

    def get_config(self) -> dict[str, Any]:
        """The steps."""
        return {**super().get_config(), "steps": self.steps}


@_registered()
class OneStep(keras.layers.Layer):
    """Step `number` of sequences [N, T, ...], a batch [N, ...]."""

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(**options)
        self.number = number

    def call(self, inputs: Any) -> Any:
        """The step."""
        return inputs[:, self.number]

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """That of the input without its second axis."""
        return (input_shape[0], *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        """Which step."""
        return {**super().get_config(), "number": self.number}


@_registered()
class StackedSteps(keras.layers.Layer):
    """Batches [N, ...], a step each, as sequences [N, T, ...]."""

    def call(self, inputs: Any) -> Any:
        """The sequences."""
        return tf.stack(inputs, axis=1)

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        """That of a step, with an axis for the steps."""
        batch, *rest = input_shape[0]
        return (batch, len(input_shape), *rest)


@_registered()
class GivenFilters2D(keras.layers.Layer):
    """A convolution of pictures [N, H, W, C] with what other layers hold.

    That are filters [F, C/groups, rows, columns], and biases [F] where there are some.
    """

    def __init__(self, strides: Pair, padding: str, dilation_rate: Pair, **options: Any) -> None:
        super().__init__(**options)
        self.strides, self.padding, self.dilation_rate = tuple(strides), padding, tuple(dilation_rate)

    def call(self, inputs: Any) -> Any:
        """The pictures [N, H, W, F]."""
        pictures, filters, *biases = inputs
        kernel = tf.transpose(filters, (2, 3, 1, 0))
        made = keras.ops.conv(pictures, kernel, self.strides, self.padding, "channels_last", self.dilation_rate)
        return made + biases[0] if biases else made

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        """That of a convolution."""
        pictures, filters = input_shape[:2]
        rows, columns = (self._count(pictures[k + 1], filters[k + 2], k) for k in (0, 1))
        return pictures[0], rows, columns, filters[0]

    def _count(self, length: int | None, size: int | None, axis: int) -> int | None:
        if length is None or size is None:
            return None
        reach = 0 if self.padding == "same" else self.dilation_rate[axis] * (size - 1)
        return (length - reach - 1) // self.strides[axis] + 1

    def get_config(self) -> dict[str, Any]:
        """Strides, padding and dilation."""
        own = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        return {**super().get_config(), **own}


@_registered()
class LeastPadding2D(keras.layers.Layer):
    """Pads rows and columns with the least float, which no maximum takes; `padding` is top, left, bottom, right."""

    def __init__(self, padding: Padding, **options: Any) -> None:
        super().__init__(**options)
        self.padding = tuple(padding)

    def call(self, inputs: Any) -> Any:
        """The padded pictures [N, H, W, C]."""
        top, left, bottom, right = self.padding
        return tf.pad(inputs, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=_LEAST)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The sides added."""
        batch, rows, columns, channels = input_shape
        top, left, bottom, right = self.padding
        return batch, _plus(rows, top + bottom), _plus(columns, left + right), channels

    def get_config(self) -> dict[str, Any]:
        """The padding."""
        return {**super().get_config(), "padding": self.padding}


@_registered()
class LocallyConnected2D(keras.layers.Layer):
    """A convolution with its own filters at every place: kernel [H·W, rows·columns·C, filters], bias [H, W, filters].

    H and W are those of the output; `padding` is top, left, bottom, right.
    """

    def __init__(self, filters: int, size: Pair, strides: Pair, padding: Padding, **options: Any) -> None:
        super().__init__(**options)
        self.filters, self.size, self.strides, self.padding = filters, tuple(size), tuple(strides), tuple(padding)
        self.kernel_initializer: Any = "glorot_uniform"
        self.bias_initializer: Any = "zeros"

    def build(self, input_shape: Sequence[int]) -> None:
        """Make the kernel and the bias."""
        _, rows, columns, _ = self.compute_output_shape(input_shape)
        seen = prod(self.size) * input_shape[3]
        get = keras.initializers.get
        self.kernel = self.add_weight(
            shape=(rows * columns, seen, self.filters), initializer=get(self.kernel_initializer), name="kernel"
        )
        self.bias = self.add_weight(
            shape=(rows, columns, self.filters), initializer=get(self.bias_initializer), name="bias"
        )

    def call(self, inputs: Any) -> Any:
        """[N, H, W, filters] of [N, H', W', C]: each place's window as a row, times the place's matrix."""
        top, left, bottom, right = self.padding
        padded = tf.pad(inputs, [[0, 0], [top, bottom], [left, right], [0, 0]])
        _, rows, columns, _ = self.compute_output_shape(inputs.shape)
        down, across = self.strides
        windows = [
            padded[:, r : r + (rows - 1) * down + 1 : down, c : c + (columns - 1) * across + 1 : across]
            for r, c in product(*map(range, self.size))
        ]
        seen = tf.reshape(tf.concat(windows, -1), [-1, rows * columns, 1, self.kernel.shape[1]])
        made = tf.matmul(seen, tf.convert_to_tensor(self.kernel))
        return tf.reshape(made, [-1, rows, columns, self.filters]) + self.bias

    def compute_output_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """One place for each window inside the padded picture."""
        top, left, bottom, right = self.padding
        rows = (input_shape[1] + top + bottom - self.size[0]) // self.strides[0] + 1
        columns = (input_shape[2] + left + right - self.size[1]) // self.strides[1] + 1
        return input_shape[0], rows, columns, self.filters

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        own = {"filters": self.filters, "size": self.size, "strides": self.strides, "padding": self.padding}
        return {**super().get_config(), **own}


LAYERS = (
    Parameter,
    Arithmetic,
    Reduction,
    StepsAsBatch,
    BatchAsSteps,
    OneStep,
    StackedSteps,
    GivenFilters2D,
    LeastPadding2D,
    LocallyConnected2D,
)


# ---------------------------------------------------------------------- Keras' own layers


class Given(keras.initializers.Initializer):
    """Hands out the tensor that `make()` returns. It stays in no config: see `given`."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The tensor, which must have `shape`."""
        made = self.make()
        if tuple(made.shape) != tuple(shape):
            raise AssertionError(f"the layer wants {tuple(shape)} and is given {tuple(made.shape)}")
        return tf.cast(made, dtype)


def given(layer: keras.Layer, inputs: Any, arrays: dict[str, Any], **call: Any) -> Any:
    """`layer(inputs)`, built with the tensors that `arrays` makes for its initializers' names.

    So no random numbers are made and thrown away; the layer's own initializers stand in its config afterwards.
    """
    before = {name: getattr(layer, name) for name in arrays}
    for name, make in arrays.items():
        setattr(layer, name, Given(make))
    result = layer(inputs, **call)
    for name, initializer in before.items():
        setattr(layer, name, initializer)
    return result


def fix_statistics(layer: keras.layers.BatchNormalization) -> None:
    """Let `layer` normalise with its means and variances, and keep them, in training too.

    Calling it with `training=False` does not do that: `fit` and `model(x, training=True)` override it. A class of
    ours would, and every file would need it: the layer stays Keras' own, with a method of its own.
    """
    layer.call = MethodType(_call_with_its_statistics, layer)


def _call_with_its_statistics(
    layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """What `layer` does in inference, whatever `training` says."""
    return type(layer).call(layer, inputs, training=False, mask=mask)


def fix_called_statistics(model: keras.Model) -> None:
    """`fix_statistics` of all batch norm in a functional `model` that is called with `training=False`."""
    for entry in model.get_config().get("layers", ()):
        calls = [node.get("kwargs", {}).get("training") for node in entry.get("inbound_nodes", ())]
        if entry["class_name"] == "BatchNormalization" and calls and all(call is False for call in calls):
            fix_statistics(model.get_layer(entry["config"]["name"]))


def _plus(length: int | None, more: int) -> int | None:
    return None if length is None else length + more
