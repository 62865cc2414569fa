"""What is read of a model that weights are taken from, whatever its framework: its layers with weights, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["convolution", "transposed", "dense", "local", "normalization"]
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_BETWEEN = re.compile(r"[./]")


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An array of the model under the name that it has there."""

    name: str
    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""
        return tuple(self.values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Normalization:
    """A batch norm: scales·(x − means)/sqrt(variances + epsilon) + biases, each [C]; None is 1 for scales, else 0."""

    scales: Tensor | None
    biases: Tensor | None
    means: Tensor
    variances: Tensor
    epsilon: float

    @property
    def channels(self) -> int:
        """How many it normalises."""
        return self.variances.values.size


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A layer of the model that has weights, with the batch norm behind it.

    `weights` lie as Darknet's: [filters, C/groups, H, W] of a convolution, [C, filters, H, W] of a transposed one,
    [outputs, inputs] of a dense layer; `channels_last` says of that, and of a local layer, which is held as Keras does,
    that what it takes lies so.
    """

    name: str
    kind: Kind
    weights: Tensor | None = None
    bias: Tensor | None = None
    normalization: Normalization | None = None
    channels_last: bool = False

    @property
    def channels(self) -> int:
        """How many channels come out of it."""
        if self.weights is None:
            return 0 if self.normalization is None else self.normalization.channels
        return self.weights.shape[1 if self.kind == "transposed" else 0]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A model: its `parts` in the order that `order` tells of, and the `loose` tensors, by their plain names.

    `notes` are one line each: what was taken for granted while it was read.
    """

    framework: str
    parts: tuple[Part, ...]
    loose: Mapping[str, Tensor] = field(default_factory=dict)
    order: str = "the order of its graph"
    notes: tuple[str, ...] = ()


def plain(name: str) -> str:
    """A name with one sign between its parts, as layers of ours are called in every framework.

    >>> plain("3_rnn/input/weights"), plain("3_rnn.input_weights")
    ('3_rnn_input_weights', '3_rnn_input_weights')
    """
    return _BETWEEN.sub("_", name)


def by_numbers_in(name: str) -> list[tuple[int, int | str]]:
    """A key by which names sort with their numbers by size.

    >>> sorted(["layer.10.w", "layer.2.w"], key=by_numbers_in)
    ['layer.2.w', 'layer.10.w']
    """
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in _DIGITS.split(name) if piece]


def loose_tensors(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays of floats by their plain names."""
    return {
        plain(name): Tensor(name, values)
        for name, values in tensors.items()
        if np.issubdtype(values.dtype, np.floating)
    }
