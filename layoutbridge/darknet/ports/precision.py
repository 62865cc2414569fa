"""Which parts of a network are computed in float32 where the others are in float16.

Sums of squares and of many values, what ends a network, and batch norm that is not folded: float16 holds 11 bits and
nothing beyond 65504. A maximum, a copy or a convolution (whose sums runtimes keep in float32) needs no more.
"""

from __future__ import annotations

from layoutbridge.darknet.structure.model import Layer


def whole_in_float32(layer: Layer) -> bool:
    """Whether all of a layer is computed in float32."""
    return layer.settings.in_float32


def activation_in_float32(layer: Layer) -> bool:
    """Whether what follows a layer's own product or sum is computed in float32."""
    return layer.settings.activation_in_float32
