"""Which of the names that fit a map are worth telling of a place in a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from layoutbridge.operations.catalog import catalog
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.naming import Match
from layoutbridge.recognition.structure import Seen, pattern_of
from layoutbridge.recognition.wrapping import PLAIN, Wrapping

_PLAIN_PATTERN = re.compile(r"([^|,>\[]*) -> ([^|,>\[]*)(?:,.*)?")
_AXIS = re.compile(r"\(([^)]*)\)|(\S+)")


def worth_telling(seen: Identification, *, is_of_weights: bool) -> Identification:
    """The same without names of what is done to weights, where no weights are moved, and without hollow ones.

    Hollow is a name for patches, heads and the like where none of the axes that it cuts is cut at these sizes, or none
    that it merges is merged: many a transpose is a patchify of one patch.

    >>> from layoutbridge.operations.catalog import op
    >>> from layoutbridge.recognition.identification import identify_digits
    >>> bound = op("split_heads", heads=8).bind((5, 8))
    >>> found = identify_digits(bound.digits, (5, 8), (8, 5, 1))
    >>> found.names[0], worth_telling(found, is_of_weights=False).names
    ('split_heads', ())
    """
    if seen.digits is None:
        return seen
    kept = tuple(match for match in seen.matches if _is_told(match, seen, seen.wrapping, is_of_weights))
    also = tuple(match for match in seen.also if _is_told(match, seen, PLAIN, is_of_weights))
    if len(kept) == len(seen.matches):
        return replace(seen, also=also)
    wrapping = seen.wrapping
    if not kept:
        kept, also, wrapping = also, (), PLAIN
    if kept:
        pattern: str | None = wrapping.pattern(kept[0].op, len(seen.in_shape))
    else:
        pattern = pattern_of(Seen(seen.digits, seen.in_shape, seen.out_shape or ()))
    layout = seen.layout if wrapping.is_channels_last else "NCHW"
    return replace(seen, matches=kept, also=also, wrapping=wrapping, layout=layout, pattern=pattern)


def _is_told(match: Match, seen: Identification, wrapping: Wrapping, is_of_weights: bool) -> bool:
    entry = catalog()[match.name]
    if entry.is_of_weights and not is_of_weights:
        return False
    return entry.is_native or not _is_hollow(match, wrapping.inside(seen.in_shape))


def _is_hollow(match: Match, shape: tuple[int, ...]) -> bool:
    """Whether a side of the pattern that puts digits into one axis puts no two there that are longer than 1."""
    plain = _PLAIN_PATTERN.fullmatch(match.op.pattern)
    if plain is None:
        return False
    source, target = (_axes(side) for side in plain.groups())
    sizes = _sizes(source, shape[len(shape) - len(source) :], match)
    for axes in (source, target):
        cut = [digits for digits in axes if len(digits) > 1]
        if cut and all(sum(sizes.get(name, 2) > 1 for name, _ in digits) < 2 for digits in cut):
            return True
    return False


def _axes(side: str) -> list[list[tuple[str, str]]]:
    """The axes of one side, each as its digits with the size that is written behind it, or nothing."""
    return [
        [(name, size) for name, _, size in (digit.partition(":") for digit in (inside or alone).split())]
        for inside, alone in _AXIS.findall(side)
    ]


def _sizes(axes: Sequence[Sequence[tuple[str, str]]], shape: Sequence[int], match: Match) -> dict[str, int]:
    """The digits' sizes, as far as parameters, numbers and the lengths of the axes tell them."""
    given = dict(_assigned(match.op.pattern))
    sizes: dict[str, int] = {}
    for digits, length in zip(axes, shape, strict=False):
        known = {name: given.get(size) or int(size) for name, size in digits if size in given or size.isdecimal()}
        left = [name for name, _ in digits if name not in known]
        sizes.update(known)
        if len(left) == 1:
            sizes[left[0]] = length // prod(known.values())
    return sizes


def _assigned(pattern: str) -> list[tuple[str, int]]:
    parts = [part.strip().partition("=") for part in pattern.split(",")[1:]]
    return [(name, int(value)) for name, _, value in parts if value.isdecimal()]
