"""Weights as whole numbers, chosen so that the sums come out right rather than each weight.

Each column of weights is rounded after the other; what it lost goes to those that are still to come, as far as their
inputs go together with its own. What is left of the mean goes to the biases. Definition: "GPTQ: Accurate Post-Training
Quantization for Generative Pre-trained Transformers", Frantar and others, 2022; here with the inputs' means taken out,
and with the largest weight of each filter kept, from which any quantizer reads the same scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.rounding.folding import Product
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.frameworks.rounding import weights_rounded

_SAMPLES = 8192  # windows that are looked at
_LEAST_OF_A_PICTURE = 64
_MOST_COLUMNS = 1536  # beyond that a filter's many errors cancel by themselves, and this would take minutes
_DAMPING = 0.01  # of the mean variance
_LARGEST = 127


@dataclass(slots=True)
class Windows:
    """What a convolution's filters looked at: sums over windows, by group: [g, n] and [g, n, n]."""

    layer: Layer
    each: int
    count: int = 0
    sums: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    squares: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    @staticmethod
    def of(layer: Layer, pictures: int) -> Windows | None:
        """Nothing seen yet, of so many pictures; None for a convolution with too many weights a filter."""
        assert isinstance(layer.settings, Convolutional)
        columns = layer.in_shape[0] // layer.settings.groups * layer.settings.size**2
        each = max(_SAMPLES // pictures, _LEAST_OF_A_PICTURE)
        return Windows(layer, each) if columns <= _MOST_COLUMNS else None

    def see(self, x: NDArray[np.float32]) -> None:
        """Look at windows of an input [C, H, W]."""
        settings = self.layer.settings
        assert isinstance(settings, Convolutional)
        _, rows, columns = self.layer.out_shape
        chosen = np.random.default_rng(self.count).permutation(rows * columns)[: self.each]
        down, across = np.divmod(chosen, columns)
        edge = settings.padding + max(settings.overhang)
        padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge)))
        shift = edge - settings.padding
        steps = np.arange(settings.size) * settings.dilation + shift
        windows = padded[
            :,
            (down * settings.stride_y)[:, None, None] + steps[:, None],
            (across * settings.stride_x)[:, None, None] + steps,
        ]  # [C, windows, rows, columns]
        parts = windows.transpose(1, 0, 2, 3).reshape(len(chosen), settings.groups, -1).transpose(1, 0, 2)
        parts = parts.astype(np.float64)
        sums, squares = parts.sum(axis=1), parts.transpose(0, 2, 1) @ parts
        self.sums, self.squares = (sums, squares) if not self.count else (self.sums + sums, self.squares + squares)
        self.count += len(chosen)


def fitted(product: Product, seen: Windows, factors: NDArray[np.float64]) -> Product:
    """The product with weights that are whole multiples of their filter's scale.

    `factors` are what the inputs' channels [C] are divided by since they were seen.
    """
    weights = product.weights
    groups, area = seen.sums.shape[0], weights.shape[2] * weights.shape[3]
    divided = np.repeat(factors.reshape(groups, -1), area, axis=1)
    means = seen.sums / seen.count / divided
    spread = seen.squares / seen.count / (divided[:, :, None] * divided[:, None, :])
    spread = spread - means[:, :, None] * means[:, None, :]
    given = weights.reshape(groups, -1, means.shape[1])
    scales = weights_rounded(weights.astype(np.float32), 0)[1].astype(np.float64).reshape(groups, -1)
    made = _rounded(given, scales, spread)
    missing = np.einsum("gon,gn->go", given - made, means).ravel()
    return Product(made.reshape(weights.shape), product.biases + missing)


def _rounded(
    weights: NDArray[np.float64], scales: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[g, o, n] as multiples of the scales [g, o], for inputs with these covariances [g, n, n]."""
    count = weights.shape[2]
    damping = np.maximum(np.trace(spread, axis1=1, axis2=2) / count * _DAMPING, 1e-12)
    inverse = np.linalg.inv(spread + damping[:, None, None] * np.eye(count))
    try:
        upper = np.linalg.cholesky(inverse).transpose(0, 2, 1)
    except np.linalg.LinAlgError:  # of inputs that are all the same
        upper = np.broadcast_to(np.eye(count), inverse.shape)
    largest = np.abs(weights).argmax(axis=2)
    left, made = weights.copy(), np.empty_like(weights)
    for column in range(count):
        whole = np.clip(np.rint(left[:, :, column] / scales), -_LARGEST, _LARGEST)
        whole = np.where(largest == column, np.rint(weights[:, :, column] / scales), whole)
        made[:, :, column] = whole * scales
        error = (left[:, :, column] - made[:, :, column]) / upper[:, None, column, column]
        left[:, :, column + 1 :] -= error[:, :, None] * upper[:, None, column, column + 1 :]
    return made
