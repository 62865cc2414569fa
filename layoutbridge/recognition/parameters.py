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
from math import gcd, isqrt, prod

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.parameters import Form

_PRIMES = (1000003, 1000033, 1000037, 1000039, 1000081, 1000099)  # larger than what patterns hold
_SMALLER = (10007, 10009, 10037, 10039, 10061, 10067)  # where they are multiplied


@dataclass(frozen=True, slots=True)
class Condition:
    """A size that must be whole, or the length that `axis` must have.

    It is `coefficient` times powers of axes and of numbers; `parameters` holds an exponent for each number of the form,
    in order, and `last` is the last of them that it depends on, -1 for none. The result's axes count after the input's.
    """

    coefficient: Fraction
    axes: tuple[tuple[int, int], ...]
    parameters: tuple[int, ...]
    last: int
    axis: int | None = None

    def holds(self, lengths: Sequence[int], values: Sequence[int]) -> bool:
        """Whether it does for these lengths of the axes and values of the numbers, as far as it depends on them."""
        over, under = self.parts(lengths, values)
        return over % under == 0 if self.axis is None else over == lengths[self.axis] * under

    def parts(self, lengths: Sequence[int], values: Sequence[int]) -> tuple[int, int]:
        """What is divided, and by what, with as many numbers as there are values."""
        over, under = self.coefficient.numerator, self.coefficient.denominator
        for axis, exponent in self.axes:
            if exponent > 0:
                over *= lengths[axis] ** exponent
            else:
                under *= lengths[axis] ** -exponent
        for value, exponent in zip(values, self.parameters, strict=False):
            if exponent > 0:
                over *= value**exponent
            elif exponent < 0:
                under *= value**-exponent
        return over, under


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a form asks of the shapes of its `rank` axes, and makes of them: `results` axes of these lengths."""

    rank: int
    results: int
    taken: tuple[Condition, ...]
    given: tuple[Condition, ...]


def fitting_parameters(
    form: Form,
    shape: Sequence[int],
    out_shape: Sequence[int] | None = None,
    allowed: frozenset[int] | None = None,
) -> Iterator[dict[str, ParameterValue]]:
    """The parameters at which this form of an entry may take `shape`, one item or with a batch axis in front.

    A single number is from 2 up; of several, which are not all equal, some may be 1. Where `out_shape` is known, they
    may also give that. Where `allowed` is given, each number is one of those. Without parameters there is one choice,
    the empty one. A number divides the number of elements: it is the length of a digit. Where a form cannot be read
    with primes for its numbers, every divisor is given.

    >>> from layoutbridge.operations.catalog import entry
    >>> list(fitting_parameters(entry("darknet_reorg3d").forms[0], (1, 3, 12, 18)))
    [{'stride': 2}, {'stride': 3}, {'stride': 6}]
    """
    for numbers in _fitting_numbers(form, shape, out_shape, allowed):
        if not form.is_plain(numbers) and (not form.from_one or _is_readable(form, numbers)):
            yield form.values(numbers)


@lru_cache(maxsize=1024)
def ranks_of(form: Form) -> tuple[int, int] | None:
    """How many axes an item has that this form takes, and the result; None where it cannot be read with primes.

    >>> from layoutbridge.operations.catalog import entry
    >>> ranks_of(entry("pixel_shuffle").forms[0]), ranks_of(entry("patchify").forms[0])
    ((3, 3), (3, 2))
    """
    if form.candidates is not None:
        made = form.at((2,) * len(form.numbers))
        return made.rank, len(made.result_shape)
    conditions = _conditions_of(form)
    return None if conditions is None else (conditions.rank, conditions.results)


@lru_cache(maxsize=4096)
def _is_readable(form: Form, numbers: tuple[int, ...]) -> bool:
    """Whether blocks divide the sides of a grid, both of which are parameters."""
    try:
        form.at(numbers)
    except LayoutBridgeError:
        return False
    return True


def _fitting_numbers(
    form: Form, shape: Sequence[int], out_shape: Sequence[int] | None, allowed: frozenset[int] | None
) -> Iterator[tuple[int, ...]]:
    if form.candidates is not None:
        yield from form.candidates(allowed or (1, *_divisors(prod(shape))))
        return
    least = [
        2 if len(letters) == 1 and letter not in form.from_one else 1
        for letters in form.letters.values()
        for letter in letters
    ]
    conditions = _conditions_of(form)
    if conditions is None:
        divisors = (1, *_divisors(prod(shape)))
        yield from product(*(divisors if smallest == 1 else divisors[1:] for smallest in least))
    elif (extra := len(shape) - conditions.rank) in (0, 1):
        asked, lengths = conditions.taken, tuple(shape[extra:])
        if out_shape is not None:
            if len(out_shape) - conditions.results != extra:
                return
            asked, lengths = (*asked, *conditions.given), (*lengths, *out_shape[extra:])
        if all(condition.holds(lengths, ()) for condition in asked if condition.last < 0):
            yield from _chosen(asked, lengths, prod(shape[extra:]), least, allowed, ())


def _chosen(
    asked: Sequence[Condition],
    lengths: Sequence[int],
    total: int,
    least: Sequence[int],
    allowed: frozenset[int] | None,
    values: tuple[int, ...],
) -> Iterator[tuple[int, ...]]:
    """Values of all numbers that begin with `values`, each tried as soon as a condition depends on no later one."""
    place = len(values)
    if place == len(least):
        yield values
        return
    telling = [condition for condition in asked if condition.last == place]
    for value in _possible(telling, lengths, total, values):
        extended = (*values, value)
        if value < least[place] or (allowed is not None and value not in allowed):
            continue
        if all(condition.holds(lengths, extended) for condition in telling):
            yield from _chosen(asked, lengths, total, least, allowed, extended)


def _possible(
    telling: Sequence[Condition], lengths: Sequence[int], total: int, values: tuple[int, ...]
) -> tuple[int, ...]:
    """What the next number may be, as far as one condition tells: an equation's root, or the divisors of a length.

    Where none tells, it is one of the divisors of the `total` of elements.
    """
    bound = 0
    for condition in telling:
        over, under = condition.parts(lengths, values)
        exponent = condition.parameters[len(values)]
        if condition.axis is not None:
            wanted = Fraction(lengths[condition.axis] * under, over)
            root = _root(wanted if exponent > 0 else 1 / wanted, abs(exponent))
            return () if root is None else (root,)
        if exponent < 0:
            bound = gcd(bound, over)
    return (1, *_divisors(bound or total))


def _root(power: Fraction, exponent: int) -> int | None:
    """The whole number that has this power, where there is one."""
    if power.denominator != 1:
        return None
    root = round(power.numerator ** (1 / exponent))
    return root if root**exponent == power else None


@lru_cache(maxsize=512)
def _conditions_of(form: Form) -> Conditions | None:
    """The conditions of `form`; None where it takes too many numbers, or does not read primes in their place."""
    primes = dict(zip(form.numbers, _SMALLER if form.from_one else _PRIMES, strict=False))
    if len(primes) < len(form.numbers):
        return None
    blocks = prod(prime for letter, prime in primes.items() if letter not in form.from_one)
    try:  # the sides of a grid are divided by the blocks: a multiple of all of them in the place of each
        built = form.at(tuple(prime * blocks if name in form.from_one else prime for name, prime in primes.items()))
    except LayoutBridgeError:
        return None

    def condition(size: Size, axis: int | None = None) -> Condition:
        return _condition(size, primes, form.from_one, axis)

    whole = [condition(size) for size in built.domain.whole]
    fixed = [condition(Size.constant(length), axis) for axis, length in built.domain.fixed]
    given = [condition(size, built.rank + k) for k, size in enumerate(built.result_shape)]
    return Conditions(built.rank, len(given), (*whole, *fixed), tuple(given))


def _condition(size: Size, primes: Mapping[str, int], sides: frozenset[str], axis: int | None) -> Condition:
    coefficient, exponents = Fraction(size.coefficient), []
    for prime in primes.values():
        exponent = 0
        while coefficient.numerator % prime == 0:
            coefficient, exponent = coefficient / prime, exponent + 1
        while coefficient.denominator % prime == 0:
            coefficient, exponent = coefficient * prime, exponent - 1
        exponents.append(exponent)
    multiples = sum(exponent for name, exponent in zip(primes, exponents, strict=True) if name in sides)
    own = (e if name in sides else e - multiples for name, e in zip(primes, exponents, strict=True))
    powers = tuple(own)
    return Condition(coefficient, size.powers, powers, max((k for k, e in enumerate(powers) if e), default=-1), axis)


@lru_cache(maxsize=64)
def _divisors(total: int) -> tuple[int, ...]:
    """The divisors of `total` from 2 up, in order.

    >>> _divisors(12)
    (2, 3, 4, 6, 12)
    """
    small = [value for value in range(1, isqrt(total) + 1) if total % value == 0]
    return tuple(sorted({*small, *(total // value for value in small)} - {1}))
