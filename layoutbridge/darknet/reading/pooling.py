"""The layers over windows and sizes without weights: maxpool, local_avgpool, avgpool, upsample, crop.

Definition: maxpool_layer.c (the fork's local average stands there too), avgpool_layer.c, upsample_layer.c,
crop_layer.c.
"""

from __future__ import annotations

from typing import NamedTuple

from layoutbridge.darknet.reading.parametric import blur_of, blurred
from layoutbridge.darknet.reading.place import Place, reads
from layoutbridge.darknet.structure.kinds import Avgpool, Crop, LocalAvgpool, Maxpool, Upsample
from layoutbridge.darknet.structure.model import Layer


@reads(Maxpool)
def maxpool(place: Place) -> Layer:
    """[maxpool]: padding size − 1 in all unless the cfg says otherwise, its smaller half at the top and left."""
    options = place.options
    channels, height, width = place.image()
    stride = options.integer("stride", 1, least=1)
    stride_x = stride_y = stride
    depth, out_channels, antialiasing = False, channels, 0
    if not place.original:
        stride_x = options.integer("stride_x", stride, least=1)
        stride_y = options.integer("stride_y", stride, least=1)
        depth = options.flag("maxpool_depth")
        out_channels = options.integer("out_channels", 1, least=1)
        antialiasing = options.integer("antialiasing", 0)
    size = options.integer("size", stride, least=1)
    padding = options.integer("padding", size - 1, least=0)
    blur = blur_of(antialiasing, stride_x, stride_y)
    if blur is not None:
        stride_x = stride_y = 1
    if depth:
        if out_channels > channels:
            raise place.error(f"out_channels={out_channels} is more than its {channels} input channels", "out_channels")
        shape, edges = (out_channels, height, width), _Edges(0, 0, 0, 0)
    else:
        shape, edges = _windows(place, size, stride_x, stride_y, padding)
    settings = Maxpool(
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding,
        padding_top=edges.top,
        padding_left=edges.left,
        padding_bottom=edges.bottom,
        padding_right=edges.right,
        depth=depth,
        out_channels=shape[0],
        antialiasing=blur,
    )
    return place.layer(blurred(place, shape, blur), settings)


@reads(LocalAvgpool)
def local_avgpool(place: Place) -> Layer:
    """[local_avgpool]: windows as in [maxpool], the mean of those places that lie inside the picture."""
    options = place.options
    place.image()
    stride = options.integer("stride", 1, least=1)
    stride_x = options.integer("stride_x", stride, least=1)
    stride_y = options.integer("stride_y", stride, least=1)
    size = options.integer("size", stride, least=1)
    padding = options.integer("padding", size - 1, least=0)
    shape, edges = _windows(place, size, stride_x, stride_y, padding)
    settings = LocalAvgpool(
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding,
        padding_top=edges.top,
        padding_left=edges.left,
        padding_bottom=edges.bottom,
        padding_right=edges.right,
    )
    return place.layer(shape, settings)


class _Edges(NamedTuple):
    """What a window reaches over on each side."""

    top: int
    left: int
    bottom: int
    right: int


def _windows(
    place: Place, size: int, stride_x: int, stride_y: int, padding: int
) -> tuple[tuple[int, int, int], _Edges]:
    """The output's shape and the padding of each side; bottom and right are what the last window reaches over."""
    channels, height, width = place.image()
    before = padding // 2
    rows = place.window(height, size, stride_y, padding, "height")
    columns = place.window(width, size, stride_x, padding, "width")
    bottom = (rows - 1) * stride_y + size - height - before
    right = (columns - 1) * stride_x + size - width - before
    if before >= size or bottom >= size or right >= size:
        raise place.error(f"padding={padding} makes windows of size={size} that see nothing but padding", "padding")
    place.check_padded(before + max(bottom, 0), before + max(right, 0))
    return (channels, rows, columns), _Edges(before, before, bottom, right)


@reads(Avgpool)
def avgpool(place: Place) -> Layer:
    """[avgpool]: the mean of each channel, as a picture of 1 × 1."""
    return place.layer((place.image()[0], 1, 1), Avgpool())


@reads(Upsample)
def upsample(place: Place) -> Layer:
    """[upsample]: every place stride × stride times, or with a negative stride the sums of such blocks."""
    options = place.options
    channels, height, width = place.image()
    stride = options.integer("stride", 2)
    scale = options.number("scale", 1.0)
    if stride == 0:
        raise place.error("stride=0: it must be positive, or negative to reduce", "stride")
    if stride > 0:
        settings = Upsample(stride=stride, reverse=False, scale=scale)
        return place.layer((channels, height * stride, width * stride), settings)
    for axis, length in (("height", height), ("width", width)):
        if length % -stride:
            raise place.error(f"stride={stride} needs a {axis} that it divides, not {length}", "stride")
    shape = (channels, height // -stride, width // -stride)
    return place.layer(shape, Upsample(stride=-stride, reverse=True, scale=scale))


@reads(Crop)
def crop(place: Place) -> Layer:
    """[crop] outside training: the middle part, spread from 0..1 to −1..1 unless `noadjust` says otherwise."""
    options = place.options
    channels, height, width = place.image()
    rows = options.integer("crop_height", 1, least=1)
    columns = options.integer("crop_width", 1, least=1)
    plain = options.flag("noadjust")
    if rows > height or columns > width:
        raise place.error(f"a crop of {rows} × {columns} (height × width) does not fit the input's {height} × {width}")
    settings = Crop(
        top=(height - rows) // 2,
        left=(width - columns) // 2,
        scale=1.0 if plain else 2.0,
        offset=0.0 if plain else -1.0,
    )
    return place.layer((channels, rows, columns), settings)
