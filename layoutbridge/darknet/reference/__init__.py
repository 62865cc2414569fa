"""What Darknet's C code computes, layer by layer, in plain NumPy and float64: the yardstick for every target.

It shares no code with any of them: each layer follows the C loops directly.
"""

from layoutbridge.darknet.reference import combining, heads, moving, parametric, pointwise, pooling, recurrent
from layoutbridge.darknet.reference.passes import forward, forward_layer, run_sequence
from layoutbridge.darknet.reference.values import RULES

__all__ = [
    "RULES",
    "combining",
    "forward",
    "forward_layer",
    "heads",
    "moving",
    "parametric",
    "pointwise",
    "pooling",
    "recurrent",
    "run_sequence",
]
