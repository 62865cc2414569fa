"""The layers over windows and sizes without weights: maxpool, local_avgpool, avgpool, upsample, crop.

Definition: maxpool_layer.c (the fork's local average stands there too), avgpool_layer.c, upsample_layer.c,
crop_layer.c.
"""

from __future__ import annotations

from layoutbridge.darknet.reading.parametric import blurred
from layoutbridge.darknet.reading.place import Place
from layoutbridge.darknet.structure.model import Layer


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
    blur_x, blur_y = stride_x, stride_y
    if antialiasing:
        stride_x = stride_y = 1
    if depth:
        if out_channels > channels:
            raise place.error(f"out_channels={out_channels} is more than its {channels} input channels", "out_channels")
        shape = (out_channels, height, width)
        edges = {"padding_top": 0, "padding_left": 0, "padding_bottom": 0, "padding_right": 0}
    else:
        shape, edges = _windows(place, size, stride_x, stride_y, padding)
    return place.layer(
        blurred(place, shape, antialiasing, blur_x, blur_y),
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding,
        **edges,
        depth=depth,
        out_channels=shape[0],
        antialiasing=antialiasing and (2 if antialiasing == 2 else 1),
        blur_stride_x=blur_x,
        blur_stride_y=blur_y,
    )


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
    return place.layer(shape, size=size, stride_x=stride_x, stride_y=stride_y, padding=padding, **edges)


def _windows(
    place: Place, size: int, stride_x: int, stride_y: int, padding: int
) -> tuple[tuple[int, int, int], dict[str, int]]:
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
    edges = {"padding_top": before, "padding_left": before, "padding_bottom": bottom, "padding_right": right}
    return (channels, rows, columns), edges


def avgpool(place: Place) -> Layer:
    """[avgpool]: the mean of each channel, as a picture of 1 × 1."""
    return place.layer((place.image()[0], 1, 1))


def upsample(place: Place) -> Layer:
    """[upsample]: every place stride × stride times, or with a negative stride the sums of such blocks."""
    options = place.options
    channels, height, width = place.image()
    stride = options.integer("stride", 2)
    scale = options.number("scale", 1.0)
    if stride == 0:
        raise place.error("stride=0: it must be positive, or negative to reduce", "stride")
    if stride > 0:
        return place.layer((channels, height * stride, width * stride), stride=stride, reverse=False, scale=scale)
    for axis, length in (("height", height), ("width", width)):
        if length % -stride:
            raise place.error(f"stride={stride} needs a {axis} that it divides, not {length}", "stride")
    shape = (channels, height // -stride, width // -stride)
    return place.layer(shape, stride=-stride, reverse=True, scale=scale)


def crop(place: Place) -> Layer:
    """[crop] outside training: the middle part, spread from 0..1 to −1..1 unless `noadjust` says otherwise."""
    options = place.options
    channels, height, width = place.image()
    rows = options.integer("crop_height", 1, least=1)
    columns = options.integer("crop_width", 1, least=1)
    plain = options.flag("noadjust")
    if rows > height or columns > width:
        raise place.error(f"a crop of {rows} × {columns} (height × width) does not fit the input's {height} × {width}")
    return place.layer(
        (channels, rows, columns),
        top=(height - rows) // 2,
        left=(width - columns) // 2,
        scale=1.0 if plain else 2.0,
        offset=0.0 if plain else -1.0,
    )
