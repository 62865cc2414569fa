"""NumPy: the rearrangement itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable

EXTRA = ""


def installed() -> str | None:
    """NumPy's version; it is always there."""
    return np.__version__


def emit(op: Rearrangement) -> Rearrangement:
    """`op` itself: a rearrangement is a function of NumPy arrays."""
    return op


def save(op: Rearrangement, path: str | os.PathLike[str], *, shape: Sequence[int] | None = None) -> None:
    """Write the gather table at `shape` as a .npy file."""
    if shape is None:
        raise ParameterError("a table is for one shape: give --shape")
    table = op.table(shape)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, table, allow_pickle=False)


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
    """Every entry, called on arrays; its gradient is its inverse. NumPy has no op of this kind of its own."""
    for op in entries:
        inverse = op.inverse()

        def gradient(_: NDArray[Any], upstream: NDArray[Any], inverse: Rearrangement = inverse) -> NDArray[Any]:
            return inverse(upstream)

        yield Runnable(
            "numpy", f"numpy {np.__version__}", op.label, op.name, True, "NCHW", op.__call__, gradient, DTYPE_NAMES
        )
