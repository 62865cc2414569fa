"""The catalogue: every named operation, the built-in ones and a user's own.

`op("darknet_reorg", stride=2)` makes a `Rearrangement`. `register` adds a user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, UnknownNameError, shown
from layoutbridge.operations.entries import BUILTIN
from layoutbridge.operations.entry import CatalogEntry

_registry: dict[str, CatalogEntry] = {entry.name: entry for entry in BUILTIN}


def catalog() -> Mapping[str, CatalogEntry]:
    """Every entry by name, the registered ones too, read-only, as of now.

    >>> catalog()["darknet_reorg"].equals
    'space_to_depth of the input seen as [C/s², H·s, W·s]'
    """
    return MappingProxyType(_registry.copy())  # whoever goes through it minds no other thread that registers


def entry(name: str) -> CatalogEntry:
    """The entry called `name`; raises `UnknownNameError` with the nearest names."""
    found = _registry.get(name) if isinstance(name, str) else None
    if found is not None:
        return found
    near = get_close_matches(name[:80], catalog(), n=3, cutoff=0.5) if isinstance(name, str) else []
    near = near or sorted(_registry)
    listed = " or ".join(near) if len(near) <= 3 else ", ".join(near)
    raise UnknownNameError(f"no operation is called {shown(name)}; did you mean {listed}?")


def op(name: str, /, **parameters: int) -> Rearrangement:
    """The catalogue's operation `name` as a `Rearrangement`; `stride` and `groups` default to 2.

    Raises `UnknownNameError` and `ParameterError`.

    >>> op("darknet_reorg", stride=2).out_shape((64, 26, 26))
    (256, 13, 13)
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
    made = CatalogEntry(name, pattern, summary, provenance, MappingProxyType(dict(parameters)))
    made.build()
    if _registry.setdefault(name, made) is not made:  # another thread was first
        raise taken
    return made


def unregister(name: str) -> None:
    """Take a registered operation out again; built-in entries stay (`ParameterError`)."""
    found = entry(name)
    if found in BUILTIN:
        raise ParameterError(f"{name} is built in and stays")
    _registry.pop(name, None)
