"""What a target was found to be: its names, its pattern, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.algebra.table import Digits
from layoutbridge.displays import as_html
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog, revision
from layoutbridge.recognition.naming import Match, usual_others
from layoutbridge.recognition.wrapping import PLAIN, Wrapping

_SHOWN = 6
Kind = Literal[
    "permutation",
    "fills up with zeros",
    "drops or repeats",
    "depends on values",
    "depends on sign",
    "changes values",
    "changes shape",
    "whole model",
]


@dataclass(frozen=True)
class Identification:
    """What a target does at one shape.

    `names` are all catalogue names that fit, empty where none does; `matches` the same with each name's
    parameters, `parameters` the parameters together; `wrapping` is what is done around them, and `also` are those
    names that fit with nothing around them where `matches` do not. `pattern` writes the whole
    map down, as the first match has it, else from its digits; None where there are no digits. `layout` is NHWC where
    the names fit the tensor read as channels last. `table` is the int64 gather table, with -1 where zeros are filled
    in; None where values are changed. `second_shape` is the other shape that a callable was tried at.
    """

    kind: Kind
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...] | None
    matches: tuple[Match, ...]
    pattern: str | None
    layout: Literal["NCHW", "NHWC"]
    reason: str
    table: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    wrapping: Wrapping = PLAIN
    second_shape: tuple[int, ...] | None = None
    digits: Digits | None = field(default=None, repr=False, compare=False)
    also: tuple[Match, ...] = ()

    _repr_html_ = as_html

    def __str__(self) -> str:
        told = ", ".join(map(str, self.matches)) or self.pattern or self.kind
        return f"{told}, at {list(self.in_shape)}{' in NHWC' * (self.layout == 'NHWC')}"

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogue names that fit, each once, the best-known first."""
        return tuple(dict.fromkeys(match.name for match in (*self.matches, *self.also)))

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Stride, groups and the like of the names: of each parameter the first value that fits."""
        values: dict[str, ParameterValue] = {}
        for match in (*self.matches, *self.also):
            for name, value in match.parameters.items():
                values.setdefault(name, value)
        return values

    @property
    def is_not(self) -> tuple[str, ...]:
        """Well-known names of the same shapes that it is not: of a name's at its parameters, of others at any."""
        if self.matches and self.matches[0].parameters:
            return _others(self.matches[0])
        if self.digits is None or self.out_shape is None:
            return ()
        if len(self.digits) < 2 and self.in_shape == self.out_shape:  # it is what it was
            return ()
        return usual_others(self.digits, self.in_shape, self.out_shape)

    @property
    def is_permutation(self) -> bool:
        """Whether every element of the input arrives once, unchanged."""
        return self.kind == "permutation"

    def explain(self) -> str:
        """The answer in a few lines: what it is, at which parameters, what this shape cannot tell apart."""
        lines: list[str] = []
        if self.matches:
            around = f", {self.wrapping.words}" if self.wrapping.words else ""
            second = f" and {list(self.second_shape)}" if self.second_shape else ""
            named = ", ".join(str(match) for match in self.matches)
            lines.append(f"at shape {list(self.in_shape)}{second}{around}: {named}")
            if self.also:
                lines.append(f"with nothing around it: {', '.join(map(str, self.also))}")
            lines += _undecided(self.matches)
        elif self.is_permutation:
            lines.append("no catalogue name fits")
        if self.is_not:
            lines.append(f"not {', '.join(self.is_not[:_SHOWN])}: the same shapes, other elements")
        if self.pattern is not None:
            lines.append(f"pattern: {self.pattern}")
        lines.append(self.reason)
        return "\n".join(lines)


def _undecided(fitting: Sequence[Match]) -> list[str]:
    """A line for each name that fits here and is another map elsewhere: the shape that would tell."""
    lines = []
    first = fitting[0]
    for match in fitting[1:]:
        verdict = prove(first.op, match.op)
        if not verdict.equal and verdict.counterexample is not None:
            shape = list(verdict.counterexample.shape)
            lines.append(f"this shape cannot tell {match} from {first}: they differ at {shape}")
    return lines


def _others(match: Match) -> tuple[str, ...]:
    """The names that give the same shapes and other elements at the same parameters."""
    return _others_at(revision(), match.name, tuple(match.parameters.items()))


@lru_cache(maxsize=256)
def _others_at(_: int, name: str, parameters: tuple[tuple[str, ParameterValue], ...]) -> tuple[str, ...]:
    """The same of a match by its parts, for the catalogue at a revision."""
    match = Match(name, dict(parameters))
    found = match.op
    others = []
    for entry in catalog().values():
        if set(entry.forms[0].letters) != set(match.parameters):
            continue
        try:
            other = entry.build(**match.parameters)
        except LayoutBridgeError:
            continue
        if (other.in_shape, other.result_shape) == (found.in_shape, found.result_shape) and other != found:
            others.append(entry.name)
    return tuple(others)
