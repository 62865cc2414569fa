"""The colours of figures: one ramp from dark to light, which grey print and colour-blind readers keep apart.

Lightness rises evenly along the ramp and the hue turns with it, so neighbours differ in grey as much as in colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from layoutbridge.errors import ParameterError, shown

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")
BLACK, WHITE = "#000000", "#ffffff"
EDGE = "#808080"  # around cells: apart from both grounds, and from both ends of the ramp
_RAMP = ("#2b0051", "#19318a", "#03658b", "#079096", "#06bf8e", "#a0dd73", "#fff19c")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a theme draws on, and with what."""

    page: str
    words: str


GROUNDS: Mapping[str, Ground] = MappingProxyType(
    {"light": Ground(WHITE, "#1f2328"), "dark": Ground("#0d1117", "#e6edf3")}
)


def checked_theme(theme: str) -> Theme:
    """`theme` as one of the three; raises `ParameterError`."""
    for known in THEMES:
        if theme == known:
            return known
    raise ParameterError(f"theme must be one of {', '.join(THEMES)}, not {shown(theme)}")


@cache
def colour(number: int, count: int) -> str:
    """The colour `number` of `count` that are to be told apart.

    >>> [colour(number, 3) for number in range(3)]
    ['#19318a', '#079096', '#a0dd73']
    """
    place = (number + 0.5) / count * (len(_RAMP) - 1)
    below = min(int(place), len(_RAMP) - 2)
    return _mixed(_RAMP[below], _RAMP[below + 1], place - below)


def on_any_ground(stroke: str) -> str:
    """A colour like `stroke`, greyer where it must be, that is seen on black and on white: nobody knows a terminal's.

    >>> on_any_ground("#079096"), on_any_ground("#231c70")
    ('#079096', '#5b587a')
    """
    mixed = (_mixed(stroke, EDGE, tenth / 10) for tenth in range(11))
    return next(each for each in mixed if contrast(each, BLACK) > 3 and contrast(each, WHITE) > 2)


def _mixed(first: str, second: str, share: float) -> str:
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(one + (other - one) * share):02x}" for one, other in pairs)


@cache
def ink(fill: str) -> str:
    """Black or white, whichever is read more easily on `fill`: of any colour one has a contrast above 4.5.

    >>> ink("#2b0051"), ink("#fff19c")
    ('#ffffff', '#000000')
    """
    return max(BLACK, WHITE, key=lambda words: contrast(words, fill))


def contrast(first: str, second: str) -> float:
    """The ratio of contrast of two colours, from 1 to 21, as WCAG 2 defines it.

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of a colour, from 0 to 1: what is left of it in grey.

    >>> luminance("#ffffff")
    1.0
    """
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in map(_share, _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _share(value: int) -> float:
    return value / 255


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
