"""What a tensor's values are wherever they lie: the same for every order of its elements.

Sorted values do not change when elements move. A fingerprint keeps some of them, at fixed shares of the way from the
smallest to the largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RANKS = 127
_LEAST_VALUES = 4  # a tensor with fewer different values tells nothing by them


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`size` elements, `ranks` of them in order, float64, and the `largest` magnitude.

    `is_telling` is off where nearly all values are the same, as behind a saturated logistic, or there are few: then an
    equal fingerprint says nothing. `is_finite` is off where some value is no number.
    """

    size: int
    ranks: NDArray[np.float64]
    largest: float
    is_telling: bool
    is_finite: bool


def fingerprint(values: NDArray[Any]) -> Fingerprint:
    """The fingerprint of an array of any shape and dtype.

    >>> one = np.random.default_rng(0).standard_normal((3, 4, 5))
    >>> distance(fingerprint(one), fingerprint(one.transpose(2, 0, 1)))
    0.0
    >>> distance(fingerprint(one), fingerprint(one + 1)) > 0.1
    True
    """
    flat = np.asarray(values).reshape(-1)
    if flat.dtype.kind not in "f":
        flat = flat.astype(np.float64)
    finite = np.isfinite(flat)
    is_finite = bool(finite.all())
    if not is_finite:
        flat = flat[finite]
    if not flat.size:
        return Fingerprint(int(np.size(values)), np.zeros(_RANKS), 0.0, False, is_finite)
    ordered = np.sort(flat)
    ranks = ordered[np.linspace(0, ordered.size - 1, _RANKS).round().astype(np.int64)].astype(np.float64)
    largest = max(abs(float(ranks[0])), abs(float(ranks[-1])))
    is_telling = len(np.unique(ranks)) >= min(_LEAST_VALUES, ordered.size)
    return Fingerprint(int(np.size(values)), ranks, largest, is_telling and ordered.size > 1, is_finite)


def distance(one: Fingerprint, other: Fingerprint) -> float:
    """How far the values of two tensors of one size are apart, as a share of the first one's largest magnitude."""
    if one.size != other.size:
        return float("inf")
    difference = float(np.abs(one.ranks - other.ranks).max())
    return difference / one.largest if one.largest else difference
