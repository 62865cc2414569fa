"""What is this permutation? Any callable, layer, table or file, answered with catalogue names and digits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.factorization import Factorization, factorize, table_array
from layoutbridge.algebra.pattern import LARGEST, whole_number
from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import unravel
from layoutbridge.errors import ParameterError, ShapeError
from layoutbridge.recognition.calling import as_array_function
from layoutbridge.recognition.loading import load_target
from layoutbridge.recognition.naming import Match, matches
from layoutbridge.recognition.recover import Behaviour, Recovered, recover

Kind = Literal[
    "permutation", "drops or repeats", "depends on values", "depends on sign", "changes values", "changes shape"
]
_SHOWN = 4
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Identification:
    """What a target does at one shape.

    `names` are all catalogue names that fit, empty where none does; `matches` the same with each name's
    parameters, `parameters` the parameters together. `pattern` writes the map down, as the first match has it, else
    from its digits; None where there are no digits. `layout` is NHWC where the names fit the tensor read as
    channels last. `table` is the int64 gather table, None where values are changed.
    """

    kind: Kind
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...] | None
    matches: tuple[Match, ...]
    pattern: str | None
    layout: Literal["NCHW", "NHWC"]
    reason: str
    table: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogue names that fit, each once, in the catalogue's order."""
        return tuple(dict.fromkeys(match.name for match in self.matches))

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Stride, groups and the like of the names: of each parameter the first value that fits."""
        values: dict[str, ParameterValue] = {}
        for match in self.matches:
            for name, value in match.parameters.items():
                values.setdefault(name, value)
        return values

    @property
    def is_permutation(self) -> bool:
        """Whether every element of the input arrives once, unchanged."""
        return self.kind == "permutation"

    def explain(self) -> str:
        """The answer in a few lines: what it is, at which parameters, what this shape cannot tell apart."""
        lines: list[str] = []
        if self.matches:
            seen = "" if self.layout == "NCHW" else ", the tensor read as channels last"
            lines.append(f"at shape {list(self.in_shape)}{seen}: {', '.join(str(match) for match in self.matches)}")
            lines += _undecided(self.matches)
        elif self.is_permutation:
            lines.append("no catalogue name fits")
        if self.pattern is not None:
            lines.append(f"pattern: {self.pattern}")
        lines.append(self.reason)
        return "\n".join(lines)


def identify(target: object, shape: Sequence[int] | None = None) -> Identification:
    """Find the catalogue names of `target`.

    `target` is a callable (called with a NumPy array, or with a tensor of the framework that it is made for, as an
    `nn.Module` is), a `Rearrangement`, a table of integers with `out.ravel()[i] == x.ravel()[table.ravel()[i]]`, or
    text: the path of a table (.npy, .csv, .json) or of a model's file, `module:callable` or `file.py:callable`,
    which runs that file. `shape` is the input's, [N, C, H, W] or [C, H, W]; a table of other than one dimension is
    taken to have the result's shape. Something that runs but is no permutation is an answer, not an error.
    Raises `ParameterError` (a callable without a shape), `ShapeError` and `UnusableInputError`.

    >>> def port(x):
    ...     n, c, h, w = x.shape
    ...     return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)
    >>> identify(port, (1, 64, 26, 26)).names
    ('space_to_depth_crd', 'pixel_unshuffle')
    """
    if isinstance(target, str | os.PathLike):
        target = load_target(target)
    if isinstance(target, Rearrangement):
        wanted = _checked_shape(shape, "a rearrangement")
        return _from_table(target.table(wanted), wanted, target.out_shape(wanted))
    if callable(target):
        return _from_callable(target, _checked_shape(shape, "a callable"))
    table: Any = target
    array = table_array(table)
    in_shape = (array.size,) if shape is None else _checked_shape(shape, "a table")
    return _from_table(array, in_shape, array.shape if array.ndim > 1 else None)


def _checked_shape(shape: Sequence[int] | None, what: str) -> tuple[int, ...]:
    if shape is None:
        raise ParameterError(f"{what} is identified at one shape: give shape=(1, 64, 26, 26), or --shape 1,64,26,26")
    try:
        lengths = tuple(whole_number(length, f"every length in shape {tuple(shape)}") for length in shape)
    except TypeError:
        raise ShapeError(f"a shape is a list of whole numbers, not {shape!r}") from None
    if not lengths or prod(lengths) > LARGEST:
        raise ShapeError(f"shape {lengths} must have from 1 to 2^63 - 1 elements")
    return lengths


def _from_callable(target: Callable[..., Any], shape: tuple[int, ...]) -> Identification:
    run, dtype = as_array_function(target)
    found = recover(run, shape, dtype)
    if found.table is None:
        return Identification(_kind(found.behaviour), shape, found.out_shape, (), None, "NCHW", _behaviour_text(found))
    return _from_table(found.table, shape, found.out_shape)


def _kind(behaviour: Behaviour) -> Kind:
    return "permutation" if behaviour == "moves elements" else behaviour


def _behaviour_text(found: Recovered) -> str:
    return f"no permutation: it {found.behaviour} ({found.detail})"


def _from_table(table: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> Identification:
    total = prod(shape)
    if table.size != total:
        return _no_permutation(table, shape, out_shape)
    found = factorize(table)
    flat = table.reshape(-1)
    if not found.is_permutation:
        return _no_permutation(table, shape, out_shape, found)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    reason = found.reason
    fitting = () if found.digits is None else matches(found.digits, shape, out_shape)
    if not fitting and len(shape) == 4 and (out_shape is None or len(out_shape) == 4):
        fitting, seen_so = _channels_last_matches(flat, shape, out_shape)
        if fitting:
            layout, reason = "NHWC", f"channels first it is {seen_so}"
    if fitting:
        pattern: str | None = fitting[0].op.pattern
    else:
        pattern = None if found.digits is None else _pattern(found, shape, out_shape)
    return Identification("permutation", shape, out_shape, fitting, pattern, layout, reason, flat)


def _channels_last_matches(
    flat: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> tuple[tuple[Match, ...], str]:
    """The names that fit when [N, H, W, C] is what the tensor holds, on both sides; and what the digits are then."""
    if out_shape is None:
        return (), ""
    n, h, w, c = shape
    positions = np.arange(flat.size).reshape(n, c, h, w).transpose(_TO_LAST).reshape(-1)  # channels-first position
    seen = positions[flat].reshape(out_shape).transpose(_TO_FIRST)
    found = factorize(seen)
    return () if found.digits is None else matches(found.digits, (n, c, h, w), seen.shape), found.reason


def _pattern(found: Factorization, shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> str:
    """The digits as a pattern on the tensor's own axes, at this one shape."""
    flat = found.rearrangement
    assert flat is not None
    names = ("N", "C", "H", "W")[-len(shape) :] if len(shape) in (3, 4) else tuple(f"x{k}" for k in range(len(shape)))
    sizes = tuple(Size.constant(length) for length in shape)
    result = tuple(Size.constant(length) for length in out_shape or (prod(shape),))
    step = flat.steps[0] if flat.steps else DigitStep((Size.constant(prod(shape)),), (0,))
    domain = Domain(len(shape), fixed=tuple(enumerate(shape)))
    return Rearrangement._from_parts(names, sizes, result, [step], domain).pattern


def _no_permutation(
    table: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...] | None, found: Factorization | None = None
) -> Identification:
    """An answer for a table that drops, repeats or leaves the tensor."""
    flat, total = table.reshape(-1), prod(shape)
    if found is not None and found.problem == "out of range":
        return Identification(
            "drops or repeats", shape, out_shape, (), None, "NCHW", f"no permutation: {found.reason}", flat
        )
    inside = flat[(flat >= 0) & (flat < total)]
    counts = (
        np.bincount(inside.astype(np.intp, copy=False), minlength=total) if total <= 2**31 else np.zeros(0, np.intp)
    )
    lost, repeated = np.flatnonzero(counts == 0), np.flatnonzero(counts > 1)
    parts = []
    if flat.size != total:
        parts.append(f"its result has {flat.size} elements for an input of {total}")
    if inside.size != flat.size:
        parts.append(f"{flat.size - inside.size} entries point outside the input")
    if lost.size:
        parts.append(f"it drops {lost.size} of {total} elements, first {_places(lost, shape)}")
    if repeated.size:
        parts.append(f"it repeats {repeated.size}, first {_places(repeated, shape)}")
    reason = f"no permutation: {'; '.join(parts)}"
    return Identification("drops or repeats", shape, out_shape, (), None, "NCHW", reason, flat)


def _places(positions: NDArray[Any], shape: tuple[int, ...]) -> str:
    return ", ".join(str(list(unravel(int(position), shape))) for position in positions[:_SHOWN])


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
