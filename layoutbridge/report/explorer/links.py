"""What the explorer's page is to begin with, as the part of a link behind its #."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from urllib.parse import urlencode

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ShapeError, shown
from layoutbridge.operations.catalog import catalog

_LARGEST = 2**53  # up to which a browser's numbers are exact


def link(op: Rearrangement, compare: Rearrangement | None = None, shape: Sequence[int] | None = None) -> str:
    """`op` at `shape`, compared with another one; a usual shape where none is given.

    Raises `ShapeError` for a shape that does not fit one of them, or is too large for a browser.

    >>> from layoutbridge.operations.catalog import op
    >>> link(op("pixel_shuffle", stride=(1, 4)), shape=(8, 4, 4))
    'op=pixel_shuffle&p.stride=1x4&shape=8%2C4%2C4'
    >>> link(op("transpose").inverse())
    'pattern=D+K+%7C+a%3AD+b%3AK+-%3E+b+a+%7C+K+D'
    """
    parts = _side(op, "op", "pattern", "p")
    if compare is not None:
        parts |= _side(compare, "with", "with-pattern", "q")
    if shape is not None:
        lengths = op.bind(shape).in_shape
        if compare is not None:
            compare.bind(shape)
        if prod(lengths) > _LARGEST:
            raise ShapeError(f"shape {shown(lengths)} has more elements than the explorer can count, 2^53")
        parts["shape"] = ",".join(map(str, lengths))
    return urlencode(parts)


def _side(op: Rearrangement, name: str, pattern: str, letter: str) -> dict[str, str]:
    entry = catalog().get(op.name or "")
    if entry is None or any(
        form.write is not None for form in entry.forms
    ):  # of which the page has small numbers alone
        return {pattern: op.pattern}
    return {name: entry.name, **{f"{letter}.{key}": _written(value) for key, value in op.parameters}}


def _written(value: ParameterValue) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
