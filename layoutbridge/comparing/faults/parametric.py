"""Convolutions and dense layers: batch norm, activation, padding, the layout of weights, what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from layoutbridge.comparing.faults.fault import Array, Fault, has_faults
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.parametric import blurred, correlate
from layoutbridge.darknet.reference.values import RULES, Feed, normalize
from layoutbridge.darknet.structure.kinds import Connected, Convolutional, Deconvolutional, Local, Shortcut
from layoutbridge.darknet.structure.settings import Activated, Normalizable

_EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 0.0, 1e-2)
_SLOPES = (0.1, 0.01, 0.2, 0.3, 0.25, 0.05)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "selu", "logistic", "tanh", "swish", "mish", "hard_mish", "gelu")
_LIMIT = 1e-12


# ---------------------------------------------------------------------- batch norm and activation


@has_faults(Convolutional, Connected, Deconvolutional)
def normalization(feed: Feed, settings: Normalizable) -> Iterator[Fault]:
    """Another epsilon, statistics of the batch itself, a part that is missing."""
    if settings.batch_normalize:
        expected = "epsilon 1e-06 outside the root" if feed.flavor == "pjreddie" else "epsilon 1e-05 inside the root"
        for epsilon in _EPSILONS:
            for place in ("inside", "outside"):
                told = f"epsilon {epsilon:g} {place} the root"
                if told == expected or (epsilon == 0 and place == "outside"):
                    continue
                yield _normalized_otherwise(
                    told, expected, _divided(epsilon, place),
                    f"batch norm divides by another number: {told}, where this Darknet has {expected}",
                    f"give batch norm {expected}" if "inside" in expected
                    else "fold batch norm into the weights, with sqrt(variance) + 1e-6",
                )  # fmt: skip
        for told, change in _PARTS.items():
            yield _normalized_otherwise(
                told, "scales, means, variances and biases as stored", change,
                f"batch norm is not applied as Darknet does: {told}", "copy all four vectors, and apply them in order",
            )  # fmt: skip
    else:
        yield _normalized_otherwise(
            "no biases", "biases", lambda values, y: y, "the biases are not added", "copy the biases", "weight_layout"
        )


def _normalized_otherwise(
    found: str,
    expected: str,
    change: Callable[[Mapping[str, Array], Array], Array],
    explanation: str,
    fix: str,
    cause: Any = "batch_norm",
) -> Fault:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        wanted = cause == "batch_norm"
        if not isinstance(settings, Normalizable) or settings.batch_normalize != wanted or getattr(settings, "xnor", 0):
            return None
        return _finished(feed, change(feed.parameters, _product(feed)))

    return Fault(cause, found, expected, explanation, fix, output)


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


@has_faults(Convolutional, Connected, Deconvolutional, Local, Shortcut)
def activation(feed: Feed, settings: Activated) -> Iterator[Fault]:
    """Another function, another slope."""
    named = settings.activation
    expected = "leaky with slope 0.1" if named == "leaky" else named
    for name in _ACTIVATIONS:
        if name != named:
            yield _activated_otherwise(name, expected, named, _function(name))
    for slope in _SLOPES:
        if not (named == "leaky" and slope == 0.1):
            yield _activated_otherwise(f"leaky with slope {slope:g}", expected, named, _leaky(slope))


def _activated_otherwise(found: str, expected: str, named: str, function: Callable[[Array], Array]) -> Fault:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        if getattr(settings, "activation", None) != named or getattr(settings, "antialiasing", None) is not None:
            return None
        plain = replace(feed.layer, settings=replace(settings, activation="linear"))
        return function(RULES[plain.kind](replace(feed, layer=plain), plain.settings))

    return Fault(
        "activation", found, expected, f"the activation is {found}, and the cfg says {named}", f"use {expected}", output
    )


def _function(name: str) -> Callable[[Array], Array]:
    return lambda x: activate(name, x)


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


# ---------------------------------------------------------------------- what a convolution reads


@has_faults(Convolutional)
def padding(feed: Feed, settings: Convolutional) -> Iterator[Fault]:
    """Zeros on other sides, or in another number."""
    if settings.xnor or settings.antialiasing is not None or feed.x.ndim != 4:
        return
    own = settings.padding
    expected = f"{own} on each side"
    reach = settings.dilation * (settings.size - 1)
    same = tuple(
        _same(length, stride, reach) for length, stride in zip(feed.x.shape[2:], _strides(settings), strict=True)
    )
    (top, bottom), (left, right) = same
    choices = {
        "none": (0, 0, 0, 0),
        f"as TensorFlow's SAME: {top} above and {left} on the left, {bottom} below and {right} on the right": (
            top, bottom, left, right,
        ),
        f"{2 * own} below and on the right": (0, 2 * own, 0, 2 * own),
        f"{2 * own} above and on the left": (2 * own, 0, 2 * own, 0),
        f"{reach} below and on the right": (0, reach, 0, reach),
        f"{reach // 2} on each side": (reach // 2,) * 4,
        f"{own + 1} on each side": (own + 1,) * 4,
        **({f"{own - 1} on each side": (own - 1,) * 4} if own else {}),
    }  # fmt: skip
    seen = {(own,) * 4}
    for told, sides in choices.items():
        if sides in seen:
            continue
        seen.add(sides)
        yield Fault(
            "padding", told, expected, f"zeros stand elsewhere: {told}, and Darknet has {expected}",
            f"pad {own} on each of the four sides yourself, and let the convolution pad nothing", _padded(sides, own),
        )  # fmt: skip
    if own:
        for mode in ("edge", "reflect"):
            yield Fault(
                "padding", f"the picture's {mode} instead of zeros", "zeros", f"the border is filled by '{mode}'",
                f"pad {own} zeros on each side", _filled(mode),
            )  # fmt: skip


def _strides(settings: Convolutional) -> tuple[int, int]:
    return settings.stride_y, settings.stride_x


def _same(length: int, stride: int, reach: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
    return total // 2, total - total // 2


def _padded(sides: tuple[int, int, int, int], own: int) -> Callable[[Feed], Array | None]:
    top, bottom, left, right = sides

    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        if getattr(settings, "padding", None) != own or min(sides) < 0:
            return None
        x = np.pad(feed.x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        return _unpadded(feed, x)

    return output


def _filled(mode: Any) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        own = settings.padding
        if mode == "reflect" and own >= min(feed.x.shape[2:]):
            return None
        return _unpadded(feed, np.pad(feed.x, ((0, 0), (0, 0), (own, own), (own, own)), mode=mode))

    return output


def _unpadded(feed: Feed, x: Array) -> Array | None:
    settings: Any = feed.layer.settings
    reach = settings.dilation * (settings.size - 1) + 1
    if min(x.shape[2:]) < reach:
        return None
    y = correlate(x, feed.parameters["weights"], _strides(settings), 0, settings.dilation, settings.groups)
    return _finished(feed, _normal(feed, y))


@has_faults(Convolutional)
def order_of_input(feed: Feed, settings: Convolutional) -> Iterator[Fault]:
    """Colours the other way round, another range, for a layer that reads the picture; channels in another order."""
    if feed.x.shape[1] == 3 and feed.layer.inputs == (-1,):
        yield _read_otherwise(
            "channel_order", "BGR", "RGB", lambda x: x[:, ::-1], "the first layer reads the colours in the other order",
            "turn the channels of the picture round, or of the first layer's weights",
        )  # fmt: skip
    if feed.layer.inputs == (-1,):
        for told, change in _RANGES.items():
            yield _read_otherwise(
                "input_range", told, "0 to 1", change, f"the first layer reads its input as {told}",
                "give the network values from 0 to 1, and scale nothing inside",
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


def _read_otherwise(
    cause: Any, found: str, expected: str, change: Callable[[Array], Array], explanation: str, fix: str
) -> Fault:
    def output(feed: Feed) -> Array | None:
        if feed.layer.inputs[:1] != (-1,):
            return None
        changed = replace(feed, inputs=(change(feed.x), *feed.inputs[1:]))
        return np.asarray(RULES[feed.layer.kind](changed, feed.layer.settings))

    return Fault(cause, found, expected, explanation, fix, output)


# ---------------------------------------------------------------------- weights


@has_faults(Convolutional)
def filters(feed: Feed, settings: Convolutional) -> Iterator[Fault]:
    """Weights read in the order of another framework's, turned, or with inputs and outputs exchanged."""
    if settings.xnor:
        return
    shape = feed.parameters["weights"].shape
    expected = "OIHW, as stored"
    told = {
        "filters turned by a half turn (a convolution, not a correlation)": lambda w: w[..., ::-1, ::-1],
        "height and width exchanged": lambda w: w.swapaxes(2, 3),
        "rows in the other order": lambda w: w[:, :, ::-1],
        "columns in the other order": lambda w: w[..., ::-1],
        "inputs in the other order": lambda w: w[:, ::-1],
    }
    changes: dict[str, Callable[[Array], Array]] = dict(told)
    if shape[0] == shape[1]:
        changes["inputs and outputs exchanged"] = lambda w: w.swapaxes(0, 1)
    for order in permutations(range(4)):
        if order != (0, 1, 2, 3):
            changes[f"read as {''.join('OIHW'[axis] for axis in order)} without a transpose"] = _misread(order)
    yield from _weighted(changes, expected, "transpose the weights from OIHW to the framework's layout, do not reshape")


@has_faults(Connected)
def matrix(feed: Feed, settings: Connected) -> Iterator[Fault]:
    """Dense weights behind another flatten, or transposed."""
    weights = feed.parameters["weights"]
    item = feed.x.shape[1:]
    if len(item) == 3 and min(item[0], prod(item[1:])) > 1:
        for told, axes in (("H, W, C", (0, 2, 3, 1)), ("H, C, W", (0, 2, 1, 3)), ("W, H, C", (0, 3, 2, 1)),
                           ("C, W, H", (0, 1, 3, 2)), ("W, C, H", (0, 3, 1, 2))):  # fmt: skip
            yield Fault(
                "flatten_order", told, "C, H, W",
                f"the values are flattened in the order {told}, the weights expect C, H, W",
                "flatten channels first, or permute the weights: lb.carry(op, weights, 'dense', shape=...)",
                _flattened(axes),
            )  # fmt: skip
    changes: dict[str, Callable[[Array], Array]] = {
        "read with rows and columns exchanged": lambda w: w.reshape(w.shape[::-1]).T
    }
    if weights.shape[0] == weights.shape[1]:
        changes["transposed"] = lambda w: w.T
    yield from _weighted(changes, "rows of outputs, as stored", "transpose the matrix, do not reshape it")


def _flattened(axes: tuple[int, ...]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        if feed.x.ndim != 4:
            return None
        changed = replace(feed, inputs=(np.ascontiguousarray(feed.x.transpose(axes)),))
        return np.asarray(RULES[feed.layer.kind](changed, feed.layer.settings))

    return output


def _misread(order: tuple[int, ...]) -> Callable[[Array], Array]:
    def change(w: Array) -> Array:
        return np.ascontiguousarray(w).reshape(tuple(w.shape[axis] for axis in order)).transpose(np.argsort(order))

    return change


def _weighted(changes: Mapping[str, Callable[[Array], Array]], expected: str, fix: str) -> Iterator[Fault]:
    for told, change in changes.items():
        yield Fault(
            "weight_layout",
            told,
            expected,
            f"the weights are not where they belong: {told}",
            fix,
            _with_weights(change),
        )


def _with_weights(change: Callable[[Array], Array]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        held = feed.parameters.get("weights")
        if held is None:
            return None
        changed = change(held)
        if changed.shape != held.shape:
            return None
        given = replace(feed, parameters={**feed.parameters, "weights": np.ascontiguousarray(changed)})
        return np.asarray(RULES[feed.layer.kind](given, feed.layer.settings))

    return output


# ---------------------------------------------------------------------- the layer in its parts


def _product(feed: Feed) -> Array:
    """What comes before batch norm and biases."""
    plain: Any = replace(feed.layer.settings, activation="linear", batch_normalize=False)  # type: ignore[call-arg]
    if hasattr(plain, "antialiasing"):
        plain = replace(plain, antialiasing=None)
    held = {**feed.parameters, "biases": np.zeros_like(feed.parameters["biases"])}
    return np.asarray(RULES[feed.layer.kind](replace(feed, parameters=held), plain))


def _normal(feed: Feed, y: Array) -> Array:
    settings: Any = feed.layer.settings
    return normalize(feed, y) if settings.batch_normalize else y + _along(feed.parameters["biases"])


def _finished(feed: Feed, y: Array) -> Array:
    settings: Any = feed.layer.settings
    return blurred(activate(settings.activation, y), getattr(settings, "antialiasing", None))
