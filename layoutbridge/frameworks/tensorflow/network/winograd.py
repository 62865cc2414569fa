"""A 3×3 convolution as Winograd's F(n, 3) in TensorFlow's operations: 16 products for 4 outputs instead of 36.

XNNPACK, by which LiteRT computes, multiplies such convolutions one by one. In tiles of 2 × 2, with the matrices A, B, G
of one axis (`matrices`), a tile is Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A summed over the input's channels:

1. Bᵀ x, from line to line: the picture as [N, tiles, rows of a tile · places, C], of which slices of whole
   lines are added;
2. times B, along each line: for each row of Bᵀ a depthwise convolution 1 × 4 of stride 2, of pictures of one line;
3. the products: a 1 × 1 convolution for each of the 16 points. A product of 16 matrices at once takes up to six times
   as long. The bias is added at the point (1, 1), which all outputs have a share of 1 in;
4. Aᵀ m A: sums, put beside one another along the channels, then along the lines, and seen in another shape.

`best_tile` says for which shapes this is faster, and in which tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from layoutbridge.frameworks.primitives import LazyArray, Padding
from layoutbridge.frameworks.winograd import (
    KERNEL,
    Costs,
    Tile,
    kernel_matrix,
    matrices,
    place_of_bias,
    span,
    tiles_over,
)

# Measured with two threads on a Xeon with AVX-512, 22 shapes of 16 to 1024 channels, 7 × 7 to 208 × 208. Larger tiles
# gain nothing: what they spare in products their sums take, and on small maps they stick out.
COSTS = Costs(product=0.65, given=36, made=36, weight=12, start=3e6, cache_bytes=6e7, tiles=((2, 2),))


class Winograd2D(keras.layers.Layer):
    """The convolution, stride 1, of pictures [N, H, W, C] with weights [F, C, 3, 3] and bias [F], in such tiles.

    `padding` is top, left, bottom, right. N, H and W must be known. It is for models that are converted at once, and
    stands in no .keras file: its variables are the transformed weights, computed in float64 and rounded once.

    >>> ones = LazyArray.of("ones", np.ones((8, 1, 3, 3)))
    >>> made = Winograd2D(ones, None, (1, 1, 1, 1), (2, 2))(np.ones((1, 3, 4, 1), np.float32))
    >>> made.shape, made[0, :, :, 7].numpy().tolist()
    (TensorShape([1, 3, 4, 8]), [[4.0, 6.0, 6.0, 4.0], [6.0, 9.0, 9.0, 6.0], [4.0, 6.0, 6.0, 4.0]])
    """

    def __init__(self, array: LazyArray, bias: LazyArray | None, padding: Padding, tile: Tile, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.array, self.bias_array = array, bias
        self.padding, self.tile = padding, tile

    def build(self, _: Sequence[int | None]) -> None:
        """Make the points' weights [1, 1, C, F], and the bias [F]."""
        filters, channels = self.array.shape[:2]
        small = (self.array.unrounded or self.array.rows)(0, filters).astype(np.float64, copy=False)
        flat = np.ascontiguousarray(small.reshape(filters, channels, KERNEL**2).transpose(1, 0, 2))
        self.points = [
            self._held((1, 1, channels, filters), (flat @ row)[None, None], f"point_{number}")
            for number, row in enumerate(kernel_matrix(self.tile))
        ]
        self.bias = None if self.bias_array is None else self._held((filters,), self.bias_array.read(), "bias")

    def _held(self, shape: tuple[int, ...], values: NDArray[Any], name: str) -> Any:
        def make(_: Sequence[int], dtype: Any = None) -> Any:
            return tf.constant(values, dtype)

        return self.add_weight(shape=shape, initializer=make, trainable=False, name=name)

    def call(self, inputs: Any) -> Any:
        """The pictures [N, rows, columns, F]."""
        batch, height, width, channels = inputs.shape
        tall, wide = self.tile
        _, rows, columns, filters = self.compute_output_shape(inputs.shape)
        down, across = tiles_over((rows, columns), self.tile)
        top, left = self.padding[:2]
        places = across * wide + KERNEL - 1
        sides = [[0, 0], [top, (down + 1) * tall - top - height], [left, places - left - width], [0, 0]]
        lines = tf.reshape(tf.pad(inputs, sides), [batch, down + 1, tall * places, channels])
        every = [
            tf.slice(lines, [0, k // tall, k % tall * places, 0], [batch, down, places, channels])
            for k in range(span(tall))
        ]
        masks = [
            tf.constant(np.broadcast_to(row.reshape(1, -1, 1, 1), (1, span(wide), channels, 1)), inputs.dtype)
            for row in matrices(wide).inputs
        ]
        made = []
        for number, row in enumerate(matrices(tall).inputs):
            line = tf.reshape(_sum(row, every), [batch * down, 1, places, channels])
            points = [
                self._product(
                    number * span(wide) + k,
                    tf.reshape(
                        tf.nn.depthwise_conv2d(line, mask, [1, wide, wide, 1], "VALID"), [batch, down, across, channels]
                    ),
                )
                for k, mask in enumerate(masks)
            ]
            beside = tf.concat([_sum(column, points) for column in matrices(wide).outputs], 3)
            made.append(tf.reshape(beside, [batch, down, across * wide, filters]))
        below = tf.concat([_sum(row, made) for row in matrices(tall).outputs], 2)
        whole = tf.reshape(below, [batch, down * tall, across * wide, filters])
        if whole.shape == (batch, rows, columns, filters):
            return whole
        return tf.slice(whole, [0, 0, 0, 0], [batch, rows, columns, filters])

    def _product(self, point: int, x: Any) -> Any:
        """The products of one point, with the bias where it is added."""
        product = tf.nn.conv2d(x, tf.convert_to_tensor(self.points[point]), 1, "VALID")
        return product if self.bias is None or point != place_of_bias(self.tile) else product + self.bias

    def compute_output_shape(self, input_shape: Sequence[int]) -> tuple[int, int, int, int]:
        """A place for each window inside the padded pictures."""
        top, left, bottom, right = self.padding
        rows, columns = (
            length - KERNEL + 1 for length in (input_shape[1] + top + bottom, input_shape[2] + left + right)
        )
        return input_shape[0], rows, columns, self.array.shape[0]


def _sum(factors: NDArray[np.float64], tensors: Sequence[Any]) -> Any:
    """The sum of tensors, each times its factor; those of 1 first, which need no product."""
    terms = sorted(((float(factor), x) for factor, x in zip(factors, tensors, strict=True) if factor), key=_is_other)
    factor, x = terms[0]
    total = x if factor == 1 else x * factor
    for factor, x in terms[1:]:
        total = total + x if factor == 1 else total - x if factor == -1 else total + x * factor
    return total


def _is_other(term: tuple[float, Any]) -> bool:
    return term[0] != 1
