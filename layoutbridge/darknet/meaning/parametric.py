"""The layers with a weight for each connection: convolutional, deconvolutional, connected, local.

Definition: convolutional_layer.c, deconvolutional_layer.c, connected_layer.c, local_layer.c of both forks.
"""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.context import Context
from layoutbridge.darknet.meaning.normalization import fold_of, folded, kept
from layoutbridge.frameworks.primitives import LazyArray, V

_BLURS = {
    1: np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) / 16,
    2: np.full((2, 2), 0.25),
}


def convolutional(place: Context[V]) -> V:
    """[convolutional]: a convolution, batch norm, the activation, the blur."""
    settings = place.settings
    weights, bias = _weights_and_bias(place)
    padding, dilation = settings["padding"], settings["dilation"]
    x = place.target.conv2d(
        place.x,
        weights,
        bias,
        stride=(settings["stride_y"], settings["stride_x"]),
        padding=(padding, padding, padding, padding),
        dilation=(dilation, dilation),
        groups=settings["groups"],
    )
    return blurred(place, activate(place.target, _normalized(place, x), settings["activation"]))


def deconvolutional(place: Context[V]) -> V:
    """[deconvolutional]: the transpose of a convolution, its weights as the original's forward pass reads them."""
    settings = place.settings
    weights, bias = _weights_and_bias(place, outputs_axis=1)
    stride, padding = settings["stride"], settings["padding"]
    x = place.target.conv_transpose2d(
        place.x, weights, bias, stride=(stride, stride), padding=(padding, padding, padding, padding)
    )
    return activate(place.target, _normalized(place, x), settings["activation"])


def connected(place: Context[V]) -> V:
    """[connected]: a matrix times the flat input."""
    weights, bias = _weights_and_bias(place)
    x = place.target.reshape(place.target.dense(place.flat(place.x), weights, bias), place.layer.out_shape)
    return activate(place.target, _normalized(place, x), place.settings["activation"])


def local(place: Context[V]) -> V:
    """[local]: a convolution with filters of its own at each place."""
    size, stride, padding = (place.settings[key] for key in ("size", "stride", "padding"))
    x = place.target.locally_connected(
        place.x,
        place.lazy("weights"),
        place.lazy("biases"),
        size=(size, size),
        stride=(stride, stride),
        padding=(padding, padding, padding, padding),
    )
    return activate(place.target, x, place.settings["activation"])


def blurred(place: Context[V], x: V) -> V:
    """The fixed blur that `antialiasing` asks for: the same small filter over each channel."""
    kind = place.settings["antialiasing"]
    if not kind:
        return x
    channels, edge = x.shape[0], 1 if kind == 1 else 0
    weights = np.broadcast_to(_BLURS[kind], (channels, 1, *_BLURS[kind].shape))
    return place.target.conv2d(
        x,
        place.constant("blur", weights),
        stride=(place.settings["blur_stride_y"], place.settings["blur_stride_x"]),
        padding=(edge, edge, edge, edge),
        groups=channels,
    )


def _weights_and_bias(place: Context[V], outputs_axis: int = 0) -> tuple[LazyArray, LazyArray | None]:
    """What the layer multiplies by and adds: batch norm folded in, or no bias where batch norm follows by itself."""
    shared = place.settings.get("shared_with")
    owner = place.layer if shared is None else place.network.layers[shared]
    owner_is_folded = owner.settings["batch_normalize"] and not place.options.keep_batch_norm
    if not place.settings["batch_normalize"]:
        if owner_is_folded:  # what bears the owner's name has its batch norm in it
            return place.constant("weights", place.array("weights")), place.constant("biases", place.array("biases"))
        return place.lazy("weights"), place.lazy("biases")
    if place.options.keep_batch_norm:
        return place.lazy("weights"), None
    fold = fold_of(place)
    name = owner.name if owner_is_folded else place.layer.name  # folded alike: one array in the file
    weights = folded(place.array("weights"), fold.factor, f"{name}/weights", outputs_axis)
    return weights, LazyArray.of(f"{name}/biases", fold.shift)


def _normalized(place: Context[V], x: V) -> V:
    """x after a batch norm that was not folded."""
    kept_apart = place.settings["batch_normalize"] and place.options.keep_batch_norm
    return kept(place, x) if kept_apart else x
