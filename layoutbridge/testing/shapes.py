"""Small shapes at which the well-known operations are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import lcm, prod

from layoutbridge.algebra.proof import shapes_by_size
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain

_PRIMES = (2, 3, 5, 7, 11, 13)
_MOST_ELEMENTS = 1 << 17
_LISTED = 64
_USUAL = 12  # what is not the operation may want to have its lengths divided by 2, 3 or 4


def shapes_to_try(operation: Rearrangement) -> Iterator[tuple[int, ...]]:
    """Shapes of inputs for an operation and what may be it, the likeliest first.

    The first can be read with channels in front and with channels behind, where that is small; axes have lengths that
    cannot be taken for another's. With a batch in front come those, then without.

    >>> from layoutbridge.operations.catalog import op
    >>> list(shapes_to_try(op("pixel_unshuffle")))[:2]
    [(2, 4, 6, 10), (2, 8, 12, 20)]
    """
    items = list(dict.fromkeys(_items(operation.domain)))
    if operation.has_batch:
        yield from ((batch, *item) for batch in (2, 1) for item in items)
    yield from items


def _items(domain: Domain) -> Iterator[tuple[int, ...]]:
    fixed = dict(domain.fixed)
    units = [domain.divisor(axis) for axis in range(domain.rank)]
    common = lcm(*(unit for axis, unit in enumerate(units) if axis not in fixed))
    units_of_all = (common, common**2, lcm(common, _USUAL))  # Darknet's reorgs divide channels by the stride's square
    usable = [item for unit in units_of_all if _is_usable(domain, item := _lengths(domain, [unit] * domain.rank))]
    yield from usable
    if usable:
        return
    telling = _lengths(domain, units)
    if _is_usable(domain, telling):
        yield telling
        yield (*telling[1:], telling[0])
    yield from list(islice(shapes_by_size(domain), _LISTED))[-1:]


def _is_usable(domain: Domain, item: tuple[int, ...]) -> bool:
    return prod(item) <= _MOST_ELEMENTS and domain.accepts(item)


def _lengths(domain: Domain, units: list[int]) -> tuple[int, ...]:
    fixed = dict(domain.fixed)
    return tuple(fixed.get(axis, unit * _PRIMES[axis % len(_PRIMES)]) for axis, unit in enumerate(units))
