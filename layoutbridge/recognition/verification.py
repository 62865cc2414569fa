"""Run every framework's own ops and every emitted graph for real, and say which catalogue names each matches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import Digits, unravel
from layoutbridge.displays import as_html
from layoutbridge.errors import LayoutBridgeError, MissingFrameworkError, ParameterError, class_and_first_line, shown
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable, numpy_dtype
from layoutbridge.frameworks.framework import Framework
from layoutbridge.frameworks.table import FRAMEWORKS, framework
from layoutbridge.operations.catalog import catalog, entry, op
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.recognition.matrix import native_matrix
from layoutbridge.recognition.naming import names_at
from layoutbridge.recognition.recover import Recovered, recover
from layoutbridge.recognition.rows import Row, Status

FrameworkProgress = Callable[[str, int, int], None]
STRIDES = (1, 2, 3, 4, 5)
# batch, and how many times the smallest length that the op accepts: one channel, not square, odd multiples, batches
_SHAPE_PLAN = ((1, (1, 2, 3)), (2, (2, 1, 3)), (1, (3, 3, 1)))
_SHAPES_OF_UNNAMED = "space_to_depth"  # a native op that no entry is named after takes this entry's shapes


@dataclass(frozen=True)
class Verification:
    """All rows of one `verify`; true as a condition when nothing differs that should match."""

    rows: tuple[Row, ...]

    _repr_html_ = as_html

    @property
    def findings(self) -> tuple[Row, ...]:
        """The rows that make the verdict bad.

        An emitted graph, or an op named after an entry, that differs from it; and an emitted graph that runs in no
        dtype at all.
        """
        ran = {_graph(row) for row in self.rows if row.emitted and row.status != "unsupported"}
        return tuple(
            row
            for row in self.rows
            if (row.status == "differs" and row.entry is not None)
            or (row.status == "unsupported" and row.emitted and _graph(row) not in ran)
        )

    @property
    def ok(self) -> bool:
        """Whether there is no finding. What could not run does not count."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        count, findings = len(self.rows), len(self.findings)
        frameworks = len({row.framework for row in self.rows})
        verdict = f"{findings:,} of them findings" if findings else "all hold"
        return f"{count:,} {'run' if count == 1 else 'runs'} in {frameworks} frameworks: {verdict}"

    def to_json(self) -> str:
        """A JSON object: `ok`, `counts` by status, `matrix` (native ops against names) and all `rows`."""
        counts = {status: sum(row.status == status for row in self.rows) for status in get_args(Status)}
        matrix = [asdict(native) for native in native_matrix(self.rows)]
        return json.dumps(
            {"ok": self.ok, "counts": counts, "matrix": matrix, "rows": [asdict(row) for row in self.rows]}
        )


def _graph(row: Row) -> tuple[str, str, str, str, str]:
    return row.framework, row.version, row.op, row.layout, row.direction


def verify(
    frameworks: Sequence[str] | None = None,
    ops: Sequence[str] | None = None,
    *,
    strides: Sequence[int] = STRIDES,
    dtypes: Sequence[str] = DTYPE_NAMES,
    progress: FrameworkProgress | None = None,
) -> Verification:
    """Run the native ops and the emitted graphs of `frameworks` and compare each with the catalogue.

    `frameworks` defaults to all, of which a missing one gives one row that says so; one that is named must be there.
    `ops` are catalogue names, by default those of which frameworks have ops of their own, and registered ones: only
    they are emitted, and of the native ops those named after them run, and those named after nothing where `ops` is not
    given.
    `progress(framework, done, total)` is called as strides are done.
    Raises `UnknownNameError`, `ParameterError`, and `MissingFrameworkError`.

    >>> verdict = verify(frameworks=("numpy",), ops=("darknet_reorg",), strides=(2,), dtypes=("uint8",))
    >>> verdict.ok, {row.status for row in verdict.rows}
    (True, {'matches'})
    """
    if ops is None:
        entries = {name: each for name, each in catalog().items() if each.is_native}
    else:
        entries = {name: entry(name) for name in _as_names(ops, "ops")}
    chosen = FRAMEWORKS if frameworks is None else _as_names(frameworks, "frameworks")
    records = {record.name: record for record in map(framework, chosen)}
    for dtype in dtypes:
        if dtype not in DTYPE_NAMES:
            raise ParameterError(f"no dtype {shown(dtype)} is verified; there are {', '.join(DTYPE_NAMES)}")
    for stride in strides:
        op("space_to_depth", stride=stride)  # raises for a stride that is none
    for record in records.values() if frameworks is not None else ():
        if record.installed() is None:
            raise MissingFrameworkError(f"{record.name} is not installed: {record.remedy}")
    rows: list[Row] = []
    for record in records.values():
        rows += _framework_rows(record, entries, ops is None, strides, dtypes, progress)
    return Verification(tuple(rows))


def _as_names(names: Sequence[str], what: str) -> Sequence[str]:
    """The names, each once; `ParameterError` where there are none."""
    if not isinstance(names, str | Sequence | set) or not names:
        raise ParameterError(f"{what} must name at least one, or be left out for all, not {shown(names)}")
    return list(dict.fromkeys([names] if isinstance(names, str) else names))


def _framework_rows(
    record: Framework,
    entries: Mapping[str, CatalogEntry],
    unnamed: bool,
    strides: Sequence[int],
    dtypes: Sequence[str],
    progress: FrameworkProgress | None,
) -> list[Row]:
    rows: list[Row] = []
    version = record.installed()
    if version is None:
        return [_unavailable(record.name, "", f"not installed: {record.remedy}")]
    for done, stride in enumerate(strides):
        if progress is not None:
            progress(record.name, done, len(strides))
        made = {name: each.build_at(stride) for name, each in entries.items()}
        try:
            runnables = list(record.runnables(stride, list(made.values())))
        except Exception as error:  # an installation that is broken is a row, never a crash
            return [_unavailable(record.name, version, f"cannot be used: {class_and_first_line(error)}")]
        for runnable in runnables:
            if runnable.entry in made:
                rows += _runnable_rows(runnable, made[runnable.entry], stride, dtypes)
            elif unnamed and runnable.entry is None:
                rows += _runnable_rows(runnable, entry(_SHAPES_OF_UNNAMED).build_at(stride), stride, dtypes)
    if progress is not None:
        progress(record.name, len(strides), len(strides))
    return rows


def _unavailable(framework: str, version: str, reason: str) -> Row:
    return Row(framework, version, "*", False, "NCHW", (), 0, "*", "forward", (), "unavailable", reason)


def _runnable_rows(runnable: Runnable, reference: Rearrangement, stride: int, dtypes: Sequence[str]) -> Iterator[Row]:
    inverse = reference.inverse()
    for shape in shapes_for(reference):
        for dtype in dtypes:
            try:
                numpy_dtype(dtype)
            except MissingFrameworkError as error:
                yield _unmade_row(runnable, shape, stride, dtype, str(error))
                continue
            yield _forward_row(runnable, reference, shape, stride, dtype)
            if runnable.gradient is not None and dtype in runnable.differentiable_dtypes and not runnable.unavailable:
                yield _backward_row(runnable, reference, inverse, shape, stride, dtype)


def _unmade_row(runnable: Runnable, shape: tuple[int, ...], stride: int, dtype: str, reason: str) -> Row:
    """The row of a dtype that NumPy lacks here."""
    return Row(
        runnable.framework, runnable.version, runnable.op, runnable.emitted, runnable.layout,
        shape, stride, dtype, "forward", (), "unavailable", reason, runnable.entry,
    )  # fmt: skip


def shapes_for(reference: Rearrangement) -> Iterable[tuple[int, ...]]:
    """The shapes [N, ...] that verification runs an operation at: small, and each catches another mistake."""
    units, fixed = [reference.domain.divisor(axis) for axis in range(reference.rank)], dict(reference.domain.fixed)
    for batch, multiples in _SHAPE_PLAN:
        repeated = [1 if axis in fixed else multiples[axis % len(multiples)] for axis in range(reference.rank)]
        yield (batch, *(unit * multiple for unit, multiple in zip(units, repeated, strict=True)))


def _forward_row(runnable: Runnable, reference: Rearrangement, shape: tuple[int, ...], stride: int, dtype: str) -> Row:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return _first(runnable.run(_last(x, runnable)), runnable)

    return _row(runnable, shape, stride, dtype, "forward", run, shape, reference)


def _backward_row(
    runnable: Runnable,
    reference: Rearrangement,
    inverse: Rearrangement,
    shape: tuple[int, ...],
    stride: int,
    dtype: str,
) -> Row:
    gradient = runnable.gradient
    assert gradient is not None
    x = _last(np.ones(shape, numpy_dtype(dtype)), runnable)

    def run(upstream: NDArray[Any]) -> NDArray[Any]:
        return _first(gradient(x, _last(upstream, runnable)), runnable)

    return _row(runnable, shape, stride, dtype, "backward", run, reference.out_shape(shape), inverse)


def _last(x: NDArray[Any], runnable: Runnable) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if runnable.layout == "NHWC" else x


def _first(y: NDArray[Any], runnable: Runnable) -> NDArray[Any]:
    return np.moveaxis(y, -1, 1) if runnable.layout == "NHWC" and y.ndim > 1 else y


def _row(
    runnable: Runnable,
    shape: tuple[int, ...],
    stride: int,
    dtype: str,
    direction: Literal["forward", "backward"],
    run: Callable[[NDArray[Any]], NDArray[Any]],
    read_shape: tuple[int, ...],
    expected: Rearrangement,
) -> Row:
    """Recover what `run` does to an array of `read_shape` and compare it with `expected`."""

    def row(names: tuple[str, ...], status: Status, detail: str) -> Row:
        return Row(
            runnable.framework, runnable.version, runnable.op, runnable.emitted, runnable.layout,
            shape, stride, dtype, direction, names, status, detail, runnable.entry,
        )  # fmt: skip

    if runnable.unavailable is not None:
        return row((), "unavailable", runnable.unavailable)
    try:
        found = recover(run, read_shape, numpy_dtype(dtype))
    except LayoutBridgeError as error:
        return row((), "unsupported", str(error))
    except Exception as error:  # whatever a framework raises for a combination that it does not take
        return row((), "unsupported", class_and_first_line(error))
    if found.table is None:
        return row((), "differs", f"{found.behaviour}: {found.detail}")
    names = _names(found, stride)
    if runnable.entry is None:
        return row(names, "matches" if names else "differs", "" if names else "no catalogue entry is this map")
    expected_name = runnable.entry if direction == "forward" else f"the inverse of {runnable.entry}"
    difference = _difference(found, expected, expected_name)
    return row(names, "differs" if difference else "matches", difference)


def _names(found: Recovered, stride: int) -> tuple[str, ...]:
    assert found.table is not None
    if found.table.size != prod(found.in_shape):
        return ()
    digits = _digits(found.table.tobytes())
    return () if digits is None else names_at(stride, digits, found.in_shape, found.out_shape)


@lru_cache(maxsize=1024)  # the same for every dtype
def _digits(table: bytes) -> Digits | None:
    return factorize(np.frombuffer(table, np.int64)).digits


def _difference(found: Recovered, expected: Rearrangement, expected_name: str) -> str:
    """The first place at which `found` reads another element than `expected`, or nothing."""
    assert found.table is not None
    out_shape = expected.out_shape(found.in_shape)
    if found.out_shape != out_shape:
        return f"gives shape {list(found.out_shape)} where {expected_name} gives {list(out_shape)}"
    table = expected.table(found.in_shape)
    different = np.flatnonzero(found.table != table)
    if not different.size:
        return ""
    index = int(different[0])
    here, there = (list(unravel(int(t[index]), found.in_shape)) for t in (found.table, table))
    return f"element {list(unravel(index, out_shape))} comes from {here}, in {expected_name} from {there}"
