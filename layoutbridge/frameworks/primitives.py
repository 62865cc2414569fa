"""What a network's layers are written in: a small set of operations that every framework has.

A layer's meaning is one function over a `Target`; a target implements the operations below once. Shapes are those
of one picture, (C, H, W) or (K,) or any other rank: the batch is implied, and a target may hold its values in
another order (channels last) as long as the shapes and axes that it is told mean these. Values are float32.

Parameters come as `LazyArray`: name and shape at once, the numbers when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from layoutbridge.algebra.rearrangement import Rearrangement

Shape = tuple[int, ...]
Pair = tuple[int, int]  # of rows and of columns
Padding = tuple[int, int, int, int]  # top, left, bottom, right
Function = Literal[
    "sigmoid",  # 1/(1 + exp(−x))
    "tanh",
    "relu",  # max(x, 0)
    "leaky_relu",  # x, or slope·x below 0
    "elu",  # x, or alpha·(exp(x) − 1) below 0
    "selu",  # gamma·x, or gamma·alpha·(exp(x) − 1) below 0
    "clip",  # x within low and high
    "swish",  # x·sigmoid(x)
    "mish",  # x·tanh(log(1 + exp(x)))
    "exp",
    "sqrt",
    "floor",
    "step",  # 1 where x > 0, else 0; where it is trained, its gradient is that of x/2 within −1 and 1
]
NO_PADDING: Padding = (0, 0, 0, 0)
_CHUNK = 1 << 16  # values: 256 KB, which stay in the processor's second cache between being made and being written
_LINE, _LONGEST_LINES = 16, 1 << 20  # float32 of a line of it: of what lies transposed, entries that are read at once


class Value(Protocol):
    """A tensor in a target."""

    @property
    def shape(self) -> Shape:
        """Its shape without the batch axis."""


V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class LazyArray:
    """A float32 array that is read when it is needed, whole or a few entries of its first axis at a time.

    `name` says which one it is in the whole network, as in `27_convolutional/weights`: the same name is the same array.
    `rows(start, stop)` returns entries start to stop (excluded) of axis 0, float32 [stop − start, *shape[1:]];
    `unrounded`, where they were computed in float64, the same before they were rounded.

    >>> lazy = LazyArray.of("biases", [1.0, 2.0, 3.0])
    >>> lazy.shape, lazy.read().tolist(), [chunk.tolist() for chunk in lazy.chunks(2)]
    ((3,), [1.0, 2.0, 3.0], [[1.0, 2.0], [3.0]])
    """

    name: str
    shape: Shape
    rows: Callable[[int, int], NDArray[np.float32]]
    unrounded: Callable[[int, int], NDArray[np.float64]] | None = field(default=None, kw_only=True)

    @staticmethod
    def of(name: str, values: ArrayLike) -> LazyArray:
        """One that is there already, rounded to float32; a memory-mapped float32 array is not read by this."""
        given = np.asarray(values)
        array = np.asarray(given, np.float32)
        unrounded = (lambda start, stop: given[start:stop]) if given.dtype == np.float64 else None
        return LazyArray(name, array.shape, lambda start, stop: array[start:stop], unrounded=unrounded)

    @staticmethod
    def joined(name: str, arrays: Sequence[LazyArray]) -> LazyArray:
        """Several, one behind another along their first axis.

        >>> LazyArray.joined("both", [LazyArray.of("a", [1.0, 2.0]), LazyArray.of("b", [3.0])]).rows(1, 3).tolist()
        [2.0, 3.0]
        """
        ends = np.cumsum([array.shape[0] for array in arrays]).tolist()

        def rows(start: int, stop: int) -> NDArray[np.float32]:
            parts = [
                array.rows(max(start - end + array.shape[0], 0), min(stop - end + array.shape[0], array.shape[0]))
                for array, end in zip(arrays, ends, strict=True)
                if start < end and stop > end - array.shape[0]
            ]
            return np.concatenate(parts)

        return LazyArray(name, (ends[-1], *arrays[0].shape[1:]), rows)

    def within(self, start: int, stop: int) -> LazyArray:
        """Entries start to stop (excluded) along its second axis.

        >>> LazyArray.of("weights", [[1.0, 2.0, 3.0]]).within(1, 3).read().tolist()
        [[2.0, 3.0]]
        """
        whole, unrounded = self.rows, self.unrounded
        return LazyArray(
            f"{self.name}_{start}_{stop}",
            (self.shape[0], stop - start, *self.shape[2:]),
            lambda first, last: whole(first, last)[:, start:stop],
            unrounded=None if unrounded is None else lambda first, last: unrounded(first, last)[:, start:stop],
        )

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    def read(self) -> NDArray[np.float32]:
        """All of it, float32 of `shape`."""
        return self.rows(0, self.shape[0])

    def chunks(self, most: int | None = None, dtype: DTypeLike = np.float32) -> Iterator[NDArray[Any]]:
        """Its entries in order, some `most` values at a time, at least one entry of axis 0; rounded once to `dtype`.

        Without `most` as many as `rows_together`.
        """
        length = prod(self.shape[1:])
        step = rows_together(length) if most is None else max(most // max(length, 1), 1)
        rows = self.rows if self.unrounded is None or np.dtype(dtype) == np.float32 else self.unrounded
        for start in range(0, self.shape[0], step):
            yield rows(start, min(start + step, self.shape[0])).astype(dtype, copy=False)


def rows_together(length: int) -> int:
    """How many rows of `length` values are best worked on at a time: they stay in the cache, and use whole lines of it.

    >>> rows_together(9), rows_together(9216), rows_together(50176), rows_together(1 << 21)
    (7281, 16, 16, 1)
    """
    return max(_CHUNK // max(length, 1), min(_LINE, _LONGEST_LINES // max(length, 1)), 1)


@dataclass(frozen=True, slots=True)
class RecurrentCell:
    """An LSTM or a GRU as textbooks have it: arrays [outputs, inputs], [outputs, outputs] and [outputs] for each gate.

    `kind` is "lstm" with gates i, o, f, g and states hidden, cell, or "gru" with gates z, r, h and the state hidden,
    whose r multiplies the state before its matrix does. Biases are those of the input's and those of the state's
    product. `candidate` is the activation of g or h.
    """

    kind: Literal["lstm", "gru"]
    of_input: tuple[LazyArray, ...]
    of_state: tuple[LazyArray, ...]
    input_biases: tuple[LazyArray, ...]
    state_biases: tuple[LazyArray, ...]
    candidate: Literal["tanh", "sigmoid"]

    @property
    def outputs(self) -> int:
        """How many values each step gives."""
        return self.of_state[0].shape[0]


class Target(Protocol[V]):
    """The primitives. `V` is the target's own kind of value. All raise `UnsupportedError` for what a target lacks."""

    def scope(self, name: str) -> AbstractContextManager[None]:
        """Within it, what is made bears names that begin with `name`, as in `27_reorg/SpaceToDepth`."""

    def constant(self, array: LazyArray) -> V:
        """A value of the array's shape, the same for every picture of the batch."""

    # ------------------------------------------------------------------ with weights

    def conv2d(
        self,
        x: V,
        weights: LazyArray,
        bias: LazyArray | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> V:
        """Cross-correlation of x (C, H, W) with weights [filters, C/groups, rows, columns]; bias [filters]."""

    def conv_transpose2d(
        self, x: V, weights: LazyArray, bias: LazyArray | None = None, *, stride: Pair, padding: Padding
    ) -> V:
        """The transpose of a convolution: weights [C, filters, rows, columns]; `padding` is cut from the result."""

    def dense(self, x: V, weights: LazyArray, bias: LazyArray | None = None) -> V:
        """weights [outputs, inputs] times x (inputs,), plus bias [outputs]: (outputs,)."""

    def locally_connected(
        self, x: V, weights: LazyArray, bias: LazyArray, *, size: Pair, stride: Pair, padding: Padding
    ) -> V:
        """A convolution with its own filters at every place of the output.

        weights [H·W, filters, C·rows·columns] of the output's places in rows; bias [filters, H, W].
        """

    def batch_norm(
        self, x: V, scales: LazyArray, biases: LazyArray, means: LazyArray, variances: LazyArray, *, epsilon: float
    ) -> V:
        """scales·(x − means)/sqrt(variances + epsilon) + biases, each [C], as the target's own layer."""

    # ------------------------------------------------------------------ windows and places

    def max_pool(self, x: V, *, size: Pair, stride: Pair, padding: Padding) -> V:
        """The maximum of each window inside the picture: padding is never the maximum."""

    def average_pool(self, x: V, *, size: Pair, stride: Pair, padding: Padding) -> V:
        """The mean of those places of each window that lie inside the picture."""

    def global_average(self, x: V) -> V:
        """The mean of each channel: (C, 1, 1)."""

    def upsample(self, x: V, factor: int) -> V:
        """Each place of (C, H, W) factor × factor times (nearest)."""

    # ------------------------------------------------------------------ moving and joining

    def concat(self, values: Sequence[V], axis: int = 0) -> V:
        """The values one after another along `axis`."""

    def split(self, x: V, sizes: Sequence[int], axis: int = 0) -> list[V]:
        """x cut along `axis` into parts of these lengths."""

    def slice(self, x: V, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int] | None = None) -> V:
        """x[starts[0]:stops[0]:steps[0], starts[1]:...] over every axis; no negative numbers."""

    def pad(self, x: V, before: Sequence[int], after: Sequence[int]) -> V:
        """Zeros before and after, along every axis."""

    def reshape(self, x: V, shape: Shape) -> V:
        """x, in its row-major order, as `shape`."""

    def rearrange(self, x: V, operation: Rearrangement) -> V:
        """`operation` applied to each picture; its own shape is the result's."""

    # ------------------------------------------------------------------ numbers

    def activation(self, x: V, function: Function, **numbers: float) -> V:
        """`function` of every element; slope, alpha, gamma, low and high as `Function` names them."""

    def add(self, a: V, b: V | float) -> V:
        """a + b; lengths of 1 are repeated, as in NumPy, and ranks are equal."""

    def multiply(self, a: V, b: V | float) -> V:
        """a·b, as `add`."""

    def divide(self, a: V, b: V | float) -> V:
        """a/b, as `add`."""

    def maximum(self, a: V, b: V) -> V:
        """The larger of both, as `add`."""

    def power(self, x: V, exponent: float) -> V:
        """x to a constant power."""

    def softmax(self, x: V, axis: int) -> V:
        """exp(x)/Σ exp(x) along `axis`."""

    def reduce_sum(self, x: V, axis: int) -> V:
        """The sum along `axis`, which stays with length 1."""

    def reduce_max(self, x: V, axis: int) -> V:
        """The maximum along `axis`, which stays with length 1."""

    # ------------------------------------------------------------------ sequences

    def unstacked(self, x: V, steps: int) -> list[V]:
        """The steps of a batch that holds `steps` of them, T·N, each a batch of N."""

    def stacked(self, values: Sequence[V]) -> V:
        """Batches of N, a step each, as one batch that `unstacked` takes apart again."""

    def own_recurrence(self, x: V, cell: RecurrentCell, before: Sequence[V], steps: int) -> tuple[V, ...] | None:
        """What a recurrent layer of the target's own makes of x (inputs,), all steps, and the states behind the last.

        `before` are the states before the first step; none are zeros. None where the target has no such layer.
        """


def dilated(size: Pair, dilation: Pair) -> Pair:
    """The rows and columns that a filter covers with its gaps.

    >>> dilated((3, 1), (2, 2))
    (5, 1)
    """
    down, across = (step * (length - 1) + 1 for length, step in zip(size, dilation, strict=True))
    return down, across


def windows(shape: Shape, size: Pair, stride: Pair, padding: Padding) -> Pair:
    """How many windows fit down and across a picture (C, H, W), a window of dilated filters taken with its gaps.

    >>> windows((3, 26, 13), (3, 3), (2, 1), (1, 1, 1, 1))
    (13, 13)
    """
    down, across = ((shape[k + 1] + padding[k] + padding[k + 2] - size[k]) // stride[k] + 1 for k in (0, 1))
    return down, across


def transposed_lengths(shape: Shape, size: Pair, stride: Pair, padding: Padding) -> Pair:
    """Rows and columns of what a transposed convolution makes of a picture (C, H, W), `padding` cut off.

    >>> transposed_lengths((3, 13, 26), (4, 4), (2, 2), (1, 1, 1, 1))
    (26, 52)
    """
    down, across = ((shape[k + 1] - 1) * stride[k] + size[k] - padding[k] - padding[k + 2] for k in (0, 1))
    return down, across


def copying_filters(channels: int, size: Pair) -> LazyArray:
    """Weights of a convolution in `channels` groups that makes each place of its windows a channel: C, row, column."""
    area = prod(size)
    copying = np.tile(np.eye(area, dtype=np.float32).reshape(area, 1, *size), (channels, 1, 1, 1))
    return LazyArray.of(f"constants/windows_{channels}x{size[0]}x{size[1]}", copying)


def nearest_is_exact(factor: int) -> bool:
    """Whether place·(1/factor) in float32, as runtimes find a place's source, never falls below a whole number.

    >>> nearest_is_exact(2), nearest_is_exact(41)
    (True, False)
    """
    return float(np.float32(1 / factor)) * factor >= 1
