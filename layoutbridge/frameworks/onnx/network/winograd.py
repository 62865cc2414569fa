"""A 3×3 convolution as Winograd's F(n, 3) in standard ONNX operators: 36 products for 16 outputs instead of 144.

Runtimes without a Winograd kernel of their own then multiply a quarter as much. The output is cut into tiles, of 4 × 4
say, each made from 6 × 6 inputs that overlap by two. With the matrices A, B, G of one axis (`matrices`), a tile is
Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A summed over the input's channels:

1. Bᵀ x B: for each row of Bᵀ a depthwise Conv 1 × 6 of stride (1, 4), and for each again one of 6 × 1 of stride (4, 1):
   a Concat of equal depthwise Convs runs faster than one Conv with six filters a channel;
2. the products: one 1 × 1 Conv in 36 groups. Its weights are made in the graph from the 3 × 3 ones, so that the file
   stays as small as it was, and runtimes fold them when they load it; or they are stored. The bias is added at the
   point (1, 1), which all 16 outputs have a share of 1 in;
3. Aᵀ m A, channels last: a MatMul with the Kronecker product of Aᵀ and itself, a Transpose that puts the rows of each
   tile into their places, a Slice of what was asked for, and back: one of larger rows than DepthToSpace has.

`best_tile` says for which shapes this is faster, and in which tiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.primitives import LazyArray, Padding, Shape
from layoutbridge.frameworks.winograd import (
    KERNEL,
    Tile,
    kernel_matrix,
    matrices,
    outputs_matrix,
    place_of_bias,
    products_of,
    span,
    tiles_over,
)


def winograd_conv2d(
    graph: Graph,
    x: str,
    in_shape: Shape,
    weights: LazyArray,
    bias: LazyArray | None,
    padding: Padding,
    tile: Tile,
    stored: bool,
) -> str:
    """The name of the convolution, stride 1, of x [N, *in_shape] with weights [filters, C, 3, 3] and bias [filters].

    It is cut into tiles of so many rows and columns. With `stored` the transformed weights are what the file holds.
    """
    channels, filters = in_shape[0], weights.shape[0]
    rows, columns = (in_shape[axis + 1] + padding[axis] + padding[axis + 2] - KERNEL + 1 for axis in (0, 1))
    down, across = tiles_over((rows, columns), tile)
    bottom, right = (
        count * tile[axis] + KERNEL - 1 - in_shape[axis + 1] - padding[axis]
        for axis, count in enumerate((down, across))
    )
    lines = _depthwise(graph, x, channels, 1, tile[1], (padding[1], right))
    tiles = _depthwise(graph, lines, span(tile[1]) * channels, 0, tile[0], (padding[0], bottom))
    held = _stored(graph, weights, bias, tile) if stored else _transformed(graph, weights, bias, tile)
    products = graph.add("Conv", [tiles, *held], kernel_shape=[1, 1], group=products_of(tile))
    turned = graph.add("Transpose", [products], perm=[0, 2, 3, 1])
    back = LazyArray.of(f"constants/winograd_outputs_{tile[0]}x{tile[1]}", outputs_matrix(tile))
    sums = graph.add("MatMul", [graph.parameter(back), _viewed(graph, turned, products_of(tile), filters)])
    below = graph.add("Transpose", [_viewed(graph, sums, across, tile[0], tile[1] * filters)], perm=[0, 2, 1, 3])
    places = _viewed(graph, below, down * tile[0], across * tile[1], filters)
    cut = [(axis, length) for axis, length in ((1, rows), (2, columns)) if length % tile[axis - 1]]
    if cut:
        axes, ends = zip(*cut, strict=True)
        places = graph.add("Slice", [places, *map(graph.integers, ([0] * len(cut), ends, axes))])
    return graph.add("Transpose", [places], perm=[0, 3, 1, 2])


def _viewed(graph: Graph, x: str, *lengths: int) -> str:
    return graph.add("Reshape", [x, graph.integers([-1, *lengths])])


def _depthwise(graph: Graph, x: str, channels: int, axis: int, tile: int, padding: tuple[int, int]) -> str:
    """Bᵀ along rows (0) or columns (1): [N, span·channels, ...], the row of Bᵀ before the channel."""
    before, after = padding
    long = span(tile)
    size, stride = ([long, 1], [tile, 1]) if axis == 0 else ([1, long], [1, tile])
    pads = [before, 0, after, 0] if axis == 0 else [0, before, 0, after]
    parts = []
    for number, row in enumerate(matrices(tile).inputs):
        held = LazyArray.of(f"constants/winograd_inputs_{tile}_{number}_{axis}", row.reshape(1, 1, *size))
        filters = graph.add_once("Expand", [graph.parameter(held), graph.integers([channels, 1, *size])])
        parts.append(graph.add("Conv", [x, filters], kernel_shape=size, strides=stride, pads=pads, group=channels))
    return graph.add("Concat", parts, axis=1)


def _transformed(graph: Graph, weights: LazyArray, bias: LazyArray | None, tile: Tile) -> list[str]:
    """G w Gᵀ as the weights [products·filters, C, 1, 1], made in the graph of the small ones, and their bias."""
    filters, channels = weights.shape[:2]
    kernel = LazyArray.of(f"constants/winograd_kernel_{tile[0]}x{tile[1]}", kernel_matrix(tile))
    flat = graph.add_once("Reshape", [graph.parameter(weights), graph.integers([filters * channels, KERNEL**2])])
    spread = graph.add_once("Gemm", [graph.parameter(kernel), flat], transB=1)
    made = [graph.add_once("Reshape", [spread, graph.integers([products_of(tile) * filters, channels, 1, 1])])]
    if bias is not None:
        before = place_of_bias(tile)
        widths = graph.integers([before * filters, (products_of(tile) - 1 - before) * filters])
        made.append(graph.add_once("Pad", [graph.parameter(bias), widths]))
    return made


def _stored(graph: Graph, weights: LazyArray, bias: LazyArray | None, tile: Tile) -> list[str]:
    """The same as initializers, computed in float64 and rounded once."""
    filters, channels = weights.shape[:2]
    products, before = products_of(tile), place_of_bias(tile)
    kernel = kernel_matrix(tile)
    held: dict[str, NDArray[np.float64]] = {}  # the small weights, while the large ones are being written

    def rows(start: int, stop: int) -> NDArray[np.float32]:
        if "small" not in held:
            small = (weights.unrounded or weights.rows)(0, filters)
            held["small"] = small.astype(np.float64, copy=False).reshape(filters, channels, KERNEL**2)
        small = held["small"]
        if stop == products * filters:
            held.clear()
        parts = []
        while start < stop:
            place, first = divmod(start, filters)
            last = min(filters, first + stop - start)
            parts.append(small[first:last] @ kernel[place])
            start += last - first
        return np.concatenate(parts).astype(np.float32)[..., None, None]

    name = f"{weights.name}_winograd_{tile[0]}x{tile[1]}"
    made = [graph.parameter(LazyArray(name, (products * filters, channels, 1, 1), rows))]
    if bias is not None:
        values = bias

        def padded(start: int, stop: int) -> NDArray[np.float32]:
            whole = np.zeros(products * filters, np.float32)
            whole[before * filters : (before + 1) * filters] = values.read()
            return whole[start:stop]

        made.append(
            graph.parameter(LazyArray(f"{bias.name}_winograd_{tile[0]}x{tile[1]}", (products * filters,), padded))
        )
    return made
