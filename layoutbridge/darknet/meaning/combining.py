"""The layers that take other layers' outputs: route, shortcut, scale_channels, sam; and implicit, which takes none.

Definition: route_layer.c, shortcut_layer.c, blas.c (shortcut_cpu, shortcut_multilayer_cpu), scale_channels_layer.c,
sam_layer.c, representation_layer.c. SORT's second-order term is ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.context import Context, first_axis
from layoutbridge.frameworks.primitives import V

_LEAST_SUM = 0.0001  # Darknet's eps below the line of normalised weights
_LEAST_WEIGHT = 0.001  # and what its relu of a weight is at least


def route(place: Context[V]) -> V:
    """[route]: inputs, or one of `groups` parts of each, side by side; flat where they are no pictures of one size."""
    target, groups, group = place.target, place.settings["groups"], place.settings["group_id"]
    parts = list(place.inputs)
    if groups > 1:
        parts = [first_axis(target, x, group * x.shape[0] // groups, (group + 1) * x.shape[0] // groups) for x in parts]
    if len(place.layer.out_shape) == 1:
        parts = [place.flat(x) for x in parts]
    return target.concat(parts)


def shortcut(place: Context[V]) -> V:
    """[shortcut] in its three modes, then the activation."""
    modes = {"sum": _sum, "scaled": _scaled, "second_order": _second_order}
    return activate(place.target, modes[place.settings["mode"]](place), place.settings["activation"])


def scale_channels(place: Context[V]) -> V:
    """[scale_channels]: one factor a channel, or with `scale_wh` one a place."""
    factors, picture = place.inputs
    return activate(place.target, place.target.multiply(picture, factors), place.settings["activation"])


def sam(place: Context[V]) -> V:
    """[sam]: the product."""
    return activate(place.target, place.target.multiply(*place.inputs), place.settings["activation"])


def implicit(place: Context[V]) -> V:
    """[implicit]: its weights."""
    return place.target.constant(place.lazy("weights"))


def _sum(place: Context[V]) -> V:
    target = place.target
    channels = place.layer.out_shape[0]
    parts = [_first_channels(place, x, channels) for x in place.inputs]
    if place.settings["weights_type"] != "none":
        weights = normalized_weights(place.array("weights"), place.settings["weights_normalization"])
        parts = [
            target.multiply(x, target.constant(place.constant(f"weights_{k}", _one_place(row[: x.shape[0]]))))
            for k, (x, row) in enumerate(zip(parts, weights, strict=True))
        ]
    total = parts[0]
    for x in parts[1:]:
        total = _added_to_first(place, total, x)
    return total


def normalized_weights(weights: NDArray[np.float32], normalization: str) -> NDArray[np.float64]:
    """Weights [inputs, 1 or C] as the layer multiplies by them, float64; each column is normalised over the inputs."""
    values = weights.astype(np.float64)
    if normalization == "none":
        return values
    values = np.maximum(values, _LEAST_WEIGHT) if normalization == "relu" else np.exp(values - values.max(axis=0))
    return values / (_LEAST_SUM + values.sum(axis=0))


def _one_place(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(-1, 1, 1)


def _first_channels(place: Context[V], x: V, channels: int) -> V:
    return x if x.shape[0] <= channels else first_axis(place.target, x, 0, channels)


def _added_to_first(place: Context[V], total: V, x: V) -> V:
    """total + x, where x may have fewer channels: the others stay as they are."""
    missing = total.shape[0] - x.shape[0]
    if missing:
        x = place.target.pad(x, (0, 0, 0), (missing, 0, 0))
    return place.target.add(total, x)


def _scaled(place: Context[V]) -> V:
    """The original's: alpha·x + beta·other where they overlap, x alone elsewhere."""
    target, settings = place.target, place.settings
    x, other = place.inputs
    alpha, beta, step, sample = (settings[key] for key in ("alpha", "beta", "step", "sample"))
    channels, rows, columns = settings["overlap"]
    stops = (channels, (rows - 1) * step + 1, (columns - 1) * step + 1)
    part = target.slice(other, (0, 0, 0), stops, (1, step, step))
    written = np.zeros(x.shape)
    written[:channels, : rows * sample : sample, : columns * sample : sample] = 1
    if sample > 1:  # each value lands on the first place of its block
        part = target.upsample(part, sample)
        part = target.multiply(
            part, target.constant(place.constant("places", written[:channels, : part.shape[1], : part.shape[2]]))
        )
    if beta != 1:
        part = target.multiply(part, beta)
    if alpha != 1:
        whole = bool(written.all())
        share = 1 + (alpha - 1) * written
        x = target.multiply(x, alpha) if whole else target.multiply(x, target.constant(place.constant("alpha", share)))
    after = tuple(length - held for length, held in zip(x.shape, part.shape, strict=True))
    return target.add(x, target.pad(part, (0, 0, 0), after))


def _second_order(place: Context[V]) -> V:
    """SORT: a + b + sqrt(relu(a)·relu(b) + ε)."""
    target = place.target
    a, b = place.inputs
    product = target.multiply(target.activation(a, "relu"), target.activation(b, "relu"))
    term = target.activation(target.add(product, place.settings["epsilon"]), "sqrt")
    return target.add(target.add(a, b), term)
