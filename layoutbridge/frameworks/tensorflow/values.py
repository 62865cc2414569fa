"""Values of Keras models: how their tensors hold them, and the layers that bring them into another order.

Pictures are held with channels last. What moves elements is put off (`layout`) until a layer needs them
in another order, and is done by Reshape and Permute then; often nothing needs it. Layers bear the name of the scope in
which they are made, and the name of their part where there are several.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import keras
import numpy as np

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import transpose
from layoutbridge.algebra.parts import in_parts
from layoutbridge.frameworks.primitives import LazyArray, Padding, Pair, Shape, windows
from layoutbridge.frameworks.tensorflow import layout as layouts
from layoutbridge.frameworks.tensorflow.layers import (
    BatchAsSteps,
    OneStep,
    Parameter,
    StackedSteps,
    StepsAsBatch,
    given,
)
from layoutbridge.frameworks.tensorflow.layout import AxisView, Layout
from layoutbridge.frameworks.tensorflow.network.windows import padding_mode

_INPUT = "input"
_ROOT = "graph"  # where no scope is open
_DTYPE = "float32"  # of everything, whatever Keras' global settings say
_MOST_AXES = 5  # of a Permute, beside the batch: LiteRT transposes six at most
LAST = (1, 2, 0)  # the axes of (C, H, W) as pictures are held
_REASONS = {  # by the part of a layer's name
    "permuted": "the layer itself moves elements between channels and places",
    "aligned": "the layer reads its input in Darknet's order, across channels and places",
    "ordered": "the output is in the order that was asked for",
    "last": "the model's input is [N, C, H, W], and Keras computes with channels last",
}


@dataclass(frozen=True, slots=True)
class KerasValue:
    """A KerasTensor [N, ...] that holds a value of `shape` in the order of `layout`; or a constant, `array` alone.

    `origin` is the scope whose rearrangement is put off.
    """

    shape: Shape
    tensor: Any = None
    layout: Layout = ()
    array: LazyArray | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Held(LazyArray):
    """An array that can be trained: a layer of the model will hold it, or `tensor` is computed from what one holds."""

    tensor: Any = None


class KerasGraph:
    """The layers of a model while they are made: their names, and how values are held between them."""

    def __init__(
        self,
        in_shape: Shape,
        data_format: str = "channels_last",
        batch: int | None = None,
        steps: int | None = None,
    ) -> None:
        self.where = self.outermost = _ROOT  # the scope, and that within which all of them lie
        self._names: Counter[str] = Counter({_INPUT: 1})
        self._latest: dict[str, Any] = {}  # the last layer of each scope, where none bears the scope's own name yet
        self.shared: dict[Any, Any] = {}  # layers by what they are made of, to be called again for the same
        self._moved: dict[tuple[int, Layout, Layout], Any] = {}  # tensors that were brought into another layout
        self._kept: list[Any] = []  # the tensors whose ids stand there
        self._data_format, self._batch, self.steps = data_format, batch, steps
        self.given = self.input = self._entry(_INPUT, in_shape, steps)
        if steps is not None:
            folded = self.apply(StepsAsBatch(name=self.name("steps_as_batch")), self.input.tensor)
            self.input = replace(self.input, tensor=folded)
        self.states: list[KerasValue] = []

    def state(self, name: str, shape: Shape) -> KerasValue:
        """An input beside the first: the state of a recurrent layer before a step."""
        self.states.append(self._entry(name, shape))
        return self.states[-1]

    def _entry(self, name: str, shape: Shape, steps: int | None = None) -> KerasValue:
        layout: Layout = ()
        dimensions, origin = shape, _INPUT
        if len(shape) == 3 and self._data_format == "channels_last":
            layout, origin = layouts.axes_in_order(shape, LAST), ""
            dimensions = (*shape[1:], shape[0])
        leading = () if steps is None else (steps,)
        tensor = keras.Input((*leading, *dimensions), self._batch, _DTYPE, name=name)
        return KerasValue(shape, tensor, layout, origin=origin)

    # ------------------------------------------------------------------ names

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Within it, layers are called `name`, or `name_part`; within another scope that stands before it."""
        before = self.outermost
        self.outermost = name if before == _ROOT else before
        try:
            with self._at(name if self.where == _ROOT else f"{self.where}_{name}"):
                yield
        finally:
            self.outermost = before

    @contextmanager
    def _at(self, name: str) -> Iterator[None]:
        before, self.where = self.where, name
        try:
            yield
        finally:
            self.where = before

    def name_last_layers(self) -> None:
        """Give the last layer of each scope the scope's own name, where none with weights bears it."""
        for scope, layer in self._latest.items():
            if scope not in self._names and not isinstance(layer, keras.layers.Permute):
                layer.name = scope
                self._names[scope] += 1

    def name(self, part: str = "") -> str:
        """A name that no layer has yet: that of the scope, or with a part's behind it."""
        name = f"{self.where}_{part}" if part else self.where
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def apply(self, layer: keras.Layer, *tensors: Any, arrays: dict[str, Any] | None = None, **call: Any) -> Any:
        """What a layer makes of tensors, with `arrays` as `keras_layers.given` takes them."""
        self._latest[self.where] = layer
        layer.dtype_policy = _DTYPE
        inputs = list(tensors) if len(tensors) > 1 else tensors[0]
        return given(layer, inputs, arrays or {}, **call)

    # ------------------------------------------------------------------ how values are held

    def picture(self, x: KerasValue) -> Any:
        """The tensor [N, H, W, C] of x (C, H, W)."""
        channels, rows, columns = x.shape
        return self.held(x, layouts.axes_in_order(x.shape, LAST), (rows, columns, channels), "aligned")

    def output(self, x: KerasValue, *, as_picture: bool) -> Any:
        """The tensor of x as a model gives it: [N, H, W, C] of a picture, else [N, *shape] in x's own order."""
        if as_picture:
            return self.held(x, layouts.axes_in_order(x.shape, LAST), (*x.shape[1:], x.shape[0]), "ordered")
        return self.held(x, (), x.shape, "ordered")

    def held(self, x: KerasValue, layout: Layout, dimensions: Shape, reason: str) -> Any:
        """The tensor of x in `layout` as [N, *dimensions]; `reason` names what must be moved for it."""
        x = self.present(x)
        steps = layouts.steps_between(x.layout, layout)
        tensor = x.tensor
        if steps:
            key = (id(tensor), x.layout, layout)
            if key not in self._moved:
                if x.origin:
                    reason = "last" if x.origin == _INPUT else "permuted"
                with self._at(x.origin or self.where):
                    self._moved[key] = self.moved_by(tensor, steps, dimensions, reason)
                self._kept.append(tensor)
            tensor = self._moved[key]
        return self.viewed(tensor, dimensions)

    def moved_by(self, tensor: Any, steps: Sequence[DigitStep], dimensions: Shape, reason: str) -> Any:
        """A tensor after these permutations of its digits, as [N, *dimensions]."""
        for move in (part for step in steps for part in in_parts(transpose(step), _MOST_AXES)):
            order = layouts.axes_moved(tuple(tensor.shape[1:]), move)
            if order is None:
                sizes = tuple(int(size.coefficient) for size in move.view)
                tensor, order = self.viewed(tensor, sizes), move.order
            layer = keras.layers.Permute([axis + 1 for axis in order], name=self.name(reason))
            tensor = self.apply(layer, tensor)
        return self.viewed(tensor, dimensions)

    def viewed(self, tensor: Any, dimensions: Shape) -> Any:
        """A tensor as [N, *dimensions]: Reshape, where it is not so."""
        if tuple(tensor.shape[1:]) == dimensions:
            return tensor
        return self.apply(keras.layers.Reshape(dimensions, name=self.name("view")), tensor)

    def present(self, x: KerasValue) -> KerasValue:
        """x with a tensor: a constant becomes a layer that holds it."""
        if x.tensor is not None:
            return x
        assert x.array is not None
        return replace(x, tensor=self.parameter(x.array, repeated=True), array=None)

    def parameter(self, array: LazyArray, *, repeated: bool) -> Any:
        """A tensor of the array's shape, which a layer holds; `repeated` for every picture of the batch."""
        key = ("parameter", array.name, repeated)
        if key not in self.shared:
            trained = isinstance(array, Held)
            name = array.name.split("/")[-1]
            self.shared[key] = Parameter(array.shape, repeated, trainable=trained, name=self.name(name))
        return self.apply(self.shared[key], self.input.tensor, arrays={"array_initializer": array.read})

    def tensor_of(self, array: LazyArray) -> Any:
        """The tensor of an array, which a layer holds, without a batch."""
        computed = array.tensor if isinstance(array, Held) else None
        return self.parameter(array, repeated=False) if computed is None else computed

    def along(self, x: KerasValue, axis: int, *, ordered: bool = True) -> tuple[KerasValue, AxisView]:
        """x in a layout in which `axis` lies in one run, and how its memory is seen along it."""
        x = self.present(x)
        view = layouts.view_along(x.shape, x.layout, axis, ordered)
        if view is None:
            x = self.in_own_layout(x)
            view = layouts.view_along(x.shape, x.layout, axis)
            assert view is not None
        return x, view

    def in_own_layout(self, x: KerasValue) -> KerasValue:
        """x as it lies by default: pictures with channels last, anything else in its own order."""
        if len(x.shape) == 3:
            return KerasValue(x.shape, self.picture(x), layouts.axes_in_order(x.shape, LAST))
        return KerasValue(x.shape, self.held(x, (), x.shape, "aligned"))

    def seen(self, x: KerasValue, view: AxisView) -> tuple[Any, int]:
        """The tensor with an axis of its own for `view`'s, and which: the tensor as it is, where it has it already."""
        dimensions = tuple(x.tensor.shape[1:])
        if len(dimensions) <= 3:
            for position, length in enumerate(dimensions):
                if length == view.length and prod(dimensions[:position]) == view.before:
                    return x.tensor, position + 1
        return self.viewed(x.tensor, tuple(view)), 2

    def with_axis(self, x: KerasValue, tensor: Any, axis: int, length: int) -> KerasValue:
        """x after `tensor` has got another length along an axis that lay in one run."""
        layout = layouts.layout_with_length(x.shape, x.layout, axis, length)
        return replace(x, shape=(*x.shape[:axis], length, *x.shape[axis + 1 :]), tensor=tensor, layout=layout)

    def as_picture(self, shape: Shape, tensor: Any) -> KerasValue:
        """The value (C, H, W) of a tensor [N, H, W, C]."""
        return KerasValue(shape, tensor, layouts.axes_in_order(shape, LAST))

    def padded(
        self, x: KerasValue, size: Pair, stride: Pair, padding: Padding, *, same_allowed: bool
    ) -> tuple[Any, str]:
        """The picture, with as many zeros around as its windows reach; and the mode that pads the rest."""
        tensor, mode = self.picture(x), padding_mode(x.shape, size, stride, padding)
        if mode == "valid" or (mode and same_allowed):
            return tensor, mode
        counts = windows(x.shape, size, stride, padding)
        sides = tuple(
            (padding[k], max((counts[k] - 1) * stride[k] + size[k] - x.shape[k + 1] - padding[k], 0)) for k in (0, 1)
        )
        return self.apply(keras.layers.ZeroPadding2D(sides, "channels_last", name=self.name("pad")), tensor), "valid"

    def part(self, x: KerasValue, axis: int, start: int, stop: int) -> KerasValue:
        """Entries start to stop (excluded) along an axis."""
        if (start, stop) == (0, x.shape[axis]):
            return x
        x, tensor, position = self.four_axes(x, axis)
        layer = along_one_axis(keras.layers.Cropping2D, position, (start, x.shape[axis] - stop), self.name("part"))
        return self.with_axis(x, self.apply(layer, tensor), axis, stop - start)

    def four_axes(self, x: KerasValue, axis: int) -> tuple[KerasValue, Any, int]:
        """x, a tensor of four axes that holds it, and which of them is `axis`."""
        x, view = self.along(x, axis)
        tensor, position = self.seen(x, view)
        if len(tensor.shape) != 4:
            tensor, position = self.viewed(tensor, tuple(view)), 2
        return x, tensor, position

    def side_by_side(self, a: KerasValue, b: KerasValue) -> tuple[KerasValue, KerasValue]:
        """Both with tensors that fit each other, b's repeated where its shape has lengths of 1."""
        if a.shape == b.shape:
            if a.layout != b.layout:
                a, b = self.in_own_layout(a), self.in_own_layout(b)
            return a, replace(b, tensor=self.viewed(b.tensor, tuple(a.tensor.shape[1:])))
        pieces, fewer = (layouts.pieces_in_memory(x.shape, x.layout) for x in (a, b))
        kept = [b.shape[piece.axis] > 1 for piece in pieces or ()]
        if pieces is None or fewer != tuple(p for p, keep in zip(pieces, kept, strict=True) if keep):
            a, b = self.in_own_layout(a), self.in_own_layout(b)
            return (a, b) if prod(a.shape) >= prod(b.shape) else (b, a)
        sizes = [piece.size for piece in pieces]
        dimensions = tuple(a.tensor.shape[1:])
        held = layouts.fits_dimensions(dimensions, sizes)
        if held is None or any(len({kept[k] for k in digits}) > 1 for digits in held):
            dimensions, held = tuple(sizes), [[k] for k in range(len(sizes))]
        repeated = tuple(prod(sizes[k] for k in digits if kept[k]) for digits in held)
        return (
            replace(a, tensor=self.viewed(a.tensor, dimensions)),
            replace(b, tensor=self.viewed(b.tensor, repeated)),
        )

    # ------------------------------------------------------------------ sequences

    def unstacked(self, x: KerasValue, steps: int) -> list[KerasValue]:
        """BatchAsSteps, then OneStep for each."""
        x = self.present(x)
        sequence = self.as_steps(x.tensor, steps)
        parts = (self.apply(OneStep(k, name=self.name(f"step_{k}")), sequence) for k in range(steps))
        return [replace(x, tensor=part) for part in parts]

    def stacked(self, values: Sequence[KerasValue]) -> KerasValue:
        """StackedSteps, then StepsAsBatch."""
        first = values[0]
        alike = [value if value.layout == first.layout else self.in_own_layout(value) for value in values]
        if any(value.layout != first.layout for value in alike):
            alike = [self.in_own_layout(value) for value in values]
        dimensions = tuple(alike[0].tensor.shape[1:])
        tensors = [self.viewed(value.tensor, dimensions) for value in alike]
        together = self.apply(StackedSteps(name=self.name("stacked")), tensors)
        folded = self.apply(StepsAsBatch(name=self.name("steps_as_batch")), together)
        return replace(alike[0], tensor=folded)

    def as_steps(self, tensor: Any, steps: int) -> Any:
        """A tensor [N·T, ...] as [N, T, ...]."""
        return self.apply(BatchAsSteps(steps, name=self.name("batch_as_steps")), tensor)


def spread(array: LazyArray, x: KerasValue) -> list[Any]:
    """The numbers of `array` as they stand beside the tensor of x: lengths of 1 where they repeat."""
    values = np.broadcast_to(array.read(), x.shape).reshape(-1)
    values = layouts.in_memory_order(values, x.layout).reshape(x.tensor.shape[1:])
    for axis in range(values.ndim):
        first = values.take([0], axis)
        if (values == first).all():
            values = first
    return values.tolist()


def along_one_axis(kind: type[keras.Layer], position: int, sides: Pair, name: str) -> keras.Layer:
    """Cropping2D or ZeroPadding2D of one axis of four: `data_format` only says which two it may be."""
    rows, columns = (sides, (0, 0)) if position == 1 else ((0, 0), sides)
    return kind((rows, columns), "channels_first" if position == 3 else "channels_last", name=name)


def why_moved(layer: keras.Layer) -> str | None:
    """Why a layer of a model, by its name, moves elements; None where it does not."""
    if not isinstance(layer, keras.layers.Permute):
        return None
    part = re.sub(r"_\d+$", "", layer.name).split("_")[-1]
    return _REASONS.get(part, "a Permute that was not made here")
