"""From cfg and weights files to a `Network`: each kind of layer read once, with its shapes and parameters."""

from layoutbridge.darknet.reading import combining, heads, moving, parametric, pointwise, pooling, recurrent
from layoutbridge.darknet.reading.place import READERS

__all__ = ["READERS", "combining", "heads", "moving", "parametric", "pointwise", "pooling", "recurrent"]
