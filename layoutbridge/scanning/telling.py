"""What is told of a region: its kind, its names, its pattern and why, at one choice of sizes or at two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.naming import Match
from layoutbridge.recognition.structure import Seen, pattern_of
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.seeing import Sight

PlaceKind = Literal["moves", "view", "joins", "drops", "repeats"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a region does to elements, as `Place` has it."""

    kind: PlaceKind
    names: tuple[str, ...]
    parameters: Mapping[str, ParameterValue]
    pattern: str | None
    reason: str


def told_of(region: Region, sight: Sight) -> Told:
    """What is told of a region that is this at the only choice of sizes that there is."""
    kind, seen = _kind_of(region, sight), sight.seen
    if not seen.is_permutation:
        return Told(kind, (), {}, None, seen.reason)
    digits = _as_seen(seen)
    if kind == "view" and digits is not None:
        return Told(kind, ("identity",), {}, pattern_of(digits) or seen.pattern, seen.reason)
    pattern = seen.pattern
    if digits is not None and (not seen.names or seen.wrapping.is_view):
        pattern = pattern or pattern_of(digits)
    return Told(kind, seen.names, seen.parameters, pattern, seen.reason)


def told_of_both(region: Region, sight: Sight, other: Region, second: Sight) -> Told:
    """The same of a region that is this at one choice of sizes, and as `other` what is seen at the `second`."""
    one, two, seen, again = told_of(region, sight), told_of(other, second), sight.seen, second.seen
    if not seen.is_permutation:
        return one
    if not again.is_permutation:
        return replace(two, reason=f"at other sizes, such as {list(again.in_shape)}: {two.reason}")
    here, there = _as_seen(seen), _as_seen(again)
    common = pattern_of(here, there) if here is not None and there is not None else None
    if one.kind == two.kind == "view":
        return replace(one, pattern=common or one.pattern)
    kind = two.kind if one.kind == "view" else one.kind
    kept = tuple(match for match in seen.matches if match in again.matches)
    if kept:
        also = [match for match in seen.also if match in (*again.also, *again.matches)]
        pattern = (common or one.pattern) if seen.wrapping.is_view else one.pattern
        if kept[0] != seen.matches[0]:
            pattern = common or seen.wrapping.pattern(kept[0].op, len(seen.in_shape))
        return Told(kind, _names((*kept, *also)), _parameters((*kept, *also)), pattern, seen.reason)
    names = tuple(name for name in seen.names if name in again.names)
    if names or common is not None or not seen.matches:  # numbers that follow the sizes, or a name by chance
        shared = {key: value for key, value in seen.parameters.items() if again.parameters.get(key) == value}
        return Told(kind, names, shared if names else {}, common or one.pattern, seen.reason)
    reason = f"another map at other sizes: {seen.pattern}, and {again.pattern}"
    return Told(kind, (), {}, None, reason)


def _kind_of(region: Region, sight: Sight) -> PlaceKind:
    """What kind of a place it is at these sizes."""
    if len(region.sources) > 1:
        return "joins"
    digits = sight.seen.digits
    if sight.seen.is_permutation:
        is_view = digits is not None and len(digits) <= 1 and not any(len(digit) > 2 for digit in digits)
        return "view" if is_view else "moves"
    return "drops" if sight.is_each_once else "repeats"


def _as_seen(found: Identification) -> Seen | None:
    """The map by its digits, where it has some."""
    return None if found.digits is None else Seen(found.digits, found.in_shape, found.out_shape or ())


def _names(matches: Sequence[Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match.name for match in matches))


def _parameters(matches: Sequence[Match]) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {}
    for match in matches:
        for name, value in match.parameters.items():
            values.setdefault(name, value)
    return values
