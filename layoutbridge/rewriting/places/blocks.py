"""Blocks of space in the channels: every order that space-to-depth, Focus and the like may have, found by elements."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ShapeError
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.tables import table_of


@dataclass(frozen=True)
class Blocks:
    """What [N, channels, *space] holds of a picture whose space is cut into blocks of these `sizes`.

    Channel k of the result is `channels[k]` of the picture, at `offsets[k]` in every block. `order` are the axes of the
    picture as it lies, in the order [N, channels, *space].
    """

    sizes: tuple[int, ...]
    channels: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]

    @property
    def picture_channels(self) -> int:
        """How many channels the picture has."""
        return len(self.channels) // prod(self.sizes)

    @property
    def is_channels_first(self) -> bool:
        """Whether the picture lies as [N, channels, *space]."""
        return self.order == tuple(range(len(self.order)))

    def unfolded(self, weight: NDArray[Any]) -> NDArray[Any]:
        """A convolution's weight [outputs, inputs, *kernel] for the picture itself: a kernel as many blocks large.

        >>> Blocks((2,), (0, 0), ((1,), (0,)), (0, 1, 2)).unfolded(np.array([[[1, 2], [3, 4]]])).tolist()
        [[[3, 1, 4, 2]]]
        """
        outputs, _, *kernel = weight.shape
        lengths = [length * size for length, size in zip(kernel, self.sizes, strict=True)]
        made = np.zeros((outputs, self.picture_channels, *lengths), weight.dtype)
        for k, (channel, offset) in enumerate(zip(self.channels, self.offsets, strict=True)):
            steps = [slice(start, None, size) for start, size in zip(offset, self.sizes, strict=True)]
            made[:, channel][(slice(None), *steps)] = weight[:, k]
        return made


def blocks_in(graph: Graph, region: Region) -> Blocks | None:
    """The blocks that a region puts into channels, from a picture with its channels first or last; else None."""
    shape, result = graph.tensors[region.sources[0]].shape, graph.tensors[region.output].shape
    rank = len(shape)
    if len(region.sources) > 1 or len(result) != rank or rank < 3 or prod(result) == 0 or prod(shape) != prod(result):
        return None
    fitting = [order for order in _orders(rank) if _sizes(shape, order, result) is not None]
    if not fitting:
        return None
    try:
        table = table_of(graph, region)
    except ShapeError:  # too large to be looked at
        return None
    return next((found for order in fitting if (found := _blocks(table, shape, order)) is not None), None)


def _orders(rank: int) -> tuple[tuple[int, ...], ...]:
    return tuple(range(rank)), (0, rank - 1, *range(1, rank - 1))


def _sizes(shape: tuple[int, ...], order: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...] | None:
    """The sizes of the blocks, larger than one element, between a picture and a result of these shapes."""
    batch, channels, *space = (shape[axis] for axis in order)
    if batch != result[0] or any(before % after for before, after in zip(space, result[2:], strict=True)):
        return None
    sizes = tuple(before // after for before, after in zip(space, result[2:], strict=True))
    return sizes if prod(sizes) > 1 and channels * prod(sizes) == result[1] else None


def _blocks(table: NDArray[np.int64], shape: tuple[int, ...], order: tuple[int, ...]) -> Blocks | None:
    sizes = _sizes(shape, order, table.shape)
    assert sizes is not None
    strides = [prod(shape[axis + 1 :]) for axis in order]
    first = table.reshape(*table.shape[:2], -1)[0, :, 0]
    expected = first.reshape(-1, *[1] * len(sizes))
    steps = (strides[0], 0, *(stride * size for stride, size in zip(strides[2:], sizes, strict=True)))
    for axis, (step, length) in enumerate(zip(steps, table.shape, strict=True)):
        if step:
            expected = expected + step * np.arange(length).reshape(-1, *[1] * (table.ndim - axis - 1))
    places = [np.unravel_index(first, shape)[axis] for axis in order]
    offsets = np.stack(places[2:], 1)
    if not np.array_equal(table, expected) or (offsets >= sizes).any() or places[0].any():
        return None
    return Blocks(sizes, tuple(places[1].tolist()), tuple(map(tuple, offsets.tolist())), order)
