"""Channels brought to one range, without a change to what a network computes.

One scale for a whole tensor rounds its small channels away. An activation that is linear on either side of 0 lets a
factor through: what a convolution gives is divided by one factor a channel, and what reads it is multiplied. A
convolution in groups of one channel takes any factor; one over many has its own weights to round, so the factor is
the mean of what both sides would have (as in SmoothQuant). Definition of the first: "Data-Free Quantization Through
Weight Equalization and Bias Correction", Nagel and others, 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.rounding.folding import Product
from layoutbridge.darknet.structure.kinds import (
    Avgpool,
    Convolutional,
    Dropout,
    Empty,
    LocalAvgpool,
    Maxpool,
    Route,
    Shortcut,
    Sum,
    Upsample,
)
from layoutbridge.darknet.structure.model import Layer, Network

Factors = NDArray[np.float64]
_LINEAR = ("linear", "relu", "leaky", "revleaky", "relie", "ramp")  # f(a·x) = a·f(x) for a > 0
_CHANNEL_BY_CHANNEL = (Dropout, Empty, Maxpool, LocalAvgpool, Avgpool, Upsample)
_LEAST, _MOST = 2.0**-8, 2.0**8


@dataclass(frozen=True, slots=True)
class _Part:
    """Some channels of a tensor: `start` to `stop` of those of a source."""

    source: int
    start: int
    stop: int


_Channels = tuple[_Part, ...]


def equalised(
    network: Network, products: Mapping[int, Product], largest: Mapping[int, NDArray[np.float64]]
) -> tuple[dict[int, Product], dict[int, Factors]]:
    """Products, by layer, of a network that computes the same with channels of one range.

    `largest` are the largest magnitudes of each channel [C], by layer, of all layers. Also returns what each product's
    inputs [C] are divided by.
    """
    groups, channels = _traced(network, products)
    made = dict(products)
    divided = {index: np.ones(network.layers[index].in_shape[0]) for index in products}
    for source in sorted({groups.of(index) for index in products} - {_FIXED}):
        writing = [index for index in products if groups.of(index) == source]
        reading = [(layer, start) for layer in network.layers for start in _starts(layer, channels, groups, source)]
        if any(layer.index not in made for layer, _ in reading) or not reading:
            continue
        seen = [largest[index] for index, parts in channels.items() if _is_whole(parts, groups, source)]
        factors = _factors(seen, [(made[layer.index], layer, start) for layer, start in reading])
        for index in writing:
            made[index] = Product(made[index].weights / factors[:, None, None, None], made[index].biases / factors)
        for layer, start in reading:
            every = np.ones(layer.in_shape[0])
            every[start : start + len(factors)] = factors
            made[layer.index] = _multiplied(made[layer.index], layer, every)
            divided[layer.index] = divided[layer.index] * every
    return made, divided


def _factors(seen: Sequence[NDArray[np.float64]], reading: Sequence[tuple[Product, Layer, int]]) -> Factors:
    """By how much each channel is divided: its range as a share of the tensor's, the mean over the tensors."""
    shares = np.exp(np.mean([np.log(_shares(values)) for values in seen], axis=0))
    columns = [
        _shares(_columns(product.weights, layer)[start : start + len(shares)])
        for product, layer, start in reading
        if not _is_depthwise(layer)
    ]
    if columns:
        shares = np.sqrt(shares / np.max(columns, axis=0))
    return np.clip(shares / shares.max(), _LEAST, _MOST)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each as a share of the largest; of channels that are 0, the median one's."""
    top = values.max(initial=0)
    if top <= 0:
        return np.ones(len(values))
    shares = np.maximum(values / top, _LEAST / 4)
    return np.where(values > 0, shares, np.median(shares[values > 0]))


def _columns(weights: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    """The largest magnitude of the weights that each input channel is multiplied by, [C]."""
    assert isinstance(layer.settings, Convolutional)
    groups = layer.settings.groups
    parts = np.abs(weights).reshape(groups, -1, *weights.shape[1:])
    return parts.max(axis=(1, 3, 4)).ravel()


def _multiplied(product: Product, layer: Layer, factors: Factors) -> Product:
    assert isinstance(layer.settings, Convolutional)
    groups, weights = layer.settings.groups, product.weights
    per_filter = np.repeat(factors.reshape(groups, -1), len(weights) // groups, axis=0)
    return Product(weights * per_filter[:, :, None, None], product.biases)


def _is_depthwise(layer: Layer) -> bool:
    return isinstance(layer.settings, Convolutional) and layer.settings.groups == layer.in_shape[0]


# ---------------------------------------------------------------------- which tensors go together

_FIXED = -1  # the source of channels that keep their scale


class _Groups:
    """Sources of channels whose factors must be the same."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {_FIXED: _FIXED}

    def of(self, source: int) -> int:
        """The first source of those that go with this one."""
        parent = self._parents.setdefault(source, source)
        if parent != source:
            parent = self._parents[source] = self.of(parent)
        return parent

    def join(self, one: int, other: int) -> None:
        """From now on these go together, with what goes with them."""
        first, second = sorted((self.of(one), self.of(other)))
        self._parents[second] = first


def _traced(network: Network, products: Mapping[int, Product]) -> tuple[_Groups, dict[int, _Channels]]:
    """Where the channels of each layer's output come from."""
    groups = _Groups()
    channels: dict[int, _Channels] = {-1: (_Part(_FIXED, 0, network.channels),)}
    for layer in network.layers:
        taken = [channels[index] for index in layer.inputs]
        whole = (_Part(layer.index, 0, layer.out_shape[0]),)
        settings = layer.settings
        if isinstance(settings, Convolutional):
            channels[layer.index] = whole
            fits = layer.index in products and settings.activation in _LINEAR and settings.antialiasing is None
            if not fits:
                groups.join(layer.index, _FIXED)
            if layer.index not in products:
                _fix(groups, taken)
        elif isinstance(settings, _CHANNEL_BY_CHANNEL) and len(layer.in_shape) == 3:
            channels[layer.index] = taken[0]
        elif isinstance(settings, Route) and settings.groups == 1:
            channels[layer.index] = tuple(part for parts in taken for part in parts)
        elif isinstance(settings, Shortcut) and _adds(layer) and all(_is_one(parts) for parts in taken):
            channels[layer.index] = taken[0]
            for parts in taken[1:]:
                groups.join(taken[0][0].source, parts[0].source)
        else:
            _fix(groups, taken)
            channels[layer.index] = whole
            groups.join(layer.index, _FIXED)
    _fix(groups, [channels[layer.index] for layer in _ends(network)])
    return groups, channels


def _ends(network: Network) -> list[Layer]:
    """The layers that no other reads."""
    read = {index for layer in network.layers for index in layer.inputs}
    return [layer for layer in network.layers if layer.index not in read]


def _adds(layer: Layer) -> bool:
    """Whether a shortcut adds whole tensors as they are, and what follows lets a factor through."""
    assert isinstance(layer.settings, Shortcut)
    way = layer.settings.way
    plain = isinstance(way, Sum) and way.weights_type == "none"
    return plain and layer.settings.activation in _LINEAR and len(set(layer.in_shapes)) == 1


def _is_one(parts: _Channels) -> bool:
    return len(parts) == 1 and parts[0].start == 0


def _is_whole(parts: _Channels, groups: _Groups, source: int) -> bool:
    return len(parts) == 1 and groups.of(parts[0].source) == source


def _fix(groups: _Groups, tensors: Sequence[_Channels]) -> None:
    for parts in tensors:
        for part in parts:
            groups.join(part.source, _FIXED)


def _starts(layer: Layer, channels: Mapping[int, _Channels], groups: _Groups, source: int) -> list[int]:
    """Where the source's channels begin in what a convolution reads."""
    if not isinstance(layer.settings, Convolutional):
        return []
    starts, place = [], 0
    for part in channels[layer.inputs[0]]:
        if groups.of(part.source) == source:
            starts.append(place)
        place += part.stop - part.start
    return starts
