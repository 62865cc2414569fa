"""At which parameters an entry of the catalogue takes a shape: its domain, read once with primes in their place.

A pattern's conditions are sizes such as H/s, which must be whole, and lengths that an axis must have. Built with primes
for the parameters, they say by their factors how each stands in them; so a value is tried without building.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import isqrt, prod

from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.entry import CatalogEntry

_PRIMES = (1000003, 1000033, 1000037, 1000039, 1000081, 1000099)  # larger than what patterns hold


@dataclass(frozen=True, slots=True)
class Condition:
    """A size that must be whole, or the length that `axis` must have.

    It is `coefficient` times powers of axes and of parameters; `parameters` holds an exponent for each parameter of the
    entry, in order. The result's axes count after the input's.
    """

    coefficient: Fraction
    axes: tuple[tuple[int, int], ...]
    parameters: tuple[int, ...]
    axis: int | None = None

    @property
    def last(self) -> int:
        """The last parameter that it depends on, -1 for none."""
        return max((k for k, exponent in enumerate(self.parameters) if exponent), default=-1)

    def holds(self, lengths: Sequence[int], values: Sequence[int]) -> bool:
        """Whether it does for these lengths of the axes and values of the parameters, as far as it depends on them."""
        factors = [(lengths[axis], exponent) for axis, exponent in self.axes]
        factors += [(values[k], exponent) for k, exponent in enumerate(self.parameters) if exponent]
        over = self.coefficient.numerator * prod(value**exponent for value, exponent in factors if exponent > 0)
        under = self.coefficient.denominator * prod(value**-exponent for value, exponent in factors if exponent < 0)
        return over % under == 0 if self.axis is None else over == lengths[self.axis] * under


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an entry asks of the shapes of its `rank` axes, and makes of them: `results` axes of these lengths."""

    rank: int
    results: int
    taken: tuple[Condition, ...]
    given: tuple[Condition, ...]


def fitting_parameters(
    entry: CatalogEntry, shape: Sequence[int], out_shape: Sequence[int] | None = None
) -> Iterator[dict[str, int]]:
    """The parameters, each from 2 up, at which `entry` may take `shape`, one item or with a batch axis in front.

    Where `out_shape` is known, they may also give that. Without parameters there is one choice, the empty one. A value
    divides the number of elements: it is the length of a digit. Where an entry cannot be read with primes in place of
    its parameters, every divisor is given.

    >>> from layoutbridge.operations.catalog import entry
    >>> list(fitting_parameters(entry("space_to_depth"), (1, 3, 12, 18)))
    [{'stride': 2}, {'stride': 3}, {'stride': 6}]
    """
    names, divisors = tuple(entry.parameters), _divisors(prod(shape))
    conditions = _conditions_of(entry)
    if conditions is None:
        yield from (dict(zip(names, values, strict=True)) for values in product(divisors, repeat=len(names)))
    elif (extra := len(shape) - conditions.rank) in (0, 1):
        asked, lengths = conditions.taken, tuple(shape[extra:])
        if out_shape is not None:
            if len(out_shape) - conditions.results != extra:
                return
            asked, lengths = (*asked, *conditions.given), (*lengths, *out_shape[extra:])
        if all(condition.holds(lengths, ()) for condition in asked if condition.last < 0):
            for values in _chosen(asked, lengths, len(names), divisors, ()):
                yield dict(zip(names, values, strict=True))


def _chosen(
    asked: Sequence[Condition], lengths: Sequence[int], count: int, divisors: Sequence[int], values: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """Values of all parameters that begin with `values`, each tried as soon as a condition depends on no later one."""
    place = len(values)
    if place == count:
        yield values
        return
    telling = [condition for condition in asked if condition.last == place]
    for value in divisors:
        extended = (*values, value)
        if all(condition.holds(lengths, extended) for condition in telling):
            yield from _chosen(asked, lengths, count, divisors, extended)


@lru_cache(maxsize=512)
def _conditions_of(entry: CatalogEntry) -> Conditions | None:
    """The conditions of `entry`; None where it takes too many parameters, or does not read primes in their place."""
    primes = dict(zip(entry.parameters, _PRIMES, strict=False))
    if len(primes) < len(entry.parameters):
        return None
    try:
        built = entry.build(**primes)
    except LayoutBridgeError:
        return None
    whole = [_condition(size, primes) for size in built.domain.whole]
    fixed = [_condition(Size.constant(length), primes, axis) for axis, length in built.domain.fixed]
    given = [_condition(size, primes, built.rank + k) for k, size in enumerate(built.result_shape)]
    return Conditions(built.rank, len(given), (*whole, *fixed), tuple(given))


def _condition(size: Size, primes: Mapping[str, int], axis: int | None = None) -> Condition:
    coefficient, exponents = Fraction(size.coefficient), []
    for prime in primes.values():
        exponent = 0
        while coefficient.numerator % prime == 0:
            coefficient, exponent = coefficient / prime, exponent + 1
        while coefficient.denominator % prime == 0:
            coefficient, exponent = coefficient * prime, exponent - 1
        exponents.append(exponent)
    return Condition(coefficient, size.powers, tuple(exponents), axis)


@lru_cache(maxsize=64)
def _divisors(total: int) -> tuple[int, ...]:
    """The divisors of `total` from 2 up, in order.

    >>> _divisors(12)
    (2, 3, 4, 6, 12)
    """
    small = [value for value in range(1, isqrt(total) + 1) if total % value == 0]
    return tuple(sorted({*small, *(total // value for value in small)} - {1}))
