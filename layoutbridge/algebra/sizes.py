"""Symbolic sizes: a rational coefficient times powers of axis lengths.

Axis lengths are the only unknowns of the algebra, so every size in it is a monomial such as C/4, 2*H or
H*W, and two sizes are the same for all shapes exactly when their monomials are the same. An axis is known
by its position in the input tensor (0, 1, 2, ...); names are for people and live in the pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod


@dataclass(frozen=True, slots=True)
class Size:
    """A monomial: `coefficient` times the product of axis lengths to their powers.

    `powers` holds (axis position, exponent) pairs, sorted by axis, without zero exponents.

    >>> channels = Size.axis(0)
    >>> str(channels / Size.constant(4))
    'x0/4'
    >>> (channels / Size.constant(4)).evaluate((64, 26, 26))
    Fraction(16, 1)
    """

    coefficient: Fraction
    powers: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def constant(value: int | Fraction) -> Size:
        """The size that is `value` whatever the shape."""
        return Size(Fraction(value))

    @staticmethod
    def axis(position: int) -> Size:
        """The length of the input's axis at `position`."""
        return Size(Fraction(1), ((position, 1),))

    def __mul__(self, other: Size) -> Size:
        return self._combined(other, 1)

    def __truediv__(self, other: Size) -> Size:
        return self._combined(other, -1)

    def _combined(self, other: Size, sign: int) -> Size:
        coefficient = self.coefficient * other.coefficient**sign
        if not other.powers:
            return Size(coefficient, self.powers)
        exponents = dict(self.powers)
        for axis, exponent in other.powers:
            exponents[axis] = exponents.get(axis, 0) + sign * exponent
        return Size(coefficient, tuple(sorted((a, e) for a, e in exponents.items() if e)))

    @property
    def is_constant(self) -> bool:
        """Whether no axis length appears in it."""
        return not self.powers

    @property
    def is_one(self) -> bool:
        """Whether it is 1 for every shape."""
        return not self.powers and self.coefficient == 1

    @property
    def single_axis(self) -> int | None:
        """The axis if this is a constant times one axis length, else None."""
        return self.powers[0][0] if len(self.powers) == 1 and self.powers[0][1] == 1 else None

    def evaluate(self, lengths: Sequence[int]) -> Fraction:
        """Its value where axis i has length `lengths[i]`."""
        value = self.coefficient
        for axis, exponent in self.powers:
            value *= Fraction(lengths[axis]) ** exponent
        return value

    def substitute(self, sizes: Mapping[int, Size]) -> Size:
        """The same size with each axis length replaced by `sizes[axis]`; axes not named stay."""
        result = Size(self.coefficient)
        for axis, exponent in self.powers:
            factor = sizes.get(axis, Size.axis(axis))
            for _ in range(abs(exponent)):
                result = result * factor if exponent > 0 else result / factor
        return result

    def format(self, names: Sequence[str]) -> str:
        """Text such as `4*C`, `H/2` or `C*H/4`, with `names[i]` for the length of axis i."""
        over: list[str] = []
        under: list[str] = []
        for axis, exponent in self.powers:
            text = names[axis] if abs(exponent) == 1 else f"{names[axis]}^{abs(exponent)}"
            (over if exponent > 0 else under).append(text)
        if self.coefficient.numerator != 1 or not over:
            over.insert(0, str(self.coefficient.numerator))
        if self.coefficient.denominator != 1:
            under.append(str(self.coefficient.denominator))
        return "/".join(["*".join(over), *under])

    def __str__(self) -> str:
        highest = max((axis for axis, _ in self.powers), default=-1)
        return self.format([f"x{axis}" for axis in range(highest + 1)])


ONE = Size.constant(1)


def product(sizes: Sequence[Size]) -> Size:
    """The product of symbolic sizes; 1 for none."""
    result = ONE
    for size in sizes:
        result = result * size
    return result


def whole_conditions(sizes: Iterable[Size]) -> frozenset[Size]:
    """Those of `sizes` that are not integers by themselves: what a shape must make whole to be accepted."""
    return frozenset(
        s for s in sizes if s.powers and (s.coefficient.denominator != 1 or any(e < 0 for _, e in s.powers))
    )


@dataclass(frozen=True, slots=True)
class Domain:
    """Which shapes are accepted: those that make every size in `whole` an integer.

    `rank` axes, each of length at least 1; an axis in `fixed` has exactly the length given there.
    """

    rank: int
    whole: frozenset[Size] = frozenset()
    fixed: tuple[tuple[int, int], ...] = ()

    def divisor(self, axis: int) -> int:
        """The largest number known to divide the length of `axis` in every accepted shape."""
        fixed = dict(self.fixed)
        if axis in fixed:
            return fixed[axis]
        multiple = 1
        for size in self.whole:
            if size.single_axis == axis:
                multiple = lcm(multiple, size.coefficient.denominator)
        return multiple

    def implies_whole(self, size: Size) -> bool:
        """Whether `size` is an integer for every accepted shape, as far as divisors tell.

        >>> domain = Domain(3, frozenset({Size.axis(1) / Size.constant(2)}))   # H is even
        >>> domain.implies_whole(Size.axis(1) / Size.constant(2)), domain.implies_whole(Size.axis(2) / Size.constant(2))
        (True, False)
        """
        if any(exponent < 0 for _, exponent in size.powers):
            return False
        known = prod(self.divisor(axis) ** exponent for axis, exponent in size.powers)
        if (size.coefficient * known).denominator == 1:
            return True
        return any((size / other).is_constant and (size / other).coefficient.denominator == 1 for other in self.whole)

    def violated(self, lengths: Sequence[int | None]) -> Size | None:
        """The first size that is not an integer at these axis lengths, or None where all are.

        A length that is None is not known, and sizes with it are not asked; nor are those with a length of 0.
        """
        numbers = [length or 0 for length in lengths]
        for size in sorted(self.whole, key=lambda s: (s.powers, s.coefficient)):
            is_asked = all(numbers[axis] for axis, _ in size.powers)
            if is_asked and size.evaluate(numbers).denominator != 1:
                return size
        return None

    def accepts(self, lengths: Sequence[int]) -> bool:
        """Whether these axis lengths, one an axis, are accepted.

        >>> Domain(2, frozenset({Size.axis(0) / Size.constant(2)}), ((1, 3),)).accepts((4, 3))
        True
        """
        return all(lengths[axis] == length for axis, length in self.fixed) and self.violated(lengths) is None

    def join(self, other: Domain) -> Domain:
        """The shapes that both accept (their fixed axes must agree: see `conflict`)."""
        return Domain(self.rank, self.whole | other.whole, tuple(sorted({*self.fixed, *other.fixed})))
