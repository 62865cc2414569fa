"""Darknet's table of a network: a row a layer, with its parameters and the operations that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from layoutbridge.darknet.structure.kinds import Connected, Convolutional, Deconvolutional, Local, Maxpool, Shortcut
from layoutbridge.darknet.structure.model import Layer, Shape
from layoutbridge.darknet.structure.recurrent import ConvLstm
from layoutbridge.darknet.structure.settings import Windowed


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One layer in Darknet's table; what a kind does not have is None. `flops` counts a multiply-add as two."""

    index: int
    kind: str
    filters: int | None
    size: tuple[int, int] | None
    stride: tuple[int, int] | None
    in_shape: Shape
    out_shape: Shape
    inputs: tuple[int, ...]
    parameters: int
    flops: int


def summary_row(layer: Layer) -> SummaryRow:
    """What Darknet's table says of a layer."""
    settings = layer.settings
    return SummaryRow(
        layer.index,
        layer.kind,
        layer.out_shape[0] if settings.has_filters else None,
        None if settings.window is None else (settings.window, settings.window),
        settings.strides,
        layer.in_shapes[0] if layer.in_shapes else (),
        layer.out_shape,
        layer.inputs,
        layer.parameter_count,
        count_flops(layer),
    )


def count_flops(layer: Layer) -> int:
    """Operations for one picture, as Darknet's BFLOPs count them; connected, local and deconvolutional layers too.

    Of a recurrent layer they are those of its parts, for one step.
    """
    values = prod(layer.out_shape)
    weights = next((parameter.size for parameter in layer.parameters if parameter.name == "weights"), 0)
    match layer.settings:
        case Convolutional() as settings:
            height, width = _unblurred(layer, settings)
            return 2 * weights * height * width
        case Connected() | Local():
            return 2 * weights
        case Deconvolutional():
            return 2 * weights * layer.in_shape[1] * layer.in_shape[2]
        case Maxpool(depth=True):
            return 0
        case Windowed(size=size):
            return size**2 * values
        case Shortcut():
            return values * (len(layer.inputs) - 1) * (2 if weights else 1)
        case ConvLstm(peephole=peephole):
            return _of_parts(layer) + (12 if peephole else 9) * values
    return _of_parts(layer)


def _of_parts(layer: Layer) -> int:
    return sum(map(count_flops, layer.parts))


def _unblurred(layer: Layer, settings: Convolutional) -> tuple[int, int]:
    """Height and width of a convolution's result before the blur of an antialiased one."""
    if settings.antialiasing is None:
        return layer.out_shape[1], layer.out_shape[2]
    reach = 2 * (settings.padding // settings.dilation) - settings.size + 1
    return layer.in_shape[1] + reach, layer.in_shape[2] + reach
