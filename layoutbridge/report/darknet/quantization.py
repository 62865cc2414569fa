"""What a network in int8 costs, in lines: what changes, which layers stay in float32, which lost most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layoutbridge.errors import counted

if TYPE_CHECKING:
    from layoutbridge.darknet.quantization.quantizing import Quantized

_SHOWN = 5  # layers
_ENOUGH = 0.3  # of the bytes in float32


def told_weights(made: Quantized) -> str:
    """The share of the weights' file alone, where that is another; else nothing."""
    return "" if made.weights_share is None else f"; its weights alone {made.weights_share:.2f}"


def told_parts(made: Quantized) -> Iterator[str]:
    """Where the bytes go, of a file that is larger than 0.3 of that in float32."""
    if made.share > _ENOUGH:
        weights, filters, structure = (
            part / made.float_bytes for part in (made.weights_bytes, made.filters_bytes, made.structure_bytes)
        )
        yield (
            f"of that {made.share:.2f}, {weights:.2f} are weights of a byte each, {filters:.2f} biases and scales of "
            f"filters, {structure:.2f} structure: graph, names, and weights that stay in float"
        )


def told_changes(made: Quantized) -> Iterator[str]:
    """What is found otherwise in the pictures, and whether that is more than it should be."""
    changes, pictures = made.changes, counted(made.pictures, "picture")
    if changes.of == "boxes":
        parts = f"{changes.vanished} vanish, {changes.appeared} appear, {changes.other_class} with another class"
        yield (
            f"boxes over 0.25 in {pictures}: {changes.changed} of {changes.count} change at IoU 0.5 "
            f"({changes.share:.1%}: {parts})"
        )
    elif changes.of == "pictures":
        yield f"the first class changes in {changes.changed} of {pictures} ({changes.share:.1%})"
    else:
        yield f"the output lies {changes.error:.1%} of its size from that in float32, over {pictures}"
    if not made.ok:
        yield (
            "that is more than 5 %, whatever layers are in float32: give other or more pictures to --calibrate, or "
            "take --half"
        )


def told_in_float(made: Quantized) -> Iterator[str]:
    """How many layers are not rounded, and which."""
    if made.in_float:
        yield (
            f"{len(made.in_float)} of {len(made.layers)} layers give float32, since too much changed otherwise: "
            f"{_told_runs(made.in_float)}"
        )


def told_layers(made: Quantized) -> Iterator[str]:
    """The layers that lie furthest from those in float32."""
    worst = sorted(made.layers, key=lambda layer: -layer.loss)[:_SHOWN]
    told = ", ".join(f"{layer.name} {layer.loss:.1%} ({layer.decibels:.0f} dB)" for layer in worst)
    more = " (--json has all)" if len(made.layers) > _SHOWN else ""
    yield f"loss per layer, as a share of its output, the largest: {told}{more}"


def _told_runs(indices: tuple[int, ...]) -> str:
    """Indices with those that follow each other as ranges.

    >>> _told_runs((0, 1, 2, 7, 9, 10))
    '0-2, 7, 9-10'
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
