"""A convolution or a dense layer in stages: whose numbers, what it reads, its weights, padding, batch norm, activation.

Each stage has alternatives, which are what ports do instead. A layer is computed with one of them, or with some of
different stages: two faults of one layer are found together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from layoutbridge.comparing.faults.fault import Array, CauseKind
from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.parametric import blurred, correlate
from layoutbridge.darknet.reference.values import Feed, normalize
from layoutbridge.darknet.structure.kinds import Connected

Stage = Literal["numbers", "colours", "read", "weights", "padding", "normalization", "activation"]
Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Alternative:
    """What a port does in one stage: `found` where `expected` is right, in words; `change` does it.

    `change` takes and gives what the stage works on: the feed, for other numbers than the layer's own; the input
    [N, C, H, W], the weights, the four sides of the padding (or the name of what fills them), (parameters, product) for
    batch norm, the sum for the activation.
    """

    stage: Stage
    cause: CauseKind
    found: str
    expected: str
    explanation: str = field(compare=False)
    fix: str = field(compare=False)  # which may tell of shapes
    change: Callable[..., Any] = field(compare=False, repr=False)


Choice = Mapping[Stage, Alternative]


def computed(feed: Feed, choice: Choice) -> Array | None:
    """What the layer gives with the alternatives of `choice`; None where one of them cannot be."""
    feed = with_numbers(feed, choice)
    product = multiplied(feed, choice)
    return None if product is None else finished(feed, feed.parameters, product, choice)


def with_numbers(feed: Feed, choice: Choice) -> Feed:
    """The feed with the numbers of a choice for its own."""
    return replace(feed, parameters=choice["numbers"].change(feed)) if "numbers" in choice else feed


def weights_of(feed: Feed, choice: Choice) -> Array | None:
    """The weights that a layer multiplies by; None where the choice is none for weights of their shape."""
    weights = feed.parameters["weights"]
    if "weights" not in choice:
        return weights
    changed = np.ascontiguousarray(choice["weights"].change(weights))
    return None if changed.shape != weights.shape or np.array_equal(changed, weights) else changed


def read_by(feed: Feed, choice: Choice) -> Array:
    """What a layer reads: its first input, the colours and the range as a choice has them."""
    x = choice["colours"].change(feed.x) if "colours" in choice else feed.x
    return np.asarray(choice["read"].change(x) if "read" in choice else x)


def multiplied(feed: Feed, choice: Choice) -> Array | None:
    """The product of input and weights, [N, F, H, W], before batch norm or biases."""
    settings: Any = feed.layer.settings
    weights, x = weights_of(feed, choice), read_by(feed, choice)
    if weights is None:
        return None
    if isinstance(settings, Connected):
        return (x.reshape(feed.batch, -1) @ weights.T).reshape(feed.batch, -1, 1, 1)
    frame = framed(feed, x, choice)
    reach = settings.dilation * (settings.size - 1) + 1
    if frame is None or min(frame.shape[2:]) < reach:
        return None
    strides = settings.stride_y, settings.stride_x
    return correlate(frame, weights, strides, 0, settings.dilation, settings.groups)


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
        y = product + along(values["biases"])
    activation = choice["activation"].change if "activation" in choice else function_called(settings.activation)
    return blurred(activation(y), getattr(settings, "antialiasing", None))


def along(vector: Array) -> Array:
    """A number for each channel, to be used with [N, C, H, W]."""
    return vector.reshape(-1, 1, 1)


def function_called(name: str) -> Callable[[Array], Array]:
    """An activation of Darknet's by its name."""
    return lambda x: activate(name, x)
