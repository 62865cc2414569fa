"""The catalogue: every named operation, the built-in ones and a user's own.

`op("darknet_reorg", stride=2)` makes a `Rearrangement`. `register` adds a user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import count
from types import MappingProxyType

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ParameterError, UnknownNameError, shown
from layoutbridge.operations.entries import BUILTIN
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import LETTERS, Form, Parameter, checked

_registry: dict[str, CatalogEntry] = {entry.name: entry for entry in BUILTIN}
_LEAST, _MOST_NEAR = 3, 8  # letters of a word that is looked for within names; names that an error suggests
_changes = count(1)
_revision = 0


def revision() -> int:
    """A number that is another one whenever an entry was registered or taken out."""
    return _revision


def _changed() -> None:
    global _revision  # noqa: PLW0603 - the registry's own state, as the registry is
    _revision = next(_changes)


def catalog() -> Mapping[str, CatalogEntry]:
    """Every entry by name, the registered ones too, read-only, as of now.

    >>> catalog()["darknet_reorg"].equals
    'space_to_depth of the input seen as [C/s², H·s, W·s]'
    """
    return MappingProxyType(_registry.copy())  # whoever goes through it minds no other thread that registers


def entry(name: str) -> CatalogEntry:
    """The entry called `name`; raises `UnknownNameError` with the nearest names, and those that others call so."""
    found = _registry.get(name) if isinstance(name, str) else None
    if found is not None:
        return found
    near = _nearest(name[:80]) if isinstance(name, str) else []
    listed = ", ".join(near[:-1]) + " or " * (len(near) > 1) + near[-1] if near else ""
    meant = (
        f"did you mean {listed}?" if near else f"'layoutbridge list' and lb.catalog() have all {len(_registry)} names"
    )
    raise UnknownNameError(f"no operation is called {shown(name)}; {meant}")


def _nearest(name: str) -> list[str]:
    """Names with this word in them, such that are spelled alike, and those of what others call by it: the likeliest."""
    word = name.strip().lower()
    entries = catalog()
    within = [known for known in entries if len(word) >= _LEAST and word in known]
    alike = get_close_matches(word, entries, n=3, cutoff=0.5)
    called = [
        known
        for known, each in entries.items()
        if len(word) >= _LEAST and any(word in other.lower() for other in each.also_known_as)
    ]
    likeliest = [*alike, *within] if alike and word not in alike[0] else [*within, *alike]
    return list(dict.fromkeys([*likeliest, *called]))[:_MOST_NEAR]


def op(name: str, /, **parameters: ParameterValue | Sequence[int]) -> Rearrangement:
    """The catalogue's operation `name` as a `Rearrangement`.

    `catalog()[name].parameters` says what it may be asked for: `stride` and `groups` default to 2. Blocks may have a
    size for each spatial axis, and lie on one, two or three of them. Raises `UnknownNameError` and `ParameterError`.

    >>> op("darknet_reorg", stride=2).out_shape((64, 26, 26))
    (256, 13, 13)
    >>> op("pixel_shuffle", stride=(1, 4)).out_shape((8, 4, 4)), op("pixel_shuffle", spatial=1).out_shape((8, 6))
    ((2, 4, 16), (4, 12))
    """
    return entry(name).build(**parameters)


def register(
    name: str, pattern: str, /, *, summary: str = "", provenance: str = "registered by the user", **parameters: int
) -> CatalogEntry:
    """Add an operation of your own; `op`, `prove`, `identify`, `verify` and `export` then know it by name.

    `parameters` are defaults by name: in `pattern` a `stride` is `s`, `groups` are `g`, any other goes by its own name.
    Raises `PatternError` for a pattern that is no permutation or does not use a parameter, and `ParameterError` for a
    name that is taken or no plain name.

    >>> made = register("column_major_blocks", "c (h p:s) (w q:s) -> (c q p) h w", stride=2)
    >>> op("column_major_blocks", stride=3).out_shape((2, 6, 9))
    (18, 2, 3)
    >>> unregister("column_major_blocks")
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ParameterError(f"a name has letters, digits and underscores, not {shown(name)}")
    taken = ParameterError(f"{name} is in the catalogue already: choose another name")
    if name in _registry:
        raise taken
    letters = MappingProxyType({parameter: (LETTERS.get(parameter, parameter),) for parameter in parameters})
    declared = {key: Parameter(key, checked(Parameter(key, 2), value, name)) for key, value in parameters.items()}
    made = CatalogEntry(name, (Form(pattern, letters),), summary, provenance, MappingProxyType(declared))
    made.build()
    if _registry.setdefault(name, made) is not made:  # another thread was first
        raise taken
    _changed()
    return made


def unregister(name: str) -> None:
    """Take a registered operation out again; built-in entries stay (`ParameterError`)."""
    found = entry(name)
    if found in BUILTIN:
        raise ParameterError(f"{name} is built in and stays")
    _registry.pop(name, None)
    _changed()
