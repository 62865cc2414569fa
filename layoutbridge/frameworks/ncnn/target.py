"""The primitives in ncnn: one layer each where it has the very one, without its Python package.

ncnn knows no batch: a blob is one picture, of at most four axes. Numbers of layers stand under ncnn's keys; they are
told in its list of operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.ncnn.graph import INPUT_NAME, NcnnGraph, Number, Weight
from layoutbridge.frameworks.ncnn.moves import MOST_AXES, ncnn_moves
from layoutbridge.frameworks.primitives import (
    NO_PADDING,
    Function,
    LazyArray,
    Padding,
    Pair,
    Shape,
    copying_filters,
    dilated,
    nearest_is_exact,
    transposed_lengths,
    windows,
)

_LENGTH_KEYS = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}  # of a blob's axes, outermost first
_ADD, _MULTIPLY, _DIVIDE, _MAXIMUM, _POWER, _DIVIDED = 0, 2, 3, 4, 6, 8  # BinaryOp: the last has x below
_LEAST = 1e-37  # a normal number of float32: its powers are finite
_SUM, _LARGEST = 0, 4  # Reduction
_ROUND_UP = 3  # UnaryOp
_LAYERS: dict[str, tuple[str, dict[int, Number], dict[int, str]]] = {  # kind, its numbers, those that are given
    "sigmoid": ("Sigmoid", {}, {}),
    "tanh": ("TanH", {}, {}),
    "relu": ("ReLU", {}, {}),
    "leaky_relu": ("ReLU", {}, {0: "slope"}),
    "elu": ("ELU", {}, {0: "alpha"}),
    "selu": ("SELU", {}, {0: "alpha", 1: "gamma"}),
    "clip": ("Clip", {}, {0: "low", 1: "high"}),
    "swish": ("Swish", {}, {}),
    "mish": ("Mish", {}, {}),
    "floor": ("UnaryOp", {0: 2}, {}),
    "sqrt": ("UnaryOp", {0: 5}, {}),
    "exp": ("UnaryOp", {0: 7}, {}),
}


@dataclass(frozen=True, slots=True)
class NcnnValue:
    """A blob: float32 of `shape`."""

    name: str
    shape: Shape


class NcnnTarget:
    """Implements `layoutbridge.frameworks.primitives.Target`; `graph` holds what was made.

    >>> target = NcnnTarget((4, 6, 6))
    >>> with target.scope("0_reorg"):
    ...     moved = target.rearrange(target.input, Rearrangement("c (h p) (w q) -> (p q c) h w", p=2, q=2))
    >>> moved
    NcnnValue(name='0_reorg/Reorg', shape=(16, 3, 3))
    """

    def __init__(self, in_shape: Shape) -> None:
        self.graph = NcnnGraph(_lengths(in_shape))
        self._views: dict[str, NcnnValue] = {}  # a view's name: what it is a view of
        self._constants: dict[tuple[str, Shape], NcnnValue] = {}
        self.input = NcnnValue(INPUT_NAME, in_shape)

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Within it, layers are called `name/Kind`."""
        return self.graph.scope(name)

    # ------------------------------------------------------------------ with weights

    def constant(self, array: LazyArray) -> NcnnValue:
        """MemoryData."""
        key = (array.name, array.shape)
        if key not in self._constants:
            self._constants[key] = self._made("MemoryData", [], array.shape, _lengths(array.shape), Weight(array))
        return self._constants[key]

    def conv2d(
        self,
        x: NcnnValue,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> NcnnValue:
        """Convolution, or ConvolutionDepthWise in groups."""
        filters, size = weights.shape[0], (weights.shape[2], weights.shape[3])
        numbers = _convolution(filters, size, stride, padding, weights, bias) | {2: dilation[1], 12: dilation[0]}
        kind = "Convolution"
        if groups > 1:
            kind, numbers = "ConvolutionDepthWise", numbers | {7: groups}
        shape = (filters, *windows(x.shape, dilated(size, dilation), stride, padding))
        return self._made(kind, [x], shape, numbers, *_held(weights, bias))

    def conv_transpose2d(
        self, x: NcnnValue, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> NcnnValue:
        """Deconvolution, which has the outputs on the first axis of its weights."""
        filters, size = weights.shape[1], (weights.shape[2], weights.shape[3])
        turned = LazyArray(weights.name, (filters, weights.shape[0], *size), lambda a, b: _outputs(weights, a, b))
        numbers = _convolution(filters, size, stride, padding, weights, bias)
        shape = (filters, *transposed_lengths(x.shape, size, stride, padding))
        return self._made("Deconvolution", [x], shape, numbers, *_held(turned, bias))

    def dense(self, x: NcnnValue, weights: LazyArray, bias: LazyArray | None = None) -> NcnnValue:
        """InnerProduct."""
        numbers: dict[int, Number] = {0: weights.shape[0], 1: int(bias is not None), 2: weights.size}
        return self._made("InnerProduct", [x], (weights.shape[0],), numbers, *_held(weights, bias))

    def locally_connected(
        self, x: NcnnValue, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> NcnnValue:
        """The windows as columns, by a convolution that copies; then one matrix a place."""
        channels, area, filters = x.shape[0], prod(size), bias.shape[0]
        rows, columns = windows(x.shape, size, stride, padding)
        places = rows * columns
        seen = self.conv2d(x, copying_filters(channels, size), stride=stride, padding=padding, groups=channels)
        turned = self._turned(self.reshape(seen, (channels * area, places)))
        inputs = [self.constant(weights), self.reshape(turned, (places, channels * area, 1))]
        product = self._made("MatMul", inputs, (places, filters, 1))
        back = self._turned(self.reshape(product, (places, filters)))
        return self.add(self.reshape(back, bias.shape), self.constant(bias))

    def batch_norm(
        self,
        x: NcnnValue,
        scales: LazyArray,
        biases: LazyArray,
        means: LazyArray,
        variances: LazyArray,
        *,
        epsilon: float,
    ) -> NcnnValue:
        """BatchNorm."""
        held = (Weight(array) for array in (scales, means, variances, biases))
        return self._made("BatchNorm", [x], x.shape, {0: x.shape[0], 1: float(epsilon)}, *held)

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: NcnnValue, *, size: Pair, stride: Pair, padding: Padding) -> NcnnValue:
        """Pooling."""
        return self._pooled(x, 0, size, stride, padding)

    def average_pool(self, x: NcnnValue, *, size: Pair, stride: Pair, padding: Padding) -> NcnnValue:
        """Pooling without its padding."""
        return self._pooled(x, 1, size, stride, padding)

    def global_average(self, x: NcnnValue) -> NcnnValue:
        """Pooling, which drops the axes of length 1 that a view gives back."""
        pooled = self._made("Pooling", [x], (x.shape[0],), {0: 1, 4: 1})
        return self.reshape(pooled, (x.shape[0], 1, 1))

    def upsample(self, x: NcnnValue, factor: int) -> NcnnValue:
        """Interp to the nearest; by a product with ones where its place/factor is rounded to below a whole number."""
        channels, rows, columns = x.shape
        shape = (channels, rows * factor, columns * factor)
        if nearest_is_exact(factor):
            return self._made("Interp", [x], shape, {0: 1, 1: float(factor), 2: float(factor)})
        ones = self.constant(LazyArray.of(f"constants/ones_{factor}", np.ones((1, factor, 1, factor))))
        return self.reshape(self.multiply(self.reshape(x, (channels * rows, 1, columns, 1)), ones), shape)

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[NcnnValue], axis: int = 0) -> NcnnValue:
        """Concat."""
        if len(values) == 1:
            return values[0]
        first, length = values[0].shape, sum(value.shape[axis] for value in values)
        return self._made("Concat", values, (*first[:axis], length, *first[axis + 1 :]), {0: axis})

    def split(self, x: NcnnValue, sizes: Sequence[int], axis: int = 0) -> list[NcnnValue]:
        """Slice."""
        if len(sizes) == 1:
            return [x]
        names = self.graph.add_several("Slice", [x.name], len(sizes), {0: tuple(sizes), 1: axis})
        return [
            NcnnValue(name, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
            for name, size in zip(names, sizes, strict=True)
        ]

    def slice(
        self, x: NcnnValue, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None
    ) -> NcnnValue:
        """Crop; steps over rows and columns are windows of one place."""
        stops = [min(stop, length) for stop, length in zip(stops, x.shape, strict=True)]
        cut = [axis for axis, length in enumerate(x.shape) if (starts[axis], stops[axis]) != (0, length)]
        if cut:
            chosen = (tuple(starts[axis] for axis in cut), tuple(stops[axis] for axis in cut), tuple(cut))
            shape = tuple(stop - start for start, stop in zip(starts, stops, strict=True))
            x = self._made("Crop", [x], shape, {9: chosen[0], 10: chosen[1], 11: chosen[2]})
        if steps is None or set(steps) == {1}:
            return x
        if len(steps) != 3 or steps[0] != 1:
            raise UnsupportedError(f"ncnn takes steps over rows and columns alone, not {list(steps)}")
        return self._pooled(x, 0, (1, 1), (steps[1], steps[2]), NO_PADDING)

    def pad(self, x: NcnnValue, before: Sequence[int], after: Sequence[int]) -> NcnnValue:
        """Padding with zeros."""
        if not any(before) and not any(after):
            return x
        if len(x.shape) == MOST_AXES and (before[0] or after[0]):
            raise UnsupportedError("ncnn adds nothing to the first of four axes")
        (front, top, left), (behind, bottom, right) = ((*(0, 0), *sides)[-3:] for sides in (before, after))
        numbers: dict[int, Number] = {0: top, 1: bottom, 2: left, 3: right, 4: 0, 5: 0.0, 7: front, 8: behind}
        shape = tuple(a + length + b for a, length, b in zip(before, x.shape, after, strict=True))
        return self._made("Padding", [x], shape, numbers)

    def reshape(self, x: NcnnValue, shape: Shape) -> NcnnValue:
        """Reshape; a view of a view is one view."""
        x = self._views.get(x.name, x)
        if shape == x.shape:
            return x
        view = self._made("Reshape", [x], shape, _lengths(shape))
        self._views[view.name] = x
        return view

    def rearrange(self, x: NcnnValue, operation: Rearrangement) -> NcnnValue:
        """The layers that `frameworks.ncnn.moves` chooses for the shape."""
        result = operation.out_shape(x.shape)
        for move in ncnn_moves(operation, x.shape):
            x = self._made(move.kind, [self.reshape(x, move.view)], move.written, move.numbers)
        return self.reshape(x, result)

    # ------------------------------------------------------------------ numbers

    def activation(self, x: NcnnValue, function: Function, **numbers: float) -> NcnnValue:
        """ncnn's own layer; a step is what lies within 0 and 1, rounded up."""
        if function == "step":
            within = self.activation(x, "clip", low=0.0, high=1.0)
            return self._made("UnaryOp", [within], x.shape, {0: _ROUND_UP})
        kind, fixed, given = _LAYERS[function]
        return self._made(kind, [x], x.shape, fixed | {key: float(numbers[name]) for key, name in given.items()})

    def add(self, a: NcnnValue, b: NcnnValue | float) -> NcnnValue:
        """BinaryOp."""
        return self._binary(_ADD, a, b)

    def multiply(self, a: NcnnValue, b: NcnnValue | float) -> NcnnValue:
        """BinaryOp."""
        return self._binary(_MULTIPLY, a, b)

    def divide(self, a: NcnnValue, b: NcnnValue | float) -> NcnnValue:
        """BinaryOp."""
        return self._binary(_DIVIDE, a, b)

    def maximum(self, a: NcnnValue, b: NcnnValue) -> NcnnValue:
        """BinaryOp."""
        return self._binary(_MAXIMUM, a, b)

    def power(self, x: NcnnValue, exponent: float) -> NcnnValue:
        """BinaryOp, which goes by the logarithm: 2e38 for a base that is not positive.

        So it gets |x|, kept from 0; a factor before it (x, its square or its root) has what is right there. A negative
        power of 0 is not finite: infinity, or NaN from ncnn's division.
        """
        rest, factors = abs(exponent), []
        if rest % 1:
            rest -= 0.5
            factors = [self.activation(x, "sqrt")]
        elif rest:
            factors = [x] if rest % 2 else [x, x]
            rest -= len(factors)
        if rest or not factors:
            size = self._binary(_MAXIMUM, self._made("AbsVal", [x], x.shape), _LEAST)
            factors.append(self._binary(_POWER, size, rest))
        product = reduce(self.multiply, factors)
        return self._binary(_DIVIDED, product, 1.0) if exponent < 0 else product

    def softmax(self, x: NcnnValue, axis: int) -> NcnnValue:
        """Softmax; its second number makes the axis count as told."""
        return self._made("Softmax", [x], x.shape, {0: axis, 1: 1})

    def reduce_sum(self, x: NcnnValue, axis: int) -> NcnnValue:
        """Reduction."""
        return self._reduced(x, _SUM, axis)

    def reduce_max(self, x: NcnnValue, axis: int) -> NcnnValue:
        """Reduction."""
        return self._reduced(x, _LARGEST, axis)

    # ------------------------------------------------------------------ sequences

    def state(self, name: str, shape: Shape) -> NcnnValue:
        """An input beside the first: the state of a recurrent layer before a step."""
        self.graph.add_input(name, _lengths(shape))
        return NcnnValue(name, shape)

    def unstacked(self, x: NcnnValue, steps: int) -> list[NcnnValue]:
        """Refused, but for one step."""
        if steps > 1:
            raise UnsupportedError("ncnn has no batch to hold the steps of a sequence: write one step, with its states")
        return [x]

    def stacked(self, values: Sequence[NcnnValue]) -> NcnnValue:
        """The one step."""
        (only,) = values
        return only

    def own_recurrence(self, *_: object) -> None:
        """None: ncnn's GRU has tanh alone, and its layers go over whole sequences."""

    # ------------------------------------------------------------------ parts

    def _made(
        self,
        kind: str,
        inputs: Sequence[NcnnValue],
        shape: Shape,
        numbers: Mapping[int, Number] | None = None,
        *weights: Weight,
    ) -> NcnnValue:
        return NcnnValue(self.graph.add(kind, [x.name for x in inputs], numbers, *weights), shape)

    def _turned(self, x: NcnnValue) -> NcnnValue:
        return self.rearrange(x, Rearrangement("a b -> b a"))

    def _pooled(self, x: NcnnValue, kind: int, size: Pair, stride: Pair, padding: Padding) -> NcnnValue:
        """Whole windows alone (5), the mean over places inside the picture (6)."""
        numbers: dict[int, Number] = {0: kind, 1: size[1], 11: size[0], 2: stride[1], 12: stride[0], 5: 1, 6: 0}
        top, left, bottom, right = padding
        sides: dict[int, Number] = {3: left, 13: top, 14: right, 15: bottom} if any(padding) else {}
        return self._made("Pooling", [x], (x.shape[0], *windows(x.shape, size, stride, padding)), numbers | sides)

    def _binary(self, operation: int, a: NcnnValue, b: NcnnValue | float) -> NcnnValue:
        if not isinstance(b, NcnnValue):
            return self._made("BinaryOp", [a], a.shape, {0: operation, 1: 1, 2: float(b)})
        shape = tuple(max(pair) for pair in zip(a.shape, b.shape, strict=True))
        return self._made("BinaryOp", [a, b], shape, {0: operation})

    def _reduced(self, x: NcnnValue, operation: int, axis: int) -> NcnnValue:
        """One axis (1, 3), which stays (4) and counts as told (5)."""
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return self._made("Reduction", [x], shape, {0: operation, 1: 0, 3: (axis,), 4: 1, 5: 1})


def _lengths(shape: Shape) -> dict[int, Number]:
    if len(shape) not in _LENGTH_KEYS:
        raise UnsupportedError(f"ncnn's blobs have at most {MOST_AXES} axes, and {list(shape)} is needed")
    return dict(zip(_LENGTH_KEYS[len(shape)], shape, strict=True))


def _held(weights: LazyArray, bias: LazyArray | None) -> list[Weight]:
    return [Weight(weights, tagged=True)] + ([] if bias is None else [Weight(bias)])


def _convolution(
    filters: int, size: Pair, stride: Pair, padding: Padding, weights: LazyArray, bias: LazyArray | None
) -> dict[int, Number]:
    numbers: dict[int, Number] = {0: filters, 1: size[1], 11: size[0], 3: stride[1], 13: stride[0]}
    top, left, bottom, right = padding
    sides: dict[int, Number] = {4: left, 14: top, 15: right, 16: bottom} if any(padding) else {}
    return numbers | sides | {5: int(bias is not None), 6: weights.size}


def _outputs(weights: LazyArray, start: int, stop: int) -> NDArray[np.float32]:
    """Entries start to stop of the second axis, which comes first: read in parts, for the sake of memory."""
    return np.concatenate([part[:, start:stop] for part in weights.chunks()]).swapaxes(0, 1)
