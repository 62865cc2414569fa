"""Permutations of mixed-radix digits: the one mechanism under every layout operation.

Read a flat index as digits (outermost first, each with its size), write the same digits in another order,
and read them as a flat index again. That map is a `DigitStep`. Its normal form has no digit of size 1 and
no two digits that stay neighbours; it is unique, so two steps are the same map exactly when their normal
forms are equal. Example: [C, H, W] to [H, W, C] has the digits (C, H*W) and the order (1, 0).

Sizes are symbolic (`Size`), so one equality speaks for all shapes at once. A digit may be read backwards, one of a
fixed size in a fixed order (`readings`): neighbours merge where both are read plainly or both backwards, and an order
is cut into the finest digits that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layoutbridge.algebra.readings import (
    PLAIN,
    Reading,
    digits_of_order,
    inverse_reading,
    is_order,
)
from layoutbridge.algebra.sizes import ONE, Domain, Size, product


@dataclass(frozen=True, slots=True)
class DigitStep:
    """A digit permutation: `sizes` in source order, `order[i]` the source digit written i-th.

    `readings` has one for each source digit, or is empty where all are read as they are.

    >>> half = Size.axis(1) / Size.constant(2)
    >>> step = DigitStep((Size.axis(0), half, Size.constant(2)), (2, 0, 1))
    >>> step.inverse().inverse() == step
    True
    """

    sizes: tuple[Size, ...]
    order: tuple[int, ...]
    readings: tuple[Reading, ...] = ()

    def reading(self, source: int) -> Reading:
        """How the source digit is read."""
        return self.readings[source] if self.readings else PLAIN

    @property
    def written_sizes(self) -> tuple[Size, ...]:
        """The digit sizes in the order in which they are written."""
        return tuple(self.sizes[source] for source in self.order)

    def inverse(self) -> DigitStep:
        """The step that undoes this one."""
        back = [0] * len(self.order)
        for target, source in enumerate(self.order):
            back[source] = target
        readings = tuple(inverse_reading(self.readings[source]) for source in self.order) if self.readings else ()
        return DigitStep(self.written_sizes, tuple(back), readings)

    def map_sizes(self, substitution: dict[int, Size]) -> DigitStep:
        """The same step with axis lengths replaced."""
        return DigitStep(tuple(size.substitute(substitution) for size in self.sizes), self.order, self.readings)

    def normalized(self) -> DigitStep:
        """The normal form: digits of size 1 dropped, digits that stay neighbours merged."""
        if self.readings:
            return self._with_orders_cut()._merged()
        written: list[list[int]] = []
        kept = [source for source in self.order if not self.sizes[source].is_one]
        rank = {source: position for position, source in enumerate(sorted(kept))}
        for source in kept:
            if written and rank[written[-1][-1]] + 1 == rank[source]:
                written[-1].append(source)
            else:
                written.append([source])
        groups = sorted(written)
        sizes = tuple(product([self.sizes[source] for source in group]) for group in groups)
        return DigitStep(sizes, tuple(groups.index(group) for group in written))

    def _with_orders_cut(self) -> DigitStep:
        """The same step, its orders as the finest digits that they have."""
        sizes: list[Size] = []
        readings: list[Reading] = []
        written: dict[int, list[int]] = {}  # the digits of each source digit, in the order of writing
        for source, size in enumerate(self.sizes):
            reading = self.readings[source]
            digits = digits_of_order(reading) if is_order(reading) else ()
            by_source = sorted(digits, key=lambda digit: -digit[1])
            written[source] = [len(sizes) + by_source.index(digit) for digit in digits] or [len(sizes)]
            sizes += [Size.constant(length) for length, _, _ in by_source] or [size]
            readings += [own for _, _, own in by_source] or [reading]
        order = tuple(digit for source in self.order for digit in written[source])
        return DigitStep(tuple(sizes), order, tuple(readings))

    def _merged(self) -> DigitStep:
        """The same step without digits of size 1, those merged that stay neighbours and are read alike."""
        kept = [source for source in self.order if not self.sizes[source].is_one]
        rank = {source: position for position, source in enumerate(sorted(kept))}
        written: list[list[int]] = []
        for source in kept:
            last = written[-1][-1] if written else None
            alike = last is not None and self.readings[last] == self.readings[source]
            if last is not None and alike and not is_order(self.readings[source]) and rank[last] + 1 == rank[source]:
                written[-1].append(source)
            else:
                written.append([source])
        groups = sorted(written)
        sizes = tuple(product([self.sizes[source] for source in group]) for group in groups)
        readings = tuple(self.readings[group[0]] for group in groups)
        return DigitStep(sizes, tuple(groups.index(group) for group in written), readings if any(readings) else ())

    @property
    def is_identity(self) -> bool:
        """Whether a normalized step moves nothing."""
        return len(self.sizes) <= 1 and not self.readings


def common_refinement(
    left: Sequence[Size], right: Sequence[Size], domain: Domain
) -> tuple[list[Size], list[int], list[int]] | None:
    """Cut two factorizations of one product into common digits.

    Returns the common digit sizes (outermost first) and, for each, which digit of `left` and of `right` it
    belongs to; None where a cut falls inside a digit that it does not divide for every accepted shape.
    """
    pieces: list[tuple[Size, int, int]] = []
    i, j = len(left) - 1, len(right) - 1
    a, b = (left[i] if left else ONE), (right[j] if right else ONE)
    while i >= 0 and j >= 0:
        if a == b:
            pieces.append((a, i, j))
            a, b = ONE, ONE
        elif domain.implies_whole(b / a):
            pieces.append((a, i, j))
            a, b = ONE, b / a
        elif domain.implies_whole(a / b):
            pieces.append((b, i, j))
            a, b = a / b, ONE
        else:
            return None
        while a.is_one and i >= 0:
            i -= 1
            a = left[i] if i >= 0 else ONE
        while b.is_one and j >= 0:
            j -= 1
            b = right[j] if j >= 0 else ONE
    if i >= 0 or j >= 0:
        return None
    pieces.reverse()
    return [p[0] for p in pieces], [p[1] for p in pieces], [p[2] for p in pieces]
