"""Numbers in few characters."""

from __future__ import annotations


def short(number: float, form: str = ".1e") -> str:
    """A number without its exponent's zeros.

    >>> short(5.3e-7), short(0.0), short(5e-5, "g")
    ('5.3e-7', '0', '5e-5')
    """
    mantissa, mark, exponent = f"{number:{form}}".partition("e")
    if not number:
        return "0"
    return f"{mantissa}e{int(exponent)}" if mark else mantissa.removesuffix(".0")
