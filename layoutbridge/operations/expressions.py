"""Operations as people write them: a name, a pattern, an inverse, or several of these one after another.

    expression := term (" then " term)*
    term       := name | name(parameter=value, ...) | inverse(expression) | 'pattern in quotes' | pattern

`pixel_unshuffle(stride=2) then inverse(focus)`. Values are as in `operations/written.py`. The text may be hostile: its
length, its terms and the inverses in one another are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import reduce

from layoutbridge.algebra.proof import IDENTITY
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import LayoutBridgeError, ParameterError, PatternError, UnknownNameError, shown
from layoutbridge.operations.catalog import entry
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import NOTHING
from layoutbridge.operations.written import written_value

_INVERSE = "inverse"
_LONGEST = 16384  # characters
_MOST_TERMS = 32
_DEEPEST = 16
_CALL = re.compile(r"([^\W\d]\w*)\s*\(")
_THEN = re.compile(r"(?<=\s)then(?=\s|$)|^then(?=\s)")
_ASSIGNED = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)

ChooseParameters = Callable[[CatalogEntry], Mapping[str, ParameterValue]]


def _nothing(_: CatalogEntry) -> Mapping[str, ParameterValue]:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Term:
    """An entry at some parameters, a pattern, or the inverse of an expression: one of the three."""

    entry: CatalogEntry | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: NOTHING)
    pattern: str = ""
    inverted: Expression | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """Terms, the first of which is done first, and the text that they were read from."""

    text: str
    terms: tuple[Term, ...]

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        """The entries that are named, also within inverses, in the order of the text."""
        return tuple(_entries(self))

    def build(self, choose: ChooseParameters = _nothing) -> Rearrangement:
        """The rearrangement that is meant; `choose` says what an entry's parameters are where the text does not.

        The entry `identity` takes the rank of what stands beside it. Raises `PatternError`, `ParameterError` and
        `ShapeError`.

        >>> read_expression("pixel_unshuffle(stride=2) then inverse(pixel_unshuffle)").build().is_identity
        True
        """
        if all(term.pattern for term in self.terms):
            return Rearrangement(" then ".join(term.pattern for term in self.terms))
        made = [_built(term, choose) for term in self.terms]
        moving = [each for each in made if each.name != IDENTITY] or made[:1]
        return reduce(Rearrangement.then, moving[1:], moving[0])

    def steps(self, choose: ChooseParameters = _nothing) -> tuple[tuple[str, Rearrangement], ...]:
        """Each term, the first of which is done first, behind what reports call it; the entry `identity` is no step.

        >>> [title for title, _ in read_expression("focus then inverse(space_to_depth)").steps()]
        ['focus (stride 2)', 'inverse of space_to_depth (stride 2)']
        """
        made = [_step(term, choose) for term in self.terms]
        return tuple(step for step in made if step[1].name != IDENTITY) or (made[0],)

    def title(self, made: Rearrangement) -> str:
        """What reports call it: the label of a single name or pattern, else the text."""
        return made.label if made.name or all(term.pattern for term in self.terms) else " ".join(self.text.split())


def read_expression(text: str) -> Expression:
    """Read `text`; raises `PatternError`, `UnknownNameError` and `ParameterError`, with the place in longer texts.

    >>> [entry.name for entry in read_expression("inverse(focus(stride=4) then nchw_to_nhwc)").entries]
    ['focus', 'nchw_to_nhwc']
    """
    if not isinstance(text, str):
        raise PatternError(f"a name or a pattern is text, not {shown(text)}")
    if len(text) > _LONGEST:
        raise PatternError(f"an expression of {len(text)} characters is too long: at most {_LONGEST} are read")
    return _Reader(text).read()


class _Reader:
    """Reads one text; counts the terms met so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.terms = 0
        self.depths: list[int] = []  # how many brackets are open before each character; none closes within quotes
        self.quoted: list[bool] = []
        depth, quote = 0, ""
        for char in text:
            self.depths.append(depth)
            self.quoted.append(bool(quote))
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            else:
                depth += (char == "(") - (char == ")")

    def read(self) -> Expression:
        return self._expression(0, len(self.text), 0)

    def _expression(self, start: int, end: int, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise self._error(PatternError, f"more than {_DEEPEST} inverses lie in one another", start)
        terms = tuple(self._term(*place, depth) for place in self._pieces(start, end))
        return Expression(self.text[start:end].strip(), terms)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the terms between `then` stand, that of no bracket and no quotes."""
        piece = start
        for found in _THEN.finditer(self.text[start:end]):
            if self._is_outside(start, start + found.start()):
                yield piece, start + found.start()
                piece = start + found.end()
        yield piece, end

    def _is_outside(self, start: int, place: int) -> bool:
        """Whether no bracket and no quote that opens from `start` on is open at `place`."""
        return not self.quoted[place] and self.depths[place] <= self.depths[start]

    def _term(self, start: int, end: int, depth: int) -> Term:
        self.terms += 1
        self._refuse_many(start)
        start += len(self.text[start:end]) - len(self.text[start:end].lstrip())
        end = start + len(self.text[start:end].rstrip())
        piece = self.text[start:end]
        if not piece:
            raise self._error(PatternError, "a name or a pattern is missing", start)
        if piece[0] in "'\"":
            return self._quoted(start, end)
        call = _CALL.match(piece)
        if call and self._closing(start + call.end() - 1, end) == end - 1:
            inside = start + call.end(), end - 1
            if call[1] == _INVERSE:
                return Term(inverted=self._inverted(*inside, depth))
            found = self._entry(call[1], start)
            return Term(found, self._parameters(found, *inside))
        if "->" in piece:
            return self._pattern(piece, start)
        if call:
            raise self._error(PatternError, "a bracket is not closed, or something follows it", start + call.end() - 1)
        if any(char.isspace() or char in "()|" for char in piece):
            Rearrangement(piece)  # which says what is wrong with it
        return Term(self._entry(piece, start))

    def _quoted(self, start: int, end: int) -> Term:
        piece = self.text[start:end]
        closing = piece.find(piece[0], 1)
        if closing < 0:
            raise self._error(PatternError, "a quote is not closed", start)
        if closing != len(piece) - 1:
            raise self._error(PatternError, "'then' must stand between two terms", start + closing + 1)
        if "->" not in piece:
            raise self._error(PatternError, f"{shown(piece[1:-1])} in quotes is no pattern: it has no '->'", start)
        return self._pattern(piece[1:-1], start)

    def _pattern(self, piece: str, start: int) -> Term:
        self.terms += piece.count(" then ")
        self._refuse_many(start)
        return Term(pattern=piece)

    def _refuse_many(self, start: int) -> None:
        if self.terms > _MOST_TERMS:
            raise self._error(PatternError, f"more than {_MOST_TERMS} terms are too many", start)

    def _closing(self, start: int, end: int) -> int:
        """Where the bracket that opens at `start` closes; -1 where it does not."""
        places = (place for place in range(start + 1, end) if self.text[place] == ")" and not self.quoted[place])
        return next((place for place in places if self.depths[place] == self.depths[start] + 1), -1)

    def _inverted(self, start: int, end: int, depth: int) -> Expression:
        inside = self.text[start:end]
        if "->" not in inside and (comma := self._comma(start, end)) is not None:
            told = "inverse takes one expression: the parameters go to the name in it, as in inverse(focus(stride=2))"
            raise self._error(PatternError, told, comma)
        return self._expression(start, end, depth + 1)

    def _comma(self, start: int, end: int) -> int | None:
        commas = (place for place in range(start, end) if self.text[place] == ",")
        return next((place for place in commas if self._is_outside(start, place)), None)

    def _entry(self, name: str, place: int) -> CatalogEntry:
        try:
            return entry(name)
        except UnknownNameError as error:
            if name == self.text.strip():
                raise
            raise self._error(UnknownNameError, str(error), place) from None

    def _parameters(self, found: CatalogEntry, start: int, end: int) -> Mapping[str, ParameterValue]:
        values: dict[str, ParameterValue] = {}
        while start < end:
            comma = self._comma(start, end)
            stop = end if comma is None else comma
            assigned = _ASSIGNED.fullmatch(self.text[start:stop])
            if assigned is None:
                takes = next(iter(found.parameters), "parameter")
                told = f"{found.name} takes its parameters by name, as in {found.name}({takes}=2)"
                raise self._error(PatternError, told, start)
            name, text = assigned[1], assigned[2]
            if name not in found.parameters:
                raise self._error(ParameterError, not_taken(found, name), start + assigned.start(1))
            if name in values:
                raise self._error(ParameterError, f"{name} is given twice", start + assigned.start(1))
            try:
                values[name] = written_value(found.parameters[name], text, f"{name} of {found.name}")
            except ParameterError as error:
                raise self._error(ParameterError, str(error), start + assigned.start(2)) from None
            start = stop + 1
        return values

    def _error(self, kind: type[LayoutBridgeError], told: str, place: int) -> LayoutBridgeError:
        return kind(f"{told} (character {place + 1} of {shown(self.text)})")


def not_taken(found: CatalogEntry, name: str, dashes: str = "") -> str:
    """That an entry has no parameter called `name`, and what is nearest to that, else all that it takes.

    >>> from layoutbridge.operations.catalog import catalog
    >>> not_taken(catalog()["darknet_reorg"], "strid", "--")
    'darknet_reorg takes no --strid; it takes --stride'
    """
    told = f"{found.name} takes no {dashes}{name[:80]}"
    if not found.parameters:
        return f"{told}, nor any other parameter"
    near = get_close_matches(name[:80], found.parameters, n=1, cutoff=0.6)
    return f"{told}; it takes {', '.join(f'{dashes}{each}' for each in near or found.parameters)}"


def _entries(expression: Expression) -> Iterator[CatalogEntry]:
    for term in expression.terms:
        if term.entry is not None:
            yield term.entry
        elif term.inverted is not None:
            yield from _entries(term.inverted)


def _built(term: Term, choose: ChooseParameters) -> Rearrangement:
    if term.inverted is not None:
        inside = term.inverted.build(choose)
        return inside if inside.name == IDENTITY else inside.inverse()
    if term.entry is not None:
        return term.entry.build(**{**choose(term.entry), **term.parameters})
    return Rearrangement(term.pattern)


def _step(term: Term, choose: ChooseParameters) -> tuple[str, Rearrangement]:
    if term.inverted is None:
        made = _built(term, choose)
        return made.label, made
    return f"inverse of {term.inverted.title(term.inverted.build(choose))}", _built(term, choose)


def unused(names: Sequence[str], expressions: Sequence[Expression]) -> list[str]:
    """Those parameters that no entry named in the expressions takes."""
    taken = {name for expression in expressions for found in expression.entries for name in found.parameters}
    return [name for name in names if name not in taken]
