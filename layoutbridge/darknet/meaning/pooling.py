"""The layers over windows and sizes without weights: maxpool, local_avgpool, avgpool, upsample, crop.

Definition: maxpool_layer.c (the fork's local average stands there too), avgpool_layer.c, upsample_layer.c,
crop_layer.c.
"""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.meaning.context import Context, first_axis
from layoutbridge.darknet.meaning.parametric import blurred
from layoutbridge.frameworks.primitives import Padding, V


def maxpool(place: Context[V]) -> V:
    """[maxpool]: over windows, or over the channels g, g + out_channels, ... with `maxpool_depth`."""
    if place.settings["depth"]:
        return blurred(place, _over_channels(place, place.settings["out_channels"]))
    size, stride = _size_and_stride(place)
    x = place.target.max_pool(place.x, size=size, stride=stride, padding=_padding(place))
    return blurred(place, x)


def local_avgpool(place: Context[V]) -> V:
    """[local_avgpool]: the mean of the places inside the picture."""
    size, stride = _size_and_stride(place)
    return place.target.average_pool(place.x, size=size, stride=stride, padding=_padding(place))


def avgpool(place: Context[V]) -> V:
    """[avgpool]: the mean of each channel."""
    return place.target.global_average(place.x)


def upsample(place: Context[V]) -> V:
    """[upsample]: places repeated; with `reverse` the sums of blocks, as a convolution of each channel with ones."""
    target, stride, scale = place.target, place.settings["stride"], place.settings["scale"]
    if place.settings["reverse"]:
        channels = place.x.shape[0]
        block = np.full((channels, 1, stride, stride), scale)
        return target.conv2d(place.x, place.constant("block", block), stride=(stride, stride), groups=channels)
    repeated = target.upsample(place.x, stride) if stride > 1 else place.x
    return repeated if scale == 1 else target.multiply(repeated, scale)


def crop(place: Context[V]) -> V:
    """[crop]: the middle part, scaled and shifted."""
    settings = place.settings
    channels, rows, columns = place.layer.out_shape
    top, left = settings["top"], settings["left"]
    x = place.target.slice(place.x, (0, top, left), (channels, top + rows, left + columns))
    if settings["scale"] != 1:
        x = place.target.multiply(x, settings["scale"])
    return x if settings["offset"] == 0 else place.target.add(x, settings["offset"])


def _over_channels(place: Context[V], outputs: int) -> V:
    """The maximum over channels that are `outputs` apart; those behind the last whole group join the first ones."""
    target, x = place.target, place.x
    channels, *places = x.shape
    whole = channels // outputs * outputs
    groups = target.reshape(first_axis(target, x, 0, whole), (whole // outputs, outputs, *places))
    largest = target.reshape(target.reduce_max(groups, 0), (outputs, *places))
    if whole == channels:
        return largest
    first, others = target.split(largest, (channels - whole, outputs - (channels - whole)))
    return target.concat([target.maximum(first, first_axis(target, x, whole, channels)), others])


def _size_and_stride(place: Context[V]) -> tuple[tuple[int, int], tuple[int, int]]:
    size = place.settings["size"]
    return (size, size), (place.settings["stride_y"], place.settings["stride_x"])


def _padding(place: Context[V]) -> Padding:
    """Zeros on each side: rows that no window reaches need none to be cut off.

    With the size left open, what the last window reaches over is not known: there the whole padding is given.
    """
    settings = place.settings
    top, left = settings["padding_top"], settings["padding_left"]
    if not place.options.open_size:
        return top, left, max(settings["padding_bottom"], 0), max(settings["padding_right"], 0)
    padding = settings["padding"]
    return top, left, padding - top, padding - left
