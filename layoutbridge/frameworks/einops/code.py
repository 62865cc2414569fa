"""einops: a rearrangement as code to paste, in einops' own notation.

A pattern whose digits lie within the axes is one `rearrange`. Where digits cross the tensor's axes, the tensor is
flattened first and cut into the result's axes at the end. einops has no word for a digit that is read backwards or in
an order, but it takes a list of arrays as an axis, and any array can be asked for its items.
"""

from __future__ import annotations

from collections.abc import Sequence

from layoutbridge.algebra.moves import Shape
from layoutbridge.algebra.readings import REVERSED, Reading, values_read
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size, product, whole_conditions
from layoutbridge.algebra.spelling import SpelledStep, Spelling, groups_of, spelled
from layoutbridge.frameworks.source_text import (
    Bracketed,
    Lengths,
    call,
    docstring,
    fixed_lengths,
    function_name,
    function_text,
    laid_out,
    usable_names,
)

_NOT_DIGITS = ("tensor", "pattern", "axis")  # names of parameters of `rearrange`; einops warns of an axis
_TAKEN = ("rearrange", "reversed", "range", "index", "order", *_NOT_DIGITS)
_LETTERS = tuple("pqrstuvabcdefgijkmowz")
_MOST_LISTED = 4  # items that are told one by one where they are read backwards
_LONGEST_ORDER = 60  # characters of an order inside a comprehension


def write_code(op: Rearrangement, *, batch: bool) -> str:
    """A function of whatever arrays einops takes.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("focus"), batch=True).splitlines()[-1])
        return rearrange(x, "n c (h p) (w q) -> n (q p c) h w", p=2, q=2)
    >>> print(*write_code(op("rgb_to_bgr"), batch=True).splitlines()[-2:], sep="\\n")
        x = [x[:, index] for index in (2, 1, 0)]
        return rearrange(x, "c n h w -> n c h w")
    """
    spelling = spelled(op, batch=batch)
    lengths = Lengths(spelling.axes, _TAKEN)
    body = _Writer(spelling, lengths, batch).body()
    fixed = fixed_lengths(spelling, lengths)
    lines = [*docstring(op), *lengths.unpacked(spelling.in_shape), *fixed, *body]
    return function_text(["from einops import rearrange"], function_name(op, _TAKEN), ["x"], "", lines)


class _Writer:
    """Statements that rearrange `x`, which has the tensor's shape at first, and later that of one flat item."""

    def __init__(self, spelling: Spelling, lengths: Lengths, batch: bool) -> None:
        self._spelling, self._lengths = spelling, lengths
        self._kept = int(batch)  # axes in front that are never flattened
        self._shape: Shape = spelling.in_shape
        self._flat: Shape = (*spelling.in_shape[: self._kept], product(spelling.in_shape[self._kept :]))
        self._statements: list[tuple[str, str | Bracketed]] = []

    def body(self) -> list[str]:
        """All lines, the last of which returns."""
        steps, result = self._spelling.steps, self._spelling.result
        for number, step in enumerate(steps, 1):
            self._step(step, result if number == len(steps) else self._flat)
        if self._shape != result:
            self._cut(result)
        if not self._statements:
            axes = list(map(_token, self._axes(result)))
            self._rearrange(axes, axes, [])
        *before, (_, last) = self._statements
        return [line for start, what in before for line in laid_out(start, what)] + laid_out("return ", last)

    def _step(self, spelled_step: SpelledStep, wanted: Shape) -> None:
        step, names = spelled_step.step, self._digit_names(spelled_step)
        groups = groups_of(step.sizes, self._shape)
        if groups is None:
            self._flatten()
            groups = self._all_in_one(len(names))
        left = [_token([names[digit] for digit in group]) for group in groups]
        told = [size for group in groups for size in self._told(group, names, step.sizes)]
        is_list = False
        for digit in (digit for digit in step.order if step.reading(digit)):
            name = names[digit]
            if is_list or name not in left:
                apart = [name, *(other for other in names if other != name)]
                self._rearrange(left, apart, told)
                left, told = apart, []
            place, others = left.index(name), [token for token in left if token != name]
            index = f"{':, ' * place}index" if others else "index : index + 1"  # an array's item must be an array
            self._read(index, step.reading(digit), step.sizes[digit])
            left, is_list = [name, *(others or ["1"])], True
        written = groups_of(step.written_sizes, wanted)
        self._shape = self._flat if written is None else wanted
        right = [[names[step.order[k]] for k in group] for group in written or self._all_in_one(len(names))]
        self._rearrange(left, list(map(_token, right)), told)

    def _all_in_one(self, count: int) -> list[list[int]]:
        """The digits in one axis, behind those that are never flattened."""
        return [*([axis] for axis in range(self._kept)), list(range(self._kept, count))]

    def _flatten(self) -> None:
        if self._shape != self._flat:
            names = self._axes(self._shape)
            kept, rest = list(map(_token, names[: self._kept])), [name for axis in names[self._kept :] for name in axis]
            self._rearrange(list(map(_token, names)), [*kept, _token(rest)], [])
            self._shape = self._flat

    def _cut(self, result: Shape) -> None:
        """The axes of the result out of one flat item."""
        self._flatten()
        names = self._axes(result)
        sizes = {
            name: size for axis, size in zip(names[self._kept :], result[self._kept :], strict=True) for name in axis
        }
        told = self._told(list(range(len(sizes))), list(sizes), list(sizes.values()))
        left = [*map(_token, names[: self._kept]), _token([*sizes])]
        self._rearrange(left, list(map(_token, names)), told)
        self._shape = result

    def _told(self, group: Sequence[int], names: Sequence[str], sizes: Sequence[Size]) -> list[str]:
        """The sizes in a group that einops must be told: all but one, or all where several might be rounded."""
        if len(group) < 2:
            return []
        rounded = [digit for digit in group if whole_conditions([sizes[digit]])]
        left_out = rounded or [digit for digit in group if not sizes[digit].is_constant] or group[:1]
        told = group if len(rounded) > 1 else [digit for digit in group if digit != left_out[0]]
        return [f"{names[digit]}={self._lengths(sizes[digit])}" for digit in told]

    def _read(self, index: str, reading: Reading, size: Size) -> None:
        """`x` as a list of its items at `index`, which einops takes for an axis in front."""
        if reading == REVERSED and not (size.is_constant and size.coefficient <= _MOST_LISTED):
            values = f"reversed(range({self._lengths(size)}))"
        else:
            items = tuple(map(str, values_read(reading, int(size.coefficient)).tolist()))
            order = Bracketed("(", items, ")", display=True)
            values = str(order)
            if len(values) > _LONGEST_ORDER:
                self._statements.append(("order = ", order))
                values = "order"
        self._statements.append(("x = ", f"[x[{index}] for index in {values}]"))

    def _rearrange(self, left: Sequence[str], right: Sequence[str], told: Sequence[str]) -> None:
        pattern = f'"{" ".join(left)} -> {" ".join(right)}"'
        self._statements.append(("x = ", call("rearrange", "x", pattern, *told)))

    def _digit_names(self, spelled_step: SpelledStep) -> tuple[str, ...]:
        if spelled_step.names:
            return usable_names(spelled_step.names, _NOT_DIGITS)
        return self._names_for(spelled_step.step.sizes)

    def _axes(self, shape: Shape) -> list[list[str]]:
        """A name for each axis of a shape, in a list; an axis of length 1 needs none."""
        if shape == self._spelling.in_shape:
            names: Sequence[str] = self._lengths.names
        else:
            names = self._names_for(shape)
        return [[] if size.is_one else [name] for size, name in zip(shape, names, strict=True)]

    def _names_for(self, sizes: Sequence[Size]) -> tuple[str, ...]:
        """The name of an axis for what is a part or a multiple of its length, else the next letter."""
        names: list[str] = []
        for size in sizes:
            own = "" if size.single_axis is None else self._lengths.names[size.single_axis]
            free = (letter for letter in _LETTERS if letter not in {*names, *self._lengths.names})
            names.append(own if own and own not in names else next(free, f"d{len(names)}"))
        return tuple(names)


def _token(names: Sequence[str]) -> str:
    """An axis of these digits."""
    if len(names) == 1:
        return names[0]
    return f"({' '.join(names)})" if names else "1"
