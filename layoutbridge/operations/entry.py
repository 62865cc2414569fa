"""One named operation of the catalogue: its patterns, its parameters, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from types import MappingProxyType

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement, told
from layoutbridge.errors import ParameterError, shown
from layoutbridge.operations.parameters import Form, Parameter, checked

_NATIVE = ("space and depth", "Darknet", "layouts", "channels")
_ATTENTION = "attention"  # of its operations those that name every axis are of the rows of weights
_WEIGHTS = ("convolution weights", "dense weights", "recurrent weights")
DescribeRefusal = Callable[[int, tuple[int, ...]], str | None]


@dataclass(frozen=True)
class CatalogEntry:
    """One named operation.

    `forms` are the patterns that it has for what it may be asked for, the usual one first; `parameters` are what it may
    be asked for, by name. `provenance` says where the definition comes from, `also_known_as` what others call the same
    map, and `equals` how it relates to other entries. `family` is the heading that it is listed under. `has_batch` says
    whether its arrays come with a batch axis in front of the pattern's; it is off where the pattern names every axis:
    weights, and what goes across the batch.
    """

    name: str
    forms: tuple[Form, ...]
    summary: str
    provenance: str
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    also_known_as: tuple[str, ...] = ()
    equals: str = ""
    describe_refusal: DescribeRefusal | None = field(default=None, repr=False)
    family: str = "space and depth"
    has_batch: bool = True

    @property
    def pattern(self) -> str:
        """The usual pattern, with letters for the parameters' numbers."""
        return self.forms[0].pattern

    @property
    def is_native(self) -> bool:
        """Whether frameworks have ops of their own of its family: `verify` runs these, and names go by these first.

        Registered entries count as such.
        """
        return self.family in _NATIVE

    @property
    def is_of_weights(self) -> bool:
        """Whether it is done to weights, and is no name for what a network does to its pictures or features."""
        return self.family in _WEIGHTS or (self.family == _ATTENTION and not self.has_batch)

    @cached_property
    def usual_forms(self) -> tuple[Form, ...]:
        """The forms with one number for each parameter, on as many axes as the first: they differ in words alone."""
        return tuple(form for form in self.forms if _is_usual(form, self.forms[0]))

    @property
    def defaults(self) -> dict[str, ParameterValue]:
        """What each parameter is where nothing is said."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def choices(self, name: str) -> tuple[ParameterValue, ...]:
        """What a parameter may be where it chooses among the forms; nothing where it is any number.

        >>> from layoutbridge.operations.catalog import catalog
        >>> catalog()["focus"].choices("spatial"), catalog()["focus"].choices("stride")
        ((2, 1, 3), ())
        """
        return tuple(dict.fromkeys(form.fixed[name] for form in self.forms if name in form.fixed))

    def build(self, **parameters: object) -> Rearrangement:
        """The rearrangement at these parameters.

        Raises `ParameterError` for a parameter that the entry does not take, for a value that it cannot have, and for
        values that do not go together.
        """
        return _built(self, tuple(self._checked(parameters).items()))

    def build_at(self, number: int) -> Rearrangement:
        """The rearrangement of the usual form with `number` for every parameter: the stride, the number of groups.

        Raises `ParameterError` for a number that is none above 0.
        """
        return self.build(**dict.fromkeys(self.forms[0].letters, number))

    def _checked(self, parameters: Mapping[str, object]) -> dict[str, ParameterValue]:
        asked: dict[str, ParameterValue] = {}
        for name, value in parameters.items():
            if name not in self.parameters:
                takes = ", ".join(self.parameters) or "no parameter"
                raise ParameterError(f"{self.name} does not take {name}={shown(value)}; it takes {takes}")
            asked[name] = checked(self.parameters[name], value, self.name)
        return asked


@lru_cache(maxsize=4096)  # identification tries an entry at every parameter that a shape admits
def _built(entry: CatalogEntry, asked: tuple[tuple[str, ParameterValue], ...]) -> Rearrangement:
    form, values = _form_for(entry, dict(asked))
    numbers = [number for name in form.letters for number in _numbers(values[name])]
    usual = entry.forms[0].fixed
    shown_values = tuple((n, values[n]) for n in entry.parameters if n in values and _is_told(values[n], usual.get(n)))
    refusal = partial(entry.describe_refusal, _numbers(values["stride"])[0]) if entry.describe_refusal else None
    made = form.at(numbers).named(entry.name, shown_values, refusal)
    return made if entry.has_batch else made.naming_every_axis()


def _is_usual(form: Form, first: Form) -> bool:
    numbers = {name: value for name, value in form.fixed.items() if not isinstance(value, str)}
    return all(first.fixed.get(name) == value for name, value in numbers.items()) and all(
        len(letters) == 1 for letters in form.letters.values()
    )


def _is_told(value: ParameterValue, usual: ParameterValue | None) -> bool:
    """Whether a parameter belongs in a name: a word, and what is not as usual."""
    return isinstance(value, str) or value != usual


def _form_for(entry: CatalogEntry, asked: Mapping[str, ParameterValue]) -> tuple[Form, dict[str, ParameterValue]]:
    """The first form that fits what was asked, what was not asked being as usual, and all values."""
    for form in entry.forms:
        defaults = {name: entry.parameters[name].default for name in form.letters}
        if (taken := form.taken({**defaults, **asked})) is not None:
            return form, taken
    for name, value in asked.items():
        choices = entry.choices(name)
        if choices and value not in choices and not any(name in form.letters for form in entry.forms):
            *others, last = map(told, choices)
            known = f"{', '.join(others)} or {last}" if others else last
            raise ParameterError(f"{entry.name} has no form for {name}={told(value)[:80]}; {name} is {known}")
    values = ", ".join(f"{name}={told(value)}" for name, value in asked.items())
    known = "; ".join(dict.fromkeys(_described(form) for form in entry.forms))
    raise ParameterError(f"{entry.name} has no form for {values}; it takes {known}")


def _described(form: Form) -> str:
    """What a form is for, as an error tells it."""
    words = [
        f"{name} of {len(letters)} numbers" if len(letters) > 1 else name for name, letters in form.letters.items()
    ]
    return ", ".join([*words, *(f"{name}={told(value)}" for name, value in form.fixed.items())])


def _numbers(value: ParameterValue) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (int(value),)
