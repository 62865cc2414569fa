"""Which catalogue names fit a concrete permutation: the digits of its table, looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement, told
from layoutbridge.algebra.table import Digits
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog, op, revision
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form
from layoutbridge.recognition.parameters import fitting_parameters, ranks_of
from layoutbridge.recognition.structure import sizes_within

_MOST_FREE = 3  # numbers of a form that are looked for where the result's shape is not known


@dataclass(frozen=True, slots=True)
class Match:
    """A catalogue name that fits, with the parameters at which it does."""

    name: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict, hash=False)

    @property
    def op(self) -> Rearrangement:
        """The operation that fits."""
        return op(self.name, **self.parameters)

    def __str__(self) -> str:
        values = ", ".join(f"{name} {told(value)}" for name, value in self.parameters.items())
        return f"{self.name} ({values})" if values else self.name


def matches(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> tuple[Match, ...]:
    """Every entry of a family with native ops that has these digits at `in_shape`, and gives `out_shape` where known.

    The usual forms first, the others where none of them fits. Numbers are searched from 2 up (at 1 every space and
    depth operation moves nothing): each form's own domain says which of them suit the shape. `digits` are normalized,
    as `factorize` gives them.

    >>> [str(match) for match in matches(((2, 1), (3, 2)), (6, 1, 1), (6, 1, 1))]
    ['channel_shuffle (groups 3)']
    """
    if found := usual_matches(digits, in_shape, out_shape):
        return found
    sizes = sizes_within(digits, in_shape, out_shape)
    return _maps_at(revision(), in_shape, out_shape, True, False, sizes).get(digits, ())


def candidates(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Iterator[Match]:
    """Every entry, at parameters at which it takes one shape and gives the other, whatever it moves."""
    for entry in catalog().values():
        for form in entry.forms:
            for parameters in fitting_parameters(form, in_shape, out_shape):
                yield Match(entry.name, dict(entry.build(**parameters).parameters))


def usual_matches(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> tuple[Match, ...]:
    """The same, of the entries' usual forms alone."""
    return _maps_at(revision(), in_shape, out_shape, True, True, None).get(digits, ())


def usual_others(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names whose usual forms take one shape and give the other, and do not have these digits at any parameters.

    >>> usual_others(((256, 1),), (1, 4, 8, 8), (1, 16, 4, 4))[:3]
    ('space_to_depth', 'focus_row_major', 'darknet_reorg3d')
    """
    at_shapes = _maps_at(revision(), in_shape, out_shape, True, True, None)
    fitting = {match.name for match in at_shapes.get(digits, ())}
    names = dict.fromkeys(match.name for found in at_shapes.values() for match in found)
    return tuple(name for name in names if name not in fitting)


def late_matches(
    digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None, of_weights: bool = True
) -> tuple[Match, ...]:
    """The same of patches, weights, pictures and the like, the usual forms first; of weights where they are asked for.

    The numbers are those that the digits have, for most of these operations have several.
    """
    sizes = sizes_within(digits, in_shape, out_shape)
    each = (
        _maps_at(revision(), in_shape, out_shape, False, usual, sizes, of_weights).get(digits, ())
        for usual in (True, False)
    )
    return next(filter(None, each), ())


@lru_cache(maxsize=1024)
def _maps_at(
    _: int,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...] | None,
    native: bool,
    usual: bool,
    sizes: frozenset[int] | None,
    of_weights: bool = True,
) -> Mapping[Digits, tuple[Match, ...]]:
    """The names by the digits that they have between these shapes: of one kind of family, usual forms or the others.

    `sizes` says what their numbers may be, where that is known. The first argument is the catalogue's revision: what is
    remembered of another one is not asked for again.
    """
    found: dict[Digits, tuple[Match, ...]] = {}
    given = None if out_shape is None else len(out_shape)
    for entry, form in _forms_that_take(revision(), len(in_shape), given, native, usual, of_weights):
        if sizes is not None and out_shape is None and len(form.numbers) > _MOST_FREE:
            continue
        for parameters in fitting_parameters(form, in_shape, out_shape, sizes):
            made = entry.build(**parameters)
            digits = _digits_between(entry, made, in_shape, out_shape)
            if digits is not None:
                found[digits] = (*found.get(digits, ()), Match(entry.name, dict(made.parameters)))
    return found


@lru_cache(maxsize=256)
def _forms_that_take(
    _: int, taken: int, given: int | None, native: bool, usual: bool, of_weights: bool
) -> tuple[tuple[CatalogEntry, Form], ...]:
    """The forms, usual or not, of the families with native ops or of the others, between arrays of so many axes."""
    return tuple(
        (entry, form)
        for entry in catalog().values()
        if entry.is_native == native and (of_weights or not entry.is_of_weights)
        for form in entry.forms
        if (form in entry.usual_forms) == usual and _is_between(ranks_of(form), taken, given, entry.has_batch)
    )


def _is_between(ranks: tuple[int, int] | None, taken: int, given: int | None, has_batch: bool) -> bool:
    """Whether an operation of these ranks, if they are known, may be done between arrays of so many axes."""
    if ranks is None:
        return True
    extra = taken - ranks[0]
    return extra in (0, int(has_batch)) and given in (None, ranks[1] + extra)


def names_at(parameter: int, digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the entries that fit when every stride and every number of groups is `parameter`."""
    return _names_by_digits(revision(), parameter, in_shape).get((digits, out_shape), ())


@lru_cache(maxsize=256)
def _names_by_digits(
    _: int, parameter: int, in_shape: tuple[int, ...]
) -> Mapping[tuple[Digits, tuple[int, ...]], tuple[str, ...]]:
    found: dict[tuple[Digits, tuple[int, ...]], tuple[str, ...]] = {}
    for entry in catalog().values():
        made = entry.build_at(parameter)
        try:
            bound = made.bind(in_shape)
        except LayoutBridgeError:
            continue
        if bound.digits is not None:
            key = bound.digits, bound.out_shape
            found[key] = (*found.get(key, ()), entry.name)
    return found


def _digits_between(
    entry: CatalogEntry, made: Rearrangement, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> Digits | None:
    """Its digits at this shape; None where it does not take that, gives another, or is no name for what it does."""
    if len(in_shape) not in (made.rank, made.rank + 1) or not made.domain.accepts(in_shape[-made.rank :]):
        return None
    bound = made.bind(in_shape)
    if out_shape not in (None, bound.out_shape) or _takes_batch_for_channels(entry, made, in_shape):
        return None
    if bound.digits is None or len(bound.digits) > 1:
        return bound.digits
    if entry.is_native:  # which moves nothing at its parameters, and may make another shape
        return None if made.parameters and bound.out_shape == in_shape else bound.digits
    return bound.digits if entry.build().is_identity else None


def _takes_batch_for_channels(entry: CatalogEntry, made: Rearrangement, in_shape: tuple[int, ...]) -> bool:
    """Whether it has blocks on three axes, one of which is not cut, and no batch axis in front: a chance, no name."""
    three = (value for _, value in made.parameters if isinstance(value, tuple) and len(value) == 3)
    return entry.has_batch and len(in_shape) == made.rank and any(1 in value for value in three)
