"""What ports do instead in each stage of a convolution or a dense layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from layoutbridge.comparing.faults.elsewhere import Numbers, borrowed
from layoutbridge.comparing.faults.fault import Array
from layoutbridge.comparing.faults.stages import Alternative, Stage, Values, along, function_called
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.kinds import Connected, Convolutional

_Change = tuple[Callable[[Array], Array], str]  # what was done to weights, and what undoes it
Sides = tuple[int, int, int, int]  # zeros above, below, on the left and on the right
_EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 0.0, 1e-2)
_SLOPES = (0.1, 0.01, 0.2, 0.3, 0.25, 0.05)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "selu", "logistic", "tanh", "swish", "mish", "hard_mish", "gelu")
_LIMIT = 1e-12
_NEAR = 1e-3  # of the largest: a number that was worked out is one that has a name


def alternatives(feed: Feed, numbers: Numbers) -> dict[Stage, list[Alternative]]:
    """What ports may do instead in each stage of this layer; empty for what is no plain convolution or dense layer."""
    settings = feed.layer.settings
    if isinstance(settings, Convolutional) and not settings.xnor and settings.antialiasing is None:
        return {
            "numbers": list(borrowed(feed, numbers)),
            "normalization": list(_normalizations(feed)),
            "activation": list(activations(settings.activation)),
            "padding": list(_paddings(feed, settings)),
            "colours": list(_colours(feed)),
            "read": list(_ranges(feed)),
            "weights": list(_filters(feed)),
        }
    if isinstance(settings, Connected):
        return {
            "numbers": list(borrowed(feed, numbers)),
            "normalization": list(_normalizations(feed)),
            "activation": list(activations(settings.activation)),
            "read": list(_flattens(feed)),
            "weights": list(_matrices(feed)),
        }
    return {}


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
    for told, change in _parts(feed.flavor).items():
        yield Alternative(
            "normalization", "batch_norm", told, "scales, means, variances and biases as stored",
            f"batch norm is not applied as Darknet does: {told}", "copy all four vectors, and apply them in order",
            change,
        )  # fmt: skip


def _divided(epsilon: float, place: str) -> Callable[[Values, Array], Array]:
    divisor = _divisor(epsilon, place)
    return lambda values, y: _scaled(values, (y - along(values["means"])) / along(divisor(values)))


def _divisor(epsilon: float, place: str) -> Callable[[Values], Array]:
    def divisor(values: Values) -> Array:
        variances = values["variances"]
        made = np.sqrt(variances + epsilon) if place == "inside" else np.sqrt(variances) + epsilon
        return np.maximum(made, _LIMIT)

    return divisor


def _scaled(values: Values, y: Array) -> Array:
    return y * along(values["scales"]) + along(values["biases"])


def _of_the_batch(values: Values, y: Array) -> Array:
    means, variances = y.mean(axis=(0, 2, 3), keepdims=True), y.var(axis=(0, 2, 3), keepdims=True)
    return _scaled(values, (y - means) / np.sqrt(variances + 1e-5))


def _parts(flavor: str) -> Mapping[str, Callable[[Values, Array], Array]]:
    """What is left out of batch norm, or done otherwise."""
    divisor = _divisor(1e-6, "outside") if flavor == "pjreddie" else _divisor(1e-5, "inside")

    def standard(values: Values, y: Array) -> Array:
        return (y - along(values["means"])) / along(divisor(values))

    return {
        "no batch norm, the biases alone": lambda values, y: y + along(values["biases"]),
        "no batch norm": lambda values, y: y,
        "no scales": lambda values, y: standard(values, y) + along(values["biases"]),
        "no biases": lambda values, y: standard(values, y) * along(values["scales"]),
        "neither scales nor biases": standard,
        "no means": lambda values, y: _scaled(values, y / along(divisor(values))),
        "no variances": lambda values, y: _scaled(values, y - along(values["means"])),
        "no means, no variances": _scaled,
        "deviations in the place of variances": lambda values, y: _scaled(
            values, (y - along(values["means"])) / along(np.sqrt(np.sqrt(values["variances"]) + 1e-5))
        ),
        "variances in the place of deviations": lambda values, y: _scaled(
            values, (y - along(values["means"])) / along(values["variances"] + 1e-5)
        ),
        "statistics of the batch itself, as in training": _of_the_batch,
    }


def activations(named: str) -> Iterator[Alternative]:
    """Other functions than the one `named`, and other slopes."""
    expected = "leaky with slope 0.1" if named == "leaky" else named
    for name in _ACTIVATIONS:
        if name != named:
            yield _activated(name, expected, named, function_called(name))
    for name, function in _OTHERS.items():
        yield _activated(name, expected, named, function)
    for slope in _SLOPES:
        if not (named == "leaky" and slope == 0.1):
            yield _activated(f"leaky with slope {slope:g}", expected, named, _leaky(slope))


def activation_of(feed: Feed) -> Alternative:
    """A layer's own activation."""
    settings: Any = feed.layer.settings
    named = settings.activation
    return _activated(named, named, named, function_called(named))


def _activated(found: str, expected: str, named: str, function: Callable[[Array], Array]) -> Alternative:
    return Alternative(
        "activation", "activation", found, expected, f"the activation is {found}, and the cfg says {named}",
        f"use {expected}", function,
    )  # fmt: skip


def _hard_logistic(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


_OTHERS: Mapping[str, Callable[[Array], Array]] = {
    "hard swish": lambda x: x * _hard_logistic(x),
    "hard logistic": _hard_logistic,
    "hard logistic of slope 0.2": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "softplus": lambda x: np.logaddexp(x, 0),
    "gelu by erf": lambda x: x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2,
    "hard tanh": lambda x: np.clip(x, -1, 1),
}


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


def _colours(feed: Feed) -> Iterator[Alternative]:
    """Colours the other way round, for a layer that reads the picture."""
    if feed.layer.inputs == (-1,) and feed.x.shape[1] == 3:
        yield Alternative(
            "colours", "channel_order", "BGR", "RGB", "the first layer reads the colours in the other order",
            "turn the channels of the picture round, or of the first layer's weights", lambda x: x[:, ::-1],
        )  # fmt: skip


def _ranges(feed: Feed) -> Iterator[Alternative]:
    """Another range, for a layer that reads the picture."""
    if feed.layer.inputs != (-1,):
        return
    for told, (factors, offsets) in _RANGES.items():
        if len(offsets) in (1, feed.x.shape[1]):
            yield ranged(told, _affine(factors, offsets))


def ranged(told: str, change: Callable[[Array], Array]) -> Alternative:
    """A picture that is read in another range than 0 to 1."""
    return Alternative(
        "read", "input_range", told, "0 to 1", f"the first layer reads its input as {told}",
        "give the network values from 0 to 1, and scale nothing inside", change,
    )  # fmt: skip


_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
_CAFFE = (123.68, 116.779, 103.939)
_RANGES: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {  # the factors and offsets of the colours
    "0 to 255": ((255,), (0,)),
    "divided by 255 once more": ((1 / 255,), (0,)),
    "-1 to 1": ((2,), (-1,)),
    "-0.5 to 0.5": ((1,), (-0.5,)),
    "less ImageNet's mean, by its deviation": (
        [1 / each for each in _DEVIATIONS], [-mean / each for mean, each in zip(_MEANS, _DEVIATIONS, strict=True)],
    ),
    "less ImageNet's mean": ((1,), [-mean for mean in _MEANS]),
    "0 to 255 less Caffe's mean": ((255,), [-mean for mean in _CAFFE]),
    "1 to 0": ((-1,), (1,)),
}  # fmt: skip


def _affine(factors: Sequence[float], offsets: Sequence[float]) -> Callable[[Array], Array]:
    scale, shift = (np.asarray(each, np.float64).reshape(1, -1, 1, 1) for each in (factors, offsets))
    return lambda x: x * scale + shift if max(scale.size, shift.size) in (1, x.shape[1]) else x


def named_range(factors: Array, offsets: Array) -> tuple[str, Array, Array]:
    """What a range with these factors and offsets of the colours, nearly, is called, and those that it has."""
    for told, held in _RANGES.items():
        if len(held[1]) not in (1, len(factors)):
            continue
        scale, shift = (np.broadcast_to(np.asarray(each, np.float64), factors.shape) for each in held)
        if np.abs(scale - factors).max() <= _NEAR * np.abs(scale).max() and (
            np.abs(shift - offsets).max() <= _NEAR * max(np.abs(shift).max(), 1)
        ):
            return told, scale, shift
    means, deviations = -offsets / factors, 1 / factors
    return f"less {_told(means)}, by {_told(deviations)}", factors, offsets


def _told(values: Array) -> str:
    """A number for all colours, or one for each."""
    near = np.abs(values - values[0]).max() <= _NEAR * np.abs(values).max()
    return f"{values[0]:.4g}" if near else f"({', '.join(f'{each:.4g}' for each in values)})"


# ---------------------------------------------------------------------- weights


def _filters(feed: Feed) -> Iterator[Alternative]:
    """Weights read in the order of another framework's, turned, or with inputs and outputs exchanged."""
    shape = feed.parameters["weights"].shape
    changes: dict[str, _Change] = {
        "filters turned by a half turn, as for a convolution in the strict sense": (
            lambda w: w[..., ::-1, ::-1], "weights[..., ::-1, ::-1]",
        ),
        "height and width exchanged": (lambda w: w.swapaxes(2, 3), "weights.swapaxes(2, 3)"),
        "rows in the other order": (lambda w: w[:, :, ::-1], "weights[:, :, ::-1]"),
        "columns in the other order": (lambda w: w[..., ::-1], "weights[..., ::-1]"),
        "outputs in the other order": (lambda w: w[::-1], "weights[::-1]"),
    }  # fmt: skip
    if feed.layer.inputs != (-1,) or shape[1] != 3:  # where it is BGR for RGB
        changes["inputs in the other order"] = lambda w: w[:, ::-1], "weights[:, ::-1]"
    if shape[0] == shape[1]:
        changes["inputs and outputs exchanged"] = lambda w: w.swapaxes(0, 1), "weights.swapaxes(0, 1)"
    for order in permutations(range(4)):
        if order != (0, 1, 2, 3):
            told = "".join("OIHW"[axis] for axis in order)
            cure = f"weights.transpose({', '.join(map(str, order))}).reshape({', '.join(map(str, shape))})"
            changes[f"read as {told} without a transpose"] = _misread(order), cure
    fix = "transpose the weights from OIHW to the framework's layout, do not reshape them"
    for told, (change, cure) in changes.items():
        yield misplaced(
            told, change, "OIHW, as stored", f"{fix}; or permute what the port has, as OIHW: weights = {cure}"
        )


def _matrices(feed: Feed) -> Iterator[Alternative]:
    """Dense weights with rows and columns exchanged."""
    rows, columns = feed.parameters["weights"].shape
    changes: dict[str, _Change] = {
        "read with rows and columns exchanged": (
            lambda w: w.reshape(w.shape[::-1]).T, f"weights.T.reshape({rows}, {columns})",
        ),
        "written with rows and columns exchanged": (
            lambda w: w.T.reshape(w.shape), f"weights.reshape({columns}, {rows}).T",
        ),
        "outputs in the other order": (lambda w: w[::-1], "weights[::-1]"),
    }  # fmt: skip
    if rows == columns:
        changes["transposed"] = lambda w: w.T, "weights.T"
    fix = "transpose the matrix, do not reshape it"
    for told, (change, cure) in changes.items():
        yield misplaced(
            told, change, "a row for each output, as stored",
            f"{fix}; or permute what the port has, a row for each output: weights = {cure}",
        )  # fmt: skip


def misplaced(found: str, change: Callable[[Array], Array], expected: str, fix: str) -> Alternative:
    """Weights that are not where they belong."""
    why = f"the weights are not where they belong: {found}"
    return Alternative("weights", "weight_layout", found, expected, why, fix, change)


def _flattens(feed: Feed) -> Iterator[Alternative]:
    """The values of a picture in another order than the weights expect."""
    item = feed.x.shape[1:]
    if len(item) != 3 or min(item[0], prod(item[1:])) < 2:
        return
    lengths = dict(zip("chw", item, strict=True))
    for axes in permutations("chw"):
        told = ", ".join(axes).upper()
        if axes == ("c", "h", "w") or [lengths[axis] for axis in axes if lengths[axis] > 1] == [
            length for length in item if length > 1
        ]:
            continue
        shape = tuple(lengths[axis] for axis in axes)
        cure = f"lb.carry(lb.Rearrangement('{' '.join(axes)} -> c h w'), weights, 'dense', shape={shape})"
        yield Alternative(
            "read", "flatten_order", told, "C, H, W",
            f"the values are flattened in the order {told}, and the weights expect C, H, W",
            f"flatten channels first; or permute the weights, a row for each output: "
            f"import layoutbridge as lb; weights = {cure}",
            _transposed((0, *("chw".index(axis) + 1 for axis in axes))),
        )  # fmt: skip


def _transposed(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda x: np.ascontiguousarray(x.transpose(axes))


def _misread(order: tuple[int, ...]) -> Callable[[Array], Array]:
    def change(w: Array) -> Array:
        return np.ascontiguousarray(w).reshape(tuple(w.shape[axis] for axis in order)).transpose(np.argsort(order))

    return change
