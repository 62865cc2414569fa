"""Is a target what it should be? If not, the smallest place that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.proof import IDENTITY, shapes_by_size
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.expressions import ChooseParameters, Expression, read_expression
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.differences import Difference, proved_difference, table_difference
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.recognition.recover import recover
from layoutbridge.recognition.targets.calling import as_array_function
from layoutbridge.recognition.wrapping import PLAIN, Wrapping

_SHAPES_TRIED = 24  # small ones, at which a callable is run
_SHAPES_LISTED = 400  # of which some are those
_MOST_ELEMENTS = 1 << 16  # of a shape that is made up here
_PRIMES = (2, 3, 5, 7, 11, 13)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a target should be, by `name` and at `parameters`; whether it is, and if not, one `difference`."""

    title: str
    name: str
    parameters: Mapping[str, ParameterValue]
    difference: Difference | None

    @property
    def holds(self) -> bool:
        """Whether the target is that, as far as it was seen."""
        return self.difference is None

    def as_json(self) -> dict[str, Any]:
        """The expectation as it stands in `layoutbridge identify --json`."""
        told = None if self.difference is None else self.difference.told
        return {
            "title": self.title, "name": self.name, "parameters": dict(self.parameters), "difference": told,
            "holds": self.holds,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Reference:
    """One rearrangement that the target may be, in what it may be wrapped in, and what it is called."""

    operation: Rearrangement
    title: str
    wrapping: Wrapping = field(default=PLAIN)

    def is_at(self, found: Identification) -> bool:
        """Whether it is what was found, at the shape at which that was seen."""
        return found.table is not None and self.difference(found.in_shape, found.out_shape, found.table) is None

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether it can be done at a shape."""
        inside = self.wrapping.inside(shape)
        operation = self.operation
        return len(inside) - operation.rank in (0, 1) and operation.domain.accepts(inside[-operation.rank :])

    def difference(
        self, shape: tuple[int, ...], out_shape: tuple[int, ...] | None, table: NDArray[Any]
    ) -> Difference | None:
        """The first place at which a table of this shape is another; None where it is the same."""
        try:
            wanted = self.wrapping.apply(self.operation, np.arange(prod(shape)).reshape(shape))
        except (LayoutBridgeError, ValueError) as error:
            return Difference(str(error))
        return table_difference(self.title, shape, out_shape, table, wanted)


def check_expectation(
    target: object, found: Identification, expected: Expression | str, choose: ChooseParameters | None = None
) -> Expectation:
    """Whether `target`, which was `found` to be something, is `expected`: a catalogue name, a pattern or an expression.

    `choose` says what the parameters of a named entry are. Of a single name, numbers that it leaves out are those that
    suit the shapes, and words are as usual; what is that name of a tensor with its channels last is that name. A
    callable is run at small shapes, the smallest first: the first that differs is told. Raises `UnknownNameError`,
    `PatternError` and `ParameterError`.

    >>> import layoutbridge as lb
    >>> port = lb.op("pixel_unshuffle")
    >>> print(check_expectation(port, lb.identify(port, (1, 2, 4, 4)), "focus").difference)
    input [1, 2, 2]: the result's element [1, 0, 0] comes from input [0, 0, 1], in focus (stride 2) from [0, 1, 0]
    """
    expression = read_expression(expected) if isinstance(expected, str) else expected
    references = list(_references(expression, choose or (lambda _: {}), found))
    alike = [reference for reference in references if reference.is_at(found)]
    first: Expectation | None = None
    for reference in alike or references[:1]:
        operation = reference.operation
        told = Expectation(
            reference.title.rstrip(","),
            operation.name or expression.title(operation),
            dict(operation.parameters),
            _difference(target, found, reference),
        )
        if told.holds:
            return told
        first = first or told
    assert first is not None
    return first


def _references(expression: Expression, choose: ChooseParameters, found: Identification) -> Iterator[_Reference]:
    """What the target may be, the likeliest first, one at least: a name as it is, then as the target wraps names."""
    usual = expression.build(choose)
    entry = expression.terms[0].entry if len(expression.terms) == 1 else None
    if entry is None:
        yield _Reference(usual, expression.title(usual))
        return
    asked = {**choose(entry), **expression.terms[0].parameters}
    if entry.name == IDENTITY and not asked:
        axes = " ".join(f"axis{k}" for k in range(len(found.in_shape)))
        yield _Reference(Rearrangement(f"{axes} -> {axes}").named(IDENTITY), IDENTITY)
        return
    wrapping = found.wrapping if found.wrapping.keeps_the_name else PLAIN
    plain = at_fitting_parameters(entry, asked, usual, (found.in_shape, found.out_shape))
    if wrapping != PLAIN:
        inside = at_fitting_parameters(entry, asked, usual, shapes_inside(found))
        wrapped = [_Reference(each, f"{each.label}, {wrapping.words},", wrapping) for each in inside]
        yield from wrapped
    yield from (_Reference(each, each.label) for each in plain or [usual])


def at_fitting_parameters(
    entry: CatalogEntry,
    asked: Mapping[str, ParameterValue],
    usual: Rearrangement,
    shapes: tuple[tuple[int, ...], tuple[int, ...] | None],
) -> list[Rearrangement]:
    """The entry at what was asked for, where a number was not at those that suit the shapes: first the usual ones."""
    if set(entry.parameters) <= set(asked):
        return [usual]
    words = {name: value for name, value in entry.defaults.items() if isinstance(value, str)}
    kept = {**words, **{name: value for name, value in usual.parameters if name in asked}, **_unsaid(asked, usual)}
    made: list[Rearrangement] = []
    for form in entry.forms:
        for fitting in fitting_parameters(form, *shapes):
            if all(fitting.get(name, value) == value for name, value in kept.items()):
                made.append(entry.build(**{**asked, **fitting}))
    return sorted(dict.fromkeys(made), key=lambda each: each.parameters != usual.parameters)


def _unsaid(asked: Mapping[str, ParameterValue], usual: Rearrangement) -> Mapping[str, ParameterValue]:
    """What was asked for and is as usual, which a rearrangement does not tell: `spatial=2`."""
    return {name: value for name, value in asked.items() if name not in dict(usual.parameters)}


def shapes_inside(found: Identification) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The shapes of the operation within the wrapping."""
    wrapping, given = found.wrapping, found.out_shape
    return wrapping.inside(found.in_shape), None if given is None else wrapping.result_inside(given)


def _difference(target: object, found: Identification, reference: _Reference) -> Difference | None:
    """The smallest difference that can be told; None where the target is the same wherever it was seen."""
    if found.table is None:
        return Difference(found.reason)
    here = reference.difference(found.in_shape, found.out_shape, found.table)
    smallest: Difference | None = None
    if isinstance(target, Rearrangement):
        smallest = None if here is None else proved_difference(target, reference.operation, reference.title, "")
    elif callable(target):
        smallest = _smallest_difference(target, found, reference)
    elif here is not None and not found.is_permutation:
        return Difference(found.reason)
    elif here is not None and found.matches and found.wrapping == PLAIN:
        match = found.matches[0]
        smallest = proved_difference(match.op, reference.operation, reference.title, f" in {match}, which it is")
    smallest = smallest or here
    around = found.wrapping.words if reference.wrapping == PLAIN else ""
    same = next((match for match in found.matches if match.name == reference.operation.name), None)
    if smallest is None or not around or same is None:
        return smallest
    return replace(smallest, told=f"{smallest}; it is {same}, {around}")


def _smallest_difference(target: Callable[..., Any], found: Identification, reference: _Reference) -> Difference | None:
    """The first difference of a callable at shapes from the smallest up; None where it takes none, or is the same."""
    run, dtype = as_array_function(target)
    for shape in filter(reference.takes, _shapes_to_try(found, reference)):
        try:
            seen = recover(run, shape, dtype)
        except LayoutBridgeError:
            continue  # it need not take what the reference takes
        if seen.table is None:
            return Difference(f"input {list(shape)}: it {seen.behaviour} ({seen.detail})", shape)
        difference = reference.difference(shape, seen.out_shape, seen.table)
        if difference is not None:
            return difference
    return None


def _shapes_to_try(found: Identification, reference: _Reference) -> Iterator[tuple[int, ...]]:
    """Small shapes of as many axes as the input had, the smallest first, and a few larger ones that would tell.

    They are those that the reference takes, and those that it and what was found take.
    """
    domain = reference.operation.domain
    extra = len(found.in_shape) - domain.rank
    if extra < 0 or (extra > 1 and not reference.wrapping.leading):
        return
    domains = [match.op.domain for match in found.matches[:1] if match.op.rank == domain.rank]
    listed = [shape for shape in islice(shapes_by_size(domain), _SHAPES_LISTED) if prod(shape) <= _MOST_ELEMENTS]
    common = [shape for shape in listed if all(each.accepts(shape) for each in domains)]
    items = {*listed[:_SHAPES_TRIED], *common[:_SHAPES_TRIED]}
    for item in sorted(items, key=lambda shape: (prod(shape), shape)):
        yield _wrapped((*(1,) * extra, *item), reference.wrapping)
    fixed = dict(domain.fixed)
    telling = tuple(
        fixed.get(axis, lcm(*(each.divisor(axis) for each in (domain, *domains))) * _PRIMES[axis % len(_PRIMES)])
        for axis in range(domain.rank)
    )
    if domain.accepts(telling) and prod(telling) * 2**extra <= _MOST_ELEMENTS:
        yield _wrapped((*(2,) * extra, *telling), reference.wrapping)
    if found.second_shape is not None:
        yield found.second_shape


def _wrapped(shape: Sequence[int], wrapping: Wrapping) -> tuple[int, ...]:
    return wrapping.input_shape(tuple(shape), len(shape))
