"""Reading a cfg file into sections, by the rules of Darknet's own reader.

Darknet takes all spaces, tabs and carriage returns out of a line, skips lines that begin with # or ;, takes a line
that begins with [ as a section and any other as `key=value`, split at the first =. The first of repeated keys
wins. It does not know notes behind a value; we drop them, keep them in `Option.note`, and let the reader of the
option say where Darknet would have read something else.

Definition: parser.c (read_cfg, string_to_layer_type), option_list.c and utils.c (strip) of both forks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from layoutbridge.darknet.structure.kinds import KINDS
from layoutbridge.darknet.structure.model import Option, Section, place_in
from layoutbridge.darknet.structure.settings import FLAVORS, Flavor
from layoutbridge.errors import CfgError, LayoutBridgeError, ParameterError

LARGEST_CFG = 4 << 20  # bytes; the largest cfg of either fork has some fifty thousand
MOST_SECTIONS = 10_000
_QUOTED = 40
_SPACES = str.maketrans("", "", " \t\r\n")
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
    raise ParameterError(f"flavor is {' or '.join(map(repr, FLAVORS))}, not {flavor!r}")


def read_cfg(path: str | os.PathLike[str], *, flavor: Flavor = "alexey") -> tuple[tuple[Section, ...], tuple[str, ...]]:
    """The sections of the cfg file at `path`, [net] first, and warnings of one line each.

    Raises `CfgError` for a file that is missing, larger than `LARGEST_CFG` (it is not read then) or binary, and as
    `parse_cfg` does.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if size > LARGEST_CFG:
                raise CfgError(f"{file.name} has {size:,} bytes, a cfg file at most {LARGEST_CFG:,}: is it one?")
            data = opened.read(size + 1) if file.is_file() else opened.read(LARGEST_CFG + 1)  # a pipe has no size
    except LayoutBridgeError:
        raise
    except (OSError, ValueError) as error:
        raise CfgError(f"cannot read the cfg file {str(path)!r}: {_reason(error)}") from None
    if len(data) > LARGEST_CFG:
        raise CfgError(f"{file.name} has more than {LARGEST_CFG:,} bytes, too many for a cfg file")
    return parse_cfg(_as_text(data, file.name), source=file.name, flavor=flavor)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _as_text(data: bytes, source: str) -> str:
    sample = data[:65536]
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in sample)
    if b"\0" in data or controls * 20 > len(sample):
        raise CfgError(f"{source} is a binary file, no cfg: the cfg comes first, the weights after it")
    return data.decode("utf-8-sig", errors="replace")


def parse_cfg(
    text: str, *, source: str = "cfg", flavor: Flavor = "alexey"
) -> tuple[tuple[Section, ...], tuple[str, ...]]:
    """The sections of a cfg's text, [net] first, and warnings of one line each.

    Raises `CfgError`, naming `source` and the line: no [net] at the beginning, a section that no fork or only the
    other one knows, a line before the first section.

    >>> sections, warnings = parse_cfg("[net]\\nwidth = 4 # pixels\\n[max]\\nsize=2\\nsize=3\\n")
    >>> [(s.kind, s.line, {k: o.value for k, o in s.options.items()}) for s in sections]
    [('net', 1, {'width': '4'}), ('maxpool', 3, {'size': '2'})]
    >>> warnings
    ('cfg, line 5: [max] repeats size=3; the first, size=2 in line 4, holds, as in Darknet',)
    """
    sections: list[Section] = []
    warnings: list[str] = []
    options: dict[str, Option] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.translate(_SPACES)
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if len(sections) == MOST_SECTIONS:
                raise CfgError(f"{place_in(source, number)}: more than {MOST_SECTIONS:,} sections; is it a cfg file?")
            options = {}
            sections.append(_section(line, number, source, flavor, options, warnings, first=not sections))
        elif not sections:
            raise CfgError(
                f"{place_in(source, number)}: {quoted(line)} stands before any section; a cfg begins with [net]"
            )
        else:
            _add_option(line, number, sections[-1], options, warnings)
    if not sections:
        raise CfgError(f"{source} has no section at all; a cfg begins with [net]")
    return tuple(sections), tuple(warnings)


def _section(
    line: str, number: int, source: str, flavor: Flavor, options: dict[str, Option], warnings: list[str], *, first: bool
) -> Section:
    written, closed, note = line[1:].partition("]")
    where = place_in(source, number)
    if not closed:
        raise CfgError(f"{where}: {quoted(line)} lacks its closing ]")
    if note and note[0] not in "#;":
        raise CfgError(f"{where}: {quoted(line)} is no section: nothing may follow the ]")
    if note:
        warnings.append(f"{where}: the note behind [{written}] is dropped; Darknet would not know the section with it")
    kind = _NAMES[flavor].get(written)
    if first and kind != "net":
        raise CfgError(f"{where}: the first section is {quoted(line)}; a cfg begins with [net]")
    if kind is None:
        raise CfgError(f"{where}: {_unknown(written, flavor)}")
    if kind == "net" and not first:
        raise CfgError(f"{where}: a second [net]; a cfg has one, at its beginning")
    return Section(kind, written, number, source, MappingProxyType(options))


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


def _add_option(line: str, number: int, section: Section, options: dict[str, Option], warnings: list[str]) -> None:
    key, equals, rest = line.partition("=")
    where = section.where_at(number)
    cut = min((at for at in (rest.find("#"), rest.find(";")) if at >= 0), default=len(rest))
    value, note = rest[:cut], rest[cut:]
    if not equals or not value:
        warnings.append(f"{where} {quoted(line)} gives no value and is left out")
    elif key in options:
        first = options[key]
        warnings.append(
            f"{where} repeats {quoted(f'{key}={value}')[1:-1]}; the first, "
            f"{quoted(f'{key}={first.value}')[1:-1]} in line {first.line}, holds, as in Darknet"
        )
    else:
        options[key] = Option(key, value, number, note)
