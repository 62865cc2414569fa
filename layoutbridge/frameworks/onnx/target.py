"""The primitives in ONNX: standard operators from opset 9 on, the batch in front of every value.

The batch may be left open, and so may height and width: then what needs their numbers is refused, with the layer's
name. Rearrangements are written by `frameworks.onnx.moves`, in the form that onnxruntime runs fastest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from math import prod
from typing import Any

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.asked import check_asked
from layoutbridge.frameworks.onnx.limited import nodes_within
from layoutbridge.frameworks.onnx.limits import known_opset
from layoutbridge.frameworks.onnx.moves import Written
from layoutbridge.frameworks.onnx.network import operators
from layoutbridge.frameworks.onnx.network.activations import activation
from layoutbridge.frameworks.onnx.network.constants import Constants
from layoutbridge.frameworks.onnx.network.cuts import part_between, parts_along
from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.places import products_by_place
from layoutbridge.frameworks.onnx.network.recurrence import own_layer, steps_of, with_steps, without_steps
from layoutbridge.frameworks.onnx.network.reductions import maximum_by_pool, sum_by_conv
from layoutbridge.frameworks.onnx.network.suppression import non_max_suppression
from layoutbridge.frameworks.onnx.network.values import OnnxValue
from layoutbridge.frameworks.onnx.network.winograd import winograd_conv2d
from layoutbridge.frameworks.onnx.programs.forms import PLAIN, Forms
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits
from layoutbridge.frameworks.onnx.versions import LOWEST_NETWORK_OPSET, LOWEST_OPSET
from layoutbridge.frameworks.primitives import (
    NO_PADDING,
    Function,
    LazyArray,
    Padding,
    Pair,
    RecurrentCell,
    Shape,
    copying_filters,
    dilated,
    transposed_lengths,
    windows,
)
from layoutbridge.frameworks.winograd import Tile, chosen_tile, extra_bytes

_END = (1 << 63) - 1  # "to the end" of a Slice
_NO_SLICES = Limits(without=frozenset({"Slice"}))


class OnnxTarget:
    """Implements `layoutbridge.frameworks.primitives.Target`; `graph` holds what was made.

    With `winograd` on, convolutions are written so where that pays, or those whose scope is among its keys, in such
    tiles; with `store_winograd` the file holds the transformed weights. `in_winograd` holds them: the scope and the
    weights, with the tile and the bytes beyond the small ones'. `defaults` are inputs beside the first that have a
    value already: a name and the lengths that others may have in its place. With `steps` T the model takes and gives
    sequences, [T, N, ...] (`given`), and all between is a batch of T·N, which `batch` counts.
    """

    def __init__(
        self,
        in_shape: Shape,
        *,
        opset: int | None = None,
        batch: int | None = None,
        open_size: bool = False,
        forms: Forms = PLAIN,
        winograd: bool | Mapping[str, Tile] = False,
        store_winograd: bool = False,
        steps: int | None = None,
        limits: Limits = UNLIMITED,
    ) -> None:
        number = known_opset(opset, LOWEST_NETWORK_OPSET, limits, "of a network")
        check_asked(in_shape, number, batch=batch, open_size=open_size, winograd=bool(winograd), steps=steps)
        self.graph = Graph(number)
        self.batch, self.steps = batch if batch is None or steps is None else steps * batch, steps
        self.forms, self.limits = forms, limits
        self.winograd, self.store_winograd = winograd, store_winograd
        self.in_winograd: dict[tuple[str, str], tuple[Tile, int]] = {}
        self.given = OnnxValue("input", in_shape, frozenset({1, 2}) if open_size else frozenset())
        self.input = self.given
        if steps is not None:
            with self.scope("input"):
                self.input = replace(self.given, name=without_steps(self.graph, self.given.name, in_shape))
        self.states: dict[str, OnnxValue] = {}
        self.defaults: dict[str, tuple[str | int, ...]] = {}
        self._viewed: dict[str, OnnxValue] = {}  # a view's name: what it is a view of
        self._names: dict[str, str] = {}
        self._constants = Constants(self.graph)

    # ------------------------------------------------------------------ names

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Within it, nodes are called `name/Operator`."""
        return self.graph.scope(name)

    def named(self, x: OnnxValue, name: str) -> OnnxValue:
        """x as the tensor called `name`, with its batch: itself renamed, or a copy where it has a name already."""
        x = self._with_batch(x)
        self._refuse_constants([x])
        if self.has_name(x) or x.name in self.graph.initializers:
            x = replace(x, name=self.graph.add("Identity", [x.name]))
        self.graph.rename(x.name, name)
        self._names[x.name] = name
        return x

    def state(self, name: str, shape: Shape) -> OnnxValue:
        """An input beside the first: the state of a recurrent layer before a step."""
        self.states[name] = OnnxValue(name, shape, self.given.open if len(shape) == 3 else frozenset())
        return self.states[name]

    def as_output(self, x: OnnxValue, name: str) -> OnnxValue:
        """x as `named`; of a sequence as [T, N, ...]."""
        if self.steps is None or x.integer:
            return self.named(x, name)
        return self.named(replace(x, name=with_steps(self.graph, self._with_batch(x).name, x.shape, self.steps)), name)

    def has_name(self, x: OnnxValue) -> bool:
        """Whether `named` gave it a name, or it is an input."""
        return x.name in self._names or x.name == self.input.name or x.name in self.states

    def name_of(self, x: OnnxValue) -> str:
        """What the tensor is called in the model."""
        return self._names.get(x.name, x.name)

    # ------------------------------------------------------------------ with weights

    def constant(self, array: LazyArray) -> OnnxValue:
        """An initializer [1, *shape]."""
        return self._constants.add(array)

    def conv2d(
        self,
        x: OnnxValue,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> OnnxValue:
        """Conv, or Winograd's form of it."""
        size = (weights.shape[2], weights.shape[3])
        if size == (1, 1) and max(stride) > 1 and any(padding):  # OpenVINO would take the steps before it pads
            every = self.conv2d(x, weights, bias, padding=padding, groups=groups)
            return self.slice(every, (0, 0, 0), every.shape, (1, *stride))
        shape = (weights.shape[0], *windows(x.shape, dilated(size, dilation), stride, padding))
        suited, layer = stride == dilation == (1, 1) and groups == 1, self.graph.where.split("/")[0]
        tile = chosen_tile(self.winograd, layer, weights.shape, shape, self.forms.winograd, self.batch or 1)
        if suited and tile is not None:
            self.in_winograd[layer, weights.name] = tile, extra_bytes(weights.shape, tile)
            given, stored = self._with_batch(x).name, self.store_winograd
            return OnnxValue(winograd_conv2d(self.graph, given, x.shape, weights, bias, padding, tile, stored), shape)
        if groups == x.shape[0] and any(padding) and self.forms.pads_before(stride, dilation, padding):
            x = self.pad(x, (0, *padding[:2]), (0, *padding[2:]))
            padding = NO_PADDING
        attributes = _window(size, stride, padding) | {"group": groups, "dilations": list(dilation)}
        name = self.graph.add("Conv", self._weighted(x, weights, bias), **attributes)
        return OnnxValue(name, shape, x.open)

    def conv_transpose2d(
        self, x: OnnxValue, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> OnnxValue:
        """ConvTranspose."""
        size = (weights.shape[2], weights.shape[3])
        name = self.graph.add("ConvTranspose", self._weighted(x, weights, bias), **_window(size, stride, padding))
        return OnnxValue(name, (weights.shape[1], *transposed_lengths(x.shape, size, stride, padding)), x.open)

    def dense(self, x: OnnxValue, weights: LazyArray, bias: LazyArray | None = None) -> OnnxValue:
        """Gemm, with the weights as they are."""
        self._closed(x, "multiplies a flat input by a matrix")
        if bias is None and self.graph.opset < LOWEST_OPSET:  # before that Gemm always adds something
            bias = LazyArray.of(f"constants/zeros_{weights.shape[0]}", [0.0] * weights.shape[0])
        return OnnxValue(self.graph.add("Gemm", self._weighted(x, weights, bias), transB=1), (weights.shape[0],))

    def locally_connected(
        self, x: OnnxValue, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> OnnxValue:
        """The windows as columns, by a Conv that copies; then one matrix a place."""
        self._closed(x, "has weights for each place")
        channels, area = x.shape[0], prod(size)
        rows, columns = windows(x.shape, size, stride, padding)
        seen = self.conv2d(x, copying_filters(channels, size), stride=stride, padding=padding, groups=channels)
        flat = self.reshape(seen, (channels * area, rows * columns))
        product = products_by_place(self, self.graph, flat, weights, by_matrices=self.limits.allows("MatMul"))
        return self.add(self.reshape(product, bias.shape), self.constant(bias))

    def batch_norm(
        self,
        x: OnnxValue,
        scales: LazyArray,
        biases: LazyArray,
        means: LazyArray,
        variances: LazyArray,
        *,
        epsilon: float,
    ) -> OnnxValue:
        """BatchNormalization."""
        held = map(self.graph.parameter, (scales, biases, means, variances))
        name = self.graph.add("BatchNormalization", [self._with_batch(x).name, *held], epsilon=epsilon)
        return replace(x, name=name, batched=True)

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: OnnxValue, *, size: Pair, stride: Pair, padding: Padding) -> OnnxValue:
        """MaxPool."""
        return self._pool("MaxPool", x, size, stride, padding)

    def average_pool(self, x: OnnxValue, *, size: Pair, stride: Pair, padding: Padding) -> OnnxValue:
        """AveragePool without its padding."""
        return self._pool("AveragePool", x, size, stride, padding, count_include_pad=0)

    def global_average(self, x: OnnxValue) -> OnnxValue:
        """GlobalAveragePool."""
        return OnnxValue(self.graph.add("GlobalAveragePool", [self._with_batch(x).name]), (x.shape[0], 1, 1))

    def upsample(self, x: OnnxValue, factor: int) -> OnnxValue:
        """Resize to the nearest, by a whole factor."""
        name = operators.upsample(self.graph, self._with_batch(x).name, factor)
        return OnnxValue(name, (x.shape[0], x.shape[1] * factor, x.shape[2] * factor), x.open)

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[OnnxValue], axis: int = 0) -> OnnxValue:
        """Concat."""
        if len(values) == 1:
            return values[0]
        self._refuse_constants(values)
        first = values[0]
        for other in values[1:]:
            self._same_open(first, other, except_axis=axis)
        length = sum(value.shape[axis] for value in values)
        shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
        opened = frozenset().union(*(value.open for value in values))
        names = [self._with_batch(value).name for value in values]
        return OnnxValue(self.graph.add("Concat", names, axis=axis + 1), shape, opened)

    def split(self, x: OnnxValue, sizes: Sequence[int], axis: int = 0) -> list[OnnxValue]:
        """Split, or where that may not stand Slices."""
        if len(sizes) == 1:
            return [x]
        if axis in x.open:
            raise self._refusal("cuts an axis into parts")
        name, by_split = self._with_batch(x).name, self.limits.allows("Split")
        names = parts_along(self.graph, name, sizes, axis + 1, by_split=by_split)
        shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
        return [OnnxValue(name, shape, x.open) for name, shape in zip(names, shapes, strict=True)]

    def slice(
        self, x: OnnxValue, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None
    ) -> OnnxValue:
        """Slice over those axes that lose something; where that may not stand, of steps of 1, a Split for each."""
        steps = steps or (1,) * len(x.shape)
        every = list(zip(starts, stops, steps, x.shape, strict=True))
        cut = [axis for axis, (a, b, step, length) in enumerate(every) if (a, b, step) != (0, length, 1)]
        if not cut:
            return x
        if any(axis in x.open and stops[axis] != x.shape[axis] for axis in cut):
            raise self._refusal("takes a part of a fixed size")
        name = self._with_batch(x).name
        if not self.limits.allows("Slice") and all(step == 1 for _, _, step, _ in every):
            for axis in cut:
                name = part_between(self.graph, name, starts[axis], stops[axis], x.shape[axis], axis + 1)
        else:
            ends = [_END if axis in x.open else stops[axis] for axis in cut]
            numbers = ([starts[axis] for axis in cut], ends, [axis + 1 for axis in cut], [steps[axis] for axis in cut])
            name = operators.slices(self.graph, name, *numbers)
        shape = tuple(len(range(a, min(b, length), step)) for a, b, step, length in every)
        return OnnxValue(name, shape, x.open)

    def pad(self, x: OnnxValue, before: Sequence[int], after: Sequence[int]) -> OnnxValue:
        """Pad with zeros."""
        if not any(before) and not any(after):
            return x
        if any(before[axis] or after[axis] for axis in x.open):
            raise self._refusal("adds to an axis of its input")
        shape = tuple(a + length + b for a, length, b in zip(before, x.shape, after, strict=True))
        padded = operators.pad(self.graph, self._with_batch(x).name, [0, *before, 0, *after])
        return OnnxValue(padded, shape, x.open)

    def reshape(self, x: OnnxValue, shape: Shape) -> OnnxValue:
        """Reshape; a view of a view is one view."""
        if shape == x.shape:
            return x
        if x.name in self._viewed:
            return self.reshape(self._viewed[x.name], shape)
        target, opened = self._lengths_for(x, shape)
        name = self.graph.add("Reshape", [self._with_batch(x).name, target])
        if not x.open:
            self._viewed[name] = x
        return OnnxValue(name, shape, opened)

    def rearrange(self, x: OnnxValue, operation: Rearrangement) -> OnnxValue:
        """The operators that `frameworks.onnx.moves` chooses for the shape."""
        known = {axis + 1: length for axis, length in enumerate(x.shape) if axis not in x.open}
        known |= {} if self.batch is None else {0: self.batch}
        is_old = self.graph.opset < LOWEST_OPSET  # where of all operators Transpose alone is as it is today
        written = Written(operation, known, "float32", self.graph.opset, native=not is_old)
        try:
            _, nodes, constants = nodes_within(self.limits | _NO_SLICES if is_old else self.limits, written, "")
        except UnsupportedError as error:
            raise UnsupportedError(f"{self.graph.where or 'the graph'}: {error}") from None
        output = self.graph.add_made(nodes, constants, {"input": self._with_batch(x).name})
        sizes = [size.powers for size in operation.result_shape]
        opened = frozenset(k for k, powers in enumerate(sizes) if any(axis in x.open for axis, _ in powers))
        return OnnxValue(output, operation.out_shape(x.shape), opened)

    # ------------------------------------------------------------------ numbers

    def activation(self, x: OnnxValue, function: Function, **numbers: float) -> OnnxValue:
        """One operator, or the few that runtimes recognise as one."""
        name = activation(self.graph, x.name, function, numbers, self.forms, self.limits.without)
        return replace(x, name=name)

    def add(self, a: OnnxValue, b: OnnxValue | float) -> OnnxValue:
        """Add."""
        return self._binary("Add", a, b)

    def multiply(self, a: OnnxValue, b: OnnxValue | float) -> OnnxValue:
        """Mul."""
        return self._binary("Mul", a, b)

    def divide(self, a: OnnxValue, b: OnnxValue | float) -> OnnxValue:
        """Div."""
        return self._binary("Div", a, b)

    def maximum(self, a: OnnxValue, b: OnnxValue) -> OnnxValue:
        """Max."""
        return self._binary("Max", a, b)

    def power(self, x: OnnxValue, exponent: float) -> OnnxValue:
        """Pow."""
        return self._binary("Pow", x, exponent)

    def softmax(self, x: OnnxValue, axis: int) -> OnnxValue:
        """Softmax over one axis."""
        return replace(x, name=operators.softmax(self.graph, x.name, axis + 1, len(x.shape) + 1))

    def reduce_sum(self, x: OnnxValue, axis: int) -> OnnxValue:
        """ReduceSum, or along the first axis a Conv with ones."""
        if axis == 0 and not x.open and not self.limits.allows("ReduceSum"):
            return sum_by_conv(self, x)
        return self._reduced(x, axis, operators.reduce_sum(self.graph, x.name, axis + 1))

    def reduce_max(self, x: OnnxValue, axis: int) -> OnnxValue:
        """ReduceMax, or along the first axis a MaxPool."""
        if axis == 0 and not x.open and not self.limits.allows("ReduceMax"):
            return maximum_by_pool(self, x)
        return self._reduced(x, axis, operators.reduce_max(self.graph, x.name, axis + 1))

    # ------------------------------------------------------------------ sequences

    def unstacked(self, x: OnnxValue, steps: int) -> list[OnnxValue]:
        """Reshape, Split."""
        return [replace(x, name=name) for name in steps_of(self.graph, self._with_batch(x).name, x.shape, steps)]

    def stacked(self, values: Sequence[OnnxValue]) -> OnnxValue:
        """Concat along the batch."""
        return replace(values[0], name=self.graph.add("Concat", [value.name for value in values], axis=0))

    def own_recurrence(
        self, x: OnnxValue, cell: RecurrentCell, before: Sequence[OnnxValue], steps: int
    ) -> tuple[OnnxValue, ...] | None:
        """LSTM or GRU, where that may stand."""
        if not self.limits.allows(cell.kind.upper()):
            return None
        names = own_layer(self.graph, self._with_batch(x).name, cell, [state.name for state in before], steps)
        return tuple(OnnxValue(name, (cell.outputs,)) for name in names)

    # ------------------------------------------------------------------ only here

    def non_max_suppression(
        self,
        boxes: OnnxValue,
        scores: OnnxValue,
        objectness: OnnxValue | None,
        *,
        overlap: float,
        threshold: float,
        exponent: float | None,
    ) -> OnnxValue:
        """What is kept of boxes (K, 4) with scores (classes, K), for each class by itself: integer [kept, 3].

        A row is picture, class, box. Boxes are x, y (of their centre), w, h as shares of the input. A score over the
        threshold counts where the objectness (1, K), if there is one, is over it, too. Without `exponent` it is
        NonMaxSuppression; with one, `network.suppression`. Then the picture's own shape matters: the model has an
        input `picture_share` [1 or N, 2], the share of its width and of its height that a picture takes, by default
        all.
        """
        boxes, scores = self._with_batch(boxes), self._with_batch(scores)
        sure = None if objectness is None else objectness.name
        name, share = non_max_suppression(
            self.graph,
            boxes.name,
            scores.name,
            sure,
            scores.shape,
            overlap=overlap,
            threshold=threshold,
            exponent=exponent,
        )
        if share is not None:
            self.defaults[share] = ("pictures", 2)
        return OnnxValue(name, (0, 3), open=frozenset({0}), integer=True)

    # ------------------------------------------------------------------ parts

    def _weighted(self, x: OnnxValue, weights: LazyArray, bias: LazyArray | None) -> list[str]:
        names = [self._with_batch(x).name, self.graph.parameter(weights)]
        return names if bias is None else [*names, self.graph.parameter(bias)]

    def _pool(
        self, operator: str, x: OnnxValue, size: Pair, stride: Pair, padding: Padding, **attributes: int
    ) -> OnnxValue:
        name = self.graph.add(operator, [self._with_batch(x).name], **_window(size, stride, padding), **attributes)
        return OnnxValue(name, (x.shape[0], *windows(x.shape, size, stride, padding)), x.open)

    def _binary(self, operator: str, a: OnnxValue, b: OnnxValue | float) -> OnnxValue:
        if not isinstance(b, OnnxValue):
            return replace(a, name=self.graph.add(operator, [a.name, self.graph.number(b)]))
        self._same_open(a, b)
        if self.forms.whole_constants:
            a, b = self._constants.beside(a, b, self.batch), self._constants.beside(b, a, self.batch)
        a, b = self._beside(a, b), self._beside(b, a)
        shape = tuple(max(pair) for pair in zip(a.shape, b.shape, strict=True))
        name = self.graph.add(operator, [a.name, b.name])
        return OnnxValue(name, shape, a.open | b.open, a.batched or b.batched)

    def _beside(self, x: OnnxValue, other: OnnxValue) -> OnnxValue:
        """x, behind an Identity where its one channel meets several: without it OpenCV 5.0 refuses the next Conv.

        Where the runtime repeats no channel, as several of them.
        """
        if len(x.shape) == 3 and x.batched and x.shape[0] == 1 < other.shape[0]:
            if self.forms.whole_constants:
                return self.concat([x] * other.shape[0])
            return replace(x, name=self.graph.add("Identity", [x.name]))
        return x

    def _reduced(self, x: OnnxValue, axis: int, name: str) -> OnnxValue:
        return replace(x, name=name, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]), open=x.open - {axis})

    def _with_batch(self, x: OnnxValue) -> OnnxValue:
        """x with the input's batch: a constant is repeated."""
        if x.batched:
            return x
        if self.batch == 1:
            return replace(x, batched=True)
        if self.batch is not None and x in self._constants and not self.limits.allows("Expand"):
            return self._constants.repeated(x, x.shape, self.batch)
        if self.batch is not None:
            target = self.graph.integers([self.batch, *x.shape])
        else:
            batch = self.graph.lengths(self.input.name, 0, 1)
            target = self.graph.add_once("Concat", [batch, self.graph.integers(x.shape)], axis=0)
        return replace(x, name=self.graph.add_once("Expand", [x.name, target]), batched=True)

    def _lengths_for(self, x: OnnxValue, shape: Shape) -> tuple[str, frozenset[int]]:
        """What a Reshape to `shape` reads, and the axes that stay open: 0 keeps the batch."""
        if not x.open:
            return self.graph.integers([0, *shape]), frozenset()
        fixed = prod(length for axis, length in enumerate(x.shape) if axis not in x.open)
        first = min(x.open)
        trailing = x.shape[first:]
        if x.open != frozenset(range(first, len(x.shape))):
            raise self._refusal("views its input in another shape")
        if shape[-len(trailing) :] == trailing and prod(shape[: -len(trailing)]) == fixed:
            lead = self.graph.integers([0, *shape[: -len(trailing)]])
            lengths = self.graph.lengths(x.name, first + 1, len(x.shape) + 1)
            opened = frozenset(range(len(shape) - len(trailing), len(shape)))
            return self.graph.add_once("Concat", [lead, lengths], axis=0), opened
        if shape[-1] == prod(trailing) and prod(shape[:-1]) == fixed:
            return self.graph.integers([0, *shape[:-1], -1]), frozenset({len(shape) - 1})
        raise self._refusal("views its input in another shape")

    def _refuse_constants(self, values: Sequence[OnnxValue]) -> None:
        if not self.limits.allows("Expand") and all(value in self._constants for value in values):
            raise UnsupportedError(f"{self.graph.where or 'the graph'} does not depend on the input: leave it out")

    def _same_open(self, a: OnnxValue, b: OnnxValue, except_axis: int | None = None) -> None:
        for axis, (one, other) in enumerate(zip(a.shape, b.shape, strict=True)):
            if axis != except_axis and (axis in a.open) != (axis in b.open) and 1 not in (one, other):
                raise self._refusal("combines its input with what has a fixed size")

    def _closed(self, x: OnnxValue, reason: str) -> None:
        if x.open:
            raise self._refusal(reason)

    def _refusal(self, reason: str) -> UnsupportedError:
        return UnsupportedError(f"the size cannot be left open: {self.graph.where or 'the graph'} {reason}")


def _window(size: Pair, stride: Pair, padding: Padding) -> dict[str, Any]:
    return {"kernel_shape": list(size), "strides": list(stride), "pads": list(padding)}
