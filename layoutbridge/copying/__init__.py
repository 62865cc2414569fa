"""Copy the elements of an array in another order of its mixed-radix digits.

`build_copier` decides once for a shape and dtype; the function that it returns only copies.

| file | holds |
|---|---|
| plan.py | digit arithmetic |
| numpy_copy.py | NumPy's ways, and the choice among them |
| read_copy.py | digits that are read backwards or in an order |
| compiled.py | the way through kernels for large arrays, if numba is installed |
| blocks.py | the kernel and the blocks for given digits |
| kernels.py, vectors.py | the kernels, and the register moves that they are made of |
| threads.py | a pool to run them on |
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from layoutbridge.copying.compiled import build_compiled_copier, worth_compiling
from layoutbridge.copying.numpy_copy import Copier, build_numpy_copier
from layoutbridge.copying.plan import Digits, Shape
from layoutbridge.copying.read_copy import build_read_copier

__all__ = ["Copier", "build_copier", "build_read_copier"]


def build_copier(in_shape: Shape, dtype: np.dtype[Any], digits: Digits, out_shape: Shape) -> Copier:
    """A function `copier(x, out=None)` with `out.ravel()[i] == x.ravel()[sum(digit_k(i) * stride_k)]`.

    `digits` are (size, stride) pairs in output order, strides in elements of the flat source: no size 1, no
    neighbours that could merge. `x` has `in_shape` and `dtype`, any strides; so has `out` with `out_shape`, and
    it may overlap `x`. Without `out` the result is a new C-contiguous array. Shapes and dtypes are not checked.
    """
    dtype = np.dtype(dtype)
    copier = build_numpy_copier(in_shape, dtype, digits, out_shape)
    if worth_compiling(prod(in_shape), dtype, digits):
        return build_compiled_copier(in_shape, dtype, digits, out_shape, copier)
    return copier
