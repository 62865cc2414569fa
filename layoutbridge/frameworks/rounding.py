"""Numbers as whole ones of 8 bits: which range is covered, and what is lost.

A range is narrower than all values where rounding the many finer outweighs cutting the few: the mean squared error over
the values that were seen decides, behind the activation that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = 255  # of uint8
_LARGEST = 127  # of int8, the same on both sides of 0
_LEAST_SCALE = 1e-12
_LEAST_SHORT, _LARGEST_SHORT = 2.0**-14, 2.0**15  # what float16 has all its digits for
_LARGEST_BIAS = 2.0**30  # int32, with room for the sums that it is added to
_SHARES = (1.0, 0.94, 0.88, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # of an end of the range that are tried
_LLOYD = 32  # rounds
_LARGEST_SAMPLE = 1 << 14  # values for which they are

Follows = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, 0 among them, as uint8: value = scale·(whole number − zero).

    >>> one = Range(-1.0, 3.0)
    >>> one.zero, (one.rounded(np.array([0.0, 1.0, 9.0], np.float32)) / one.scale).round().tolist()
    (64, [0.0, 64.0, 191.0])
    """

    low: float
    high: float

    @property
    def scale(self) -> float:
        """The step from one whole number to the next, a float32."""
        return float(np.float32(max((self.high - self.low) / _STEPS, _LEAST_SCALE)))

    @property
    def zero(self) -> int:
        """The whole number that stands for 0."""
        return int(np.clip(np.rint(-self.low / self.scale), 0, _STEPS))

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the values become, float32."""
        numbers = np.clip(np.rint(values / np.float32(self.scale)) + np.float32(self.zero), 0, _STEPS)
        return (numbers - np.float32(self.zero)) * np.float32(self.scale)


def fitting_range(low: float, high: float, sample: NDArray[np.float32], follows: Follows | None = None) -> Range:
    """The range with the least squared error over a `sample` of values that lie from `low` to `high`.

    The error is that of what `follows` makes of them, where it is given.

    >>> long_tail = np.append(np.linspace(-1, 1, 50_000), 4).astype(np.float32)
    >>> fitting_range(-1, 4, long_tail).high < 4
    True
    """
    low, high = min(low, 0.0), max(high, 0.0)
    after = (lambda values: values) if follows is None else follows
    wanted = after(sample)
    best, least = Range(low, high), np.inf
    for below in _SHARES if low < 0 else (1.0,):
        for above in _SHARES if high > 0 else (1.0,):
            tried = Range(low * below, high * above)
            error = float(np.square(after(tried.rounded(sample)) - wanted, dtype=np.float64).sum())
            if error < least:
                best, least = tried, error
    return best


def weights_rounded(
    weights: NDArray[np.float32], axis: int, added: tuple[NDArray[np.float32], float] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as int8, and the scale float32 [n] of each entry of `axis`: float16 holds them all, or one is too small.

    `added` are biases [n] with the scale of what the weights are multiplied by: a scale is large enough for its bias to
    be an int32.

    >>> numbers, scales = weights_rounded(np.array([[1.0, -0.5], [0.0, 4.0]], np.float32), 0)
    >>> numbers.tolist()
    [[127, -64], [0, 127]]
    """
    others = tuple(place for place in range(weights.ndim) if place != axis)
    scales = np.maximum(np.abs(weights).max(axis=others, initial=0) / _LARGEST, _LEAST_SCALE).astype(np.float32)
    if added is not None:
        biases, step = added
        scales = np.maximum(scales, (np.abs(biases) / (_LARGEST_BIAS * step)).astype(np.float32))
    if scales.min() >= _LEAST_SHORT and scales.max() <= _LARGEST_SHORT:
        scales = scales.astype(np.float16).astype(np.float32)
    shape = [1] * weights.ndim
    shape[axis] = -1
    numbers = np.clip(np.rint(weights / scales.reshape(shape)), -_LARGEST, _LARGEST)
    return numbers.astype(np.int8), scales


def bias_rounded(biases: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int32]:
    """Biases [n] as int32 of these scales [n]."""
    return np.rint(biases.astype(np.float64) / scales).astype(np.int32)


def codebook(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The numbers [count], at most 256, that lie nearest to values, and the place of each value's own among them.

    By Lloyd's method, from as many values at equal steps of rank and of size.

    >>> table, places = codebook(np.array([[0.5, 2.0], [0.5, -1.0]], np.float32), 4)
    >>> table[places].tolist()
    [[0.5, 2.0], [0.5, -1.0]]
    """
    flat = np.sort(values.ravel()).astype(np.float64)
    distinct = np.unique(flat)
    if len(distinct) <= count:
        table = np.pad(distinct, (0, count - len(distinct)), mode="edge")
        return table.astype(np.float32), np.searchsorted(distinct, values.ravel()).astype(np.uint8).reshape(
            values.shape
        )
    half = count // 2
    table = np.sort([*np.quantile(flat, np.linspace(0, 1, half)), *np.linspace(flat[0], flat[-1], count - half)])
    for _ in range(_LLOYD):
        edges = np.searchsorted(flat, (table[1:] + table[:-1]) / 2)
        sums = np.diff(np.concatenate([[0.0], np.cumsum(flat)])[[0, *edges, len(flat)]])
        counts = np.diff([0, *edges, len(flat)])
        table = np.where(counts > 0, sums / np.maximum(counts, 1), table)
    places = np.searchsorted((table[1:] + table[:-1]) / 2, values.ravel())
    return table.astype(np.float32), places.astype(np.uint8).reshape(values.shape)


def loss(found: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    """The root of the squared error, as a share of that of the wanted values: 0.01 is a signal-to-noise ratio of 40 dB.

    >>> loss(np.array([1.0, 2.1]), np.array([1.0, 2.0]))
    0.0447...
    """
    wanted = np.asarray(wanted, np.float64)
    power = float(np.square(wanted).sum())
    error = float(np.square(np.asarray(found, np.float64) - wanted).sum())
    return float(np.sqrt(error / power)) if power else float(error > 0)


class Sample:
    """Values that were seen: the least, the largest, and some of them, the same number of each array."""

    def __init__(self, arrays: int) -> None:
        self.low, self.high = np.inf, -np.inf
        self._each = max(_LARGEST_SAMPLE // max(arrays, 1), 64)
        self._parts: list[NDArray[np.float32]] = []

    def see(self, array: NDArray[np.float32]) -> None:
        """Look at one more array."""
        values = np.asarray(array, np.float32).ravel()
        if not values.size:
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        chosen = np.random.default_rng(len(self._parts)).choice(values.size, min(self._each, values.size), False)
        self._parts.append(values[chosen])

    @property
    def finite(self) -> bool:
        """Whether it saw something, and nothing but numbers."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def fitting_limit(self) -> float:
        """The largest magnitude of a range that is the same on both sides of 0, as int8 is, with the least error."""
        limit = max(-self.low, self.high, _LEAST_SCALE)
        sample = np.concatenate(self._parts)
        errors = {}
        for share in _SHARES:
            step = np.float32(limit * share / _LARGEST)
            found = np.clip(np.rint(sample / step), -_LARGEST, _LARGEST) * step
            errors[limit * share] = float(np.square(found - sample, dtype=np.float64).sum())
        return min(errors, key=errors.__getitem__)

    def fitting_range(self, follows: Follows | None = None) -> Range:
        """As the function, over what was seen."""
        ends = np.array([self.low, self.high], np.float32)
        return fitting_range(self.low, self.high, np.concatenate([*self._parts, ends]), follows)


def leaky(slope: float) -> Follows:
    """What is left of a tensor behind a leaky activation."""
    return lambda values: np.where(values > 0, values, values * np.float32(slope))


def swish(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of it behind swish, and nearly so behind mish."""
    return values / (1 + np.exp(-np.clip(values, -60, None)))
