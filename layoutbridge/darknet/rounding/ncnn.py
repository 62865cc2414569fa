"""ncnn's layers in int8: weights as whole numbers with a scale a filter; what is read with one, on both sides of 0.

What a convolution gives is float32 again, its activation with it. The first one, which reads the picture, stays as it
is: its range would have one side alone. Weights of what stays in float are stored as float16, many of them as places
in a table, a byte each: both become float32 when ncnn loads them. Inner blobs are numbered, as names cost bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.frameworks.ncnn.graph import NcnnLayer, Weight
from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.rounding import Sample, weights_rounded

_TERM, _GROUPS = 8, 7  # ncnn's keys: how a layer is rounded, and its groups
_TERMS = {"Convolution": 2, "ConvolutionDepthWise": 1, "InnerProduct": 2}  # and what stands there
_LARGEST = 127
_LARGEST_SHORT = 65504.0


def int8_layers(
    network: Network,
    layers: Sequence[NcnnLayer],
    int8: Int8,
    run: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]],
) -> list[NcnnLayer]:
    """The layers in int8; `run` gives the outputs of all the network's layers for pictures [N, C, H, W], in float32."""
    int8.check(network)
    products = {layer.name: layer for layer in network.layers if layer.kind in ("convolutional", "connected")}
    sources = {layer.inputs[0] for layer in products.values()}
    if "ncnn" not in int8.measured:
        samples = {index: Sample(len(int8.pictures)) for index in sources}
        for picture in int8.pictures:
            outputs = run(picture[None])
            for index, sample in samples.items():
                sample.see(picture if index < 0 else outputs[index])
        int8.measured["ncnn"] = {index: _step(sample) for index, sample in samples.items() if sample.finite}
    steps: dict[int, float] = int8.measured["ncnn"]

    def rounded(layer: NcnnLayer) -> NcnnLayer:
        product = products.get(layer.name.split("/")[0])
        if product is None or not layer.weights or not layer.weights[0].tagged:
            return layer
        source = product.inputs[0]
        if source < 0 or source in int8.in_float or source not in steps or not _is_own(layer, product):
            return _shortened(layer)
        return _rounded(layer, steps[source])

    return _renamed([rounded(layer) for layer in layers])


def _is_own(layer: NcnnLayer, product: Layer) -> bool:
    """Whether it is the product itself, no blur behind it or signs before it; those have constants for weights."""
    return layer.kind in _TERMS and layer.weights[0].array.name.endswith("/weights") and not _has_signs(product)


def _has_signs(product: Layer) -> bool:
    return bool(getattr(product.settings, "xnor", False))


def _rounded(layer: NcnnLayer, step: float) -> NcnnLayer:
    """With whole weights, their scales and that of what is read: both as factors to whole numbers."""
    held, *others = layer.weights
    values = held.array.read()
    groups = layer.numbers.get(_GROUPS)
    parts = values.reshape(int(groups), -1) if isinstance(groups, int) else values.reshape(len(values), -1)
    numbers, scales = weights_rounded(parts, 0)
    whole = LazyArray.of(held.array.name, numbers.reshape(held.array.shape))
    name = held.array.name
    factors = [LazyArray.of(f"{name}_factors", 1 / scales), LazyArray.of(f"{name}_input_factor", [1 / step])]
    weights = (Weight(whole, tagged=True, stored="int8"), *others, *map(Weight, factors))
    return replace(layer, numbers={**layer.numbers, _TERM: _TERMS[layer.kind]}, weights=weights)


def _shortened(layer: NcnnLayer) -> NcnnLayer:
    held, *others = layer.weights
    largest = max((float(np.abs(part).max(initial=0)) for part in held.array.chunks()), default=0.0)
    short = replace(held, stored="float16" if largest <= _LARGEST_SHORT else "float32")
    table = replace(held, stored="table")
    return replace(layer, weights=(min(short, table, key=lambda weight: weight.nbytes), *others))


def _renamed(layers: Sequence[NcnnLayer]) -> list[NcnnLayer]:
    """With numbers for names, but for those of inputs, and of blobs that no layer reads: the results."""
    read = {blob for layer in layers for blob in layer.inputs}
    inputs = {layer.name for layer in layers if layer.kind == "Input"}
    inner = (blob for layer in layers for blob in layer.outputs if blob in read and blob not in inputs)
    numbers = {blob: str(number) for number, blob in enumerate(inner)}
    return [
        layer
        if layer.name in inputs
        else replace(
            layer,
            name=str(place),
            inputs=tuple(numbers.get(blob, blob) for blob in layer.inputs),
            outputs=tuple(numbers.get(blob, blob) for blob in layer.outputs),
        )
        for place, layer in enumerate(layers)
    ]


def _step(sample: Sample) -> float:
    """From one whole number to the next."""
    return sample.fitting_limit() / _LARGEST
