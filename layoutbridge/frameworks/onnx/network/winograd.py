"""A 3×3 convolution as Winograd's F(4, 3) in standard ONNX operators: 36 products for 16 outputs instead of 144.

Runtimes without a Winograd kernel of their own then multiply a quarter as much. The output is cut into tiles of
4 × 4, each made from 6 × 6 inputs that overlap by two. With the matrices A, B, G of one axis (`MATRICES`), a tile is
Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A summed over the input's channels:

1. Bᵀ x B: for each row of Bᵀ a depthwise Conv 1 × 6 of stride (1, 4), and for each again one of 6 × 1 of stride (4, 1):
   a Concat of equal depthwise Convs runs faster than one Conv with six filters a channel;
2. the products: one 1 × 1 Conv in 36 groups. Its weights are made in the graph from the 3 × 3 ones, so that the file
   stays as small as it was; runtimes fold them when they load it. The bias is added at the point (1, 1), which all 16
   outputs have a share of 1 in;
3. Aᵀ m A, channels last: a MatMul with the Kronecker product of Aᵀ and itself, a Transpose that puts the rows of each
   tile into their places, a Slice of what was asked for, and back: one of larger rows than DepthToSpace has.

`pays` says for which shapes this is faster. Its numbers were fitted to 22 shapes (32 to 1024 channels, 13 × 13 to
104 × 104) in onnxruntime 1.31, with two threads and AVX-512, and meet what was measured within 6 % on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.primitives import LazyArray, Padding, Shape

TILE = 4  # outputs of one tile along an axis
SPAN = 6  # inputs of one tile along an axis, and products
KERNEL = 3
POINTS = tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2")))  # and infinity; half the error of 0, ±1, ±2
_ONE = POINTS.index(Fraction(1))

# What things take, in products of the direct convolution:
_PRODUCT = 1.2  # one of the 36 products
_INPUT, _OUTPUT = 38.0, 61.0  # transforming one value
_WEIGHT = 11.0  # reading one transformed weight
_NODES = 1e7  # starting some 20 nodes
_CACHE_BYTES = 20e6  # transformed pictures as large as this take twice as long to transform
_FILTERS_OF = 8  # OpenCV 5.0 writes past the end of groups with other numbers of filters
_LARGEST_SHARE = 0.85  # of the direct convolution's time: less gain is not worth the memory


@dataclass(frozen=True, slots=True)
class Matrices:
    """Float64, of one axis: `inputs` Bᵀ [6, 6], `kernel` G [6, 3], `outputs` Aᵀ [4, 6]."""

    inputs: NDArray[np.float64]
    kernel: NDArray[np.float64]
    outputs: NDArray[np.float64]


def _matrices() -> Matrices:
    """Of Toom and Cook: the polynomials' values at `POINTS` and infinity, and the way back from them, transposed."""
    others = [[q for q in POINTS if q != p] for p in POINTS]
    inputs = [[*_polynomial(roots), Fraction(0)] for roots in others] + [_polynomial(POINTS)]
    kernel = [
        [p**k / prod(p - q for q in roots) for k in range(KERNEL)] for p, roots in zip(POINTS, others, strict=True)
    ]
    outputs = [[p**k for p in POINTS] + [Fraction(k == TILE - 1)] for k in range(TILE)]
    last = [Fraction(k == KERNEL - 1) for k in range(KERNEL)]
    return Matrices(*(np.array(rows, np.float64) for rows in (inputs, [*kernel, last], outputs)))


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients, the constant one first, of the product of (x − root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


MATRICES = _matrices()


def time_share(weights: Shape, out_shape: Shape, pictures: int = 1) -> float:
    """The time that this form is expected to take, as a share of the direct convolution's.

    `weights` is [filters, C, 3, 3], `out_shape` (filters, H, W). Small pictures have few tiles for each weight, and
    tiles that stick out; few channels cannot pay for transforming them; large pictures, or many, leave the cache.

    >>> [round(time_share((2 * c, c, 3, 3), (2 * c, n, n)), 2) for c, n in ((16, 104), (64, 52), (256, 26), (512, 13))]
    [2.05, 0.75, 0.54, 0.8]
    """
    filters, channels = weights[:2]
    tiles = pictures * prod(-(-length // TILE) for length in out_shape[1:])
    done = tiles * TILE**2 / (pictures * prod(out_shape[1:]))
    transforms = _INPUT / filters + _OUTPUT / channels
    cache = 1 + 4 * SPAN**2 * (channels + filters) * tiles / _CACHE_BYTES
    nodes = _NODES / (SPAN**2 * channels * filters * tiles)
    products = done * SPAN**2 / TILE**2 / KERNEL**2
    return products * (_PRODUCT + transforms * cache + _WEIGHT / tiles + nodes)


def pays(weights: Shape, out_shape: Shape, pictures: int = 1) -> bool:
    """Whether a convolution of stride 1, without dilation and groups, is enough faster so."""
    suited = weights[2:] == (KERNEL, KERNEL) and weights[0] % _FILTERS_OF == 0
    return suited and time_share(weights, out_shape, pictures) <= _LARGEST_SHARE


def extra_bytes(weights: Shape) -> int:
    """What the transformed weights take beyond the float32 ones [filters, C, 3, 3] of the file."""
    return 4 * (SPAN**2 - KERNEL**2) * weights[0] * weights[1]


def winograd_conv2d(
    graph: Graph, x: str, in_shape: Shape, weights: LazyArray, bias: LazyArray | None, padding: Padding
) -> str:
    """The name of the convolution, stride 1, of x [N, *in_shape] with weights [filters, C, 3, 3] and bias [filters]."""
    channels, filters = in_shape[0], weights.shape[0]
    rows, columns = (in_shape[axis + 1] + padding[axis] + padding[axis + 2] - KERNEL + 1 for axis in (0, 1))
    down, across = -(-rows // TILE), -(-columns // TILE)
    bottom, right = (
        (count - 1) * TILE + SPAN - in_shape[axis + 1] - padding[axis] for axis, count in enumerate((down, across))
    )
    lines = _depthwise(graph, x, channels, 1, (padding[1], right))
    tiles = _depthwise(graph, lines, SPAN * channels, 0, (padding[0], bottom))
    products = graph.add("Conv", [tiles, *_transformed(graph, weights, bias)], kernel_shape=[1, 1], group=SPAN**2)
    turned = graph.add("Transpose", [products], perm=[0, 2, 3, 1])
    back = LazyArray.of("constants/winograd_outputs", np.kron(MATRICES.outputs, MATRICES.outputs))
    sums = graph.add("MatMul", [graph.parameter(back), _viewed(graph, turned, SPAN**2, filters)])
    below = graph.add("Transpose", [_viewed(graph, sums, across, TILE, TILE * filters)], perm=[0, 2, 1, 3])
    places = _viewed(graph, below, down * TILE, across * TILE, filters)
    cut = [(axis, length) for axis, length in ((1, rows), (2, columns)) if length % TILE]
    if cut:
        axes, ends = zip(*cut, strict=True)
        places = graph.add("Slice", [places, *map(graph.integers, ([0] * len(cut), ends, axes))])
    return graph.add("Transpose", [places], perm=[0, 3, 1, 2])


def _viewed(graph: Graph, x: str, *lengths: int) -> str:
    return graph.add("Reshape", [x, graph.integers([-1, *lengths])])


def _depthwise(graph: Graph, x: str, channels: int, axis: int, padding: tuple[int, int]) -> str:
    """Bᵀ along rows (0) or columns (1): [N, 6·channels, ...], the row of Bᵀ before the channel."""
    before, after = padding
    size, stride = ([SPAN, 1], [TILE, 1]) if axis == 0 else ([1, SPAN], [1, TILE])
    pads = [before, 0, after, 0] if axis == 0 else [0, before, 0, after]
    parts = []
    for number, row in enumerate(MATRICES.inputs):
        held = LazyArray.of(f"constants/winograd_inputs_{number}_{axis}", row.reshape(1, 1, *size))
        filters = graph.add_once("Expand", [graph.parameter(held), graph.integers([channels, 1, *size])])
        parts.append(graph.add("Conv", [x, filters], kernel_shape=size, strides=stride, pads=pads, group=channels))
    return graph.add("Concat", parts, axis=1)


def _transformed(graph: Graph, weights: LazyArray, bias: LazyArray | None) -> list[str]:
    """G w Gᵀ as the weights [36·filters, C, 1, 1] of the products, and their bias."""
    filters, channels = weights.shape[:2]
    kernel = LazyArray.of("constants/winograd_kernel", np.kron(MATRICES.kernel, MATRICES.kernel))
    flat = graph.add_once("Reshape", [graph.parameter(weights), graph.integers([filters * channels, KERNEL**2])])
    spread = graph.add_once("Gemm", [graph.parameter(kernel), flat], transB=1)
    made = [graph.add_once("Reshape", [spread, graph.integers([SPAN**2 * filters, channels, 1, 1])])]
    if bias is not None:
        before = (SPAN + 1) * _ONE
        widths = graph.integers([before * filters, (SPAN**2 - 1 - before) * filters])
        made.append(graph.add_once("Pad", [graph.parameter(bias), widths]))
    return made
