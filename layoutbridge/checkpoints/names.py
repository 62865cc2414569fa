"""Which names of tensors a rule means: `*` and `{a,b}`, or a regular expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from layoutbridge.errors import ParameterError, shown

Matches = Callable[[str], bool]
_MOST_GLOBS = 1_000
_BRACES = re.compile(r"\{([^{}]*)\}")


def matches_glob(text: str) -> Matches:
    """Whether a name is as `text` says, in which `*` is any characters, dots too, and `{a,b}` one of several.

    Raises `ParameterError` for braces that do not fit together.

    >>> of = matches_glob("layers.*.{q,k}_proj.weight")
    >>> of("layers.10.k_proj.weight"), of("layers.10.v_proj.weight"), of("layers.10.k_proj.weight_scale")
    (True, False, False)
    """
    globs = [text]
    while found := next(filter(None, map(_BRACES.search, globs)), None):
        globs = [
            f"{glob[: match.start()]}{choice}{glob[match.end() :]}"
            for glob in globs
            for match in [_BRACES.search(glob) or found]
            for choice in match[1].split(",")
        ]
        if len(globs) > _MOST_GLOBS:
            raise ParameterError(f"{shown(text)} has more than {_MOST_GLOBS:,} alternatives: write several rules")
    if any(brace in glob for glob in globs for brace in "{}"):
        raise ParameterError(f"the braces in {shown(text)} do not fit together: write {{a,b}} for one of several")
    return partial(_any_matches, tuple(tuple(glob.split("*")) for glob in globs))


def matches_regex(text: str) -> Matches:
    """Whether the whole of a name is as the regular expression `text` says; `ParameterError` where it is none.

    >>> matches_regex(r"layers\\.[0-3]\\..*")("layers.7.weight")
    False
    """
    try:
        expression = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ParameterError(f"{shown(text)} is no regular expression: {error}") from None
    return lambda name: expression.fullmatch(name) is not None


def _any_matches(globs: tuple[tuple[str, ...], ...], name: str) -> bool:
    return any(_matches(parts, name) for parts in globs)


def _matches(parts: tuple[str, ...], name: str) -> bool:
    """Whether the parts, anything between them, make up the name; no name takes long, as with regular expressions."""
    if len(parts) == 1:
        return name == parts[0]
    first, *inner, last = parts
    at = len(first)
    if not name.startswith(first):
        return False
    for part in inner:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return name.endswith(last) and len(name) - len(last) >= at
