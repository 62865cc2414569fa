"""NumPy: the rearrangement itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.fitting import read_lengths
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable
from layoutbridge.frameworks.batch import refuse_misfit

EXTRA = ""


def installed() -> str | None:
    """NumPy's version; it is always there."""
    return np.__version__


def emit(op: Rearrangement, *, batch: bool | None = None) -> Callable[..., NDArray[Any]]:
    """`op` itself: a rearrangement is a function of NumPy arrays, [N, ...] or one item [...].

    With `batch` on or off, a function that takes one of the two alone: it raises `ShapeError` for the other.

    >>> from layoutbridge.operations.catalog import op
    >>> emit(op("oihw_to_hwio"), batch=False)(np.zeros((8, 4, 3, 3))).shape
    (3, 3, 4, 8)
    """
    if batch is None:
        return op

    def rearrange(x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        if isinstance(x, np.ndarray):  # `op` refuses what is none
            refuse_misfit(op, x.shape, batch)
        return op(x, out)

    rearrange.__name__ = rearrange.__qualname__ = op.name or "rearrange"
    rearrange.__doc__ = f"{op.label}: {op.pattern}"
    return rearrange


def save(
    op: Rearrangement,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int] | None = None,
    batch: bool | None = None,
) -> None:
    """Write the gather table at `shape` as a .npy file.

    Raises `ParameterError` without a shape, and `ShapeError` for one that does not fit, or has not the axes that
    `batch` asks for.
    """
    if shape is None:
        raise ParameterError("a table is for one shape: give --shape")
    refuse_misfit(op, read_lengths(op, shape), batch)
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
