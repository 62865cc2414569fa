"""xnor convolutions: weights and inputs by their signs.

Definition: binarize_weights and binarize_cpu in convolutional_layer.c of both forks; for the main fork's order of batch
norm and signs, fuse_conv_batchnorm and calculate_binary_weights in network.c.
"""

from __future__ import annotations

from math import prod
from typing import Any, Generic, NamedTuple

import numpy as np

from layoutbridge.darknet.meaning.context import Context
from layoutbridge.darknet.meaning.normalization import fold_of
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.frameworks.primitives import LazyArray, V

_EACH_FILTER = (-1, 1, 1, 1)


class Operands(NamedTuple, Generic[V]):
    """What a convolution with the layer's padding of zeros multiplies and adds; without a bias, batch norm follows."""

    x: V
    weights: LazyArray
    bias: LazyArray | None


def sign_operands(context: Context[V], settings: Convolutional) -> Operands[V]:
    """With steps of 0 and 1 for the signs −1 and 1, the sum of w·sign is that of 2·w·step less the sum of all w.

    That is so in the main fork, whose frame of −1 is what zeros around the steps mean. The original's frame is of 0,
    no sign at all: there the signs themselves are made.
    """
    target = context.target
    weights: Any = context.array("weights").astype(np.float64)
    steps = target.activation(context.x, "step")
    if context.network.flavor == "alexey":
        biases: Any = context.array("biases").astype(np.float64)
        if settings.batch_normalize:
            fold = fold_of(context)
            weights, biases = weights * fold.factor.reshape(*_EACH_FILTER), fold.shift
        binary = binarized(weights)
        all_of_them = binary.reshape(settings.filters, -1).sum(axis=1)
        return Operands(
            steps, _rounded(context, "weights", binary * 2.0), _rounded(context, "biases", biases - all_of_them)
        )
    signs = target.add(target.multiply(steps, 2.0), -1.0)
    binary = binarized(weights)
    if not settings.batch_normalize:
        return Operands(signs, _rounded(context, "weights", binary), context.lazy("biases"))
    if context.variant.keep_batch_norm:
        return Operands(signs, _rounded(context, "weights", binary), None)
    fold = fold_of(context)
    folded = _rounded(context, "weights", binary * fold.factor.reshape(*_EACH_FILTER))
    return Operands(signs, folded, _rounded(context, "biases", fold.shift))


def binarized(weights: Any) -> Any:
    """± the mean magnitude of each filter [F, C, rows, columns], of an array or of a parameter that is recorded."""
    each = prod(weights.shape[1:])
    magnitudes = np.absolute(weights.reshape(weights.shape[0], each)).sum(axis=1) / each
    return (np.heaviside(weights, 0.0) * 2.0 - 1.0) * magnitudes.reshape(*_EACH_FILTER)


def _rounded(context: Context[V], name: str, values: Any) -> LazyArray:
    """A constant that is rounded to float32 at once: it stays in memory until it is written."""
    return context.constant(f"binary_{name}", values.astype(np.float32))
