"""Reading the options of one section: typed, with defaults, and with a word on every difference from Darknet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from layoutbridge.darknet.reading.activations import ACTIVATIONS, MEANT, known_activations
from layoutbridge.darknet.reading.cfg import quoted
from layoutbridge.darknet.structure.model import Option, Section
from layoutbridge.darknet.structure.settings import Flavor
from layoutbridge.errors import CfgError

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?", re.ASCII)
LARGEST_COUNT = (1 << 31) - 1  # Darknet counts in 32-bit integers
_LONGEST_LIST = 100_000
_Value = TypeVar("_Value")


class Options:
    """The options of one section; remembers which were asked for, so that the others can be reported.

    Every reader takes a key and a default and raises `CfgError` with the line for a value that it cannot read.
    """

    def __init__(
        self,
        section: Section,
        flavor: Flavor,
        warnings: list[str],
        activations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.section = section
        self.flavor = flavor
        self._warnings = warnings
        self._activations = activations
        self._used: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the section gives `key`."""
        return key in self.section.options

    def warn(self, text: str, key: str | None = None) -> None:
        """Add a warning about the section, at the line of `key` where the section has it."""
        self._warnings.append(f"{self._where(key)} {text}")

    def error(self, text: str, key: str | None = None) -> CfgError:
        """The error to raise about the section, at the line of `key` where the section has it."""
        return CfgError(f"{self._where(key)} {text}")

    def integer(self, key: str, default: int, *, least: int = -LARGEST_COUNT, most: int = LARGEST_COUNT) -> int:
        """A whole number between `least` and `most`. A fraction is cut off, as C's atoi does, with a warning."""
        option = self._take(key)
        if option is None:
            return default
        value = self._whole(option, option.value)
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise self.error(f"{key}={value} must be {bound}", key)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A whole number as C reads a condition: anything but 0 holds."""
        return self.integer(key, int(default)) != 0

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        option = self._take(key)
        return default if option is None else self._number(option, option.value)

    def text(self, key: str, default: str | None = None) -> str | None:
        """A word. Darknet would have read a note behind it as part of the word: that is warned of."""
        option = self._take(key)
        if option is None:
            return default
        self._warn_note(option, f"{option.value}{option.note}")
        return option.value

    def integers(self, key: str, *, note_ends_list: bool = False) -> tuple[int, ...]:
        """A list of whole numbers; empty where the key is missing. Warns where Darknet reads on into a note."""
        return tuple(self._list(key, self._whole, note_ends_list))

    def numbers(self, key: str, *, note_ends_list: bool = False) -> tuple[float, ...]:
        """A list of finite numbers; empty where the key is missing."""
        return tuple(self._list(key, self._number, note_ends_list))

    def activation(self, default: str, *, key: str = "activation") -> str:
        """The activation at `key`: one that this flavour knows, or what an unknown name was chosen to mean."""
        name = self.text(key, default) or default
        if name in self._activations:
            return self._activations[name]
        known = known_activations(self.flavor)
        if name in known:
            return name
        if name in ACTIVATIONS:
            raise self.error(f"activation {name!r} exists only in Darknet's main fork (flavor 'alexey')", key)
        raise self.error(f"activation {quoted(name)} is unknown{_advice(name, known)}", key)

    def ignore(self, *keys: str) -> None:
        """These are read by Darknet too and change nothing here (training, display)."""
        self._used.update(keys)

    def report_unused(self) -> None:
        """Warn of every option that nobody asked for, as Darknet does."""
        for key, option in self.section.options.items():
            if key not in self._used:
                self.warn(f"does not use {quoted(key)} ({quoted(option.value)[1:-1]})", key)

    # ------------------------------------------------------------------ one value

    def _take(self, key: str) -> Option | None:
        self._used.add(key)
        return self.section.options.get(key)

    def _where(self, key: str | None) -> str:
        option = self.section.options.get(key) if key else None
        return self.section.where_at(option.line if option else self.section.line)

    def _whole(self, option: Option, text: str) -> int:
        if _WHOLE.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text) and abs(float(text)) < 2.0**31:
            value = _leading_integer(text)
            if value != float(text):
                self.warn(f"{option.key}={text} is read as {value}: Darknet takes a whole number here", option.key)
            return value
        raise self.error(f"{option.key}={quoted(text)[1:-1]} must be a whole number", option.key)

    def _number(self, option: Option, text: str) -> float:
        if _NUMBER.fullmatch(text):
            value = float(text)
            if abs(value) < 3e38:
                return value
        raise self.error(f"{option.key}={quoted(text)[1:-1]} must be a number", option.key)

    def _list(self, key: str, read: Callable[[Option, str], _Value], note_ends_list: bool) -> list[_Value]:
        option = self._take(key)
        if option is None:
            return []
        items = option.value.split(",", _LONGEST_LIST + 1)
        if len(items) > _LONGEST_LIST:
            raise self.error(f"{key} lists more than {_LONGEST_LIST} values", key)
        if items[-1] == "":
            items.pop()  # a comma at the end: Darknet reads one more value, 0, from it
            self.warn(f"{key} ends in a comma, which is left out", key)
        if "," in option.note and not note_ends_list:
            self._warn_note(option, f"{option.value}{option.note}")
        return [read(option, item) for item in items]

    def _warn_note(self, option: Option, darknet: str) -> None:
        if option.note:
            self.warn(f"the note behind {option.key} is dropped; Darknet would have read {quoted(darknet)}", option.key)


def _advice(name: str, known: Mapping[str, str]) -> str:
    """What an unknown activation may mean, and how to choose."""
    meant, near = MEANT.get(name), get_close_matches(name[:80], known, n=1)
    said = f", who writes it means {meant}" if meant else f": did you mean {near[0]}?" if near else ""
    choices = dict.fromkeys((meant or (near[0] if near else "relu"), "relu"))
    written = " or ".join(f"--activation {quoted(name)[1:-1]}={choice}" for choice in choices)
    return f"{said}{'' if said.endswith('?') else ';'} Darknet computes relu. Choose: {written}"


def _leading_integer(text: str) -> int:
    """What C's atoi makes of it."""
    digits = re.match(r"[+-]?[0-9]+", text, re.ASCII)
    return int(digits.group()) if digits else 0
