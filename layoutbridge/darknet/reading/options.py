"""Reading the options of one section: typed, with defaults, and with a word on every difference from Darknet.

An option that cannot be read is noted, and its default taken, so that the errors behind it are found too. What is read
of the section after that is in doubt: an error that may only follow from the first is not one to tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from layoutbridge.darknet.reading.activations import ACTIVATIONS, MEANT, known_activations
from layoutbridge.darknet.reading.cfg import quoted
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.model import Option, Section
from layoutbridge.darknet.structure.noted import Collected, Warnings
from layoutbridge.errors import CfgError

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?", re.ASCII)
LARGEST_COUNT = (1 << 31) - 1  # Darknet counts in 32-bit integers
_SEVERAL = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?)(?:[+-][0-9]+(?:\.[0-9]*)?)+", re.ASCII)  # without commas
_LONGEST_LIST = 100_000
_Value = TypeVar("_Value")


@dataclass(slots=True)
class Findings:
    """What is found while the sections of a cfg are read: `problems` are its errors; one line each."""

    warnings: Collected
    problems: list[str] = field(default_factory=list)
    _alike: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # first its place in `warnings`, then lines

    def warn_once(self, section: Section, text: str, where: str) -> None:
        """Add a warning that many sections of a kind may have; `told` counts those behind the first."""
        lines = self._alike.setdefault((section.kind, text), [])
        if not lines:
            lines.append(len(self.warnings))
            self.warnings.append(f"{where} {text}")
        if section.line != lines[-1] or len(lines) == 1:  # an option may be read twice
            lines.append(section.line)

    def told(self) -> Warnings:
        """All warnings in order."""
        warnings = Collected(self.warnings.told())
        for (kind, _), (index, _, *others) in self._alike.items():
            if others:
                sections = f"in {len(others)} more [{kind}], the last in line {others[-1]}"
                warnings.amend(index, f"; the same {sections}")
        return warnings.told()


class Options:
    """The options of one section; remembers which were asked for, so that the others can be reported.

    Every reader takes a key and a default, and gives the default for a value that it cannot read: the error, with the
    line, is among the problems of `findings` then. After an error the section is `doubtful`.
    """

    def __init__(
        self,
        section: Section,
        flavor: Flavor,
        findings: Findings,
        activations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.section = section
        self.flavor = flavor
        self.doubtful = False
        self._findings = findings
        self._activations = activations
        self._used: set[str] = set()
        self._told: set[str] = set()  # an option may be read twice

    def has(self, key: str) -> bool:
        """Whether the section gives `key`."""
        return key in self.section.options

    def warn(self, text: str, key: str | None = None) -> None:
        """Add a warning about the section, at the line of `key` where the section has it."""
        told = f"{self._where(key)} {text}"
        if told not in self._told:
            self._findings.warnings.append(told)
        self._told.add(told)

    def warn_once(self, text: str, key: str | None = None) -> None:
        """The same for a warning that is told of the first such section alone, with how many others have it."""
        self._findings.warn_once(self.section, text, self._where(key))

    def error(self, text: str, key: str | None = None) -> CfgError:
        """The error to raise about the section, at the line of `key` where the section has it."""
        return CfgError(f"{self._where(key)} {text}")

    def report(self, error: CfgError) -> None:
        """Add `error` to the problems, once where an option is read twice."""
        self._findings.problems += [line for line in error.problems if line not in self._told]
        self._told.update(error.problems)

    def keep(self, error: CfgError) -> None:
        """The same, unless the section is doubtful; nothing else depends on what is wrong."""
        if not self.doubtful:
            self.report(error)

    def note(self, error: CfgError) -> None:
        """The same for an error that leaves the section doubtful."""
        self.keep(error)
        self.doubtful = True

    def integer(self, key: str, default: int, *, least: int = -LARGEST_COUNT, most: int = LARGEST_COUNT) -> int:
        """A whole number between `least` and `most`. A fraction is cut off, as C's atoi does, with a warning."""
        option = self._take(key)
        if option is None:
            return default
        try:
            value = self._whole(option, option.value)
            if least <= value <= most:
                return value
            bound = f"at least {least}" if value < least else f"at most {most}"
            self.report(self.error(f"{key}={value} must be {bound}", key))
        except CfgError as error:
            self.report(error)
        self.doubtful = True
        return default

    def flag(self, key: str, default: bool = False) -> bool:
        """A whole number as C reads a condition: anything but 0 holds."""
        return self.integer(key, int(default)) != 0

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        option = self._take(key)
        try:
            return default if option is None else self._number(option, option.value)
        except CfgError as error:
            self.report(error)
            return default

    def text(self, key: str, default: str | None = None) -> str | None:
        """A word. Darknet would have read a note behind it as part of the word: that is warned of."""
        option = self._take(key)
        if option is None:
            return default
        self._warn_note(option, f"{option.value}{option.note}")
        return option.value

    def choice(self, key: str, default: str, choices: Mapping[str, _Value]) -> _Value:
        """What `choices` has for a word."""
        written = self.text(key, default) or default
        if written not in choices:
            self.report(self.error(f"{key}={quoted(written)} must be one of {', '.join(choices)}", key))
        return choices.get(written, choices[default])

    def integers(self, key: str, *, note_ends_list: bool = False, empty: str = "0") -> tuple[int, ...]:
        """A list of whole numbers; empty where the key is missing. Warns where Darknet reads on into a note.

        An empty item is 0, as in Darknet, and a warning calls it `empty`.
        """
        option = self._take(key)
        items = self._items(option, note_ends_list)
        if option is not None and "" in items:
            self.warn(
                f"{key}={quoted(option.value)[1:-1]} has a comma with nothing behind it, which Darknet reads as "
                f"{empty}, and so it is read here: take the comma out if that is not meant",
                key,
            )
        values = self._read(option, [item or "0" for item in items], self._whole)
        self.doubtful = self.doubtful or len(values) < len(items)
        return values

    def numbers(self, key: str, *, note_ends_list: bool = False) -> tuple[float, ...]:
        """A list of finite numbers; empty where the key is missing."""
        option = self._take(key)
        items = self._items(option, note_ends_list)
        if items and items[-1] == "":
            items = items[:-1]
            self.warn(f"{key} ends in a comma, which is left out", key)
        return self._read(option, items, self._number)

    def first_integer(self, key: str) -> int | None:
        """The first whole number of a list, of which Darknet reads no more, which a warning says; None without one."""
        option = self._take(key)
        first, *others = self._items(option, note_ends_list=False) or [""]
        if any(others):
            self.warn(f"of the {1 + len(others)} layers in `{key}` Darknet takes the first alone", key)
        values = self._read(option, [first or "0"], self._whole)
        self.doubtful = self.doubtful or (option is not None and not values)
        return values[0] if values else None

    def activation(self, default: str, *, key: str = "activation") -> str:
        """The activation at `key`: one that this flavour knows, or what an unknown name was chosen to mean."""
        name = self.text(key, default) or default
        if name in self._activations:
            return self._activations[name]
        known = known_activations(self.flavor)
        if name in known:
            return name
        only = f"{name!r} exists only in Darknet's main fork (flavor 'alexey')"
        unknown = f"{quoted(name)} is unknown{_advice(name, known)}"
        self.report(self.error(f"activation {only if name in ACTIVATIONS else unknown}", key))
        return default

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

    def _items(self, option: Option | None, note_ends_list: bool) -> list[str]:
        """The texts between the commas, each as far as Darknet reads it; a warning where it lacks commas."""
        if option is None:
            return []
        items = option.value.split(",", _LONGEST_LIST + 1)
        if "," in option.note and not note_ends_list:
            self._warn_note(option, f"{option.value}{option.note}")
        read = [several.group(1) if (several := _SEVERAL.fullmatch(item)) else item for item in items]
        if option.spaced or read != items:
            self.warn_once(
                f"{option.key} lacks a comma between two numbers: Darknet takes white space out and each number up to "
                f"the next comma, {quoted(','.join(read))}, and so it is read here",
                option.key,
            )
        return read

    def _read(
        self, option: Option | None, items: Sequence[str], read: Callable[[Option, str], _Value]
    ) -> tuple[_Value, ...]:
        """The values of `items`; none where one cannot be read, or they are too many."""
        if option is None:
            return ()
        try:
            if len(items) > _LONGEST_LIST:
                raise self.error(f"{option.key} lists more than {_LONGEST_LIST} values", option.key)
            return tuple(read(option, item) for item in items)
        except CfgError as error:
            self.report(error)
            return ()

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
