"""What Darknet's C code computes, layer by layer, in plain NumPy and float64: the yardstick for every target.

It shares no code with any of them: each layer follows the C loops directly.
"""

from layoutbridge.darknet.reference.passes import forward, forward_layer

__all__ = ["forward", "forward_layer"]
