"""Winograd's F(n, 3): a 3 × 3 convolution with fewer products, for the frameworks that write it.

With tiles of n outputs an axis takes n + 2 products instead of 3·n. `best_tile` says for which shapes that is faster,
by costs that were measured in a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from layoutbridge.frameworks.primitives import Shape
else:
    np = Late("numpy")

KERNEL = 3
Tile = tuple[int, int]  # outputs of one tile: rows, columns
POINTS = {  # of a tile of so many outputs, and infinity: those of the least errors that were found
    2: tuple(map(Fraction, ("0", "1", "-1"))),
    3: tuple(map(Fraction, ("0", "1", "-1", "2"))),
    4: tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2"))),
    5: tuple(map(Fraction, ("0", "1", "-1", "1/2", "-1/2", "2"))),
    6: tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2", "3/2", "-2/3"))),
}
_CHOSEN: tuple[Tile, ...] = ((2, 2), (3, 3), (4, 4))  # of larger ones the errors grow, and the gain hardly does
_FILTERS_OF = 8  # OpenCV 5.0 writes past the end of groups with other numbers of filters
_LARGEST_SHARE = 0.85  # of the direct convolution's time: less gain is not worth the memory
_ABOUT_EQUAL = 1.03  # of two tiles that take this much the same time, that with fewer weights


@dataclass(frozen=True, slots=True)
class Costs:
    """What things take in a runtime, in products of its direct convolution, which takes `direct_start` to begin.

    `product` is one product, `given` and `made` the transform of one value before and behind the products, `weight`
    reading one transformed weight, `start` beginning some 20 nodes. Transformed pictures of `cache_bytes` take twice as
    long to transform. `tiles` are those to choose from.
    """

    product: float
    given: float
    made: float
    weight: float
    start: float
    direct_start: float = 0.0
    cache_bytes: float = 20e6
    tiles: tuple[Tile, ...] = _CHOSEN


@dataclass(frozen=True, slots=True)
class Matrices:
    """Float64, of an axis with tiles of n: `inputs` Bᵀ [n+2, n+2], `kernel` G [n+2, 3], `outputs` Aᵀ [n, n+2]."""

    inputs: NDArray[np.float64]
    kernel: NDArray[np.float64]
    outputs: NDArray[np.float64]


@cache
def matrices(tile: int) -> Matrices:
    """Of Toom and Cook: the polynomials' values at `POINTS` and infinity, and the way back from them, transposed."""
    points = POINTS[tile]
    others = [[q for q in points if q != p] for p in points]
    inputs = [[*_polynomial(roots), Fraction(0)] for roots in others] + [_polynomial(points)]
    kernel = [
        [p**k / prod(p - q for q in roots) for k in range(KERNEL)] for p, roots in zip(points, others, strict=True)
    ]
    outputs = [[p**k for p in points] + [Fraction(k == tile - 1)] for k in range(tile)]
    last = [Fraction(k == KERNEL - 1) for k in range(KERNEL)]
    return Matrices(*(np.array(rows, np.float64) for rows in (inputs, [*kernel, last], outputs)))


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients, the constant one first, of the product of (x − root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def span(tile: int) -> int:
    """Inputs of a tile along an axis, and products."""
    return tile + KERNEL - 1


def products_of(tile: Tile) -> int:
    """Products of a tile, for each of its channels and filters."""
    return span(tile[0]) * span(tile[1])


def place_of_bias(tile: Tile) -> int:
    """The product at the point (1, 1), of which every output has a share of 1."""
    rows, columns = (POINTS[length].index(Fraction(1)) for length in tile)
    return rows * span(tile[1]) + columns


def kernel_matrix(tile: Tile) -> NDArray[np.float64]:
    """[products, 9]: from the values of a kernel, row by row, to the weights of the products."""
    rows, columns = (matrices(length).kernel for length in tile)
    return np.asarray(np.kron(rows, columns), np.float64)


def outputs_matrix(tile: Tile) -> NDArray[np.float64]:
    """[rows · columns, products]: from the products to the outputs of a tile, row by row."""
    rows, columns = (matrices(length).outputs for length in tile)
    return np.asarray(np.kron(rows, columns), np.float64)


def tiles_over(lengths: Shape, tile: Tile) -> tuple[int, int]:
    """How many tiles lie over a map of so many rows and columns, down and across."""
    return -(-lengths[0] // tile[0]), -(-lengths[1] // tile[1])


def time_share(weights: Shape, out_shape: Shape, tile: Tile, costs: Costs, pictures: int = 1) -> float:
    """The time that this form is expected to take, as a share of the direct convolution's.

    `weights` is [filters, C, 3, 3], `out_shape` (filters, H, W). Small pictures have few tiles for each weight, and
    tiles that stick out; few channels cannot pay for transforming them; large pictures, or many, leave the cache.

    >>> costs = Costs(product=1.2, given=38, made=61, weight=11, start=1e7)
    >>> shapes = [((2 * c, c, 3, 3), (2 * c, n, n)) for c, n in ((16, 104), (64, 52), (256, 26), (512, 13))]
    >>> [round(time_share(*shape, (4, 4), costs), 2) for shape in shapes]
    [2.05, 0.75, 0.54, 0.8]
    """
    filters, channels = weights[:2]
    products, tiles = products_of(tile), pictures * prod(tiles_over(out_shape[1:], tile))
    cache = 1 + 4 * products * (channels + filters) * tiles / costs.cache_bytes
    transforms = (costs.given / filters + costs.made / channels) * cache
    taken = products * channels * filters * tiles * (costs.product + transforms + costs.weight / tiles) + costs.start
    return taken / (KERNEL**2 * channels * filters * pictures * prod(out_shape[1:]) + costs.direct_start)


def best_tile(weights: Shape, out_shape: Shape, costs: Costs, pictures: int = 1) -> Tile | None:
    """The tile in which a 3 × 3 convolution of stride 1, without dilation and groups, is fastest; None: stay direct.

    >>> costs = Costs(product=1.2, given=38, made=61, weight=11, start=1e7)
    >>> [best_tile((2 * c, c, 3, 3), (2 * c, n, n), costs) for c, n in ((16, 104), (64, 52), (256, 26), (512, 13))]
    [None, (4, 4), (4, 4), (3, 3)]
    """
    if weights[2:] != (KERNEL, KERNEL) or weights[0] % _FILTERS_OF:
        return None
    shares = {tile: time_share(weights, out_shape, tile, costs, pictures) for tile in costs.tiles}
    least = min(shares.values())
    tile = next(tile for tile in costs.tiles if shares[tile] <= _ABOUT_EQUAL * least)
    return tile if shares[tile] <= _LARGEST_SHARE else None


def chosen_tile(
    winograd: bool | Mapping[str, Tile], layer: str, weights: Shape, out_shape: Shape, costs: Costs, pictures: int
) -> Tile | None:
    """That of a convolution of stride 1 within a layer: what the layer is given, or what pays; None: direct.

    >>> costs = Costs(product=1.2, given=38, made=61, weight=11, start=1e7)
    >>> shapes = (256, 128, 3, 3), (256, 52, 52)
    >>> [chosen_tile(asked, "5_convolutional", *shapes, costs, 1) for asked in (True, {"5_convolutional": (2, 3)}, {})]
    [(4, 4), (2, 3), None]
    """
    if isinstance(winograd, Mapping):
        return winograd.get(layer) if weights[2:] == (KERNEL, KERNEL) else None
    return best_tile(weights, out_shape, costs, pictures) if winograd else None


def extra_bytes(weights: Shape, tile: Tile) -> int:
    """What the transformed weights take beyond the float32 ones [filters, C, 3, 3]."""
    return 4 * (products_of(tile) - KERNEL**2) * weights[0] * weights[1]
