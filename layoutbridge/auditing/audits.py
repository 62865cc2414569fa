"""An audit: very many models scanned, each where it can take no other along, and what they move added up."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from layoutbridge.auditing.engines import Engine, by_processes, by_scheduler
from layoutbridge.auditing.examining import content_hash
from layoutbridge.auditing.finding import EXTRA, Findings, ModelFile, find_models, same_sized
from layoutbridge.auditing.journal import ENDING, Journal, journal_at
from layoutbridge.auditing.processes import prepared
from layoutbridge.auditing.records import Record, Status
from layoutbridge.auditing.tables import write_parquet
from layoutbridge.errors import ParameterError, UnusableInputError, counted, shown
from layoutbridge.files import PathLike, whole_file
from layoutbridge.frameworks.base import require
from layoutbridge.machine import usable_cores

Progress = Callable[[int, int], None]  # how many files are done, and how many there are in all
_SECONDS = 300.0
_REPORT = ".parquet"


@dataclass(frozen=True, slots=True)
class OperationCount:
    """How often one operation occurs: its name at its parameters, or the kind of a place without a name."""

    operation: str
    places: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A place that may be a mistake, and why."""

    file: str
    nodes: tuple[str, ...]
    pattern: str | None
    suspicion: str


@dataclass(frozen=True)
class Audit:
    """What an audit found: `files` by their status, the operations that move elements, the most frequent first.

    `bytes_moved` counts what is written by all places that are no views, in files that are not there twice. `failed`
    are files that could not be scanned, with the reason. `others` counts the files that are no models by their
    endings, and `unreadable` names folders that could not be entered.
    """

    files: Mapping[str, int]
    places: int
    bytes_moved: int
    operations: tuple[OperationCount, ...]
    suspicious: tuple[Suspicion, ...]
    failed: tuple[tuple[str, str], ...]
    others: Mapping[str, int]
    unreadable: tuple[str, ...]

    def __str__(self) -> str:
        files = ", ".join(f"{count:,} {status}" for status, count in self.files.items())
        return f"files: {files}; {counted(self.places, 'place', form=',')}, {len(self.suspicious):,} of them suspicious"

    def as_json(self) -> dict[str, Any]:
        """The audit as it stands in `layoutbridge audit --json`."""
        return {
            "files": dict(self.files), "places": self.places, "bytes_moved": self.bytes_moved,
            "operations": [asdict(each) for each in self.operations],
            "suspicious": [asdict(each) for each in self.suspicious],
            "failed": [{"file": file, "message": message} for file, message in self.failed],
            "others": dict(self.others), "unreadable": list(self.unreadable),
        }  # fmt: skip

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_json())


def audit(
    targets: PathLike | Sequence[PathLike],
    output: PathLike | None = None,
    *,
    jobs: int | None = None,
    seconds: float = _SECONDS,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Scan all models in `targets`, one or several: folders, files, zip archives, addresses that fsspec knows (s3://).

    Each file is looked at in one of `jobs` processes (as many as the machine runs at once) that a crash, or the limit
    of `seconds`, costs that file alone; with `scheduler`, the address of a Dask scheduler, in processes of its workers.
    `output` is a .parquet file with a row for each place, and one for each file without: docs/audit.md has its columns.
    An audit that was interrupted goes on from a file beside it. A file that is there twice is scanned once. `progress`
    is called with how many files are done, and how many there are.

    Raises `UnusableInputError` for targets that cannot be reached or hold no model, `ParameterError`, and
    `MissingFrameworkError` where the extra "audit" is not installed.

    >>> import layoutbridge as lb
    >>> folder = Path(tempfile.mkdtemp())
    >>> lb.export(lb.op("focus"), "onnx", folder / "focus.onnx", shape=(1, 3, 8, 8))
    >>> [(count.operation, count.places) for count in audit(folder, jobs=1).operations]
    [('focus (stride 2)', 1)]
    """
    engine = _engine(jobs, seconds, scheduler)
    if output is not None and Path(output).suffix.lower() != _REPORT:
        raise ParameterError(f"the report is a {_REPORT} file, not '{os.fspath(output)}'")
    if output is not None:
        require("pyarrow.parquet", "pyarrow", EXTRA)  # before the work, not after it
    places = _as_texts(targets)
    findings = find_models(places)
    if not findings.models:
        raise UnusableInputError(f"no model in {', '.join(places)}: {_told(findings.others) or 'nothing is there'}")
    with ExitStack() as held:
        journal = held.enter_context(_journal(output))
        first = _first_ones(findings.models)
        _examine([model for model in findings.models if model not in first], journal, engine, progress)
        if output is not None:
            with whole_file(output) as temporary:
                write_parquet(temporary, _records(findings.models, first, journal))
        return _summary(findings, _records(findings.models, first, journal))


def _as_texts(targets: PathLike | Sequence[PathLike]) -> list[str]:
    """Paths and addresses as text; raises `ParameterError` for what is neither."""
    given = [targets] if isinstance(targets, str | os.PathLike) else targets
    try:
        return [os.fsdecode(target) for target in given]
    except TypeError:
        raise ParameterError(f"an audit takes paths and addresses, not {shown(targets)}") from None


def _engine(jobs: int | None, seconds: float, scheduler: str | None) -> Engine:
    if not seconds > 0:
        raise ParameterError(f"the limit of a file is {seconds} seconds: it must be more than 0")
    if scheduler is not None:
        if jobs is not None:
            raise ParameterError(
                f"jobs={jobs} is of this machine, and the scheduler knows its workers: give one of both"
            )
        return partial(by_scheduler, address=scheduler, seconds=seconds)
    if jobs is not None and jobs < 1:
        raise ParameterError(f"jobs={jobs} must be at least 1")
    prepared()
    return partial(by_processes, jobs=jobs or usable_cores(), seconds=seconds)


@contextmanager
def _journal(output: PathLike | None) -> Iterator[Journal]:
    if output is not None:
        with journal_at(Path(f"{os.fspath(output)}{ENDING}")) as journal:
            yield journal
        return
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder, journal_at(Path(folder, "journal")) as journal:
        yield journal


def _examine(models: Sequence[ModelFile], journal: Journal, engine: Engine, progress: Progress | None) -> None:
    """Have all models in the journal that are not there as they are now."""
    left = [model for model in models if not journal.has(model.name, model.size, model.stamp)]
    done = len(models) - len(left)
    if progress is not None:
        progress(done, len(models))
    for records in engine(left):
        journal.add(records)
        done += len(records)
        if progress is not None:
            progress(done, len(models))


def _first_ones(models: Sequence[ModelFile]) -> dict[ModelFile, tuple[str, str]]:
    """For each model that is there twice its hash and the name of the first one; not for the first ones themselves."""
    alike = same_sized(models)
    with ThreadPoolExecutor() as threads:
        digests = list(threads.map(content_hash, alike))
    names: dict[tuple[str, str], str] = {}
    found = {}
    for model, digest in zip(alike, digests, strict=True):
        ending = Path(model.content.partition("::")[0]).suffix.lower()
        name = names.setdefault((digest, ending), model.name)
        if digest and name != model.name:
            found[model] = digest, name
    return found


def _records(
    models: Iterable[ModelFile], first: Mapping[ModelFile, tuple[str, str]], journal: Journal
) -> Iterator[Record]:
    """The records in the order of the files' names."""
    for model in models:
        if model not in first:
            yield journal.record(model.name)
            continue
        digest, name = first[model]
        status: Status = "no model" if journal.record(name).status == "no model" else "duplicate"
        yield Record(model.name, model.size, model.stamp, status, sha256=digest, same_as=name)


# ---------------------------------------------------------------------- adding up


def _summary(findings: Findings, records: Iterable[Record]) -> Audit:
    files: Counter[str] = Counter()
    places: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    of_files: Counter[str] = Counter()
    suspicious: list[Suspicion] = []
    failed: list[tuple[str, str]] = []
    others = Counter(findings.others)
    for record in records:
        if record.status == "no model":
            others[Path(record.file).suffix.lower()] += 1
            continue
        files[record.status] += 1
        if record.message:
            failed.append((record.file, record.message))
        named = [(operation_of(place), place) for place in record.places]
        of_files.update({operation for operation, _ in named})
        for operation, place in named:
            places[operation] += 1
            moved[operation] += 0 if place["kind"] == "view" else place["bytes"]
            if place["suspicion"]:
                suspicious.append(Suspicion(record.file, tuple(place["nodes"]), place["pattern"], place["suspicion"]))
    order = sorted(places, key=lambda operation: (-places[operation], operation))
    counts = tuple(OperationCount(each, places[each], of_files[each], moved[each]) for each in order)
    return Audit(
        files, places.total(), moved.total(), counts, tuple(suspicious), tuple(failed), others,
        findings.unreadable,
    )  # fmt: skip


def operation_of(place: Mapping[str, Any]) -> str:
    """What a place is counted as: its first name at its parameters, its kind where it has none.

    >>> operation_of({"kind": "moves", "names": ["focus"], "parameters": {"stride": 2}, "wrapping": ""})
    'focus (stride 2)'
    """
    if place["kind"] != "moves" or not place["names"]:
        return "without a name" if place["kind"] == "moves" else str(place["kind"])
    values = ", ".join(f"{name} {value}" for name, value in place["parameters"].items())
    return f"{place['names'][0]}{f' ({values})' if values else ''}"


def _told(others: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} files {ending}" for ending, count in sorted(others.items(), key=lambda each: -each[1])[:5]
    )
