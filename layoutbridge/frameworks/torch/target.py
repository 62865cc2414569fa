"""The primitives in PyTorch: each records a call of PyTorch's own function, the batch in front of every value.

Sizes are those of the network; the batch is whatever the tensors have when the program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from operator import getitem
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.frameworks.primitives import (
    NO_PADDING,
    Function,
    LazyArray,
    Padding,
    Pair,
    Shape,
    dilated,
    nearest_is_exact,
    transposed_lengths,
    windows,
)
from layoutbridge.frameworks.torch.derived import Held, step
from layoutbridge.frameworks.torch.module import Rearrange
from layoutbridge.frameworks.torch.packing import PackedConvolution
from layoutbridge.frameworks.torch.program import Program, Source, called

_ACTIVATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "floor": torch.floor,
    "step": step,
    "swish": functional.silu,
    "mish": functional.mish,
}


@dataclass(frozen=True, slots=True)
class TorchValue:
    """A result of the program: a tensor [N, *shape], or [1, *shape] where `batched` is off."""

    number: int
    shape: Shape
    batched: bool = True


class TorchTarget:
    """Implements `layoutbridge.frameworks.primitives.Target` for one layer; `program` holds what was recorded.

    With `packs` convolutions are submodules with packed weights, for inference (`packing`).

    `inputs` are its values at the start, one for each of `in_shapes`. There must be at least one: it tells the batch.

    >>> from layoutbridge.frameworks.torch.program import ProgramModule
    >>> target = TorchTarget([(2, 3, 3)])
    >>> sums = target.reduce_sum(target.activation(target.inputs[0], "relu"), 0)
    >>> sums.shape
    (1, 3, 3)
    >>> ProgramModule(target.program, sums.number)(torch.ones(5, 2, 3, 3)).shape
    torch.Size([5, 1, 3, 3])
    """

    def __init__(self, in_shapes: Sequence[Shape], *, packs: bool = False) -> None:
        self.program, self.packs = Program(len(in_shapes)), packs
        self._packed: dict[object, str] = {}  # names of convolutions by what they are made of
        self.inputs = tuple(TorchValue(number, shape) for number, shape in enumerate(in_shapes))

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nothing: a layer's program is a module of its own, and bears its name there."""
        yield

    def constant(self, array: LazyArray) -> TorchValue:
        """A buffer, or what the module holds under that name, as [1, *shape]."""
        number = self.program.record(torch.unsqueeze, self._source(array), rest=(0,))
        return TorchValue(number, array.shape, batched=False)

    def with_batch(self, x: TorchValue) -> TorchValue:
        """x repeated for every picture, where it is the same for all of them."""
        if x.batched:
            return x
        return TorchValue(self.program.record(_repeated, x.number, self.inputs[0].number), x.shape)

    # ------------------------------------------------------------------ with weights

    def conv2d(
        self,
        x: TorchValue,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> TorchValue:
        """conv2d, or a packed one."""
        x, sides = self._padded(x, padding)
        size = dilated((weights.shape[2], weights.shape[3]), dilation)
        shape = (weights.shape[0], *windows(x.shape, size, stride, (*sides, *sides)))
        if self.packs:
            key = (weights.name, bias and bias.name, x.shape, stride, sides, dilation, groups)
            if key not in self._packed:
                addends = None if bias is None else bias.read()
                module = PackedConvolution(
                    weights.read(),
                    addends,
                    in_shape=x.shape,
                    stride=stride,
                    padding=sides,
                    dilation=dilation,
                    groups=groups,
                )
                self._packed[key] = self.program.module("convolution", module)
            return replace(x, number=self.program.record(called, self._packed[key], x.number), shape=shape)
        options = {"stride": stride, "padding": sides, "dilation": dilation, "groups": groups}
        return self._weighted(functional.conv2d, x, weights, bias, shape, **options)

    def conv_transpose2d(
        self, x: TorchValue, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> TorchValue:
        """conv_transpose2d; a padding that differs from side to side is cut off afterwards."""
        top, left, bottom, right = padding
        sides = (top, left) if (top, left) == (bottom, right) else (0, 0)
        size = (weights.shape[2], weights.shape[3])
        shape = (weights.shape[1], *transposed_lengths(x.shape, size, stride, (*sides, *sides)))
        made = self._weighted(functional.conv_transpose2d, x, weights, bias, shape, stride=stride, padding=sides)
        if sides == (top, left):
            return made
        return self.slice(made, (0, top, left), (shape[0], shape[1] - bottom, shape[2] - right))

    def dense(self, x: TorchValue, weights: LazyArray, bias: LazyArray | None = None) -> TorchValue:
        """linear."""
        return self._weighted(functional.linear, x, weights, bias, (weights.shape[0],))

    def locally_connected(
        self, x: TorchValue, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> TorchValue:
        """unfold, then one matrix a place."""
        x, sides = self._padded(self.with_batch(x), padding)
        sources = (x.number, self._source(weights), self._source(bias))
        number = self.program.record(_local, *sources, size=size, stride=stride, padding=sides)
        return TorchValue(number, bias.shape)

    def batch_norm(
        self,
        x: TorchValue,
        scales: LazyArray,
        biases: LazyArray,
        means: LazyArray,
        variances: LazyArray,
        *,
        epsilon: float,
    ) -> TorchValue:
        """batch_norm with the means and variances it is given, in training too."""
        held = [self._source(array) for array in (means, variances, scales, biases)]
        return replace(x, number=self.program.record(functional.batch_norm, x.number, *held, eps=epsilon))

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: TorchValue, *, size: Pair, stride: Pair, padding: Padding) -> TorchValue:
        """max_pool2d."""
        x, sides = self._padded(x, padding, size, value=float("-inf"))
        number = self.program.record(torch.max_pool2d, x.number, rest=(size, stride, sides))
        return replace(x, number=number, shape=(x.shape[0], *windows(x.shape, size, stride, (*sides, *sides))))

    def average_pool(self, x: TorchValue, *, size: Pair, stride: Pair, padding: Padding) -> TorchValue:
        """avg_pool2d of the zero-padded picture, divided by what share of each window lies inside."""
        x, sides = self._padded(x, padding, size)
        shape = (x.shape[0], *windows(x.shape, size, stride, (*sides, *sides)))
        if padding == (*sides, *sides):
            pooled = self.program.record(
                functional.avg_pool2d, x.number, rest=(size, stride, sides), count_include_pad=False
            )
            return replace(x, number=pooled, shape=shape)
        pooled = self.program.record(functional.avg_pool2d, x.number, rest=(size, stride))
        inside = torch.zeros(1, *x.shape[1:])
        inside[:, padding[0] : x.shape[1] - padding[2], padding[1] : x.shape[2] - padding[3]] = 1
        shares = LazyArray.of("shares_inside", functional.avg_pool2d(inside, size, stride).numpy())
        return self.divide(replace(x, number=pooled, shape=shape), self.constant(shares))

    def global_average(self, x: TorchValue) -> TorchValue:
        """The mean over both axes."""
        number = self.program.record(torch.mean, x.number, dim=(2, 3), keepdim=True)
        return replace(x, number=number, shape=(x.shape[0], 1, 1))

    def upsample(self, x: TorchValue, factor: int) -> TorchValue:
        """interpolate, nearest; repeat_interleave where that would take a neighbour."""
        if nearest_is_exact(factor):
            number = self.program.record(functional.interpolate, x.number, scale_factor=float(factor), mode="nearest")
        else:
            number = self.program.record(torch.repeat_interleave, x.number, rest=(factor, 2))
            number = self.program.record(torch.repeat_interleave, number, rest=(factor, 3))
        return replace(x, number=number, shape=(x.shape[0], x.shape[1] * factor, x.shape[2] * factor))

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[TorchValue], axis: int = 0) -> TorchValue:
        """cat."""
        if len(values) == 1:
            return values[0]
        numbers = [self.with_batch(value).number for value in values]
        first, length = values[0].shape, sum(value.shape[axis] for value in values)
        number = self.program.record(_joined, *numbers, axis=axis + 1)
        return TorchValue(number, (*first[:axis], length, *first[axis + 1 :]))

    def split(self, x: TorchValue, sizes: Sequence[int], axis: int = 0) -> list[TorchValue]:
        """split."""
        if len(sizes) == 1:
            return [x]
        parts = self.program.record(torch.split, x.number, rest=(tuple(sizes),), dim=axis + 1)
        return [
            replace(
                x,
                number=self.program.record(getitem, parts, rest=(position,)),
                shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]),
            )
            for position, size in enumerate(sizes)
        ]

    def slice(
        self, x: TorchValue, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None
    ) -> TorchValue:
        """Indexing by slices; nothing where all is kept."""
        ranges = list(zip(starts, stops, steps or (1,) * len(starts), strict=True))
        shape = tuple(len(range(length)[slice(*part)]) for length, part in zip(x.shape, ranges, strict=True))
        if shape == x.shape:
            return x
        return replace(x, number=self.program.record(_sliced, x.number, ranges=tuple(ranges)), shape=shape)

    def pad(self, x: TorchValue, before: Sequence[int], after: Sequence[int]) -> TorchValue:
        """pad with zeros."""
        return self._pad(x, before, after, 0.0)

    def reshape(self, x: TorchValue, shape: Shape) -> TorchValue:
        """reshape: a view where the strides allow it."""
        if shape == x.shape:
            return x
        return replace(x, number=self.program.record(_viewed, x.number, shape=shape), shape=shape)

    def rearrange(self, x: TorchValue, operation: Rearrangement) -> TorchValue:
        """The module of `frameworks.torch.module`, as a submodule called by the operation's name."""
        name = self.program.module(operation.name or "rearrange", Rearrange(operation))
        number = self.program.record(called, name, self.with_batch(x).number)
        return TorchValue(number, operation.out_shape(x.shape))

    # ------------------------------------------------------------------ numbers

    def activation(self, x: TorchValue, function: Function, **numbers: float) -> TorchValue:
        """PyTorch's own function, with its gradient."""
        record = self.program.record
        if function == "clip":
            number = record(torch.clamp, x.number, rest=(numbers["low"], numbers["high"]))
        elif function == "leaky_relu":
            number = record(functional.leaky_relu, x.number, rest=(numbers["slope"],))
        elif function in ("elu", "selu"):
            number = record(functional.elu, x.number, rest=(numbers["alpha"],))
            if function == "selu":
                number = record(torch.mul, number, rest=(numbers["gamma"],))
        else:
            number = record(_ACTIVATIONS[function], x.number)
        return replace(x, number=number)

    def add(self, a: TorchValue, b: TorchValue | float) -> TorchValue:
        """add."""
        return self._binary(torch.add, a, b)

    def multiply(self, a: TorchValue, b: TorchValue | float) -> TorchValue:
        """mul."""
        return self._binary(torch.mul, a, b)

    def divide(self, a: TorchValue, b: TorchValue | float) -> TorchValue:
        """div."""
        return self._binary(torch.div, a, b)

    def maximum(self, a: TorchValue, b: TorchValue) -> TorchValue:
        """maximum."""
        return self._binary(torch.maximum, a, b)

    def power(self, x: TorchValue, exponent: float) -> TorchValue:
        """pow."""
        return self._binary(torch.pow, x, exponent)

    def softmax(self, x: TorchValue, axis: int) -> TorchValue:
        """softmax."""
        return replace(x, number=self.program.record(torch.softmax, x.number, dim=axis + 1))

    def reduce_sum(self, x: TorchValue, axis: int) -> TorchValue:
        """sum."""
        return self._reduced(torch.sum, x, axis)

    def reduce_max(self, x: TorchValue, axis: int) -> TorchValue:
        """amax."""
        return self._reduced(torch.amax, x, axis)

    # ------------------------------------------------------------------ sequences

    def unstacked(self, x: TorchValue, steps: int) -> list[TorchValue]:
        """unbind of a view."""
        parts = self.program.record(_steps, self.with_batch(x).number, rest=(steps,))
        return [replace(x, number=self.program.record(getitem, parts, rest=(k,)), batched=True) for k in range(steps)]

    def stacked(self, values: Sequence[TorchValue]) -> TorchValue:
        """cat along the batch."""
        return replace(values[0], number=self.program.record(_joined, *(v.number for v in values), axis=0))

    def own_recurrence(self, *_: object) -> None:
        """None: PyTorch's own LSTM and GRU hold their weights in another form, which could not be trained here."""

    def together(self, values: Sequence[TorchValue]) -> TorchValue:
        """Several as a tuple, the result of a program."""
        return replace(values[0], number=self.program.record(_tuple, *(value.number for value in values)))

    # ------------------------------------------------------------------ parts

    def _source(self, array: LazyArray) -> Source:
        """Where the module has the array: under its own name, or as a constant made for it."""
        if isinstance(array, Held):
            return array.source
        return self.program.constant(array.name.split("/")[-1], array.read())

    def _weighted(
        self,
        function: Callable[..., torch.Tensor],
        x: TorchValue,
        weights: LazyArray,
        bias: LazyArray | None,
        shape: Shape,
        **options: Any,
    ) -> TorchValue:
        held = [self._source(array) for array in (weights, bias) if array is not None]
        return replace(x, number=self.program.record(function, x.number, *held, **options), shape=shape)

    def _padded(
        self, x: TorchValue, padding: Padding, size: Pair | None = None, value: float = 0.0
    ) -> tuple[TorchValue, Pair]:
        """x and what its function pads by itself: the same on opposite sides, and at most half of a pool's `size`."""
        top, left, bottom, right = padding
        fits = size is None or (top <= size[0] // 2 and left <= size[1] // 2)
        if (top, left) == (bottom, right) and fits:
            return x, (top, left)
        return self._pad(x, (0, top, left), (0, bottom, right), value), (0, 0)

    def _pad(self, x: TorchValue, before: Sequence[int], after: Sequence[int], value: float) -> TorchValue:
        if not any(before) and not any(after):
            return x
        widths = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
        while len(widths) > 2 and widths[-2:] == [0, 0]:
            del widths[-2:]
        number = self.program.record(functional.pad, x.number, rest=(tuple(widths),), value=value)
        shape = tuple(a + length + b for a, length, b in zip(before, x.shape, after, strict=True))
        return replace(x, number=number, shape=shape)

    def _binary(self, function: Callable[..., torch.Tensor], a: TorchValue, b: TorchValue | float) -> TorchValue:
        if not isinstance(b, TorchValue):
            return replace(a, number=self.program.record(function, a.number, rest=(b,)))
        shape = np.broadcast_shapes(a.shape, b.shape)
        return TorchValue(self.program.record(function, a.number, b.number), shape, a.batched or b.batched)

    def _reduced(self, function: Callable[..., torch.Tensor], x: TorchValue, axis: int) -> TorchValue:
        number = self.program.record(function, x.number, dim=axis + 1, keepdim=True)
        return replace(x, number=number, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))


# ---------------------------------------------------------------------- where PyTorch has no one function


def _repeated(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x.expand(like.shape[0], *x.shape[1:])


def _steps(x: torch.Tensor, steps: int) -> tuple[torch.Tensor, ...]:
    return x.reshape(steps, -1, *x.shape[1:]).unbind()


def _tuple(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return values


def _joined(*parts: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat(parts, axis)


def _sliced(x: torch.Tensor, ranges: tuple[tuple[int, int, int], ...]) -> torch.Tensor:
    return x[(slice(None), *(slice(*part) for part in ranges))]


def _viewed(x: torch.Tensor, shape: Shape) -> torch.Tensor:
    if torch.compiler.is_compiling() and x.stride(0) != prod(x.shape[1:]):
        x = x.clone(memory_format=torch.contiguous_format)  # a part's view depends on whether the batch is 1
    return x.reshape(x.shape[0], *shape)


def _local(
    x: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor, *, size: Pair, stride: Pair, padding: Pair
) -> torch.Tensor:
    """weights [places, filters, C·size] times the windows [N, C·size, places]."""
    columns = functional.unfold(x, size, stride=stride, padding=padding)
    product = torch.bmm(weights, columns.permute(2, 1, 0))  # [places, filters, N]
    return torch.unflatten(product.permute(2, 1, 0), 2, bias.shape[1:]) + bias
