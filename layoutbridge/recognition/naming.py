"""Which catalogue names fit a concrete permutation: the digits of its table, looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import Digits
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import CatalogEntry, catalog, op


@dataclass(frozen=True, slots=True)
class Match:
    """A catalogue name that fits, with the parameters at which it does."""

    name: str
    parameters: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def op(self) -> Rearrangement:
        """The operation that fits."""
        return op(self.name, **self.parameters)

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.name} ({values})" if values else self.name


def matches(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> tuple[Match, ...]:
    """Every entry that has these digits at `in_shape`, and gives `out_shape` where that is known.

    The parameters are searched: strides and groups that suit the shape, from 2 up (at 1 every space and depth
    operation moves nothing). `digits` are normalized, as `factorize` gives them.
    """
    return tuple(
        Match(entry.name, parameters)
        for entry in catalog().values()
        for parameters in _candidate_parameters(entry, in_shape)
        if _fits(entry.name, tuple(parameters.items()), digits, in_shape, out_shape)
    )


def names_at(parameter: int, digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the entries that fit when every stride and every number of groups is `parameter`."""
    known = tuple((name, entry.pattern) for name, entry in catalog().items())
    return _names_by_digits(parameter, in_shape, known).get((digits, out_shape), ())


@lru_cache(maxsize=256)
def _names_by_digits(
    parameter: int, in_shape: tuple[int, ...], known: tuple[tuple[str, str], ...]
) -> dict[tuple[Digits, tuple[int, ...]], tuple[str, ...]]:
    found: dict[tuple[Digits, tuple[int, ...]], tuple[str, ...]] = {}
    for name, _ in known:  # the pattern is there to tell two registrations of one name apart
        made = op(name, **dict.fromkeys(catalog()[name].parameters, parameter))
        try:
            bound = made.bind(in_shape)
        except LayoutBridgeError:
            continue
        if bound.digits is not None:
            key = bound.digits, bound.out_shape
            found[key] = (*found.get(key, ()), name)
    return found


def _fits(
    name: str,
    parameters: tuple[tuple[str, int], ...],
    digits: Digits,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...] | None,
) -> bool:
    try:
        bound = op(name, **dict(parameters)).bind(in_shape)
    except LayoutBridgeError:
        return False
    if out_shape is not None and bound.out_shape != out_shape:
        return False
    return bound.digits == digits


def _candidate_parameters(entry: CatalogEntry, in_shape: tuple[int, ...]) -> Iterator[dict[str, int]]:
    if not entry.parameters:
        yield {}
    elif len(in_shape) >= 3:
        channels, height, width = in_shape[-3:]
        for value in range(2, max(in_shape[-3:]) + 1):
            if "stride" in entry.parameters:
                if channels % value**2 and (height % value or width % value):
                    continue
            elif channels % value or value == channels:
                continue
            yield dict.fromkeys(entry.parameters, value)
