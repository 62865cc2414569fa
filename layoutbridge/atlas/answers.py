"""What was measured of each op, in a form that programs read: one answer an op, mode and layout of a subject."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from layoutbridge.atlas.descriptions.subject import Role, Subject
from layoutbridge.atlas.measuring import Measured, Trial
from layoutbridge.atlas.repros import program
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import PathLike
from layoutbridge.inputs import read_bytes, read_json

Gradient = Literal["", "right", "wrong", "none"]
FORMAT = 1
_LARGEST = 1 << 26  # bytes of an atlas
_USUAL = "float32"


@dataclass(frozen=True, slots=True)
class Answer:
    """One op of a subject, as it was found.

    `names` are the entries of the catalogue that are the same map wherever it ran; none where it is another map, or did
    not run: `detail` says what it does, or why not. `strides` and `dtypes` are those that it takes, `refused` what it
    said to others and to sizes that the stride does not divide. `gradient` is empty where it has none that is asked
    for. `contradicts` is on where the documentation, at `source`, names another entry than was found. `code` is what
    was run, `shown` what its program prints for one picture of the shape `example`, in the environment made of
    `packages`; without these it is installed beside layoutbridge.
    """

    subject: str
    title: str
    role: Role
    version: str
    op: str
    mode: str
    layout: str
    names: tuple[str, ...]
    detail: str
    strides: tuple[int, ...]
    dtypes: tuple[str, ...]
    refused: Mapping[str, str]
    gradient: Gradient
    documented: str
    source: str
    since: str
    contradicts: bool
    code: str
    example: tuple[int, ...] = ()
    shown: str = ""
    packages: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The op as a program of its own, which prints what is `shown`."""
        return program(self.code, self.example) if self.example else self.code

    @property
    def key(self) -> str:
        """How the op is called: subject, op and mode, layout where it is not NCHW.

        >>> about = "ncnn", "ncnn", "runtime", "1.0", "Reorg", "mode 1", "NCHW"
        >>> Answer(*about, (), "", (), (), {}, "", "", "", "", False, "").key
        'ncnn:Reorg:1'
        """
        parts = [self.subject, self.op, self.mode.removeprefix("mode ")]
        return ":".join(part for part in (*parts, "" if self.layout == "NCHW" else self.layout) if part)


@dataclass(frozen=True)
class Atlas:
    """All answers, and the subjects that could not be measured, with the reason."""

    answers: tuple[Answer, ...]
    missing: Mapping[str, str]

    def __str__(self) -> str:
        subjects = len({each.subject for each in self.answers})
        told = f"{len(self.answers)} ops of {subjects} subjects: {len(self.findings)} findings"
        return told + (f"; {len(self.missing)} not measured" if self.missing else "")

    @property
    def findings(self) -> tuple[Answer, ...]:
        """What contradicts its documentation, and gradients that are wrong."""
        return tuple(each for each in self.answers if each.contradicts or each.gradient == "wrong")

    def to_json(self) -> str:
        """The atlas as JSON text: docs/atlas.schema.json describes it."""
        return json.dumps(
            {"format": FORMAT, "answers": [asdict(each) for each in self.answers], "missing": dict(self.missing)},
            indent=1,
        )


def answers_of(subject: Subject, version: str, measured: Iterable[Measured], packages: tuple[str, ...]) -> list[Answer]:
    """The answers of a subject; `packages` are what its environment is made of."""
    return [_answer(subject, version, each, packages) for each in measured]


def _answer(subject: Subject, version: str, measured: Measured, packages: tuple[str, ...]) -> Answer:
    cell, forward = measured.cell, [each for each in measured.trials if each.direction == "forward"]
    ran = [each for each in forward if each.outcome != "refused"]
    names = measured.names
    documented = bool(cell.documented and ran)
    return Answer(
        subject.name, subject.title, subject.role, version, cell.op, cell.mode, cell.layout,
        names, "" if names else _why(forward),
        tuple(sorted({each.stride for each in ran if each.dtype == _USUAL})),
        tuple(dict.fromkeys(each.dtype for each in forward if each.outcome == "moves")),
        _refused(forward), _gradient(measured.trials, bool(cell.gradient)),
        cell.documented, cell.source, cell.since, documented and cell.documented not in names,
        cell.text, measured.example, measured.shown, packages,
    )  # fmt: skip


def _why(trials: Iterable[Trial]) -> str:
    """What is said of an op that is no entry."""
    trials = list(trials)
    first = next((each for each in trials if each.outcome == "differs"), None) or next(iter(trials), None)
    return "" if first is None else first.detail


def _refused(trials: Iterable[Trial]) -> dict[str, str]:
    refused: dict[str, str] = {}
    for each in trials:
        if each.outcome == "moves":
            continue
        if each.is_odd or each.dtype == _USUAL:
            refused.setdefault(f"{list(each.shape)} at stride {each.stride}", each.detail)
        else:
            refused.setdefault(each.dtype, each.detail)
    return refused


def _gradient(trials: Iterable[Trial], is_asked: bool) -> Gradient:
    backward = [each for each in trials if each.direction == "backward"]
    if not is_asked:
        return ""
    ran = [each for each in backward if each.outcome != "refused"]
    if not ran:
        return "none"
    return "right" if all(each.outcome == "moves" for each in ran) else "wrong"


# ---------------------------------------------------------------------- files


def read_atlas(path: PathLike) -> Atlas:
    """The atlas in a file; raises `UnusableInputError` for what is none."""
    return parsed_atlas(read_bytes(path, "atlas", most=_LARGEST).decode("utf-8", "replace"), os.fspath(path))


def parsed_atlas(text: str, name: str) -> Atlas:
    """The same of its text; `name` is what errors call it."""
    told = read_json(text, longest=_LARGEST)
    version = told.get("format") if isinstance(told, dict) else None
    if isinstance(version, int) and version != FORMAT:
        raise UnusableInputError(f"'{name}' has format {version}, and {FORMAT} is read")
    try:
        return Atlas(tuple(map(answer_from, told["answers"])), dict(told["missing"]))
    except (KeyError, TypeError, ValueError):
        raise UnusableInputError(f"'{name}' is no atlas: layoutbridge atlas -o writes one") from None


def answer_from(told: Mapping[str, Any]) -> Answer:
    """An answer from what JSON holds of it; raises `KeyError` or `TypeError` where that is none."""
    values: dict[str, Any] = {}
    for each in fields(Answer):
        value = told[each.name]
        values[each.name] = tuple(value) if isinstance(value, list) else value
    return Answer(**values)
