"""The pattern notation: einops', and a bar where digits cross the tensor's own axes.

Plain: `c (h p) (w q) -> (p q c) h w` with p=2, q=2. A name is a digit, parentheses say which digits share an
axis, the right side is the order of writing. A digit may carry its size, `c (h p:s) (w q:s) -> ...`, and known
lengths may follow the pattern: `..., s=2`.

With a bar, a side names its axes and its digits apart: `axes | digits -> digits | axes`. A digit is `name:size`
and sizes are products and quotients of axis lengths, parameters and integers (`*`, `/`, `^`). Darknet's reorg:

    C H W | c:C/s^2 h:H p:s w:W q:s -> p q c h w | C*s^2 H/s W/s        with s=2

which reads: take the flat [C, H, W] as digits c h p w q of those sizes, write them as p q c h w, and call the
result [C*s^2, H/s, W/s]. A leading batch axis is never written: every operation leaves it alone.

On the right a digit may be read backwards, `w[::-1]`, or in an order, `g[0 2 3 1]`, which tells its size, too: the
gates i o f c of an LSTM become i f c o by `(g d) k -> (g[0 2 3 1] d) k`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.readings import PLAIN, REVERSED, Reading, as_reading
from layoutbridge.algebra.sizes import ONE, Domain, Size, product, whole_conditions
from layoutbridge.errors import ParameterError, PatternError, shown

LARGEST = 2**63 - 1
_LONGEST_PATTERN = 4096  # characters: far more than an array's 64 axes need
_SIZE_BITS = 4096  # of a size's coefficient, 2^63 to the 64th power
_TOKEN = re.compile(r"\s*(->|[()|]|[^\s()|]+?(?=->|[\s()|]|$))")
_READ = re.compile(r"([^\s()|\[\]]*)\[([^\[\]]*)\]")
_BACKWARDS = re.compile(r"\s*::\s*-\s*1\s*")
_FACTOR = re.compile(r"([*/]?)(\w+)(?:\^(\w+))?")


@dataclass(frozen=True, slots=True)
class ParsedPattern:
    """What a pattern says: axis names and sizes, which shapes fit, the digits by name and their order, the result."""

    axes: tuple[str, ...]
    in_shape: tuple[Size, ...]
    out_shape: tuple[Size, ...]
    digits: tuple[str, ...]
    step: DigitStep
    domain: Domain


def whole_number(value: object, what: str) -> int:
    """`value` as an int from 1 to 2**63 - 1, or a `ParameterError` that names `what`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{what} must be a whole number, not {shown(value)}") from None
    if isinstance(value, bool) or not 1 <= number <= LARGEST:
        raise ParameterError(f"{what} must be between 1 and 2^63 - 1, not {shown(value)}")
    return number


def parse_pattern(pattern: str, lengths: Mapping[str, object]) -> ParsedPattern:
    """Read `pattern`, with `lengths` for the digits, axes and parameters that have a given value.

    Raises `PatternError` for a pattern that cannot be read or is no permutation, and `ParameterError` for a
    length that is unusable or belongs to nothing in the pattern.
    """
    if not isinstance(pattern, str):
        raise PatternError(f"a pattern is text such as 'c (h p) (w q) -> (p q c) h w', not {shown(pattern)}")
    if len(pattern) > _LONGEST_PATTERN:
        raise PatternError(f"a pattern of {len(pattern)} characters is too long: at most {_LONGEST_PATTERN} are read")
    pattern, *assignments = pattern.split(",")
    given: dict[str, int] = {}
    for name, value in [*(_assignment(text) for text in assignments), *lengths.items()]:
        number = whole_number(value, f"{name} in the pattern {_quoted(pattern)}")
        if given.setdefault(name, number) != number:
            raise ParameterError(f"{name} is given twice, as {given[name]} and as {number}: give it once")
    try:
        return _Reader(given).read(pattern)
    except PatternError as error:
        raise PatternError(f"{_cut(str(error))}, in the pattern {_quoted(pattern)}") from None


def _assignment(text: str) -> tuple[str, int]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name.isidentifier() or not (value.isascii() and value.isdigit() and len(value) <= 19):
        raise PatternError(f"{_quoted(text.strip())} behind the pattern's comma is not of the form name=length")
    return name, int(value)


def _quoted(text: str) -> str:
    return f"'{_cut(text)}'" if len(text) <= 200 else f"'{_cut(text)}' ({len(text)} characters)"


def _cut(text: str) -> str:
    """The start of `text` on one line, without what a terminal cannot show."""
    plain = "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text[:200])
    return plain if len(text) <= 200 else f"{plain}..."


class _Reader:
    """Reads one pattern; holds the sizes of the names met so far."""

    def __init__(self, given: Mapping[str, int]) -> None:
        self.given = dict(given)
        self.used: set[str] = set()
        self.sizes: dict[str, Size] = {}

    def read(self, pattern: str) -> ParsedPattern:
        asked = set(self.given)
        left, right = _split(pattern, "->", "an arrow '->' must stand between the two sides")
        right, orders = _orders(right)
        for name, order in orders.items():
            if order is not None and self.given.setdefault(name, len(order)) != len(order):
                raise PatternError(f"{name} has {self.given[name]} values, and its order lists {len(order)}")
        axes_text, digits_text = _halves(left)
        target_digits_text, target_axes_text = _halves(right, digits_first=True)
        if digits_text is None:
            axes, in_shape, digits = self._source_groups(axes_text or "")
        else:
            axes, in_shape, digits = self._source_view(axes_text or "", digits_text)
        written = self._target_digits(target_digits_text or "")
        names = [name for group in written for name in group]
        _refuse_difference(digits, names)
        self._refuse_other_sizes(orders)
        if target_axes_text is None:
            out_shape = tuple(product([self.sizes[name] for name in group]) for group in written)
        else:
            out_shape = tuple(self._expression(text) for text in _flat_tokens(target_axes_text, "axes"))
            if not out_shape:
                raise PatternError("the axes behind the bar are missing")
            self._refuse_other_count(out_shape, in_shape, "the axes on the right", axes)
        unused = sorted(asked - self.used)
        if unused:
            names_given = ", ".join(unused)
            raise ParameterError(f"a length is given for {names_given}, which the pattern {_quoted(pattern)} lacks")
        digit_sizes = tuple(self.sizes[name] for name in digits)
        whole = self._whole([*digit_sizes, *in_shape, *out_shape])
        fixed = tuple((k, int(s.coefficient)) for k, s in enumerate(in_shape) if s.is_constant)
        readings = tuple(_reading(orders, name) for name in digits) if orders else ()
        step = DigitStep(digit_sizes, tuple(digits.index(name) for name in names), readings)
        return ParsedPattern(axes, in_shape, out_shape, tuple(digits), step, Domain(len(axes), whole, fixed))

    def _source_groups(self, text: str) -> tuple[tuple[str, ...], tuple[Size, ...], list[str]]:
        groups = [[token.partition(":") for token in group] for group in _groups(text, sized=True)]
        in_shape: list[Size] = []
        telling: list[str | None] = []
        for position, group in enumerate(groups):
            known = {
                name: self._expression(size) if colon else self._given(name)
                for name, colon, size in group
                if colon or name in self.given
            }
            unknown = [name for name, _, _ in group if name not in known]
            held = product(list(known.values()))
            if len(unknown) > 1:
                raise PatternError(
                    f"the axis ({' '.join(name for name, _, _ in group)}) has {len(unknown)} digits of unknown size: "
                    f"give a length for all but one of {', '.join(unknown)}"
                )
            for name, _, _ in group:
                self._refuse_repeat(name)
                self.sizes[name] = known.get(name, Size.axis(position) / held)
            in_shape.append(Size.axis(position) if unknown else held)
            telling.append(unknown[0] if unknown else None)
        names = [[name for name, _, _ in group] for group in groups]
        return _axis_names(names, telling), tuple(in_shape), [name for group in names for name in group]

    def _source_view(self, axes_text: str, digits_text: str) -> tuple[tuple[str, ...], tuple[Size, ...], list[str]]:
        axes = tuple(_flat_tokens(axes_text, "axes"))
        if not axes:
            raise PatternError("the axes before the bar are missing")
        in_shape: list[Size] = []
        for position, name in enumerate(axes):
            _refuse_other_than_name(name)
            self._refuse_repeat(name)
            size = self._given(name) if name in self.given else Size.axis(position)
            self.sizes[name] = size
            in_shape.append(size)
        lengths_of_axes = dict(self.sizes)
        digits: list[str] = []
        inferred: str | None = None
        for token in _flat_tokens(digits_text, "digits"):
            name, colon, expression = token.partition(":")
            _refuse_other_than_name(name)
            if name in digits:
                raise PatternError(f"the digit {name} is repeated")
            digits.append(name)
            if colon:
                size = self._expression(expression)
            elif name in lengths_of_axes:
                size = lengths_of_axes[name]
            elif name in self.given:
                size = self._given(name)
            elif inferred is None:
                inferred = name
                continue
            else:
                raise PatternError(f"the sizes of {inferred} and {name} are both unknown: write one as {name}:size")
            if lengths_of_axes.get(name, size) != size:
                raise PatternError(f"{name} names both an axis and a digit of another size")
            self.sizes[name] = size
        held = product(in_shape)
        if inferred is not None:
            self.sizes[inferred] = held / product([self.sizes[name] for name in digits if name != inferred])
        self._refuse_other_count([self.sizes[name] for name in digits], in_shape, "the digits on the left", axes)
        return axes, tuple(in_shape), digits

    def _target_digits(self, text: str) -> list[list[str]]:
        groups = _groups(text)
        seen: set[str] = set()
        for name in (name for group in groups for name in group):
            if name in seen:
                raise PatternError(f"the axis {name} is repeated on the right")
            seen.add(name)
        return groups

    def _expression(self, text: str) -> Size:
        position, size = 0, ONE
        while position < len(text):
            match = _FACTOR.match(text, position)
            if match is None or (position == 0) != (match[1] == ""):
                raise PatternError(f"the size '{text}' is not a product or quotient of names and integers")
            factor, exponent = self._term(match[2]), 1
            if match[3]:
                power = self._term(match[3])
                if not power.is_constant or power.coefficient > 64:
                    raise PatternError(f"the exponent in '{text}' must be a small integer")
                exponent = int(power.coefficient)
            for _ in range(exponent):
                size = size / factor if match[1] == "/" else size * factor
            held = size.coefficient
            if max(held.numerator.bit_length(), held.denominator.bit_length()) > _SIZE_BITS:
                raise PatternError("a size is too large to work with")
            position = match.end()
        if not text:
            raise PatternError("a size is missing after ':'")
        return size

    def _term(self, text: str) -> Size:
        if text.isascii() and text.isdigit():
            if len(text) > 19 or not 1 <= int(text) <= LARGEST:
                raise PatternError(f"the number {text[:40]} is not between 1 and 2^63 - 1")
            return Size.constant(int(text))
        if text in self.sizes:
            self.used.add(text)
            return self.sizes[text]
        if text in self.given:
            return self._given(text)
        raise PatternError(f"the name {text} has no size: it is no axis, and no length is given for it")

    def _given(self, name: str) -> Size:
        self.used.add(name)
        return Size.constant(self.given[name])

    def _refuse_other_sizes(self, orders: Mapping[str, Sequence[int] | None]) -> None:
        for name, order in orders.items():
            if order is not None and self.sizes[name] != Size.constant(len(order)):
                raise PatternError(f"the order of {name} lists {len(order)} values, and its size is another")

    def _refuse_repeat(self, name: str) -> None:
        if name in self.sizes:
            raise PatternError(f"the axis {name} is repeated on the left")

    def _refuse_other_count(
        self, sizes: Sequence[Size], in_shape: Sequence[Size], what: str, axes: Sequence[str]
    ) -> None:
        held, wanted = product(sizes), product(in_shape)
        if held != wanted:
            raise PatternError(
                f"{what} hold {held.format(axes)} elements and the axes on the left {wanted.format(axes)}"
            )

    def _whole(self, sizes: Sequence[Size]) -> frozenset[Size]:
        for size in sizes:
            if size.is_constant and size.coefficient.denominator != 1:
                raise PatternError(f"a size would be {Fraction(size.coefficient)}, which is not a whole number")
        return whole_conditions(sizes)


def _split(text: str, mark: str, complaint: str) -> tuple[str, str]:
    parts = text.split(mark)
    if len(parts) != 2:
        raise PatternError(f"{complaint}, and there are {len(parts) - 1}")
    return parts[0], parts[1]


def _orders(side: str) -> tuple[str, dict[str, tuple[int, ...] | None]]:
    """The side without its brackets [ ], and what they say of a digit: the order of its values, None for backwards."""
    orders: dict[str, tuple[int, ...] | None] = {}

    def read(match: re.Match[str]) -> str:
        name, text = match[1], match[2]
        _refuse_other_than_name(name)
        if name in orders:
            raise PatternError(f"the axis {name} is repeated on the right")
        orders[name] = None if _BACKWARDS.fullmatch(text) else _values(name, text)
        return f"{name} "

    plain = _READ.sub(read, side)
    if "[" in plain or "]" in plain:
        raise PatternError("square brackets are unbalanced: a digit is read as in w[::-1] or g[0 2 3 1]")
    return plain, orders


def _values(name: str, text: str) -> tuple[int, ...]:
    words = text.split()
    if not words or not all(word.isascii() and word.isdigit() and len(word) <= 19 for word in words):
        raise PatternError(f"'{name}[{text}]' is read neither backwards, [::-1], nor in an order, [0 2 3 1]")
    values = tuple(map(int, words))
    if sorted(values) != list(range(len(values))):
        raise PatternError(f"the order of {name} must have each of 0 to {len(values) - 1} once, not {text.strip()}")
    return values


def _reading(orders: Mapping[str, tuple[int, ...] | None], name: str) -> Reading:
    if name not in orders:
        return PLAIN
    order = orders[name]
    return REVERSED if order is None else as_reading(order)


def _halves(side: str, *, digits_first: bool = False) -> tuple[str | None, str | None]:
    """A side without a bar is all groups: (groups, None)."""
    if "|" not in side:
        return side, None
    where = "right" if digits_first else "left"
    return _split(side, "|", f"at most one bar '|' may stand on the {where}")


def _tokens(text: str) -> list[str]:
    return [match[1] for match in _TOKEN.finditer(text)]


def _flat_tokens(text: str, what: str) -> list[str]:
    tokens = _tokens(text)
    for token in tokens:
        if token in "()":
            raise PatternError(f"brackets have no place among the {what} beside a bar")
    return tokens


def _groups(text: str, *, sized: bool = False) -> list[list[str]]:
    """The axes of a plain side, each the list of its digits; `1` and `()` are axes of length one."""
    groups: list[list[str]] = []
    inside: list[str] | None = None
    for token in _tokens(text):
        if token == "(":
            if inside is not None:
                raise PatternError("brackets are nested: one level is all there is")
            inside = []
        elif token == ")":
            if inside is None:
                raise PatternError("brackets are unbalanced: ')' closes nothing")
            groups.append(inside)
            inside = None
        else:
            names = [] if token == "1" else [token]
            for name in names:
                _refuse_other_than_name(name.partition(":")[0] if sized else name)
            if inside is None:
                groups.append(names)
            else:
                inside.extend(names)
    if inside is not None:
        raise PatternError("brackets are unbalanced: '(' is never closed")
    if not groups:
        raise PatternError("a side of the arrow is empty")
    return groups


def _refuse_other_than_name(token: str) -> None:
    if "..." in token or "…" in token:
        raise PatternError("an ellipsis is not needed: a leading batch axis is always left alone")
    if not token.isidentifier():
        raise PatternError(f"'{token}' is not a name (letters, digits and underscores; an axis of length 1 is '1')")


def _refuse_difference(digits: Sequence[str], names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in digits]
    if unknown:
        raise PatternError(f"{', '.join(unknown)} on the right is unknown on the left")
    lost = [name for name in digits if name not in names]
    if lost:
        raise PatternError(f"{', '.join(lost)} on the left is missing on the right: a permutation drops nothing")


def _axis_names(groups: Sequence[Sequence[str]], telling: Sequence[str | None]) -> tuple[str, ...]:
    """A name for each axis: its digit of unknown size, else its first, one letter in capitals: (p:2 c) is C."""
    plain = ["_".join(group) or f"one{position}" for position, group in enumerate(groups)]
    leading = [name or (group[0] if group else "") for group, name in zip(groups, telling, strict=True)]
    short = [letter.upper() if len(letter) == 1 else name for letter, name in zip(leading, plain, strict=True)]
    return distinct_names(short if len(set(short)) == len(short) else plain)


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with underscores behind those that stood before."""
    made: list[str] = []
    for wanted in names:
        name = wanted
        while name in made:
            name += "_"
        made.append(name)
    return tuple(made)


def batch_name(axes: Sequence[str]) -> str:
    """What the batch axis in front of these is called.

    >>> batch_name(("C", "H", "W")), batch_name(("N", "C"))
    ('N', 'batch')
    """
    return distinct_names([*axes, "N" if "N" not in axes else "batch"])[-1]
