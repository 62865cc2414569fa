"""Fonts for labels in any script: one that has every letter where the system has one, else letters that are spelled.

DejaVu Sans, of the system or of matplotlib, knows most alphabets. For others the system's fonts are looked through,
those first whose names say that they hold many scripts. Pillow would open a file of a name in the current folder first,
whoever put it there: so only whole paths are given to it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import islice
from typing import Any

from layoutbridge.errors import visible

_USUAL = "DejaVuSans.ttf"
_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "$HOME/.local/share/fonts",
    "$HOME/.fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "$HOME/Library/Fonts",
    "$WINDIR\\fonts",
)
_ENDINGS = (".ttf", ".otf", ".ttc")
_OF_MANY_SCRIPTS = (  # parts of names, the first first
    "notosanscjk", "sourcehansans", "droidsansfallback", "wqy", "msyh", "simsun", "simhei", "pingfang", "hiragino",
    "yugoth", "msgothic", "malgun", "applegothic", "nanum", "notosans", "arialunicode", "arial unicode", "unifont",
    "freesans", "segoeui", "nirmala", "arial",
)  # fmt: skip
_MOST_FONTS = 300  # that are looked through
_MOST_KEPT = 4096
_PLAIN = frozenset("ab")  # what symbol fonts lack
_ABSENT = "\uffff"  # no letter: drawn as what a font draws for those that it has not


def font_and_text(text: str, size: int) -> tuple[Any, str]:
    """A font of `size` pixels that has every letter of `text`, and the text; what none has is spelled, as in Python.

    Controls and halves of letters are spelled in any font.
    """
    letters = visible(text)
    if letters.isascii():
        return usual_font(size), letters
    font, lacking = _best_font(frozenset(letter for letter in letters if not letter.isascii()), size)
    return font, "".join(_spelled(letter) if letter in lacking else letter for letter in letters)


@lru_cache(_MOST_KEPT)
def _best_font(letters: frozenset[str], size: int) -> tuple[Any, frozenset[str]]:
    """The first font with all these letters, else that which lacks the fewest; and those that it lacks."""
    best = usual_font(size)
    least = _lacking(best, letters)
    for path in _other_files() if least else ():
        font = _opened(path, size)
        if font is not None and not _lacking(font, _PLAIN):
            missing = _lacking(font, letters)
            if len(missing) < len(least):
                best, least = font, missing
        if not least:
            break
    return best, least


@cache
def usual_font(size: int) -> Any:
    """DejaVu Sans where the system or matplotlib has it, else Pillow's own, which knows ASCII alone."""
    from PIL import ImageFont

    for path in _usual_files():
        with suppress(OSError):
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)


@lru_cache(_MOST_FONTS)
def _opened(path: str, size: int) -> Any:
    from PIL import ImageFont

    with suppress(OSError, ValueError):
        return ImageFont.truetype(path, size)
    return None


def _lacking(font: Any, letters: frozenset[str]) -> frozenset[str]:
    """Those that the font draws as it draws what is no letter."""
    absent = _drawn(font, _ABSENT)
    return frozenset(letter for letter in letters if _drawn(font, letter) == absent)


@lru_cache(_MOST_KEPT)
def _drawn(font: Any, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _spelled(letter: str) -> str:
    """As it is written in Python.

    >>> _spelled("人")
    '\\\\u4eba'
    """
    return letter.encode("unicode_escape").decode()


@cache
def _usual_files() -> tuple[str, ...]:
    """Where DejaVu Sans lies: in the folders that Pillow looks through, and in matplotlib's."""
    found = [path for path in _all_files() if os.path.basename(path) == _USUAL]
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        found.append(os.path.join(os.path.dirname(matplotlib.origin), "mpl-data", "fonts", "ttf", _USUAL))
    return tuple(found)


@cache
def _other_files() -> tuple[str, ...]:
    """The fonts of the system, those of many scripts first; of each the plain one before others."""

    def rank(path: str) -> tuple[int, int, str]:
        name = os.path.basename(path).lower()
        kind = next((number for number, part in enumerate(_OF_MANY_SCRIPTS) if part in name), len(_OF_MANY_SCRIPTS))
        return kind, 0 if "regular" in name or "-" not in name else 1, name

    return tuple(islice(sorted(_all_files(), key=rank), _MOST_FONTS))


@cache
def _all_files() -> tuple[str, ...]:
    found: list[str] = []
    for folder in map(os.path.expandvars, _FOLDERS):
        if os.path.isabs(folder):
            for inside, _, files in os.walk(folder):
                found += (os.path.join(inside, name) for name in files if name.lower().endswith(_ENDINGS))
    return tuple(found)
