"""One named operation of the catalogue: its pattern, its parameters, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from layoutbridge.algebra.pattern import shown, whole_number
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError

NO_PARAMETERS: Mapping[str, int] = MappingProxyType({})
LETTERS: Mapping[str, str] = MappingProxyType({"stride": "s", "groups": "g"})  # others go by their own names
DescribeRefusal = Callable[[int, tuple[int, ...]], str | None]


@dataclass(frozen=True)
class CatalogEntry:
    """One named operation.

    In `pattern`, `s` is the stride (block size), `g` the number of groups, and any other parameter goes by its own
    name. `parameters` maps each parameter to its default, `provenance` says where the definition comes from,
    `also_known_as` what others call the same map, and `equals` how it relates to other entries.
    """

    name: str
    pattern: str
    summary: str
    provenance: str
    parameters: Mapping[str, int] = field(default_factory=lambda: NO_PARAMETERS)
    also_known_as: tuple[str, ...] = ()
    equals: str = ""
    describe_refusal: DescribeRefusal | None = field(default=None, repr=False)

    def build(self, **parameters: int) -> Rearrangement:
        """The rearrangement at these parameters.

        Raises `ParameterError` for a parameter that the entry does not take, or one that is no number above 0.
        """
        return self._build_checked(self._checked(parameters))

    def _checked(self, parameters: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        for name, value in parameters.items():
            if name not in self.parameters:
                takes = ", ".join(self.parameters) or "no parameter"
                raise ParameterError(f"{self.name} does not take {name}={shown(value)}; it takes {takes}")
        values = {**self.parameters, **parameters}
        return tuple((name, whole_number(value, f"{name} of {self.name}")) for name, value in values.items())

    def _build_checked(self, values: tuple[tuple[str, int], ...]) -> Rearrangement:
        made = Rearrangement(self.pattern, **{LETTERS.get(name, name): value for name, value in values})
        refusal = partial(self.describe_refusal, dict(values)["stride"]) if self.describe_refusal else None
        return made.named(self.name, values, refusal)
