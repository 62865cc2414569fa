"""Which parts of a network are computed in float32 where the others are in float16.

Sums of squares and of many values, what ends a network, and batch norm that is not folded: float16 holds 11 bits and
nothing beyond 65504. A maximum, a copy or a convolution (whose sums runtimes keep in float32) needs no more.
"""

from __future__ import annotations

from layoutbridge.darknet.detection.boxes import HEAD_KINDS
from layoutbridge.darknet.structure.model import Layer

_WHOLE = (*HEAD_KINDS, "softmax", "logistic", "cost", "lrn", "l2norm", "batchnorm", "avgpool", "local_avgpool")
_SUMMING = "normalize_channels"  # how activations begin that divide by a sum over the channels


def whole_in_float32(layer: Layer) -> bool:
    """Whether all of a layer is computed in float32."""
    return layer.kind in _WHOLE or layer.settings.get("mode") == "second_order"


def activation_in_float32(layer: Layer) -> bool:
    """Whether what follows a layer's own product or sum is computed in float32."""
    return str(layer.settings.get("activation", "")).startswith(_SUMMING)
