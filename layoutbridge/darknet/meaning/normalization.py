"""Batch norm: folded into the weights before it, or kept. Definition: batchnorm_layer.c and blas.c (normalize_cpu).

Both forks compute scales·(x − means)/d + biases, with d = sqrt(v) + 0.000001 in the original and sqrt(v + 0.00001) in
its main fork. Folded, in float64 and rounded once: weights·(scales/d), and biases − means·(scales/d). Kept, a
framework's layer divides by sqrt(variances + epsilon): the fork's d is that with epsilon 0.00001; the original's is
that of the variances d² and epsilon 0, since sqrt(d²) = d.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.meaning.context import Context, means
from layoutbridge.darknet.structure.kinds import Batchnorm
from layoutbridge.frameworks.primitives import LazyArray, V, rows_together

_ORIGINAL_EPSILON, _FORK_EPSILON = 0.000001, 0.00001


@dataclass(frozen=True, slots=True)
class Fold:
    """Batch norm as a factor and a shift for each channel, float64 [C]."""

    factor: NDArray[np.float64]
    shift: NDArray[np.float64]


def fold_of(context: Context[V]) -> Fold:
    """The layer's batch norm as factor·x + shift."""
    scales, means, variances, biases = (
        context.array(name).astype(np.float64) for name in ("scales", "means", "variances", "biases")
    )
    factor = scales / divisor(variances, context.network.flavor)
    return Fold(factor, biases - means * factor)


def divisor(variances: NDArray[np.float64], flavor: str) -> NDArray[np.float64]:
    """What Darknet divides by."""
    if flavor == "pjreddie":
        return np.sqrt(variances) + _ORIGINAL_EPSILON
    return np.sqrt(variances + _FORK_EPSILON)


def kept_epsilon(flavor: str) -> float:
    """The epsilon of a framework's batch norm that is equal to Darknet's.

    >>> kept_epsilon("alexey"), kept_epsilon("pjreddie")
    (1e-05, 0.0)
    """
    return 0.0 if flavor == "pjreddie" else _FORK_EPSILON


def folded(weights: NDArray[np.float32], factor: NDArray[np.float64], name: str, axis: int = 0) -> LazyArray:
    """`weights` times the factor of each entry of axis 0 or 1, computed in float64 when it is read, rounded once."""
    ones = (1,) * (weights.ndim - 1 - axis)
    step = rows_together(prod(weights.shape[1:]))

    def products(start: int, stop: int, dtype: DTypeLike) -> NDArray[Any]:
        part = weights[start:stop]
        factors = (factor[start:stop] if axis == 0 else factor).reshape(-1, *ones)
        out = np.empty(part.shape, dtype)
        for first in range(0, len(part), step):
            block = slice(first, first + step)
            wide = part[block].astype(np.float64, order="C")  # a product across dtypes takes half as long again
            wide *= factors[block] if axis == 0 else factors
            out[block] = wide
        return out

    rows, unrounded = (partial(products, dtype=dtype) for dtype in (np.float32, np.float64))
    return LazyArray(name, weights.shape, rows, unrounded=unrounded)


def kept(context: Context[V], x: V) -> V:
    """The target's own batch norm of x, equal to Darknet's."""
    variances, epsilon = context.lazy("variances"), kept_epsilon(context.network.flavor)
    if context.network.flavor == "pjreddie":
        squared = divisor(context.array("variances").astype(np.float64), "pjreddie") ** 2
        variances = context.constant("squared_divisors", squared)
    return context.target.batch_norm(
        x, context.lazy("scales"), context.lazy("biases"), context.lazy("means"), variances, epsilon=epsilon
    )


@means(Batchnorm)
def batchnorm(context: Context[V], settings: Batchnorm) -> V:
    """[batchnorm]: a factor and a shift for each channel."""
    if context.variant.keep_batch_norm:
        return kept(context, context.x)
    fold = fold_of(context)
    target, one_place = context.target, (-1, 1, 1)
    scaled = target.multiply(context.x, target.constant(context.constant("factor", fold.factor.reshape(one_place))))
    return target.add(scaled, target.constant(context.constant("shift", fold.shift.reshape(one_place))))
