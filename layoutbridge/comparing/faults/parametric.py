"""Convolutions and dense layers in stages: what they read, their weights, the zeros around, batch norm, activation.

Each stage has alternatives, which are what ports do instead. A layer is computed with one of them, or with two of
different stages: two faults of one layer are found together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from math import prod
from typing import Any, Literal

import numpy as np

from layoutbridge.comparing.faults.fault import Array, CauseKind
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.parametric import blurred, correlate
from layoutbridge.darknet.reference.values import Feed, normalize
from layoutbridge.darknet.structure.kinds import Connected, Convolutional

Stage = Literal["read", "weights", "padding", "normalization", "activation"]
Sides = tuple[int, int, int, int]  # zeros above, below, on the left and on the right
Values = Mapping[str, Array]
_EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 0.0, 1e-2)
_SLOPES = (0.1, 0.01, 0.2, 0.3, 0.25, 0.05)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "selu", "logistic", "tanh", "swish", "mish", "hard_mish", "gelu")
_LIMIT = 1e-12


@dataclass(frozen=True, slots=True)
class Alternative:
    """What a port does in one stage: `found` where `expected` is right, in words; `change` does it.

    `change` takes and gives what the stage works on: the input [N, C, H, W], the weights, the four sides of the padding
    (or the name of what fills them), (parameters, product) for batch norm, the sum for the activation.
    """

    stage: Stage
    cause: CauseKind
    found: str
    expected: str
    explanation: str
    fix: str
    change: Callable[..., Any] = field(compare=False, repr=False)


Choice = Mapping[Stage, Alternative]


def alternatives(feed: Feed) -> dict[Stage, list[Alternative]]:
    """What ports may do instead in each stage of this layer; empty for what is no plain convolution or dense layer."""
    settings = feed.layer.settings
    if isinstance(settings, Convolutional) and not settings.xnor and settings.antialiasing is None:
        return {
            "normalization": list(_normalizations(feed)),
            "activation": list(activations(settings.activation)),
            "padding": list(_paddings(feed, settings)),
            "read": list(_reads(feed)),
            "weights": list(_filters(feed)),
        }
    if isinstance(settings, Connected):
        return {
            "normalization": list(_normalizations(feed)),
            "activation": list(activations(settings.activation)),
            "read": list(_flattens(feed)),
            "weights": list(_matrices(feed)),
        }
    return {}


def computed(feed: Feed, choice: Choice) -> Array | None:
    """What the layer gives with the alternatives of `choice`; None where one of them cannot be."""
    product = multiplied(feed, choice)
    return None if product is None else finished(feed, feed.parameters, product, choice)


def multiplied(feed: Feed, choice: Choice) -> Array | None:
    """The product of input and weights, [N, F, H, W], before batch norm or biases."""
    settings: Any = feed.layer.settings
    weights = feed.parameters["weights"]
    if "weights" in choice:
        changed = np.ascontiguousarray(choice["weights"].change(weights))
        if changed.shape != weights.shape or np.array_equal(changed, weights):
            return None
        weights = changed
    x = choice["read"].change(feed.x) if "read" in choice else feed.x
    if isinstance(settings, Connected):
        return (x.reshape(feed.batch, -1) @ weights.T).reshape(feed.batch, -1, 1, 1)
    x = framed(feed, x, choice)
    reach = settings.dilation * (settings.size - 1) + 1
    if x is None or min(x.shape[2:]) < reach:
        return None
    strides = settings.stride_y, settings.stride_x
    return correlate(x, weights, strides, 0, settings.dilation, settings.groups)


def framed(feed: Feed, x: Array, choice: Choice) -> Array | None:
    """The input in its frame of zeros, or of what a port has there."""
    settings: Any = feed.layer.settings
    sides: Any = (settings.padding,) * 4
    if "padding" in choice:
        sides = choice["padding"].change(sides)
    if isinstance(sides, str):
        own = settings.padding
        if own >= min(x.shape[2:]):
            return None
        return np.pad(x, ((0, 0), (0, 0), (own, own), (own, own)), mode=sides)  # type: ignore[call-overload]
    if min(sides) < 0:
        return None
    below, right = settings.overhang
    top, bottom, left, last = sides
    return np.pad(x, ((0, 0), (0, 0), (top, bottom + below), (left, last + right)))


def finished(feed: Feed, values: Values, product: Array, choice: Choice) -> Array:
    """Batch norm or biases and the activation behind a product, channels on axis 1."""
    settings: Any = feed.layer.settings
    if "normalization" in choice:
        y = choice["normalization"].change(values, product)
    elif settings.batch_normalize:
        y = normalize(replace(feed, parameters=values), product)
    else:
        y = product + _along(values["biases"])
    function = choice["activation"].change if "activation" in choice else _function(settings.activation)
    return blurred(function(y), getattr(settings, "antialiasing", None))


# ---------------------------------------------------------------------- batch norm and activation


def _normalizations(feed: Feed) -> Iterator[Alternative]:
    """Another epsilon, statistics of the batch itself, a part that is missing."""
    settings: Any = feed.layer.settings
    if not settings.batch_normalize:
        yield Alternative(
            "normalization", "weight_layout", "no biases", "biases", "the biases are not added", "copy the biases",
            lambda values, y: y,
        )  # fmt: skip
        return
    expected = "epsilon 1e-06 outside the root" if feed.flavor == "pjreddie" else "epsilon 1e-05 inside the root"
    fix = (
        "fold batch norm into the weights, with sqrt(variance) + 1e-6"
        if feed.flavor == "pjreddie"
        else "give batch norm an epsilon of 1e-5"
    )
    for epsilon in _EPSILONS:
        for place in ("inside", "outside"):
            told = f"epsilon {epsilon:g} {place} the root"
            if told != expected and (epsilon or place == "inside"):
                yield Alternative(
                    "normalization", "batch_norm", told, expected,
                    f"batch norm divides by another number: {told}, where this Darknet has {expected}", fix,
                    _divided(epsilon, place),
                )  # fmt: skip
    for told, change in _PARTS.items():
        yield Alternative(
            "normalization", "batch_norm", told, "scales, means, variances and biases as stored",
            f"batch norm is not applied as Darknet does: {told}", "copy all four vectors, and apply them in order",
            change,
        )  # fmt: skip


def _divided(epsilon: float, place: str) -> Callable[[Mapping[str, Array], Array], Array]:
    def change(values: Mapping[str, Array], y: Array) -> Array:
        variances = values["variances"]
        divisor = np.sqrt(variances + epsilon) if place == "inside" else np.sqrt(variances) + epsilon
        return _scaled(values, (y - _along(values["means"])) / _along(np.maximum(divisor, _LIMIT)))

    return change


def _scaled(values: Mapping[str, Array], y: Array) -> Array:
    return y * _along(values["scales"]) + _along(values["biases"])


def _along(vector: Array) -> Array:
    return vector.reshape(-1, 1, 1)


def _of_the_batch(values: Mapping[str, Array], y: Array) -> Array:
    means, variances = y.mean(axis=(0, 2, 3), keepdims=True), y.var(axis=(0, 2, 3), keepdims=True)
    return _scaled(values, (y - means) / np.sqrt(variances + 1e-5))


def _standard(values: Mapping[str, Array], y: Array) -> Array:
    return (y - _along(values["means"])) / _along(np.sqrt(values["variances"] + 1e-5))


_PARTS: Mapping[str, Callable[[Mapping[str, Array], Array], Array]] = {
    "no batch norm, the biases alone": lambda values, y: y + _along(values["biases"]),
    "no batch norm": lambda values, y: y,
    "no scales": lambda values, y: _standard(values, y) + _along(values["biases"]),
    "no biases": lambda values, y: _standard(values, y) * _along(values["scales"]),
    "neither scales nor biases": _standard,
    "no means": lambda values, y: _scaled(values, y / _along(np.sqrt(values["variances"] + 1e-5))),
    "no variances": lambda values, y: _scaled(values, y - _along(values["means"])),
    "deviations in the place of variances": lambda values, y: _scaled(
        values, (y - _along(values["means"])) / _along(values["variances"] + 1e-5)
    ),
    "scales and biases exchanged": lambda values, y: (
        _standard(values, y) * _along(values["biases"]) + _along(values["scales"])
    ),
    "statistics of the batch itself, as in training": _of_the_batch,
}


def activations(named: str) -> Iterator[Alternative]:
    """Other functions than the one `named`, and other slopes."""
    expected = "leaky with slope 0.1" if named == "leaky" else named
    for name in _ACTIVATIONS:
        if name != named:
            yield _activated(name, expected, named, _function(name))
    for slope in _SLOPES:
        if not (named == "leaky" and slope == 0.1):
            yield _activated(f"leaky with slope {slope:g}", expected, named, _leaky(slope))


def _activated(found: str, expected: str, named: str, function: Callable[[Array], Array]) -> Alternative:
    return Alternative(
        "activation", "activation", found, expected, f"the activation is {found}, and the cfg says {named}",
        f"use {expected}", function,
    )  # fmt: skip


def _function(name: str) -> Callable[[Array], Array]:
    return lambda x: activate(name, x)


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


# ---------------------------------------------------------------------- what a convolution reads


def _paddings(feed: Feed, settings: Convolutional) -> Iterator[Alternative]:
    """Zeros on other sides, or in another number; what is there instead of zeros."""
    own = settings.padding
    expected, fix = f"{own} on each side", f"pad {own} on each of the four sides, and let the convolution pad nothing"
    reach = settings.dilation * (settings.size - 1)
    (top, bottom), (left, right) = (
        _same(length, stride, reach)
        for length, stride in zip(feed.x.shape[2:], (settings.stride_y, settings.stride_x), strict=True)
    )
    choices: dict[str, Sides] = {
        f"as TensorFlow's SAME: {top} above, {left} on the left, {bottom} below, {right} on the right": (
            top, bottom, left, right,
        ),
        "none": (0, 0, 0, 0),
        f"{2 * own} below and on the right": (0, 2 * own, 0, 2 * own),
        f"{2 * own} above and on the left": (2 * own, 0, 2 * own, 0),
        f"{reach} below and on the right": (0, reach, 0, reach),
        f"{reach // 2} on each side": (reach // 2,) * 4,
        f"{own + 1} on each side": (own + 1,) * 4,
        f"{own - 1} on each side": (own - 1,) * 4,
    }  # fmt: skip
    seen = {(own,) * 4}
    for told, sides in choices.items():
        if sides not in seen and min(sides) >= 0:
            seen.add(sides)
            told_why = f"zeros stand elsewhere: {told}, and Darknet has {expected}"
            yield Alternative("padding", "padding", told, expected, told_why, fix, _constantly(sides))
    if own:
        for mode in ("edge", "reflect"):
            told = f"the picture's {mode} instead of zeros"
            yield Alternative(
                "padding", "padding", told, "zeros", f"around the picture lies its {mode}", fix, _constantly(mode)
            )


def _constantly(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _same(length: int, stride: int, reach: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
    return total // 2, total - total // 2


def _reads(feed: Feed) -> Iterator[Alternative]:
    """Colours the other way round, another range, for a layer that reads the picture."""
    if feed.layer.inputs != (-1,):
        return
    if feed.x.shape[1] == 3:
        yield Alternative(
            "read", "channel_order", "BGR", "RGB", "the first layer reads the colours in the other order",
            "turn the channels of the picture round, or of the first layer's weights", lambda x: x[:, ::-1],
        )  # fmt: skip
    for told, change in _RANGES.items():
        yield Alternative(
            "read", "input_range", told, "0 to 1", f"the first layer reads its input as {told}",
            "give the network values from 0 to 1, and scale nothing inside", change,
        )  # fmt: skip


def _imagenet(x: Array) -> Array:
    if x.shape[1] != 3:
        return x
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return (x - mean.reshape(1, 3, 1, 1)) / deviation.reshape(1, 3, 1, 1)


_RANGES: Mapping[str, Callable[[Array], Array]] = {
    "0 to 255": lambda x: x * 255,
    "divided by 255 once more": lambda x: x / 255,
    "-1 to 1": lambda x: 2 * x - 1,
    "-0.5 to 0.5": lambda x: x - 0.5,
    "less ImageNet's mean, by its deviation": _imagenet,
    "0 to 255 less Caffe's mean": lambda x: (
        255 * x - np.array([123.68, 116.779, 103.939]).reshape(1, 3, 1, 1) if x.shape[1] == 3 else x
    ),
}


# ---------------------------------------------------------------------- weights


def _filters(feed: Feed) -> Iterator[Alternative]:
    """Weights read in the order of another framework's, turned, or with inputs and outputs exchanged."""
    shape = feed.parameters["weights"].shape
    changes: dict[str, Callable[[Array], Array]] = {
        "filters turned by a half turn, as for a convolution in the strict sense": lambda w: w[..., ::-1, ::-1],
        "height and width exchanged": lambda w: w.swapaxes(2, 3),
        "rows in the other order": lambda w: w[:, :, ::-1],
        "columns in the other order": lambda w: w[..., ::-1],
        "outputs in the other order": lambda w: w[::-1],
    }
    if feed.layer.inputs != (-1,) or shape[1] != 3:  # where it is BGR for RGB
        changes["inputs in the other order"] = lambda w: w[:, ::-1]
    if shape[0] == shape[1]:
        changes["inputs and outputs exchanged"] = lambda w: w.swapaxes(0, 1)
    for order in permutations(range(4)):
        if order != (0, 1, 2, 3):
            changes[f"read as {''.join('OIHW'[axis] for axis in order)} without a transpose"] = _misread(order)
    fix = "transpose the weights from OIHW to the framework's layout, do not reshape them"
    yield from _weighted(changes, "OIHW, as stored", fix)


def _matrices(feed: Feed) -> Iterator[Alternative]:
    """Dense weights with rows and columns exchanged."""
    weights = feed.parameters["weights"]
    changes: dict[str, Callable[[Array], Array]] = {
        "read with rows and columns exchanged": lambda w: w.reshape(w.shape[::-1]).T,
        "written with rows and columns exchanged": lambda w: w.T.reshape(w.shape),
        "outputs in the other order": lambda w: w[::-1],
    }
    if weights.shape[0] == weights.shape[1]:
        changes["transposed"] = lambda w: w.T
    yield from _weighted(changes, "a row for each output, as stored", "transpose the matrix, do not reshape it")


def _flattens(feed: Feed) -> Iterator[Alternative]:
    """The values of a picture in another order than the weights expect."""
    item = feed.x.shape[1:]
    if len(item) != 3 or min(item[0], prod(item[1:])) < 2:
        return
    for told, axes in (
        ("H, W, C", (0, 2, 3, 1)), ("H, C, W", (0, 2, 1, 3)), ("W, H, C", (0, 3, 2, 1)), ("C, W, H", (0, 1, 3, 2)),
        ("W, C, H", (0, 3, 1, 2)),
    ):  # fmt: skip
        yield Alternative(
            "read", "flatten_order", told, "C, H, W",
            f"the values are flattened in the order {told}, and the weights expect C, H, W",
            "flatten channels first, or permute the weights: lb.carry(op, weights, 'dense', shape=...)",
            _transposed(axes),
        )  # fmt: skip


def _transposed(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda x: np.ascontiguousarray(x.transpose(axes))


def _misread(order: tuple[int, ...]) -> Callable[[Array], Array]:
    def change(w: Array) -> Array:
        return np.ascontiguousarray(w).reshape(tuple(w.shape[axis] for axis in order)).transpose(np.argsort(order))

    return change


def _weighted(changes: Mapping[str, Callable[[Array], Array]], expected: str, fix: str) -> Iterator[Alternative]:
    for told, change in changes.items():
        why = f"the weights are not where they belong: {told}"
        yield Alternative("weights", "weight_layout", told, expected, why, fix, change)
