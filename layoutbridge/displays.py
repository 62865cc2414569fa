"""How results show themselves in a notebook: each has `_repr_html_ = as_html`, and what makes the HTML is told later.

The HTML is made of results of all kinds, by what stands below all of them in the house: they know only that there is
such a thing, and the package's `__init__` says what it is.
"""

from __future__ import annotations

from collections.abc import Callable

_makers: list[Callable[[object], str]] = []


def make_html_with(maker: Callable[[object], str]) -> None:
    """Have `maker` make the HTML of every result."""
    _makers[:] = [maker]


def as_html(value: object) -> str:
    """The HTML that a notebook shows for a result.

    >>> from layoutbridge.operations.catalog import op
    >>> "pixel_unshuffle" in as_html(op("pixel_unshuffle"))
    True
    """
    (maker,) = _makers
    return maker(value)
