"""NumPy: a rearrangement as code to paste."""

from __future__ import annotations

from layoutbridge.algebra.moves import Move
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.spelling import spelled
from layoutbridge.frameworks.source_text import Bracketed, Methods, call, flipped_by_index, listed, method_function


def write_code(op: Rearrangement, *, batch: bool) -> str:
    """A function of NumPy arrays, which copies once at most.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("flip_width"), batch=True))
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def flip_width(x: np.ndarray) -> np.ndarray:
        \"\"\"flip_width: c h w -> c h w[::-1]\"\"\"
        return x[..., ::-1]
    <BLANKLINE>
    """
    methods = Methods("transpose", flipped_by_index, _taken)
    return method_function(op, spelled(op, batch=batch), methods, ["import numpy as np"], "np.ndarray")


def _taken(move: Move[Size]) -> Bracketed:
    return call(".take", listed(move.indices), f"axis={move.axis - len(move.view)}")
