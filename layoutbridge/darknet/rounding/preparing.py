"""Parameters that lose less when they are rounded: what the network computes stays, its channels have one range, and
weights are whole multiples of their filter's scale, which quantizers of any format find again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.rounding.equalising import equalised
from layoutbridge.darknet.rounding.fitting import Windows, fitted
from layoutbridge.darknet.rounding.folding import product_of, tunable, with_products
from layoutbridge.darknet.structure.model import Network

Run = Callable[[Network, Arrays, NDArray[Any], bool], list[NDArray[Any]]]
_TOGETHER = 1 << 29  # bytes of all layers' outputs


@dataclass(frozen=True, slots=True)
class Prepared:
    """`exact` parameters compute what those given do, with other scales of channels; `rounded` are to be rounded."""

    exact: Arrays
    rounded: Arrays


def prepared(
    network: Network, parameters: Arrays, pictures: NDArray[np.float32], run: Run, *, equalise: bool = True
) -> Prepared:
    """The parameters for int8; `run` runs the network in float32, layer by layer, over some of the pictures.

    Without `equalise` the channels keep their scales, for files whose inner layers somebody reads.
    """
    chosen = tunable(network)
    products = {layer.index: product_of(network, parameters, layer) for layer in chosen}
    windows = {layer.index: Windows.of(layer, len(pictures)) for layer in chosen}
    largest: dict[int, NDArray[np.float64]] = {}
    for picture, outputs in _pictures(network, parameters, pictures, run):
        for layer, output in zip(network.layers, outputs, strict=True):
            seen = np.abs(output).reshape(layer.out_shape[0], -1).max(axis=1).astype(np.float64)
            largest[layer.index] = np.maximum(largest.get(layer.index, 0.0), seen)
            looking = windows.get(layer.index)
            if looking is not None:
                before = layer.inputs[0]
                looking.see(picture if before < 0 else outputs[before].reshape(layer.in_shape))
    divided = {layer.index: np.ones(layer.in_shape[0]) for layer in chosen}
    if equalise:
        products, divided = equalised(network, products, largest)
    rounded = {
        index: product if (seen := windows[index]) is None else fitted(product, seen, divided[index])
        for index, product in products.items()
    }
    return Prepared(with_products(network, parameters, products), with_products(network, parameters, rounded))


def _pictures(
    network: Network, parameters: Arrays, pictures: NDArray[np.float32], run: Run
) -> Iterator[tuple[NDArray[np.float32], list[NDArray[np.float32]]]]:
    """Each picture with the outputs of all layers for it."""
    each = 4 * sum(prod(layer.out_shape) for layer in network.layers)
    count = max(_TOGETHER // each, 1)
    for start in range(0, len(pictures), count):
        some = pictures[start : start + count]
        outputs = run(network, parameters, some, True)
        for place, picture in enumerate(some):
            yield picture, [output[place] for output in outputs]
