"""Numbers in few characters."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def short(number: float, form: str = ".1e") -> str:
    """A number without its exponent's zeros.

    >>> short(5.3e-7), short(0.0), short(5e-5, "g")
    ('5.3e-7', '0', '5e-5')
    """
    mantissa, mark, exponent = f"{number:{form}}".partition("e")
    if not number:
        return "0"
    return f"{mantissa}e{int(exponent)}" if mark else mantissa.removesuffix(".0")


def size_told(size: float) -> str:
    """Bytes as people read them.

    >>> size_told(13_476_000_000), size_told(12)
    ('13.5 GB', '12 bytes')
    """
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} bytes"
