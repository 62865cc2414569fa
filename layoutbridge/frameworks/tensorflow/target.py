"""The primitives in Keras 3: each makes the layers that a Keras user would write, in the functional way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import ceil, prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.frameworks.primitives import (
    NO_PADDING,
    Function,
    LazyArray,
    Padding,
    Pair,
    Shape,
    dilated,
    transposed_lengths,
    windows,
)
from layoutbridge.frameworks.tensorflow import layout as layouts
from layoutbridge.frameworks.tensorflow.derived import Derived
from layoutbridge.frameworks.tensorflow.layers import (
    Arithmetic,
    GivenFilters2D,
    LeastPadding2D,
    LocallyConnected2D,
    Reduction,
    fix_statistics,
)
from layoutbridge.frameworks.tensorflow.network.windows import padding_mode, shares_inside, taking_every
from layoutbridge.frameworks.tensorflow.network.winograd import COSTS, Winograd2D
from layoutbridge.frameworks.tensorflow.values import LAST, Held, KerasGraph, KerasValue, along_one_axis, spread
from layoutbridge.frameworks.winograd import Tile, chosen_tile, extra_bytes

_NAMED = {"sigmoid": "sigmoid", "tanh": "tanh", "swish": "silu", "mish": "mish", "exp": "exponential"}
_PARTS = {"sigmoid": "logistic", "leaky_relu": "leaky"}


class KerasTarget(KerasGraph):
    """Implements `layoutbridge.frameworks.primitives.Target`; `input` is the model's, in `data_format`.

    With `winograd` on, convolutions are written so where that pays, or those within the outermost scopes that are its
    keys, in such tiles; of a known batch alone, and for no .keras file. `in_winograd` holds them: the scope and the
    weights, with the tile and the bytes beyond the small ones'. Of the others one that sums more than `longest_sum`
    products for each output is several, of fewer channels each, added.

    >>> target = KerasTarget((8, 4, 4))
    >>> target.upsample(target.input, 2).tensor.shape
    (None, 8, 8, 8)
    """

    def __init__(
        self,
        in_shape: Shape,
        data_format: str = "channels_last",
        batch: int | None = None,
        steps: int | None = None,
        *,
        longest_sum: int | None = None,
        winograd: bool | Mapping[str, Tile] = False,
    ) -> None:
        super().__init__(in_shape, data_format, batch, steps)
        self.longest_sum, self.winograd = longest_sum, winograd
        self.pictures = (batch or 1) * (steps or 1)
        self.in_winograd: dict[tuple[str, str], tuple[Tile, int]] = {}

    # ------------------------------------------------------------------ with weights

    def constant(self, array: LazyArray) -> KerasValue:
        """Numbers that the next layer takes into its settings; what can be trained becomes a layer."""
        if not isinstance(array, Held):
            return KerasValue(array.shape, array=array)
        if array.tensor is not None:
            return KerasValue(array.shape, self.viewed(keras.ops.expand_dims(array.tensor, 0), array.shape))
        return self.present(KerasValue(array.shape, array=array))

    def conv2d(
        self,
        x: KerasValue,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> KerasValue:
        """Conv2D, or DepthwiseConv2D with one channel a group; ZeroPadding2D before it where it is not "same".

        Where it is asked for Winograd2D of `network.winograd`.
        """
        channels, size = weights.shape[1], (weights.shape[2], weights.shape[3])
        shape = (weights.shape[0], *windows(x.shape, dilated(size, dilation), stride, padding))
        tile = chosen_tile(self.winograd, self.outermost, weights.shape, shape, COSTS, self.pictures)
        if stride == dilation == (1, 1) and groups == 1 and tile is not None:
            self.in_winograd[self.outermost, weights.name] = tile, extra_bytes(weights.shape, tile)
            key = (Winograd2D, weights.name, bias and bias.name, padding, tile)
            if key not in self.shared:
                self.shared[key] = Winograd2D(weights, bias, padding, tile, name=self.name())
            return self.as_picture(shape, self.apply(self.shared[key], self.picture(x)))
        convolved = partial(self._convolved, stride=stride, padding=padding, dilation=dilation, groups=groups)
        parts = 1 if self.longest_sum is None or groups > 1 else ceil(prod(weights.shape[1:]) / self.longest_sum)
        parts = min(parts, channels)
        if parts == 1:
            return convolved(x, weights, bias)
        cuts = [channels * k // parts for k in range(parts + 1)]
        given = self.split(x, [stop - start for start, stop in pairwise(cuts)])
        total = convolved(given[0], weights.within(cuts[0], cuts[1]), bias)
        for part, start, stop in zip(given[1:], cuts[1:], cuts[2:], strict=False):
            total = self.add(total, convolved(part, weights.within(start, stop), None))
        return total

    def _convolved(
        self,
        x: KerasValue,
        weights: LazyArray,
        bias: LazyArray | None,
        *,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> KerasValue:
        """One convolution, directly."""
        filters, own, *size = weights.shape
        reach = dilated((size[0], size[1]), dilation)
        rows, columns = windows(x.shape, reach, stride, padding)
        strides, taken = stride, (1, 1)
        if stride != (1, 1) and dilation != (1, 1):  # Keras has no such layer: every place, then some of them
            strides, taken = (1, 1), stride
        tensor, mode = self.padded(x, reach, stride, padding, same_allowed=taken == (1, 1))
        config: dict[str, Any] = {
            "kernel_size": tuple(size),
            "strides": strides,
            "padding": mode,
            "dilation_rate": dilation,
            "use_bias": bias is not None,
        }
        if isinstance(weights, Held) and weights.tensor is not None:
            layer = GivenFilters2D(strides, mode, dilation, name=self.name())
            held = [self.tensor_of(array) for array in (weights, bias) if array is not None]
            return self._taken((filters, rows, columns), self.apply(layer, tensor, *held), taken)
        if groups == x.shape[0] > 1 and own == 1 and strides[0] == strides[1]:
            kind, parts = keras.layers.DepthwiseConv2D, (groups, filters // groups, *size)
            config["depth_multiplier"] = filters // groups
            kernel, order = "depthwise_initializer", (2, 3, 0, 1)
        else:
            kind, parts = keras.layers.Conv2D, weights.shape
            config |= {"filters": filters, "groups": groups}
            kernel, order = "kernel_initializer", (2, 3, 1, 0)
        arrays = {kernel: lambda: tf.transpose(weights.read().reshape(parts), order)}
        return self._taken((filters, rows, columns), self._weighted(kind, tensor, config, weights, bias, arrays), taken)

    def conv_transpose2d(
        self, x: KerasValue, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> KerasValue:
        """Conv2DTranspose, then Cropping2D."""
        _, filters, *size = weights.shape
        config = {
            "filters": filters,
            "kernel_size": tuple(size),
            "strides": stride,
            "padding": "valid",
            "use_bias": bias is not None,
        }
        arrays = {"kernel_initializer": lambda: tf.transpose(weights.read(), (2, 3, 1, 0))}
        made = self._weighted(keras.layers.Conv2DTranspose, self.picture(x), config, weights, bias, arrays)
        lengths = transposed_lengths(x.shape, (size[0], size[1]), stride, padding)
        after = [made.shape[axis + 1] - padding[axis] - lengths[axis] for axis in (0, 1)]  # Keras may add some
        sides = ((padding[0], after[0]), (padding[1], after[1]))
        if any(map(any, sides)):
            made = self.apply(keras.layers.Cropping2D(sides, "channels_last", name=self.name("cut")), made)
        return self.as_picture((filters, *lengths), made)

    def dense(self, x: KerasValue, weights: LazyArray, bias: LazyArray | None = None) -> KerasValue:
        """Dense; its weights are permuted where the input lies in another order."""
        x = self.present(x)
        outputs, inputs = weights.shape
        flat = self.viewed(x.tensor, (inputs,))
        arrays = {"kernel_initializer": lambda: tf.transpose(layouts.in_memory_order(weights.read(), x.layout, 1))}
        config = {"units": outputs, "use_bias": bias is not None, "order": x.layout}
        return KerasValue((outputs,), self._weighted(keras.layers.Dense, flat, config, weights, bias, arrays))

    def locally_connected(
        self, x: KerasValue, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> KerasValue:
        """LocallyConnected2D of `frameworks.tensorflow.layers`."""
        tensor = self.picture(x)
        places, filters, _ = weights.shape

        def kernel() -> Any:
            parts = tf.reshape(weights.read(), (places, filters, x.shape[0], prod(size)))
            return tf.reshape(tf.transpose(parts, (0, 3, 2, 1)), (places, -1, filters))

        arrays = {
            "kernel_initializer": kernel,
            "bias_initializer": lambda: tf.transpose(bias.read(), LAST),
        }
        trained = isinstance(weights, Held)
        layer = LocallyConnected2D(filters, size, stride, padding, trainable=trained, name=self.name())
        return self.as_picture(bias.shape, self.apply(layer, tensor, arrays=arrays))

    def batch_norm(
        self,
        x: KerasValue,
        scales: LazyArray,
        biases: LazyArray,
        means: LazyArray,
        variances: LazyArray,
        *,
        epsilon: float,
    ) -> KerasValue:
        """BatchNormalization with fixed statistics; of parameters that another layer holds what it computes."""
        if isinstance(scales, Held) and scales.tensor is not None:
            held = (Derived(self.tensor_of(array), array.read()) for array in (scales, biases, means, variances))
            scale, bias, mean, variance = (each.reshape(-1, *(1 for _ in x.shape[1:])) for each in held)
            factor = scale / np.sqrt(variance + epsilon)
            scaled = self.multiply(x, self.constant(factor.held("factor")))
            return self.add(scaled, self.constant((bias - factor * mean).held("shift")))
        x, view = self.along(x, 0)
        tensor, position = self.seen(x, view)
        key = ("batch_norm", scales.name, position, epsilon)
        if key not in self.shared:
            part = "batch_norm" if self.where in self._names else ""
            trained, name = isinstance(scales, Held), self.name(part)
            layer = keras.layers.BatchNormalization(axis=position, epsilon=epsilon, trainable=trained, name=name)
            fix_statistics(layer)
            self.shared[key] = layer
        arrays = {
            "gamma_initializer": scales.read,
            "beta_initializer": biases.read,
            "moving_mean_initializer": means.read,
            "moving_variance_initializer": variances.read,
        }
        return replace(x, tensor=self.apply(self.shared[key], tensor, arrays=arrays, training=False))

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: KerasValue, *, size: Pair, stride: Pair, padding: Padding) -> KerasValue:
        """MaxPooling2D; padding that is not "same" is the least float."""
        mode = padding_mode(x.shape, size, stride, padding)
        shape = (x.shape[0], *windows(x.shape, size, stride, padding))
        tensor = self.picture(x)
        if mode is None:
            tensor = self.apply(LeastPadding2D(padding, name=self.name("pad")), tensor)
        layer = keras.layers.MaxPooling2D(size, stride, mode or "valid", "channels_last", name=self.name("pool"))
        return self.as_picture(shape, self.apply(layer, tensor))

    def average_pool(self, x: KerasValue, *, size: Pair, stride: Pair, padding: Padding) -> KerasValue:
        """AveragePooling2D; where the padding is not "same", of zeros around, divided by the share that lies inside."""
        mode = padding_mode(x.shape, size, stride, padding)
        shape = (x.shape[0], *windows(x.shape, size, stride, padding))
        tensor = self.picture(x) if mode else self.padded(x, size, stride, padding, same_allowed=False)[0]
        layer = keras.layers.AveragePooling2D(size, stride, mode or "valid", "channels_last", name=self.name("pool"))
        pooled = self.as_picture(shape, self.apply(layer, tensor))
        if mode is not None:
            return pooled
        shares = shares_inside(x.shape, shape, size, stride, padding)
        return self.multiply(pooled, self.constant(LazyArray.of(f"{self.where}/shares", 1 / shares)))

    def global_average(self, x: KerasValue) -> KerasValue:
        """GlobalAveragePooling2D."""
        layer = keras.layers.GlobalAveragePooling2D("channels_last", keepdims=True, name=self.name("mean"))
        return self.as_picture((x.shape[0], 1, 1), self.apply(layer, self.picture(x)))

    def upsample(self, x: KerasValue, factor: int) -> KerasValue:
        """UpSampling2D."""
        layer = keras.layers.UpSampling2D(factor, "channels_last", name=self.name("repeated"))
        shape = (x.shape[0], x.shape[1] * factor, x.shape[2] * factor)
        return self.as_picture(shape, self.apply(layer, self.picture(x)))

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[KerasValue], axis: int = 0) -> KerasValue:
        """Concatenate, in the layout of the first value, where all can be held so."""
        if len(values) == 1:
            return values[0]
        values = [self.present(value) for value in values]
        length = sum(value.shape[axis] for value in values)
        seen = [layouts.view_along(value.shape, value.layout, axis) for value in values]
        alike = {
            layouts.layout_with_length(value.shape, value.layout, axis, length) if view is not None else None
            for value, view in zip(values, seen, strict=True)
        }
        if None in alike or len(alike) > 1 or (len({(v.before, v.after) for v in seen if v}) > 1):
            values = [self.in_own_layout(value) for value in values]
        views = [self.along(value, axis)[1] for value in values]
        tensors, positions = zip(*map(self.seen, values, views), strict=True)
        dimensions = {(*t.shape[:p], *t.shape[p + 1 :]) for t, p in zip(tensors, positions, strict=True)}
        position = positions[0]
        if len(set(positions)) > 1 or len(dimensions) > 1:
            tensors, position = tuple(self.viewed(t, tuple(v)) for t, v in zip(tensors, views, strict=True)), 2
        layer = keras.layers.Concatenate(axis=position, name=self.name("joined"))
        return self.with_axis(values[0], self.apply(layer, *tensors), axis, length)

    def split(self, x: KerasValue, sizes: Sequence[int], axis: int = 0) -> list[KerasValue]:
        """Cropping2D, once for each part."""
        if len(sizes) == 1:
            return [x]
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        return [self.part(x, axis, start, start + size) for start, size in zip(starts, sizes, strict=True)]

    def slice(
        self, x: KerasValue, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None
    ) -> KerasValue:
        """Cropping2D for each axis that loses something; steps by pooling windows of one place."""
        for axis, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            x = self.part(x, axis, start, stop)
        for axis, step in enumerate(steps or ()):
            if step > 1 and x.shape[axis] > 1:
                x, view = self.along(x, axis)
                layer = taking_every((1, step), self.name("strided"))
                tensor = self.apply(layer, self.viewed(x.tensor, tuple(view)))
                x = self.with_axis(x, tensor, axis, ceil(x.shape[axis] / step))
        return x

    def pad(self, x: KerasValue, before: Sequence[int], after: Sequence[int]) -> KerasValue:
        """ZeroPadding2D for each axis that gets something."""
        for axis, sides in enumerate(zip(before, after, strict=True)):
            if any(sides):
                x, tensor, position = self.four_axes(x, axis)
                layer = along_one_axis(keras.layers.ZeroPadding2D, position, sides, self.name("pad"))
                x = self.with_axis(x, self.apply(layer, tensor), axis, sides[0] + x.shape[axis] + sides[1])
        return x

    def reshape(self, x: KerasValue, shape: Shape) -> KerasValue:
        """Nothing: how the tensor lies stays as it is."""
        return replace(self.present(x), shape=shape)

    def rearrange(self, x: KerasValue, operation: Rearrangement) -> KerasValue:
        """Put off, until something needs the elements moved; at once where digits do not say how they lie then."""
        x = self.present(x)
        shape = operation.out_shape(x.shape)
        steps = layouts.steps_at(operation, x.shape)
        layout = layouts.layout_after(x.layout, steps)
        if layout is not None:
            return KerasValue(shape, x.tensor, layout, origin=self.where)
        wanted = layouts.axes_in_order(shape, LAST) if len(shape) == 3 else ()
        dimensions = (*shape[1:], shape[0]) if len(shape) == 3 else shape
        through = layouts.steps_through(x.layout, steps, wanted)
        return KerasValue(shape, self.moved_by(x.tensor, through, dimensions, "permuted"), wanted)

    # ------------------------------------------------------------------ numbers

    def activation(self, x: KerasValue, function: Function, **numbers: float) -> KerasValue:
        """Keras' own layer; of sqrt and floor, which it has not, ours."""
        x = self.present(x)
        if function == "clip":
            return self._clipped(x, numbers["low"], numbers["high"])
        name = self.name(_PARTS.get(function, function))
        layers = keras.layers
        if function == "relu":
            return self._unary(x, layers.ReLU(name=name))
        if function == "leaky_relu":
            return self._unary(x, layers.LeakyReLU(negative_slope=numbers["slope"], name=name))
        if function in ("elu", "selu"):
            made = self._unary(x, layers.ELU(numbers["alpha"], name=name))
            return self.multiply(made, numbers["gamma"]) if function == "selu" else made
        if function in _NAMED:
            return self._unary(x, layers.Activation(_NAMED[function], name=name))
        return self._unary(x, Arithmetic(function, name=name))

    def add(self, a: KerasValue, b: KerasValue | float) -> KerasValue:
        """Add; of a number or a constant, Rescaling."""
        return self._binary(a, b, "added", keras.layers.Add, lambda b: {"scale": 1.0, "offset": b})

    def multiply(self, a: KerasValue, b: KerasValue | float) -> KerasValue:
        """Multiply; by a number or a constant, Rescaling."""
        return self._binary(a, b, "multiplied", keras.layers.Multiply, lambda b: {"scale": b})

    def divide(self, a: KerasValue, b: KerasValue | float) -> KerasValue:
        """Arithmetic of `frameworks.tensorflow.layers`; by a number, Rescaling."""
        if not isinstance(b, KerasValue):
            return self.multiply(a, 1 / b)
        divide: Callable[..., Any] = lambda name: Arithmetic("divide", name=name)  # noqa: E731
        return self._binary(a, self.present(b), "divided", divide, commutative=False)

    def maximum(self, a: KerasValue, b: KerasValue) -> KerasValue:
        """Maximum."""
        return self._binary(a, self.present(b), "larger", keras.layers.Maximum)

    def power(self, x: KerasValue, exponent: float) -> KerasValue:
        """Arithmetic of `frameworks.tensorflow.layers`."""
        return self._unary(self.present(x), Arithmetic("power", exponent, name=self.name("power")))

    def softmax(self, x: KerasValue, axis: int) -> KerasValue:
        """Softmax over the last axis of a view; the order within the axis does not matter."""
        x, view = self.along(x, axis, ordered=False)
        if view.after > 1:
            order = (*(k for k in range(len(x.shape)) if k != axis), axis)
            layout, dimensions = layouts.axes_in_order(x.shape, order), (view.before * view.after, view.length)
            x = KerasValue(x.shape, self.held(x, layout, dimensions, "aligned"), layout)
        elif x.tensor.shape[-1] != view.length:
            x = replace(x, tensor=self.viewed(x.tensor, (view.before, view.length)))
        return self._unary(x, keras.layers.Softmax(name=self.name("softmax")))

    def reduce_sum(self, x: KerasValue, axis: int) -> KerasValue:
        """Reduction of `frameworks.tensorflow.layers`."""
        return self._reduced(x, axis, "sum")

    def reduce_max(self, x: KerasValue, axis: int) -> KerasValue:
        """Reduction of `frameworks.tensorflow.layers`."""
        return self._reduced(x, axis, "max")

    def own_recurrence(self, *_: object) -> None:
        """None: a layer of Keras' own holds all gates in one weight, and Darknet's are trained one by one."""

    # ------------------------------------------------------------------ parts

    def _weighted(
        self,
        kind: type[keras.Layer],
        tensor: Any,
        config: dict[str, Any],
        weights: LazyArray,
        bias: LazyArray | None,
        arrays: dict[str, Any],
    ) -> Any:
        """A layer with weights, called on the tensor; one that was made alike of the same arrays is called again."""
        key = (kind, weights.name, bias and bias.name, *sorted(config.items()))
        if key not in self.shared:
            options = dict.fromkeys(arrays, keras.initializers.GlorotUniform(0))  # unseeded it draws from `random`
            options |= {k: v for k, v in config.items() if k != "order"}
            options |= {} if kind is keras.layers.Dense else {"data_format": "channels_last"}
            self.shared[key] = kind(**options, trainable=isinstance(weights, Held), name=self.name())
        if bias is not None:
            arrays["bias_initializer"] = bias.read
        return self.apply(self.shared[key], tensor, arrays=arrays)

    def _taken(self, shape: Shape, tensor: Any, strides: Pair) -> KerasValue:
        """The value of `shape` that every so many rows and columns of a tensor [N, H, W, C] are."""
        taken = tensor if strides == (1, 1) else self.apply(taking_every(strides, self.name("strided")), tensor)
        return self.as_picture(shape, taken)

    def _reduced(self, x: KerasValue, axis: int, function: str) -> KerasValue:
        x, view = self.along(x, axis, ordered=False)
        tensor, position = self.seen(x, view)
        return self.with_axis(x, self.apply(Reduction(function, position, name=self.name(function)), tensor), axis, 1)

    def _clipped(self, x: KerasValue, low: float, high: float) -> KerasValue:
        """ReLU, or where `low` is not 0 Keras' own operation: its layers would move the values there and back."""
        name = self.name("clip")
        if low == 0:
            return self._unary(x, keras.layers.ReLU(high, name=name))
        tensor = keras.ops.clip(x.tensor, low, high)
        operation = tensor._keras_history.operation
        operation.name = name
        self._latest[self.where] = operation
        return replace(x, tensor=tensor)

    def _unary(self, x: KerasValue, layer: keras.Layer) -> KerasValue:
        return replace(x, tensor=self.apply(layer, x.tensor))

    def _binary(
        self,
        a: KerasValue,
        b: KerasValue | float,
        part: str,
        kind: Callable[..., Any],
        rescaling: Callable[[Any], dict[str, Any]] | None = None,
        commutative: bool = True,
    ) -> KerasValue:
        if rescaling is not None and not isinstance(b, KerasValue):
            layer = keras.layers.Rescaling(**rescaling(float(b)), name=self.name(part))
            return self._unary(self.present(a), layer)
        assert isinstance(b, KerasValue)
        if commutative and (a.array is not None or prod(a.shape) < prod(b.shape)):
            a, b = b, a
        a = self.present(a)
        if rescaling is not None and b.array is not None and np.broadcast_shapes(a.shape, b.shape) == a.shape:
            # Keras reads lists of fewer axes in another way where its own default is channels first. The axes of 1
            # stand in front: what lies along the first of three, Keras' Add takes for a bias, which LiteRT cannot add.
            dimensions = tuple(a.tensor.shape[1:])
            if len(dimensions) < 3:
                a = replace(a, tensor=self.viewed(a.tensor, (*(1 for _ in range(len(dimensions), 3)), *dimensions)))
            numbers = rescaling(spread(b.array, a))
            return self._unary(a, keras.layers.Rescaling(**numbers, name=self.name(part)))
        a, b = self.side_by_side(a, self.present(b))
        shape = np.broadcast_shapes(a.shape, b.shape)
        # The repeated one first: LiteRT's converter takes what is added to a convolution for its bias where it has as
        # many elements as there are filters, whatever axis they lie along.
        tensors = (b.tensor, a.tensor) if commutative and a.shape != b.shape else (a.tensor, b.tensor)
        made = self.apply(kind(name=self.name(part)), *tensors)
        return KerasValue(shape, made, a.layout)
