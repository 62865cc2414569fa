"""Layers without weights: pooling, upsampling, routes, sums, what moves elements, heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from layoutbridge.comparing.faults.fault import Array, Fault, has_faults
from layoutbridge.comparing.faults.parametric import activations
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import RULES, Feed, logistic, softmax
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Head, Region, Yolo, YoloHead
from layoutbridge.darknet.structure.kinds import (
    Avgpool,
    Deconvolutional,
    Local,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    ScaleChannels,
    Shortcut,
    Upsample,
)
from layoutbridge.darknet.structure.settings import Activated, Moving, Windowed
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog

_MOST_ROUTED = 4  # inputs whose orders are all tried
_BLOCKS = ("space and depth", "Darknet", "channels", "identity")


# ---------------------------------------------------------------------- windows


@has_faults(Maxpool, LocalAvgpool)
def windows(feed: Feed, settings: Windowed) -> Iterator[Fault]:
    """Padding on other sides, another window or stride, the mean for the maximum."""
    if getattr(settings, "depth", False) or getattr(settings, "antialiasing", None) is not None:
        return
    own = (settings.padding_top, settings.padding_bottom, settings.padding_left, settings.padding_right)
    expected = f"window {settings.size}, stride {settings.stride_x}, {_sides(own)}"
    total = settings.size - 1
    half = total // 2
    for sides in (
        (0, 0, 0, 0), (half,) * 4, (total - half, half, total - half, half), (half, total - half, half, total - half),
        (0, total, 0, total), (total, 0, total, 0),
    ):  # fmt: skip
        if sides != own:
            yield _pooled(f"{_sides(sides)}", expected, settings, sides=sides)
    for size in (settings.size - 1, settings.size + 1):
        if size >= 1:
            yield _pooled(f"window {size}", expected, settings, size=size)
    yield _pooled("zeros around, which count", expected, settings, outside=0.0)
    yield _pooled("the mean, without what is outside", expected, settings, mean="inside")
    yield _pooled("the mean, zeros outside counted", expected, settings, mean="all")
    yield _pooled("the maximum", expected, settings, mean="")


def _sides(sides: tuple[int, int, int, int]) -> str:
    top, bottom, left, right = sides
    if len(set(sides)) == 1:
        return f"{top} on each side" if top else "no padding"
    return f"{top} above, {bottom} below, {left} left, {right} right"


def _pooled(
    found: str,
    expected: str,
    own: Windowed,
    *,
    sides: tuple[int, int, int, int] | None = None,
    size: int | None = None,
    outside: float = -np.inf,
    mean: str | None = None,
) -> Fault:
    def output(feed: Feed) -> Array | None:
        settings = feed.layer.settings
        if type(settings) is not type(own):
            return None
        held: Any = settings
        is_mean = isinstance(settings, LocalAvgpool) if mean is None else bool(mean)
        around = sides or (held.padding_top, held.padding_bottom, held.padding_left, held.padding_right)
        window = size or held.size
        x = feed.x[:, :, : feed.x.shape[2] + min(around[1], 0), : feed.x.shape[3] + min(around[3], 0)]
        widths = ((0, 0), (0, 0), (around[0], max(around[1], 0)), (around[2], max(around[3], 0)))
        filled = np.pad(x, widths, constant_values=0.0 if is_mean else outside)
        if min(filled.shape[2:]) < window:
            return None
        seen = np.lib.stride_tricks.sliding_window_view(filled, (window, window), axis=(2, 3))
        seen = seen[:, :, :: held.stride_y, :: held.stride_x]
        if not is_mean:
            return np.asarray(seen.max(axis=(4, 5)))
        if mean == "all":
            return np.asarray(seen.mean(axis=(4, 5)))
        ones = np.pad(np.ones((1, 1, *x.shape[2:])), widths)
        counts = np.lib.stride_tricks.sliding_window_view(ones, (window, window), axis=(2, 3))
        counts = counts[:, :, :: held.stride_y, :: held.stride_x].sum(axis=(4, 5))
        return np.asarray(seen.sum(axis=(4, 5)) / np.maximum(counts, 1))

    return Fault(
        "pooling", found, expected, f"the windows lie or count otherwise: {found}, and Darknet has {expected}",
        f"use {expected}", output,
    )  # fmt: skip


@has_faults(Avgpool)
def whole_picture(feed: Feed, settings: Avgpool) -> Iterator[Fault]:
    """The maximum or the sum of each channel."""
    for found, function in (("the maximum", np.max), ("the sum", np.sum)):
        yield Fault(
            "pooling", found, "the mean of each channel", f"{found} of each channel is taken", "take the mean",
            _over_picture(function),
        )  # fmt: skip


def _over_picture(function: Callable[..., Any]) -> Callable[[Feed], Array | None]:
    return lambda feed: np.asarray(function(feed.x, axis=(2, 3), keepdims=True))


@has_faults(Upsample)
def enlarged(feed: Feed, settings: Upsample) -> Iterator[Fault]:
    """Between the places instead of each place several times; other corners; no scale."""
    if settings.reverse:
        return
    told: Mapping[str, Callable[[Array, int], Array]] = {
        "bilinear, half pixels (align_corners=False)": lambda x, s: _bilinear(x, s, corners=False),
        "bilinear, corners aligned": lambda x, s: _bilinear(x, s, corners=True),
        "bilinear, asymmetric": lambda x, s: _bilinear(x, s, corners=None),
        "bicubic, half pixels": lambda x, s: _bicubic(x, s, -0.75),
        "bicubic of Catmull and Rom, half pixels": lambda x, s: _bicubic(x, s, -0.5),
        "nearest, corners aligned": lambda x, s: _nearest(x, s, corners=True),
        "nearest, rounded up": _rounded_up,
        "whole tiles side by side": lambda x, s: np.tile(x, (1, 1, s, s)),
        "zeros between the places": _spread,
    }
    for found, function in told.items():
        yield Fault(
            "upsampling", found, "each place repeated (nearest)",
            f"the picture is enlarged otherwise: {found}",
            f"repeat each place {settings.stride} × {settings.stride} times",
            _enlarged(function),
        )  # fmt: skip


def _enlarged(function: Callable[[Array, int], Array]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        if getattr(settings, "kind", "") != "upsample" or settings.reverse:
            return None
        return settings.scale * function(feed.x, settings.stride)

    return output


def _bilinear(x: Array, stride: int, *, corners: bool | None) -> Array:
    for axis in (2, 3):
        length = x.shape[axis]
        at = np.arange(length * stride, dtype=np.float64)
        if corners:
            at = at * (length - 1) / max(length * stride - 1, 1)
        elif corners is None:
            at = at / stride
        else:
            at = (at + 0.5) / stride - 0.5
        at = np.clip(at, 0, length - 1)
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, length - 1)
        share = (at - below).reshape([-1 if k == axis else 1 for k in range(4)])
        x = x.take(below, axis) * (1 - share) + x.take(above, axis) * share
    return x


def _bicubic(x: Array, stride: int, slope: float) -> Array:
    """With Keys' kernel of a slope, the border repeated: -0.75 in PyTorch and ONNX, -0.5 in TensorFlow."""
    for axis in (2, 3):
        length = x.shape[axis]
        at = (np.arange(length * stride) + 0.5) / stride - 0.5
        first = np.floor(at).astype(int)
        made = np.zeros(())
        for step in range(-1, 3):
            away = np.abs(at - first - step)
            near = (slope + 2) * away**3 - (slope + 3) * away**2 + 1
            far = slope * (away**3 - 5 * away**2 + 8 * away - 4)
            share = np.where(away <= 1, near, far).reshape([-1 if k == axis else 1 for k in range(4)])
            made = made + x.take(np.clip(first + step, 0, length - 1), axis) * share
        x = np.asarray(made)
    return x


def _nearest(x: Array, stride: int, *, corners: bool) -> Array:
    for axis in (2, 3):
        length = x.shape[axis]
        at = np.arange(length * stride) * (length - 1) / max(length * stride - 1, 1)
        x = x.take(np.floor(at + 0.5).astype(int), axis)
    return x


def _rounded_up(x: Array, stride: int) -> Array:
    for axis in (2, 3):
        at = -(-np.arange(x.shape[axis] * stride) // stride)
        x = x.take(np.minimum(at, x.shape[axis] - 1), axis)
    return x


def _spread(x: Array, stride: int) -> Array:
    wide = np.zeros((*x.shape[:2], x.shape[2] * stride, x.shape[3] * stride), x.dtype)
    wide[:, :, ::stride, ::stride] = x
    return wide


# ---------------------------------------------------------------------- joining


@has_faults(Route)
def routed(feed: Feed, settings: Route) -> Iterator[Fault]:
    """Inputs in another order; another part of the channels."""
    count = len(feed.inputs)
    expected = _order(range(count))
    orders = permutations(range(count)) if count <= _MOST_ROUTED else [tuple(range(count))[::-1]]
    for order in orders:
        if order != tuple(range(count)):
            yield Fault(
                "concat_order", _order(order), expected, f"the inputs stand side by side as {_order(order)}",
                f"concatenate them in the order of the cfg: {_names(feed)}", _reordered(order),
            )  # fmt: skip
    if settings.groups > 1:
        for group in range(settings.groups):
            if group != settings.group_id:
                yield Fault(
                    "concat_order", f"part {group} of the channels", f"part {settings.group_id} of {settings.groups}",
                    "another part of the channels is taken", f"take part {settings.group_id}, counted from 0",
                    _of_group(group),
                )  # fmt: skip


def _order(order: Any) -> str:
    return ", ".join(f"input {place + 1}" for place in order)


def _names(feed: Feed) -> str:
    return ", ".join("the picture" if place == -1 else f"layer {place}" for place in feed.layer.inputs)


def _reordered(order: tuple[int, ...]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        if len(feed.inputs) != len(order) or feed.layer.kind != "route":
            return None
        changed = replace(feed, inputs=tuple(feed.inputs[place] for place in order))
        return np.asarray(RULES["route"](changed, feed.layer.settings))

    return output


def _of_group(group: int) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        if feed.layer.kind != "route" or group >= settings.groups:
            return None
        return np.asarray(RULES["route"](feed, replace(settings, group_id=group)))

    return output


@has_faults(Shortcut, ScaleChannels, Deconvolutional, Local)
def activated(feed: Feed, settings: Activated) -> Iterator[Fault]:
    """Another activation behind what the layer computes."""
    del feed
    for other in activations(settings.activation):
        yield Fault(
            "activation", other.found, other.expected, other.explanation, other.fix,
            _activated(settings.activation, other.change),
        )  # fmt: skip


def _activated(named: str, function: Callable[[Array], Array]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        settings: Any = feed.layer.settings
        if getattr(settings, "activation", None) != named:
            return None
        plain = replace(settings, activation="linear")
        return function(RULES[feed.layer.kind](replace(feed, layer=replace(feed.layer, settings=plain)), plain))

    return output


@has_faults(ScaleChannels)
def scaled(feed: Feed, settings: ScaleChannels) -> Iterator[Fault]:
    """The picture alone, the sum."""
    del settings
    told: Mapping[str, Callable[[tuple[Array, ...]], Array]] = {
        "the picture alone": lambda parts: parts[1],
        "the sum": lambda parts: parts[0] + parts[1],
        "the picture, and its product with the factors": lambda parts: parts[1] + parts[0] * parts[1],
    }
    if feed.layer.kind == "scale_channels" and len(feed.inputs) == 2:
        for found, function in told.items():
            yield Fault(
                "sum", found, "the product", f"{found} is taken, not the product with the factors of the channels",
                "multiply each channel by its factor", _of_factors(function),
            )  # fmt: skip


def _of_factors(function: Callable[[tuple[Array, ...]], Array]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        if feed.layer.kind != "scale_channels" or len(feed.inputs) != 2:
            return None
        return np.asarray(function(feed.inputs))

    return output


@has_faults(Shortcut)
def added(feed: Feed, settings: Shortcut) -> Iterator[Fault]:
    """One input alone, the product, and the like."""
    told: dict[str, Callable[[tuple[Array, ...]], Array]] = {
        "the first input alone": lambda parts: parts[0],
        "the second input alone": lambda parts: parts[1],
        "the product": lambda parts: parts[0] * parts[1],
        "the difference": lambda parts: parts[0] - parts[1],
        "the mean": lambda parts: (parts[0] + parts[1]) / 2,
    }
    if len(feed.inputs) != 2 or feed.inputs[0].shape != feed.inputs[1].shape:
        return
    for found, function in told.items():
        yield Fault("sum", found, "the sum", f"{found} is taken", "add the two inputs", _of_both(function))


def _of_both(function: Callable[[tuple[Array, ...]], Array]) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        if len(feed.inputs) != 2 or feed.inputs[0].shape != feed.inputs[1].shape:
            return None
        settings: Any = feed.layer.settings
        return np.asarray(activate(settings.activation, function(feed.inputs)))

    return output


# ---------------------------------------------------------------------- moving


@has_faults(Reorg, Reorg3d)
def moved(feed: Feed, settings: Moving) -> Iterator[Fault]:
    """Another operation of the catalogue that gives the same shape, also in a tensor whose channels are last."""
    if settings.operation is None:
        return
    told = "a plain reshape, channels last"
    yield Fault(
        "rearrangement", told, settings.operation,
        f"{told}, stands where the network was trained with {settings.operation}",
        f"put {settings.operation} there: layoutbridge code {settings.operation} --to tensorflow",
        _reshaped_channels_last,
    )  # fmt: skip
    for entry in catalog().values():
        if entry.family not in _BLOCKS or entry.name == settings.operation:
            continue
        yield Fault(
            "rearrangement", entry.name, settings.operation,
            f"{entry.name} stands where the network was trained with {settings.operation}",
            f"put {settings.operation} there: layoutbridge code {settings.operation} --to torch",
            _by_entry(entry.name, settings.stride),
        )  # fmt: skip


def _reshaped_channels_last(feed: Feed) -> Array | None:
    settings = feed.layer.settings
    if not isinstance(settings, Moving) or prod(feed.layer.out_shape) != prod(feed.x.shape[1:]):
        return None
    channels, height, width = feed.layer.out_shape
    return feed.x.transpose(0, 2, 3, 1).reshape(feed.batch, height, width, channels).transpose(0, 3, 1, 2)


def _by_entry(name: str, stride: int) -> Callable[[Feed], Array | None]:
    def output(feed: Feed) -> Array | None:
        settings = feed.layer.settings
        if not isinstance(settings, Moving) or settings.stride != stride:
            return None
        entry = catalog()[name]
        try:
            made = entry.build(**({"stride": stride} if "stride" in entry.parameters else {}))(feed.x)
        except LayoutBridgeError:
            return None
        return made if made.size == feed.x.size else None

    return output


# ---------------------------------------------------------------------- heads


@has_faults(Region, Yolo, GaussianYolo, DetectionHead)
def decoded(feed: Feed, settings: Head) -> Iterator[Fault]:
    """A logistic over too much or too little, no softmax, none of all this."""
    del feed
    for found, output in _HEADS.items():
        yield Fault("head", found, "as the cfg's head", f"the head does otherwise: {found}", _HEAD_FIX, output)


_HEAD_FIX = (
    "apply the logistic to x, y, objectness and classes, or a softmax where the cfg asks for it, and nothing else"
)


def _entries(feed: Feed) -> Array | None:
    """A copy of a head's input as [N, boxes, entries, H·W]."""
    settings: Any = feed.layer.settings
    if not isinstance(settings, Region | YoloHead):
        return None
    return np.array(feed.x).reshape(feed.batch, settings.num, settings.entries, -1)


def _everywhere(feed: Feed) -> Array | None:
    settings: Any = feed.layer.settings
    if isinstance(settings, YoloHead):
        return np.asarray(RULES[feed.layer.kind](feed, replace(settings, logistic=((0, settings.entries),))))
    held = _entries(feed)
    return None if held is None else _as_held(feed, logistic(held))


def _nowhere(feed: Feed) -> Array | None:
    held = _entries(feed)
    return None if held is None else _as_held(feed, held)


def _as_held(feed: Feed, boxes: Array) -> Array:
    """[N, boxes, entries, H·W] in the order in which Darknet holds it."""
    if not getattr(feed.layer.settings, "channels_last", False):
        return boxes
    return boxes.reshape(feed.batch, -1, boxes.shape[-1]).transpose(0, 2, 1)


def _without_spread(feed: Feed) -> Array | None:
    settings = feed.layer.settings
    if not isinstance(settings, YoloHead) or settings.scale_x_y == 1:
        return None
    return np.asarray(RULES[feed.layer.kind](feed, replace(settings, scale_x_y=1.0)))


def _logistic_classes(feed: Feed) -> Array | None:
    settings = feed.layer.settings
    if not isinstance(settings, Region) or settings.softmax_entries is None:
        return None
    first, end = settings.softmax_entries
    plain = replace(settings, softmax_entries=None, logistic=(*settings.logistic, (first, end)))
    return np.asarray(RULES[feed.layer.kind](feed, plain))


def _no_softmax(feed: Feed) -> Array | None:
    settings = feed.layer.settings
    if not isinstance(settings, Region) or settings.softmax_entries is None:
        return None
    return np.asarray(RULES[feed.layer.kind](feed, replace(settings, softmax_entries=None)))


def _softmax_classes(feed: Feed) -> Array | None:
    settings = feed.layer.settings
    if not isinstance(settings, YoloHead):
        return None
    first = settings.entries - settings.classes
    ranges = tuple((start, min(end, first)) for start, end in settings.logistic if start < first)
    made = np.asarray(RULES[feed.layer.kind](feed, replace(settings, logistic=ranges)))
    held = made.reshape(feed.batch, settings.num, settings.entries, -1)
    held[:, :, first:] = softmax(held[:, :, first:], axis=2)
    return held


_HEADS: Mapping[str, Callable[[Feed], Array | None]] = {
    "the logistic over all entries, w and h too": _everywhere,
    "no logistic and no softmax": _nowhere,
    "scale_x_y left out": _without_spread,
    "the logistic over classes instead of the softmax": _logistic_classes,
    "no softmax over classes": _no_softmax,
    "a softmax over classes instead of the logistic": _softmax_classes,
}
