"""What an entry of the catalogue may be asked for by name, and the pattern that it has for what it was asked.

An entry is one or more *forms*: patterns in which letters stand for numbers. `space_to_depth` has one for blocks of one
size on two axes, one for two sizes, and so on; the first form that fits what was asked is taken, so the first of
all is the entry's usual one. A form says which letters a parameter's number (or its several numbers) takes the place
of, and which other parameters it is the form for: `spatial=3`, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from layoutbridge.algebra.pattern import whole_number
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ParameterError, shown

NOTHING: Mapping[str, ParameterValue] = MappingProxyType({})
LETTERS: Mapping[str, str] = MappingProxyType({"stride": "s", "groups": "g"})  # others go by their own names


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to ask for: its name, what it is where nothing is said, and what it means in a few words.

    `is_of_network` is on for what a network alone knows, such as how many heads it has: a wrong number fits most
    shapes, too, so weights are not rearranged without one.
    """

    name: str
    default: ParameterValue
    meaning: str = ""
    is_of_network: bool = False


@dataclass(frozen=True)
class Form:
    """One pattern, the letters in it that parameters fill, and the parameters that it is the form for.

    A parameter with several letters takes as many numbers, not all equal; one with a single letter takes a number.
    Where that number stands for `axes` axes, so many equal numbers are the same. Numbers are looked for from 2 up, for
    a block of one position moves nothing; of the letters in `from_one` from 1 up, such as the height of a grid.

    Where a pattern is more than letters with numbers in their place, such as an order of heads, `write` gives it, and
    `pattern` shows how it looks. Where numbers are no digits of the map, such as two sides of which it has the product
    alone, `candidates` gives those to try, all numbers of one try together, by the digits' sizes.
    """

    pattern: str
    letters: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    fixed: Mapping[str, ParameterValue] = field(default_factory=lambda: NOTHING, hash=False)
    axes: int = 1
    from_one: frozenset[str] = frozenset()
    write: Callable[[Sequence[int]], str] | None = None
    candidates: Callable[[Iterable[int]], Iterable[tuple[int, ...]]] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The letters that stand for numbers, in the order of the parameters."""
        return tuple(letter for letters in self.letters.values() for letter in letters)

    def at(self, numbers: Sequence[int]) -> Rearrangement:
        """The rearrangement with these numbers for `self.numbers`."""
        if self.write is not None:
            return Rearrangement(self.write(numbers))
        return Rearrangement(self.pattern, **dict(zip(self.numbers, numbers, strict=True)))

    def values(self, numbers: Sequence[int]) -> dict[str, ParameterValue]:
        """The parameters that ask for this form with these numbers."""
        left = list(numbers)
        values: dict[str, ParameterValue] = {}
        for name, letters in self.letters.items():
            own, left = tuple(left[: len(letters)]), left[len(letters) :]
            values[name] = own if len(own) > 1 else own[0]
        return {**values, **self.fixed}

    def is_plain(self, numbers: Sequence[int]) -> bool:
        """Whether these numbers belong to another form: several that are all equal."""
        values = [value for value in self.values(numbers).values() if isinstance(value, tuple)]
        return any(len(set(value)) == 1 for value in values)

    def taken(self, asked: Mapping[str, ParameterValue]) -> dict[str, ParameterValue] | None:
        """`asked` as this form takes it, equal numbers as one; None where it is not the form for that."""
        taken: dict[str, ParameterValue] = {}
        for name, value in asked.items():
            if name in self.fixed:
                if value != self.fixed[name]:
                    return None
            elif name not in self.letters:
                return None
            elif isinstance(value, tuple) and len(self.letters[name]) == 1:
                if self.axes == 1 or len(value) != self.axes or len(set(value)) > 1:
                    return None
                taken[name] = value[0]
            elif len(self.letters[name]) != (len(value) if isinstance(value, tuple) else 1):
                return None
            else:
                taken[name] = value
        return {**taken, **self.fixed}


def checked(parameter: Parameter, value: object, owner: str) -> ParameterValue:
    """`value` as `parameter` holds it: a whole number above 0, a tuple of them, or a word where its usual value is one.

    Raises `ParameterError` that names the parameter and `owner`, which takes it.

    >>> checked(Parameter("stride", 2), [2, 4], "focus")
    (2, 4)
    """
    what = f"{parameter.name} of {owner}"
    if isinstance(parameter.default, str):
        if not isinstance(value, str):
            raise ParameterError(f"{what} must be a word such as {parameter.default}, not {shown(value)}")
        return value
    if isinstance(value, tuple | list) and len(value) > 1:
        return tuple(whole_number(number, f"each number in {what}") for number in value)
    return whole_number(value, what)


def form(pattern: str, *letters: str, from_one: bool = False, **fixed: ParameterValue) -> Form:
    """A form whose `letters` are parameters of the same name, and the parameters that it is the form for.

    With `from_one` all the letters may be 1.

    >>> form("l (h:heads d) -> h l d", "heads", order="hd").letters["heads"]
    ('heads',)
    """
    few = frozenset(letters) if from_one else frozenset()
    named = MappingProxyType({letter: (letter,) for letter in letters})
    return Form(pattern, named, MappingProxyType(fixed), from_one=few)
