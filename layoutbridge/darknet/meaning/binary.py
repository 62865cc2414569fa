"""xnor convolutions: weights and inputs by their signs.

Definition: binarize_weights and binarize_cpu in convolutional_layer.c of both forks; for the main fork's order of batch
norm and signs, fuse_conv_batchnorm and calculate_binary_weights in network.c.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from layoutbridge.darknet.meaning.context import Context
from layoutbridge.darknet.meaning.normalization import fold_of
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.frameworks.primitives import LazyArray, V

_STEEP = 3e38  # brings every number above 0 that float32 holds in full above 1


def signs(context: Context[V], padding: int) -> tuple[V, int]:
    """The input as 1 where it is over 0, else −1, framed with −1 in the main fork; and the padding that is left."""
    target = context.target
    positive = target.activation(target.multiply(context.x, _STEEP), "clip", low=0.0, high=1.0)
    if context.network.flavor == "alexey" and padding:
        positive = target.pad(positive, (0, padding, padding), (0, padding, padding))
        padding = 0
    return target.add(target.multiply(positive, 2.0), -1.0), padding


def binary_weights_and_bias(context: Context[V], settings: Convolutional) -> tuple[LazyArray, LazyArray | None]:
    """± the mean magnitude of each filter, and the biases; batch norm in both, or no bias where it is kept apart."""
    weights: Any = context.array("weights")
    packed = context.network.flavor == "alexey"
    if not settings.batch_normalize:
        return context.constant("binary_weights", binarized(weights)), context.lazy("biases")
    if context.variant.keep_batch_norm and not packed:
        return context.constant("binary_weights", binarized(weights)), None
    fold = fold_of(context)
    factor = fold.factor.reshape(-1, 1, 1, 1)
    binary = binarized(weights * factor) if packed else binarized(weights) * factor
    return context.constant("binary_weights", binary), context.constant("folded_biases", fold.shift)


def binarized(weights: Any) -> Any:
    """± the mean magnitude of each filter [F, C, rows, columns], of an array or of a parameter that is recorded."""
    flat = weights.reshape(weights.shape[0], -1)
    magnitudes = np.maximum(flat, flat * -1.0).sum(axis=1) * (1 / prod(weights.shape[1:]))
    return (np.maximum(np.sign(weights), 0.0) * 2.0 - 1.0) * magnitudes.reshape(-1, 1, 1, 1)
