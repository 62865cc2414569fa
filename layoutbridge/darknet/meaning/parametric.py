"""The layers with a weight for each connection: convolutional, deconvolutional, connected, local.

Definition: convolutional_layer.c, deconvolutional_layer.c, connected_layer.c, local_layer.c of both forks.
"""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.binary import sign_operands
from layoutbridge.darknet.meaning.context import Context, means
from layoutbridge.darknet.meaning.normalization import fold_of, folded, kept
from layoutbridge.darknet.structure.kinds import Connected, Convolutional, Deconvolutional, Local
from layoutbridge.darknet.structure.settings import Blur, Normalizable
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.primitives import LazyArray, Padding, V

_BLURS = {
    3: np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) / 16,
    2: np.full((2, 2), 0.25),
}


@means(Convolutional)
def convolutional(context: Context[V], settings: Convolutional) -> V:
    """[convolutional]: a convolution, batch norm, the activation, the blur."""
    dilation = settings.dilation
    if settings.xnor:
        x, weights, bias = sign_operands(context, settings)
    else:
        x, (weights, bias) = context.x, weights_and_bias(context, settings)
    x = context.target.conv2d(
        x,
        weights,
        bias,
        stride=(settings.stride_y, settings.stride_x),
        padding=_padding(context, settings),
        dilation=(dilation, dilation),
        groups=settings.groups,
    )
    y = activate(context.target, x if bias is not None else kept(context, x), settings.activation)
    return blurred(context, y, settings.antialiasing)


@means(Deconvolutional)
def deconvolutional(context: Context[V], settings: Deconvolutional) -> V:
    """[deconvolutional]: the transpose of a convolution, its weights as the original's forward pass reads them."""
    weights, bias = weights_and_bias(context, settings, outputs_axis=1)
    stride, padding = settings.stride, settings.padding
    x = context.target.conv_transpose2d(
        context.x, weights, bias, stride=(stride, stride), padding=(padding, padding, padding, padding)
    )
    return activate(context.target, _normalized(context, settings, x), settings.activation)


@means(Connected)
def connected(context: Context[V], settings: Connected) -> V:
    """[connected]: a matrix times the flat input."""
    weights, bias = weights_and_bias(context, settings)
    x = context.target.reshape(context.target.dense(context.flat(context.x), weights, bias), context.layer.out_shape)
    return activate(context.target, _normalized(context, settings, x), settings.activation)


@means(Local)
def local(context: Context[V], settings: Local) -> V:
    """[local]: a convolution with filters of its own at each place."""
    size, stride = settings.size, settings.stride
    x = context.target.locally_connected(
        context.x,
        context.lazy("weights"),
        context.lazy("biases"),
        size=(size, size),
        stride=(stride, stride),
        padding=_padding(context, settings),
    )
    return activate(context.target, x, settings.activation)


def blurred(context: Context[V], x: V, blur: Blur | None) -> V:
    """The fixed blur of an antialiased layer: the same small filter over each channel."""
    if blur is None:
        return x
    channels, edge, kernel = x.shape[0], blur.padding, _BLURS[blur.size]
    below, right = (max(blur.size - length - 2 * edge, 0) for length in x.shape[1:])
    if below or right:
        refuse_open_size(context)
    return context.target.conv2d(
        x,
        context.constant("blur", np.broadcast_to(kernel, (channels, 1, *kernel.shape))),
        stride=(blur.stride_y, blur.stride_x),
        padding=(edge, edge, edge + below, edge + right),
        groups=channels,
    )


def weights_and_bias(
    context: Context[V], settings: Normalizable, outputs_axis: int = 0
) -> tuple[LazyArray, LazyArray | None]:
    """What the layer multiplies by and adds: batch norm folded in, or no bias where batch norm follows by itself."""
    shared = settings.shared_with
    owner = context.layer if shared is None else context.network.layers[shared]
    assert isinstance(owner.settings, Normalizable)
    owner_is_folded = owner.settings.batch_normalize and not context.variant.keep_batch_norm
    if not settings.batch_normalize:
        if owner_is_folded:  # what bears the owner's name has its batch norm in it
            weights, biases = (context.constant(name, context.array(name)) for name in ("weights", "biases"))
            return weights, biases
        return context.lazy("weights"), context.lazy("biases")
    if context.variant.keep_batch_norm:
        return context.lazy("weights"), None
    fold = fold_of(context)
    name = owner.name if owner_is_folded else context.layer.name  # folded alike: one array in the file
    product = folded(context.array("weights"), fold.factor, f"{name}/weights", outputs_axis)
    return product, LazyArray.of(f"{name}/biases", fold.shift)


def _padding(context: Context[V], settings: Convolutional | Local) -> Padding:
    """Zeros on each side, with what a window larger than its input sees below and right of it."""
    padding, (below, right) = settings.padding, settings.overhang
    if below or right:
        refuse_open_size(context)
    return padding, padding, padding + below, padding + right


def refuse_open_size(context: Context[V]) -> None:
    """`UnsupportedError` where the size is left open: how far a window reaches out of its input depends on it."""
    if context.variant.open_size:
        raise UnsupportedError("the size cannot be left open: its window is larger than its input")


def _normalized(context: Context[V], settings: Normalizable, x: V) -> V:
    """x after a batch norm that was not folded."""
    kept_apart = settings.batch_normalize and context.variant.keep_batch_norm
    return kept(context, x) if kept_apart else x
