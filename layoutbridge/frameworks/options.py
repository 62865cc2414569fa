"""The options that frameworks take when a rearrangement is emitted, saved or written as code, each by its name.

Which of them a framework has, its own functions say; `layoutbridge.frameworks` refuses the others by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class EmitOptions(TypedDict, total=False):
    """`data_format` is Keras', the others are ONNX': `without` these operators, for what the `runtime` can do."""

    data_format: str
    shape: Sequence[int | None] | None
    dtype: str
    opset: int | None
    native: bool
    max_rank: int | None
    without: Sequence[str]
    runtime: str | None


class ExportOptions(TypedDict, total=False):
    """The same but for the shape, and `dtype` is of all files but NumPy's."""

    data_format: str
    dtype: str
    opset: int | None
    native: bool
    max_rank: int | None
    without: Sequence[str]
    runtime: str | None


class CodeOptions(TypedDict, total=False):
    """`data_format` is TensorFlow's."""

    data_format: str
