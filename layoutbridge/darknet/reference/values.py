"""What a layer is fed, which rule computes which kind, and the arithmetic that several rules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.darknet.structure.registry import register
from layoutbridge.darknet.structure.settings import S

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Feed:
    """A layer, its inputs and its parameters in the dtype of the computation.

    A batch is `steps` steps of a sequence, one behind another. `states` are a recurrent layer's before the first of
    them, [N, ...] each; those behind the last one it puts into `carried`.
    """

    layer: Layer
    inputs: tuple[Array, ...]
    parameters: Mapping[str, Array]
    flavor: Flavor
    batch: int
    steps: int = 1
    states: Mapping[str, Array] = field(default_factory=dict)
    carried: dict[str, Array] = field(default_factory=dict)

    @property
    def x(self) -> Array:
        """The first input."""
        return self.inputs[0]

    def part(self, name: str, x: Array) -> Array:
        """What the part `name` of a recurrent layer makes of x [N, ...]."""
        part = self.layer.part_called(name)
        own = {parameter.name: self.parameters[part.key(parameter.name)] for parameter in part.parameters}
        given = x.reshape(len(x), *part.in_shape)
        result: Array = RULES[part.kind](Feed(part, (given,), own, self.flavor, len(x)), part.settings)
        return result.reshape(len(x), *part.out_shape)


Rule = Callable[[Feed, S], Array]
_rules: dict[str, Rule[Any]] = {}
RULES: Mapping[str, Rule[Any]] = MappingProxyType(_rules)


def computes(*kinds: type[S]) -> Callable[[Rule[S]], Rule[S]]:
    """Say that a function computes the layers of these kinds."""

    def add(rule: Rule[S]) -> Rule[S]:
        register(_rules, kinds, rule)
        return rule

    return add


def normalize(feed: Feed, x: Array) -> Array:
    """Batch norm with the stored statistics: the forks differ in where the epsilon stands.

    Definition: blas.c, normalize_cpu of either fork, then scale_bias and add_bias.
    """
    values = feed.parameters
    variances = values["variances"]
    divisor = np.sqrt(variances) + 0.000001 if feed.flavor == "pjreddie" else np.sqrt(variances + 0.00001)
    along = (-1,) + (1,) * (x.ndim - 2)
    factor = (values["scales"] / divisor).reshape(along)
    shifted: Array = (x - values["means"].reshape(along)) * factor + values["biases"].reshape(along)
    return shifted


def logistic(x: Array) -> Array:
    """1/(1 + exp(−x)), without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softmax(x: Array, temperature: float = 1.0, axis: int = -1) -> Array:
    """exp(x/t) over its sum along `axis`, the largest taken off first."""
    shifted = (
        np.exp((x - x.max(axis=axis, keepdims=True)) / temperature)
        if temperature > 0
        else np.exp(x / temperature - (x / temperature).max(axis=axis, keepdims=True))
    )
    result: Array = shifted / shifted.sum(axis=axis, keepdims=True)
    return result
