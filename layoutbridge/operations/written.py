"""Values of parameters as people write them: 2, 2x4, (2, 4), words. The one place where text becomes a value."""

from __future__ import annotations

import re

from layoutbridge.algebra.pattern import LARGEST
from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.errors import ParameterError
from layoutbridge.operations.parameters import Parameter

_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_BETWEEN = re.compile(r"[x×,]")


def written_number(text: str, what: str) -> int:
    """A number from 1 to 2^63 - 1; raises `ParameterError` that says `what` it is for.

    >>> written_number("64", "the width")
    64
    """
    if not _NUMBER.fullmatch(text):
        raise ParameterError(f"{what} must be a whole number, not '{text[:80]}'")
    number = int(text.strip()) if len(text) < 64 else LARGEST + 1  # int alone strips fewer kinds of white space
    if not 1 <= number <= LARGEST:
        raise ParameterError(f"{what} must be between 1 and 2^63 - 1, not {text[:80]}")
    return number


def written_value(parameter: Parameter, text: str, what: str) -> ParameterValue:
    """`text` as a value of `parameter`: a word where its usual value is one, else a number, or several: 2x4 or 2,4.

    Raises `ParameterError` that says `what` it is for.

    >>> stride, order = Parameter("stride", 2), Parameter("order", "pqc")
    >>> written_value(stride, "2", "--stride"), written_value(stride, "2x4", "--stride")
    (2, (2, 4))
    >>> written_value(stride, "(2, 4)", "--stride"), written_value(order, "cpq", "--order")
    ((2, 4), 'cpq')
    """
    if isinstance(parameter.default, str):
        if not text.strip():
            raise ParameterError(f"{what} must be a word such as {parameter.default}, not '{text[:80]}'")
        return text.strip()
    plain = text.strip()
    if plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1].strip().removesuffix(",")
    if not _BETWEEN.search(plain):
        return written_number(plain, what)
    if len(plain) > 4096:
        raise ParameterError(f"{what} must be a number, or a few as in 2x4, not '{plain[:80]}'...")
    return tuple(written_number(part, f"each number in {what} {plain[:80]}") for part in _BETWEEN.split(plain))
