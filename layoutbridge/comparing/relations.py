"""How one tensor's values stand to another's: the same in some layout, moved, scaled, or different."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Relation = Literal["same", "moved", "scaled", "differs", "missing"]
_SAMPLE = 4096  # elements by which a layout is tried before all are
_MOST_AXES = 6
_CLEARLY = 1e-3  # a linear relation leaves this share of the values' spread at most
_RANKS = 256  # sorted values by which a linear relation is tried before all are


@dataclass(frozen=True, slots=True)
class Related:
    """The `relation` of a candidate's tensor to a reference's.

    `axes` is the order of the reference's axes in which the candidate's elements lie, and `deviation` the largest
    difference then, as a share of the reference's largest magnitude. Of "moved" tensors `table` is the gather table
    from the reference's flat positions; of "scaled" ones `scale` and `offset` lead from the reference to the candidate.
    """

    relation: Relation
    deviation: float
    axes: tuple[int, ...]
    table: NDArray[np.int64] | None = None
    scale: float = 1.0
    offset: float = 0.0


def related(reference: NDArray[Any], candidate: NDArray[Any], tolerance: float) -> Related:
    """How `candidate` stands to `reference`, of as many elements; what is within `tolerance` of the largest is equal.

    >>> one = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    >>> related(one, one.transpose(0, 2, 3, 1), 1e-6).axes
    (0, 2, 3, 1)
    >>> related(one, one[:, ::-1], 1e-6).relation, related(one, 2 * one + 1, 1e-6).relation
    ('moved', 'scaled')
    """
    wanted = np.asarray(reference, np.float64)
    found = np.asarray(candidate, np.float64).reshape(-1)
    largest = float(np.abs(wanted, where=np.isfinite(wanted), out=np.zeros(wanted.shape)).max(initial=0)) or 1.0
    axes = _best_axes(wanted, found)
    deviation = _deviation(wanted.transpose(axes).reshape(-1), found, largest)
    if deviation <= tolerance:
        return Related("same", deviation, axes)
    one, other = np.sort(wanted.reshape(-1)), np.sort(found)
    if _deviation(one, other, largest) <= tolerance:
        table = _table(wanted.reshape(-1), found)
        return Related("moved", deviation, axes, table)
    if (line := _line(one, other)) is not None:
        return Related("scaled", deviation, axes, None, *line)
    return Related("differs", deviation, axes)


def in_reference_layout(candidate: NDArray[Any], shape: tuple[int, ...], axes: tuple[int, ...]) -> NDArray[Any]:
    """A candidate's values in the shape of the reference, where they lie in the order `axes` of it.

    >>> held = np.arange(24).reshape(2, 3, 4)
    >>> bool((in_reference_layout(held.transpose(1, 2, 0), (2, 3, 4), (1, 2, 0)) == held).all())
    True
    """
    lengths = tuple(shape[axis] for axis in axes)
    return np.asarray(candidate).reshape(lengths).transpose(tuple(np.argsort(axes)))


def _best_axes(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[int, ...]:
    """The order of the reference's axes in which the candidate's values come nearest to it."""
    long = [axis for axis, length in enumerate(wanted.shape) if length > 1]
    identity = tuple(range(wanted.ndim))
    if not long or len(long) > _MOST_AXES or wanted.size == 0:
        return identity
    places = np.unique(np.linspace(0, found.size - 1, _SAMPLE).round().astype(np.int64))
    sample = found[places]
    best, least = identity, float("inf")
    for order in permutations(long):
        filled = iter(order)
        axes = tuple(next(filled) if axis in long else axis for axis in identity)
        indices = np.unravel_index(places, tuple(wanted.shape[axis] for axis in axes))
        there = wanted[tuple(indices[axes.index(axis)] for axis in identity)]
        with np.errstate(invalid="ignore", over="ignore"):
            differences = np.abs(there - sample)
        distance = float(np.mean(np.where(np.isfinite(differences), differences, 0)))
        if distance < least:
            best, least = axes, distance
    return best


def _deviation(wanted: NDArray[np.float64], found: NDArray[np.float64], largest: float) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(wanted - found)
    differences[(wanted == found) | (np.isnan(wanted) & np.isnan(found))] = 0
    difference = float(differences.max(initial=0))
    return difference / largest if np.isfinite(difference) else float("inf")


def _table(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of the reference's elements comes to each place of the candidate, by the order of their values."""
    table = np.empty(found.size, np.int64)
    table[np.argsort(found, kind="stable")] = np.argsort(wanted, kind="stable")
    return table


def _line(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float] | None:
    """The scale and the offset from one tensor's sorted values to another's, where all are on a line."""
    spread = float(np.std(one))
    if not spread > 0 or not np.isfinite(other).all():
        return None
    few = np.linspace(0, one.size - 1, _RANKS).round().astype(np.int64)
    lines = [
        (scale, offset, values)
        for values in (other, other[::-1])  # a negative scale turns the order round
        for scale, offset in [_fitted(one[few], values[few])]
        if scale and _rest(one[few], values[few], scale, offset) <= _CLEARLY * abs(scale) * spread
    ]
    found = [(*_fitted(one, values), values) for *_, values in lines]
    near = [(_rest(one, values, scale, offset), scale, offset) for scale, offset, values in found]
    if not near:
        return None
    rest, scale, offset = min(near)
    return (scale, offset) if scale and rest <= _CLEARLY * abs(scale) * spread else None


def _fitted(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """The line with the least squares."""
    mean, other_mean = float(one.mean()), float(other.mean())
    apart = one - mean
    squares = float(apart @ apart)
    scale = float(apart @ (other - other_mean)) / squares if squares else 0.0
    return scale, other_mean - scale * mean


def _rest(one: NDArray[np.float64], other: NDArray[np.float64], scale: float, offset: float) -> float:
    return float(np.abs(scale * one + offset - other).max(initial=0))
