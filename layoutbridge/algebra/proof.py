"""Are two rearrangements the same map? Settled by symbols, or by the smallest counterexample.

Both are brought to normal form over the shapes that both accept. Equal normal forms are the same map for all
sizes. Unequal ones differ somewhere, because the normal form at known sizes is unique; shapes are then tried
from the smallest up, and the first element that lands differently is found from the digits, without a table.
Chains whose digits have no common cut are the exception: where one undoes the other by symbols they are equal,
else shapes are compared element by element, and the verdict says how far that went.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm, prod
from random import Random

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.chains import reduce_chain, same_map
from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.readings import written_reading
from layoutbridge.algebra.rearrangement import BoundRearrangement, Rearrangement, bind_unchecked, with_batch_axis
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import first_difference, gather_table, unravel
from layoutbridge.displays import as_html
from layoutbridge.errors import PatternError, shown

IDENTITY = "identity"  # the name of what leaves an array of any number of axes as it is
_SHAPES_LISTED = 40_000
_CHAIN_SHAPES_TRIED = 1_000  # of chains without common digits, which are compared element by element
_TABLE_ENTRIES = 1 << 16  # up to this size all elements, and beyond it
_PROBES = 512  # that many, drawn evenly
_WITNESS_PRIMES = (101, 103, 107, 109, 113, 127, 131, 137)


@dataclass(frozen=True, slots=True)
class Counterexample:
    """One shape at which two rearrangements differ, checkable by hand.

    `position` is the place in the result that differs, and `reads` the input position that each of the two
    puts there; both are None where only the results' shapes differ.
    """

    shape: tuple[int, ...]
    out_shapes: tuple[tuple[int, ...], tuple[int, ...]]
    position: tuple[int, ...] | None = None
    reads: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def __str__(self) -> str:
        first, second = self.out_shapes
        if self.position is None or self.reads is None:
            return f"input {list(self.shape)}: the results have shapes {list(first)} and {list(second)}"
        return (
            f"input {list(self.shape)}: the result's element {list(self.position)} comes from input "
            f"{list(self.reads[0])} in the first and from {list(self.reads[1])} in the second"
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict of `prove`. True as a condition when the two are equal.

    `for_all_sizes`: settled by symbols. `counterexample`: the smallest one, where they differ.
    """

    equal: bool
    for_all_sizes: bool
    counterexample: Counterexample | None
    argument: tuple[str, ...]

    _repr_html_ = as_html

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        if self.equal:
            return "the same for all sizes" if self.for_all_sizes else "the same at all sizes that were tried"
        return f"not the same: {self.counterexample}" if self.counterexample else "not the same"

    def explain(self) -> str:
        """The argument, one numbered step a line."""
        return "\n".join(f"{number}. {line}" for number, line in enumerate(self.argument, 1))


def prove(a: Rearrangement, b: Rearrangement) -> Proof:
    """Whether `a` and `b` give the same table and the same shape on every shape that both accept.

    One that is named `identity`, and is that, is compared on as many axes as the other has.

    >>> darknet = Rearrangement("c (h p) (w q) -> (p q c) h w", p=2, q=2)
    >>> pixel = Rearrangement("c (h p) (w q) -> (c p q) h w", p=2, q=2)
    >>> verdict = prove(darknet, pixel)
    >>> verdict.equal, verdict.counterexample.shape, verdict.counterexample.position
    (False, (2, 2, 2), (1, 0, 0))
    """
    for op in (a, b):
        if not isinstance(op, Rearrangement):
            raise PatternError(
                f"prove takes two Rearrangements, not {shown(op)}: lb.op(name) makes one of a catalogue name"
            )
    a, b = _with_axes_of(a, b), _with_axes_of(b, a)
    names = _labels(a, b)
    if abs(a.rank - b.rank) > 1:
        return _unsettled(f"{names[0]} takes {a.rank} axes and {names[1]} takes {b.rank}: no shape fits both")
    rank = max(a.rank, b.rank)
    left, right = with_batch_axis(a, rank), with_batch_axis(b, rank)
    domain = _common_domain(left, right)
    if domain is None:
        return _unsettled(f"no shape fits both {names[0]} and {names[1]}: lengths that one fixes do not suit the other")
    axes = left.axes
    pinned = {axis: Size.constant(length) for axis, length in domain.fixed}
    forms = [
        (
            tuple(size.substitute(pinned) for size in op.result_shape),
            reduce_chain([step.map_sizes(pinned) for step in op.steps], domain),
        )
        for op in (left, right)
    ]
    argument = [f"both take {_accepted(axes, domain)}"]
    argument += [_form_line(name, form[1], form[0], axes) for name, form in zip(names, forms, strict=True)]
    same_order = same_map(forms[0][1], forms[1][1], domain)
    same_shape = forms[0][0] == forms[1][0]
    if same_order and same_shape:
        argument.append(
            "the digits, their order and the shape agree as symbols, so the two are the same map for all sizes"
        )
        return Proof(True, True, None, tuple(argument))
    if same_order:
        argument.append("the order of elements agrees for all sizes, under another shape: not equal")
    single_steps = len(forms[0][1]) <= 1 and len(forms[1][1]) <= 1
    if not same_order and single_steps:
        argument.append("the digits differ, and the normal form at known sizes is unique")
    search = _search_counterexample(left, right, domain)
    if search.found is None:
        argument.append(f"the symbols do not settle it; no difference at {search.tried} shapes tried")
        return Proof(search.tried > 0, False, None, tuple(argument))
    argument.append(f"{'smallest example' if search.is_smallest else 'an example'}: {search.found}")
    return Proof(False, False, search.found, tuple(argument))


def _with_axes_of(op: Rearrangement, other: Rearrangement) -> Rearrangement:
    """The catalogue's `identity` on the axes of the other; anything else as it is."""
    if op.name != IDENTITY or not op.is_identity or op.in_shape != op.result_shape or op.rank == other.rank:
        return op
    axes = " ".join(other.axes)
    return Rearrangement(f"{axes} -> {axes}").named(IDENTITY)


def _unsettled(reason: str) -> Proof:
    return Proof(False, False, None, (reason, "without a common shape there is nothing to compare: not equal"))


def _labels(a: Rearrangement, b: Rearrangement) -> tuple[str, str]:
    first, second = a.name or "the first", b.name or "the second"
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _common_domain(a: Rearrangement, b: Rearrangement) -> Domain | None:
    fixed = dict(a.domain.fixed)
    for axis, length in b.domain.fixed:
        if fixed.setdefault(axis, length) != length:
            return None
    pinned = {axis: Size.constant(length) for axis, length in fixed.items()}
    sizes = [size.substitute(pinned) for size in a.domain.whole | b.domain.whole]
    if any(size.is_constant and size.coefficient.denominator != 1 for size in sizes):
        return None
    return Domain(a.rank, frozenset(s for s in sizes if not s.is_constant), tuple(sorted(fixed.items())))


def _accepted(axes: Sequence[str], domain: Domain) -> str:
    fixed = dict(domain.fixed)
    conditions = [f"{axes[axis]} = {length}" for axis, length in fixed.items()]
    for axis, name in enumerate(axes):
        if axis not in fixed and domain.divisor(axis) > 1:
            conditions.append(f"{name} a multiple of {domain.divisor(axis)}")
    conditions += [f"{s.format(axes)} whole" for s in domain.whole if s.single_axis is None]
    return f"[{', '.join(axes)}]" + (f" with {', '.join(conditions)}" if conditions else "")


def _form_line(name: str, steps: Sequence[DigitStep], result: Sequence[Size], axes: Sequence[str]) -> str:
    shape = f"[{', '.join(size.format(axes) for size in result)}]"
    if not steps:
        return f"{name} moves nothing and calls the result {shape}"
    parts = []
    for step in steps:
        sizes = " x ".join(size.format(axes) for size in step.sizes)
        order = " ".join(f"{source + 1}{written_reading(step.reading(source))}" for source in step.order)
        parts.append(f"reads digits {sizes} and writes them in the order {order}")
    return f"{name} {', then '.join(parts)}, as {shape}"


@dataclass(frozen=True, slots=True)
class _Search:
    found: Counterexample | None
    is_smallest: bool
    tried: int


def _search_counterexample(a: Rearrangement, b: Rearrangement, domain: Domain) -> _Search:
    """From the smallest shape up; where none within reach differs, at one shape that tells all sizes apart."""
    tried = 0
    for shape in shapes_by_size(domain):
        found, is_certain = _difference_at(bind_unchecked(a, shape), bind_unchecked(b, shape))
        tried += 1
        if found is not None:
            return _Search(found, is_certain, tried)
        if max(len(a.steps), len(b.steps)) > 1 and tried == _CHAIN_SHAPES_TRIED:
            break
    shape = _telling_shape(domain)
    if domain.violated(shape) is not None:
        return _Search(None, False, tried)
    found, _ = _difference_at(bind_unchecked(a, shape), bind_unchecked(b, shape))
    return _Search(found, False, tried + 1)


def _telling_shape(domain: Domain) -> tuple[int, ...]:
    """A shape at which different monomials have different values: a prime in each axis, times all divisors."""
    fixed = dict(domain.fixed)
    common = lcm(*(size.coefficient.denominator for size in domain.whole))
    primes = [_WITNESS_PRIMES[axis % len(_WITNESS_PRIMES)] for axis in range(domain.rank)]
    return tuple(fixed.get(axis, common * prime) for axis, prime in enumerate(primes))


def shapes_by_size(domain: Domain) -> Iterator[tuple[int, ...]]:
    """Accepted shapes, fewest elements first; of equal ones the first in dictionary order."""
    fixed = dict(domain.fixed)
    units = [domain.divisor(axis) for axis in range(domain.rank)]
    start = tuple(units)
    queue, seen = [(prod(start), start)], {start}
    for _ in range(_SHAPES_LISTED):
        if not queue:
            return
        _, shape = heapq.heappop(queue)
        if domain.violated(shape) is None:
            yield shape
        for axis in range(domain.rank):
            if axis not in fixed:
                larger = (*shape[:axis], shape[axis] + units[axis], *shape[axis + 1 :])
                if larger not in seen:
                    seen.add(larger)
                    heapq.heappush(queue, (prod(larger), larger))


def _difference_at(a: BoundRearrangement, b: BoundRearrangement) -> tuple[Counterexample | None, bool]:
    """The difference at one shape, if any, and whether every element was looked at."""
    shapes = a.out_shape, b.out_shape
    if shapes[0] != shapes[1]:
        return Counterexample(a.in_shape, shapes), True
    index, is_certain = _different_index(a, b)
    if index is None:
        return None, is_certain
    reads = tuple(unravel(bound.read_position(index), bound.in_shape) for bound in (a, b))
    return Counterexample(a.in_shape, shapes, unravel(index, a.out_shape), (reads[0], reads[1])), is_certain


def _different_index(a: BoundRearrangement, b: BoundRearrangement) -> tuple[int | None, bool]:
    total = prod(a.in_shape)
    if a.digits is not None and b.digits is not None:
        return first_difference(a.digits, b.digits), True
    if total > _TABLE_ENTRIES:
        draw = Random(total).randrange  # repeatable: one verdict for one pair
        probes = (draw(total) for _ in range(_PROBES))
        return next((index for index in probes if a.read_position(index) != b.read_position(index)), None), False
    different = np.flatnonzero(_all_reads(a) != _all_reads(b))
    return (int(different[0]) if different.size else None), True


def _all_reads(bound: BoundRearrangement) -> NDArray[np.int64]:
    positions = np.arange(prod(bound.in_shape))
    for digits in bound.steps:
        positions = positions.take(gather_table(digits))
    return positions
