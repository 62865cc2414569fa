"""The layers that only move elements: reorg and reorg3d. What they do is in the catalogue of rearrangements.

Definition: reorg_layer.c and blas.c (reorg_cpu, flatten); the fork's reorg_old_layer.c and reorg_layer.c.
"""

from __future__ import annotations

from math import prod

from layoutbridge.darknet.reading.place import Place, reads
from layoutbridge.darknet.structure.kinds import Reorg, Reorg3d
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.darknet.structure.settings import Moving
from layoutbridge.errors import ShapeError
from layoutbridge.operations.catalog import op


@reads(Reorg)
def reorg(place: Place) -> Layer:
    """[reorg]: the original's `flatten` and `extra` too; the fork does not know them."""
    flatten, extra = False, 0
    if place.original:
        flatten = place.options.flag("flatten")
        extra = place.options.integer("extra", 0, least=0)
    return _moved(place, Reorg, "darknet_reorg", flatten, extra)


@reads(Reorg3d)
def reorg3d(place: Place) -> Layer:
    """[reorg3d], the fork's."""
    return _moved(place, Reorg3d, "darknet_reorg3d", False, 0)


def _moved(place: Place, kind: type[Moving], name: str, flatten: bool, extra: int) -> Layer:
    options = place.options
    channels, height, width = place.image()
    stride = options.integer("stride", 1, least=1)
    reverse = options.flag("reverse")
    if extra:
        if flatten:
            raise place.error(f"flatten=1 with extra={extra}: Darknet reads past its input there", "extra")
        total = prod(place.in_shape) + extra
        settings = kind(stride=stride, reverse=reverse, flatten=False, extra=extra, operation=None)
        return place.layer((total,), settings)
    if flatten:
        name = "darknet_unflatten" if reverse else "darknet_flatten"
        rearrangement = op(name)
        area = stride * stride
        shape = (
            (channels // area, height * stride, width * stride)
            if reverse
            else (channels * area, height // stride, width // stride)
        )
        if prod(shape) != prod(place.in_shape):
            raise place.error(f"flatten=1 at stride={stride} does not fit the input {channels}×{height}×{width}")
    else:
        name += "_reverse" if reverse else ""
        rearrangement = op(name, stride=stride)
        try:
            out_shape = rearrangement.out_shape((channels, height, width))
        except ShapeError as error:
            raise place.error(str(error), "stride") from None
        shape = (out_shape[0], out_shape[1], out_shape[2])
    return place.layer(shape, kind(stride=stride, reverse=reverse, flatten=flatten, extra=0, operation=name))
