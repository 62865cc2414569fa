"""The layers over windows and sizes without weights: maxpool, local_avgpool, avgpool, upsample, crop.

Definition: maxpool_layer.c (the fork's local average stands there too), avgpool_layer.c, upsample_layer.c,
crop_layer.c.
"""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.meaning.context import Context, first_axis, means
from layoutbridge.darknet.meaning.parametric import blurred, refuse_open_size
from layoutbridge.darknet.structure.kinds import Avgpool, Crop, LocalAvgpool, Maxpool, Upsample
from layoutbridge.darknet.structure.settings import Windowed
from layoutbridge.frameworks.primitives import Padding, V


@means(Maxpool)
def maxpool(context: Context[V], settings: Maxpool) -> V:
    """[maxpool]: over windows, or over the channels g, g + out_channels, ... with `maxpool_depth`."""
    if settings.depth:
        return blurred(context, _over_channels(context, settings.out_channels), settings.antialiasing)
    size, stride = _size_and_stride(settings)
    x = context.target.max_pool(context.x, size=size, stride=stride, padding=_padding(context, settings))
    return blurred(context, x, settings.antialiasing)


@means(LocalAvgpool)
def local_avgpool(context: Context[V], settings: LocalAvgpool) -> V:
    """[local_avgpool]: the mean of the places inside the picture."""
    size, stride = _size_and_stride(settings)
    return context.target.average_pool(context.x, size=size, stride=stride, padding=_padding(context, settings))


@means(Avgpool)
def avgpool(context: Context[V], settings: Avgpool) -> V:
    """[avgpool]: the mean of each channel."""
    return context.target.global_average(context.x)


@means(Upsample)
def upsample(context: Context[V], settings: Upsample) -> V:
    """[upsample]: places repeated; with `reverse` the sums of blocks, as a convolution of each channel with ones."""
    target, stride, scale = context.target, settings.stride, settings.scale
    if settings.reverse:
        channels = context.x.shape[0]
        block = np.full((channels, 1, stride, stride), scale)
        return target.conv2d(context.x, context.constant("block", block), stride=(stride, stride), groups=channels)
    repeated = target.upsample(context.x, stride) if stride > 1 else context.x
    return repeated if scale == 1 else target.multiply(repeated, scale)


@means(Crop)
def crop(context: Context[V], settings: Crop) -> V:
    """[crop]: the middle part, scaled and shifted."""
    channels, rows, columns = context.layer.out_shape
    top, left = settings.top, settings.left
    x = context.target.slice(context.x, (0, top, left), (channels, top + rows, left + columns))
    if settings.scale != 1:
        x = context.target.multiply(x, settings.scale)
    return x if settings.offset == 0 else context.target.add(x, settings.offset)


def _over_channels(context: Context[V], outputs: int) -> V:
    """The maximum over channels that are `outputs` apart; those behind the last whole group join the first ones."""
    target, x = context.target, context.x
    channels, *places = x.shape
    whole = channels // outputs * outputs
    groups = target.reshape(first_axis(target, x, 0, whole), (whole // outputs, outputs, *places))
    largest = target.reshape(target.reduce_max(groups, 0), (outputs, *places))
    if whole == channels:
        return largest
    first, others = target.split(largest, (channels - whole, outputs - (channels - whole)))
    return target.concat([target.maximum(first, first_axis(target, x, whole, channels)), others])


def _size_and_stride(settings: Windowed) -> tuple[tuple[int, int], tuple[int, int]]:
    size = settings.size
    return (size, size), (settings.stride_y, settings.stride_x)


def _padding(context: Context[V], settings: Windowed) -> Padding:
    """Zeros on each side: rows that no window reaches need none to be cut off.

    With the size left open, what the last window reaches over is not known: there the whole padding is given.
    """
    top, left = settings.padding_top, settings.padding_left
    if not context.variant.open_size:
        return top, left, max(settings.padding_bottom, 0), max(settings.padding_right, 0)
    padding = settings.padding
    if settings.padding_bottom > padding - top or settings.padding_right > padding - left:
        refuse_open_size(context)
    return top, left, padding - top, padding - left
