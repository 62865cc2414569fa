"""Reading a cfg file into sections, by the rules of Darknet's own reader.

Darknet takes all spaces and tabs out of a line, skips lines that begin with # or ;, takes a line that begins with [
as a section and any other as `key=value`, split at the first =. The first of repeated keys wins. It does not know
notes behind a value; we drop them, keep them in `Option.note`, and let the reader of the option say where Darknet
would have read something else. Carriage returns at the ends of lines the main fork takes out and the original does
not; a byte order mark neither does: we drop both.

Definition: parser.c (read_cfg, string_to_layer_type), option_list.c and utils.c (strip) of both forks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from layoutbridge.darknet.structure.choices import FLAVORS, Flavor
from layoutbridge.darknet.structure.kinds import KINDS
from layoutbridge.darknet.structure.model import Option, Section, place_in
from layoutbridge.darknet.structure.noted import Collected, Warnings
from layoutbridge.errors import CfgError, ParameterError, shown
from layoutbridge.inputs import read_bytes

LARGEST_CFG = 4 << 20  # bytes; the largest cfg of either fork has some fifty thousand
MOST_SECTIONS = 10_000
_QUOTED = 40
_SPACES = str.maketrans("", "", " \t\r\n")
_BETWEEN_NUMBERS = re.compile(r"[0-9.][ \t]+[-+.0-9]")
_BYTE_ORDER_MARK = "\ufeff"
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\v\x1a\x1b")


def _section_names(flavor: Flavor) -> Mapping[str, str]:
    """What a fork calls sections, each with the kind that it makes."""
    names = {"net": "net", "network": "net"}
    for kind, settings in KINDS.items():
        if flavor in settings.flavors:
            names |= dict.fromkeys((kind, *settings.aliases), kind)
    return names


_NAMES: Mapping[Flavor, Mapping[str, str]] = {flavor: _section_names(flavor) for flavor in FLAVORS}


def quoted(text: str) -> str:
    """`text` in quotes, on one line and not longer than an error should quote."""
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 3] + "...")


def check_flavor(flavor: str) -> Flavor:
    """`flavor` as it is, or `ParameterError` with the two there are."""
    for known in FLAVORS:
        if flavor == known:
            return known
    raise ParameterError(f"flavor is {' or '.join(map(repr, FLAVORS))}, not {shown(flavor)}")


def read_cfg(path: str | os.PathLike[str], *, flavor: Flavor = "alexey") -> tuple[tuple[Section, ...], Warnings]:
    """The sections of the cfg file at `path`, [net] first, and warnings of one line each.

    Sections may have faults, which `build_network` raises together with its own. Raises `CfgError` for a file that is
    missing, larger than `LARGEST_CFG` (it is not read then), binary, or without any section.
    """
    name = Path(path).name
    data = read_bytes(path, "cfg file", most=LARGEST_CFG, pipe=True, error=CfgError)
    return _scanned(_as_text(data, name), name, flavor)


def _as_text(data: bytes, source: str) -> str:
    sample = data[:65536]
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in sample)
    if b"\0" in data or controls * 20 > len(sample):
        raise CfgError(f"{source} is a binary file, no cfg: the cfg comes first, the weights after it")
    return data.decode("utf-8", errors="replace")


def parse_cfg(text: str, *, source: str = "cfg", flavor: Flavor = "alexey") -> tuple[tuple[Section, ...], Warnings]:
    """The sections of a cfg's text, [net] first, and warnings of one line each.

    Raises `CfgError` with all that is wrong, naming `source` and the lines: no [net] at the beginning, sections that no
    fork or only the other one knows, a line before the first section.

    >>> sections, warnings = parse_cfg("[net]\\nwidth = 4 # pixels\\n[max]\\nsize=2\\nsize=3\\n")
    >>> [(s.kind, s.line, {k: o.value for k, o in s.options.items()}) for s in sections]
    [('net', 1, {'width': '4'}), ('maxpool', 3, {'size': '2'})]
    >>> warnings
    ('cfg, line 5: [max] repeats size=3; the first, size=2 in line 4, holds, as in Darknet',)
    """
    sections, warnings = _scanned(text, source, flavor)
    if faults := [fault for section in sections for fault in section.faults]:
        raise CfgError(*faults)
    return sections, warnings


def _scanned(text: str, source: str, flavor: Flavor) -> tuple[tuple[Section, ...], Warnings]:
    """As `parse_cfg`, with what is wrong with each section in its `faults`; a [net] that is missing is put in front."""
    sections: list[Section] = []
    warnings = Collected()
    options: dict[str, Option] = {}
    astray: list[str] = []
    if text.startswith(_BYTE_ORDER_MARK):
        text = text[1:]
        warnings.append(f"{place_in(source, 1)}: begins with a byte order mark, at which Darknet stops; it is left out")
    returns = flavor == "alexey"  # the main fork takes them out
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.translate(_SPACES)
        if not line or line[0] in "#;":
            continue
        if not returns and "\r" in raw:
            returns = True
            warnings.append(
                f"{place_in(source, number)}: ends in a carriage return, with which the original Darknet knows no "
                "section and no word; here it is left out, as in the main fork"
            )
        if line[0] == "[":
            if len(sections) == MOST_SECTIONS:
                raise CfgError(f"{place_in(source, number)}: more than {MOST_SECTIONS:,} sections; is it a cfg file?")
            options = {}
            section = _section(line, number, source, flavor, options, warnings)
            sections += _opening(section, line, astray) if not sections else [_following(section)]
        elif sections:
            _add_option(raw, number, sections[-1], options, warnings)
        elif not astray:
            astray = [f"{place_in(source, number)}: {quoted(line)} stands before any section; a cfg begins with [net]"]
    if not sections:
        raise CfgError(*astray or [f"{source} has no section at all; a cfg begins with [net]"])
    return tuple(sections), warnings.told()


def _section(
    line: str, number: int, source: str, flavor: Flavor, options: dict[str, Option], warnings: Collected
) -> Section:
    written, closed, note = line[1:].partition("]")
    where = place_in(source, number)
    faults: tuple[str, ...] = ()
    if not closed:
        faults = (f"{where}: {quoted(line)} lacks its closing ]",)
    elif note and note[0] not in "#;":
        faults = (f"{where}: {quoted(line)} is no section: nothing may follow the ]",)
    elif note:
        warnings.append(f"{where}: the note behind [{written}] is dropped; Darknet would not know the section with it")
    kind = _NAMES[flavor].get(written, "")
    if not kind and not faults:
        faults = (f"{where}: {_unknown(written, flavor)}",)
    return Section(kind, written, number, source, MappingProxyType(options), faults)


def _opening(section: Section, line: str, astray: Sequence[str]) -> list[Section]:
    """A cfg's first section, behind a [net] of no kind where it is a layer's."""
    if section.kind == "net":
        return [replace(section, faults=(*astray, *section.faults))]
    where = place_in(section.source, section.line)
    fault = f"{where}: the first section is {quoted(line)}; a cfg begins with [net]"
    net = Section("", "net", section.line, section.source, MappingProxyType({}), (*astray, fault))
    return [net, section] if section.kind else [replace(net, options=section.options)]


def _following(section: Section) -> Section:
    if section.kind != "net":
        return section
    fault = f"{place_in(section.source, section.line)}: a second [net]; a cfg has one, at its beginning"
    return replace(section, kind="", faults=(fault,))


def read_as(sections: Sequence[Section], flavor: Flavor) -> tuple[Section, ...]:
    """`sections` as the other fork reads them; `CfgError` for one that it does not know."""
    for section in sections:
        if section.written not in _NAMES[flavor]:
            raise CfgError(f"{section.where} {_unknown(section.written, flavor)}")
    return tuple(replace(section, kind=_NAMES[flavor][section.written]) for section in sections)


def _unknown(written: str, flavor: Flavor) -> str:
    other: Flavor = "pjreddie" if flavor == "alexey" else "alexey"
    if written in _NAMES[other]:
        fork = "the original Darknet" if other == "pjreddie" else "Darknet's main fork"
        return f"[{written}] exists only in {fork}: read it with flavor {other!r}"
    near = get_close_matches(written[:80], [*_NAMES[flavor]], n=1, cutoff=0.6)
    advice = f"; did you mean [{near[0]}]?" if near else ""
    return f"unknown section {quoted('[' + written + ']')}{advice}"


def _add_option(raw: str, number: int, section: Section, options: dict[str, Option], warnings: Collected) -> None:
    line = raw.translate(_SPACES)
    key, equals, rest = line.partition("=")
    cut = min((at for at in (rest.find("#"), rest.find(";")) if at >= 0), default=len(rest))
    value, note = rest[:cut], rest[cut:]
    if (not equals or not value or key in options) and warnings.is_full:
        warnings.left_out += 1
    elif not equals or not value:
        warnings.append(f"{section.where_at(number)} {quoted(line)} gives no value and is left out")
    elif key in options:
        first = options[key]
        warnings.append(
            f"{section.where_at(number)} repeats {quoted(f'{key}={value}')[1:-1]}; the first, "
            f"{quoted(f'{key}={first.value}')[1:-1]} in line {first.line}, holds, as in Darknet"
        )
    else:
        written = raw.partition("=")[2]
        before_note = written if not note else written[: written.index(note[0])]
        options[key] = Option(key, value, number, note, _BETWEEN_NUMBERS.search(before_note) is not None)
