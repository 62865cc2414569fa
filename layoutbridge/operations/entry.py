"""One named operation of the catalogue: its pattern, its parameters, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType

from layoutbridge.algebra.pattern import whole_number
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, shown

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
    parameters: Mapping[str, int] = field(default_factory=lambda: NO_PARAMETERS, hash=False)
    also_known_as: tuple[str, ...] = ()
    equals: str = ""
    describe_refusal: DescribeRefusal | None = field(default=None, repr=False)

    def build(self, **parameters: int) -> Rearrangement:
        """The rearrangement at these parameters.

        Raises `ParameterError` for a parameter that the entry does not take, or one that is no number above 0.
        """
        return _built(self, self._checked(parameters))

    def build_at(self, number: int) -> Rearrangement:
        """The rearrangement with `number` for every parameter: the stride, and the number of groups.

        Raises `ParameterError` for a number that is none above 0.
        """
        return self.build(**dict.fromkeys(self.parameters, number))

    def _checked(self, parameters: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        for name, value in parameters.items():
            if name not in self.parameters:
                takes = ", ".join(self.parameters) or "no parameter"
                raise ParameterError(f"{self.name} does not take {name}={shown(value)}; it takes {takes}")
        values = {**self.parameters, **parameters}
        return tuple((name, whole_number(value, f"{name} of {self.name}")) for name, value in values.items())


@lru_cache(maxsize=4096)  # identification tries an entry at every parameter that a shape admits
def _built(entry: CatalogEntry, values: tuple[tuple[str, int], ...]) -> Rearrangement:
    made = Rearrangement(entry.pattern, **{LETTERS.get(name, name): value for name, value in values})
    refusal = partial(entry.describe_refusal, dict(values)["stride"]) if entry.describe_refusal else None
    return made.named(entry.name, values, refusal)
