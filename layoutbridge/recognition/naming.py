"""Which catalogue names fit a concrete permutation: the digits of its table, looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from layoutbridge.algebra.rearrangement import BoundRearrangement, ParameterValue, Rearrangement, told
from layoutbridge.algebra.table import Digits
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog, op, revision
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.recognition.structure import sizes_within

_FIRST = ("space and depth", "Darknet", "layouts", "channels")  # families that are looked through before the others
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
    """Every entry that has these digits at `in_shape`, and gives `out_shape` where that is known.

    The usual forms first, the others where none of them fits. Numbers are searched from 2 up (at 1 every space and
    depth operation moves nothing): each form's own domain says which of them suit the shape. `digits` are normalized,
    as `factorize` gives them.

    >>> [str(match) for match in matches(((2, 1), (3, 2)), (6, 1, 1), (6, 1, 1))]
    ['channel_shuffle (groups 3)']
    """
    return usual_matches(digits, in_shape, out_shape) or _maps_at(revision(), in_shape, out_shape, False).get(
        digits, ()
    )


def candidates(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Iterator[Match]:
    """Every entry, at parameters at which it takes one shape and gives the other, whatever it moves."""
    for entry in catalog().values():
        for form in entry.forms:
            for parameters in fitting_parameters(form, in_shape, out_shape):
                yield Match(entry.name, dict(entry.build(**parameters).parameters))


def usual_matches(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> tuple[Match, ...]:
    """The same, of the entries' usual forms alone."""
    return _maps_at(revision(), in_shape, out_shape, True).get(digits, ())


@lru_cache(maxsize=512)
def _maps_at(
    _: int, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None, usual: bool
) -> Mapping[Digits, tuple[Match, ...]]:
    """The names by the digits that they have between these shapes, of the usual forms or of the others.

    The first argument is the catalogue's revision: what is remembered of another one is not asked for again.
    """
    found: dict[Digits, tuple[Match, ...]] = {}
    for entry in catalog().values():
        if entry.family not in _FIRST:
            continue
        for form in entry.forms[:1] if usual else entry.forms[1:]:
            for parameters in fitting_parameters(form, in_shape, out_shape):
                made = entry.build(**parameters)
                digits = _digits_at(made, in_shape, out_shape)
                if digits is not None and not _takes_batch_for_channels(made, in_shape):
                    found[digits] = (*found.get(digits, ()), Match(entry.name, dict(made.parameters)))
    return found


def late_matches(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> tuple[Match, ...]:
    """The same of patches, weights, pictures and the like, the usual forms first.

    The numbers are those that the digits have, for most of these operations have several.
    """
    sizes = sizes_within(digits, in_shape, out_shape)
    return _late_maps_at(revision(), in_shape, out_shape, True, sizes).get(digits, ()) or _late_maps_at(
        revision(), in_shape, out_shape, False, sizes
    ).get(digits, ())


@lru_cache(maxsize=512)
def _late_maps_at(
    _: int, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None, usual: bool, sizes: frozenset[int]
) -> Mapping[Digits, tuple[Match, ...]]:
    """The names by the digits that they have between these shapes, at these numbers."""
    found: dict[Digits, tuple[Match, ...]] = {}
    for entry in catalog().values():
        if entry.family in _FIRST:
            continue
        for form in entry.forms:
            if (form in entry.usual_forms) != usual or (out_shape is None and len(form.numbers) > _MOST_FREE):
                continue
            for parameters in fitting_parameters(form, in_shape, out_shape, sizes):
                made = entry.build(**parameters)
                if len(in_shape) > made.rank and not entry.has_batch:
                    continue
                digits = _digits_between(made, in_shape, out_shape)
                if digits is not None and (len(digits) > 1 or entry.build().is_identity):
                    found[digits] = (*found.get(digits, ()), Match(entry.name, dict(made.parameters)))
    return found


def names_at(parameter: int, digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the entries that fit when every stride and every number of groups is `parameter`."""
    return _names_by_digits(parameter, in_shape, tuple(catalog().values())).get((digits, out_shape), ())


@lru_cache(maxsize=256)
def _names_by_digits(
    parameter: int, in_shape: tuple[int, ...], entries: tuple[CatalogEntry, ...]
) -> dict[tuple[Digits, tuple[int, ...]], tuple[str, ...]]:
    found: dict[tuple[Digits, tuple[int, ...]], tuple[str, ...]] = {}
    for entry in entries:
        made = entry.build_at(parameter)
        try:
            bound = made.bind(in_shape)
        except LayoutBridgeError:
            continue
        if bound.digits is not None:
            key = bound.digits, bound.out_shape
            found[key] = (*found.get(key, ()), entry.name)
    return found


def _digits_at(made: Rearrangement, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> Digits | None:
    """Its digits at this shape; None where it does not take that, gives another, or moves nothing at its parameters."""
    bound = _bound_between(made, in_shape, out_shape)
    if bound is None:
        return None
    if made.parameters and bound.digits is not None and len(bound.digits) <= 1 and bound.out_shape == in_shape:
        return None
    return bound.digits


def _takes_batch_for_channels(made: Rearrangement, in_shape: tuple[int, ...]) -> bool:
    """Whether it has blocks on three axes, one of which is not cut, and no batch axis in front: a chance, no name."""
    three = (value for _, value in made.parameters if isinstance(value, tuple) and len(value) == 3)
    return len(in_shape) == made.rank and any(1 in value for value in three)


def _digits_between(made: Rearrangement, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> Digits | None:
    bound = _bound_between(made, in_shape, out_shape)
    return None if bound is None else bound.digits


def _bound_between(
    made: Rearrangement, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> BoundRearrangement | None:
    """It at this shape; None where it does not take that, or gives another."""
    if len(in_shape) not in (made.rank, made.rank + 1) or not made.domain.accepts(in_shape[-made.rank :]):
        return None
    bound = made.bind(in_shape)
    return bound if out_shape in (None, bound.out_shape) else None
