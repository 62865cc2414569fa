"""A survey: all subjects measured, each kept as soon as it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from layoutbridge.atlas.answers import FORMAT, Answer, Atlas, answer_from, answers_of
from layoutbridge.atlas.asking import Asked, CellError, StoppedError
from layoutbridge.atlas.descriptions.environments import ENVIRONMENTS, python_of, set_up
from layoutbridge.atlas.descriptions.subject import Subject
from layoutbridge.atlas.measuring import measure, version_of
from layoutbridge.atlas.table import NOT_MEASURED, subjects
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import PathLike, whole_file
from layoutbridge.machine import usable_cores
from layoutbridge.version import __version__

Progress = Callable[[str, int, int], None]  # what is begun, how many subjects are done, and how many there are
_KEPT = "measured"
_MOST_AT_ONCE = 4  # a runtime takes a gigabyte or more


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
    the cells change. As many subjects are measured at once as the process has processors, four at most. Raises
    `UnknownNameError`.

    >>> [answer.names for answer in survey(["torch"]).answers][0]
    ('pixel_shuffle', 'depth_to_space_crd')
    """
    chosen = subjects(names)
    measuring = _Measuring(environments, install, len(chosen), progress)
    with ThreadPoolExecutor(_at_once()) as threads:
        try:
            found = list(threads.map(measuring.answers, chosen))
        except BaseException:  # Ctrl-C, most of all
            measuring.stop()
            raise
    missing = dict(NOT_MEASURED) if names is None else {}
    for subject, told in zip(chosen, found, strict=True):
        if isinstance(told, str):
            missing[subject.name] = told
    return Atlas(tuple(answer for told in found if not isinstance(told, str) for answer in told), missing)


def _at_once() -> int:
    return min(usable_cores(), _MOST_AT_ONCE)


class _Measuring:
    """A survey under way: subjects one by one, from several threads."""

    def __init__(self, folder: PathLike | None, install: bool, total: int, progress: Progress | None) -> None:
        self._folder, self._install, self._total, self._progress = folder, install, total, progress
        self._done = 0
        self._locks: dict[str, Lock] = {name: Lock() for name in ENVIRONMENTS}
        self._asked: list[Asked] = []
        self._is_stopped = False

    def stop(self) -> None:
        """End what is being measured, and begin nothing more."""
        self._is_stopped = True
        for asked in self._asked:
            asked.stop()

    def answers(self, subject: Subject) -> list[Answer] | str:
        """The answers of a subject; or why it has none."""
        if self._is_stopped:
            raise StoppedError
        try:
            return self._answers(subject)
        except (CellError, UnusableInputError) as error:
            return str(error)
        finally:
            self._done += 1
            self._tell("")

    def _answers(self, subject: Subject) -> list[Answer]:
        python = self._python(subject.environment)
        kept = None if self._folder is None else Path(self._folder, _KEPT, f"{subject.name}.json")
        with Asked(python) as asked:
            self._asked.append(asked)
            version = version_of(subject, asked)
            mark = _mark(subject, version)
            if kept is not None and kept.is_file():
                held = json.loads(kept.read_text(encoding="utf-8"))
                if held["mark"] == mark:
                    return [answer_from(each) for each in held["answers"]]
            self._tell(f"measuring {subject.name}")
            measured = measure(subject, asked)
        made = answers_of(subject, version, measured, ENVIRONMENTS[subject.environment])
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as temporary:
                temporary.write_text(json.dumps({"mark": mark, "answers": [asdict(each) for each in made]}), "utf-8")
        return made

    def _python(self, environment: str) -> Path:
        with self._locks[environment]:  # nobody runs in what another is setting up
            python = python_of(environment, self._folder)
            if python is None and self._install and self._folder is not None:
                self._tell(f"installing {environment}")
                python = set_up(environment, self._folder)
        if python is None:
            raise UnusableInputError("its environment is not set up: make atlas sets up all")
        return python

    def _tell(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what, self._done, self._total)


def _mark(subject: Subject, version: str) -> str:
    """What changes when a subject is to be measured anew."""
    held = [__version__, FORMAT, asdict(subject), ENVIRONMENTS[subject.environment], version]
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()
