"""A convolution's weights with its batch norm in them, and back: what is rounded is what is multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.meaning.normalization import divisor
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.darknet.structure.model import Layer, Network


@dataclass(frozen=True, slots=True)
class Product:
    """What a convolution multiplies by, [filters, channels of a group, rows, columns], and adds, [filters]; float64."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]


def tunable(network: Network) -> tuple[Layer, ...]:
    """The convolutions whose weights are their own and no signs."""
    shared = {layer.settings.shared_with for layer in network.layers if isinstance(layer.settings, Convolutional)}
    return tuple(
        layer
        for layer in network.layers
        if isinstance(layer.settings, Convolutional)
        and not layer.settings.xnor
        and layer.settings.shared_with is None
        and layer.index not in shared
    )


def product_of(network: Network, parameters: Arrays, layer: Layer) -> Product:
    """A convolution's, its batch norm folded in."""
    held = {p.name: np.asarray(parameters[layer.index, p.name], np.float64) for p in layer.parameters}
    assert isinstance(layer.settings, Convolutional)
    if not layer.settings.batch_normalize:
        return Product(held["weights"], held["biases"])
    factor = held["scales"] / divisor(held["variances"], network.flavor)
    return Product(held["weights"] * factor[:, None, None, None], held["biases"] - held["means"] * factor)


def with_products(network: Network, parameters: Arrays, products: Mapping[int, Product]) -> Arrays:
    """Parameters that become these products, by layer, when they are folded: batch norm has a factor of 1 there."""
    made = dict(parameters)
    for index, product in products.items():
        settings = network.layers[index].settings
        assert isinstance(settings, Convolutional)
        made[index, "weights"] = product.weights.astype(np.float32)
        made[index, "biases"] = product.biases.astype(np.float32)
        if settings.batch_normalize:
            variances = np.asarray(parameters[index, "variances"], np.float64)
            made[index, "scales"] = divisor(variances, network.flavor).astype(np.float32)
            made[index, "means"] = np.zeros(len(variances), np.float32)
    return made
