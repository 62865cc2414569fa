"""A survey: all subjects measured one after another, each kept as soon as it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from layoutbridge.atlas.answers import FORMAT, Answer, Atlas, answer_from, answers_of
from layoutbridge.atlas.asking import CellError
from layoutbridge.atlas.descriptions.environments import BESIDE, ENVIRONMENTS, python_of, set_up
from layoutbridge.atlas.descriptions.subject import Subject
from layoutbridge.atlas.measuring import measure
from layoutbridge.atlas.table import NOT_MEASURED, subjects
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import PathLike, whole_file
from layoutbridge.version import __version__

Progress = Callable[[str, int, int], None]  # the subject, how many are done, and how many there are
_KEPT = "measured"


def survey(
    names: Sequence[str] | None = None,
    *,
    environments: PathLike | None = None,
    install: bool = False,
    progress: Progress | None = None,
) -> Atlas:
    """Measure the subjects called so, all without names: each of their ops is run, and said what map it is.

    Subjects that are not installed beside layoutbridge run in environments in the folder `environments`, which are made
    there with `install`. What is measured is kept there, too, and not measured again while neither the environment nor
    the cells change. Raises `UnknownNameError`.

    >>> [answer.names for answer in survey(["torch"]).answers][0]
    ('pixel_shuffle', 'depth_to_space_crd')
    """
    answers: list[Answer] = []
    missing = dict(NOT_MEASURED) if names is None else {}
    chosen = subjects(names)
    for done, subject in enumerate(chosen):
        if progress is not None:
            progress(subject.name, done, len(chosen))
        try:
            answers += _answers(subject, environments, install)
        except (CellError, UnusableInputError) as error:
            missing[subject.name] = str(error)
    if progress is not None:
        progress("", len(chosen), len(chosen))
    return Atlas(tuple(answers), missing)


def _answers(subject: Subject, environments: PathLike | None, install: bool) -> list[Answer]:
    python = python_of(subject.environment, environments)
    if python is None and install and environments is not None:
        python = set_up(subject.environment, environments)
    if python is None:
        raise UnusableInputError("its environment is not set up: make atlas sets up all")
    kept = None if environments is None else Path(environments, _KEPT, f"{subject.name}.json")
    mark = _mark(subject)
    if kept is not None and kept.is_file():
        held = json.loads(kept.read_text(encoding="utf-8"))
        if held["mark"] == mark:
            return [answer_from(each) for each in held["answers"]]
    version, measured = measure(subject, python)
    made = answers_of(subject, version, measured, ENVIRONMENTS[subject.environment])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(kept) as temporary:
            temporary.write_text(json.dumps({"mark": mark, "answers": [asdict(each) for each in made]}), "utf-8")
    return made


def _mark(subject: Subject) -> str:
    """What changes when a subject is to be measured anew."""
    held = [__version__, FORMAT, asdict(subject), ENVIRONMENTS[subject.environment]]
    if subject.environment == BESIDE:
        from importlib.metadata import distributions

        held.append(sorted(f"{each.name} {each.version}" for each in distributions()))
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()
