"""Result files: what was measured on a machine, with its versions, the date, and the limits that held or not.

There is one file for each kind of machine, `results/KIND-DATE.json`: a run begins from the one that is there, puts
what it measured in its place, and takes its name's date. What is a verdict does not change by noise: a value within
`MARGIN` of its limit is about equal, and a verdict that stood before stays until the value is that much beyond where
another begins.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from layoutbridge.frameworks.base import installed_version
from layoutbridge.machine import Machine, this_machine

RESULTS = Path(__file__).resolve().parent / "results"
MARGIN = 0.05
HOLDS, EQUAL, MISSED = "holds", "about equal", "missed"
_PACKAGES = (
    "layoutbridge", "numpy", "numba", "onnx", "onnxruntime", "openvino", "ncnn", "torch", "tensorflow",
    "ai-edge-litert", "opencv-python-headless",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line: `value` is the median of what was measured, in `unit`, between `low` and `high`.

    `most` is the limit, and `verdict` whether it holds; `more` has what else belongs to it (deviation, memory, ...).
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    most: float | None = None
    verdict: str = ""
    more: Mapping[str, Any] | None = None


def row(name: str, values: Sequence[float], unit: str, most: float | None = None, **more: Any) -> Row:
    """A row of what was measured several times.

    >>> row("a", [1, 3, 2], "s").value
    2
    """
    return Row(name, median(values), min(values), max(values), unit, most, more=more or None)


def verdict(value: float, most: float, before: str = "") -> str:
    """Whether a limit holds: `before` is what stood there, which noise does not change.

    >>> [verdict(value, 1) for value in (0.9, 1, 1.2)]
    ['holds', 'about equal', 'missed']
    >>> verdict(0.97, 1, "holds"), verdict(0.92, 1, "about equal"), verdict(0.8, 1, "missed")
    ('holds', 'about equal', 'holds')
    """
    share = value / most
    lasting = {HOLDS: share < 1, EQUAL: abs(share - 1) < 2 * MARGIN, MISSED: share > 1}
    if lasting.get(before, False):
        return before
    return HOLDS if share <= 1 - MARGIN else MISSED if share >= 1 + MARGIN else EQUAL


def save(measured: Mapping[str, Iterable[Row]], folder: Path = RESULTS, machine: Machine | None = None) -> Path:
    """Put rows, by the name of their benchmark, into this machine's file; the file's path."""
    here = machine or this_machine()
    now = datetime.now(UTC)
    old = [path for path in sorted(folder.glob("*.json")) if _is_of(read(path), here)]
    held: dict[str, Any] = {}
    for path in old:
        held |= read(path)["benchmarks"]
    about = {"date": f"{now:%Y-%m-%d}", "commit": _commit(), "versions": versions()}
    for name, rows in measured.items():
        before = {each["name"]: each.get("verdict", "") for each in held.get(name, {}).get("rows", ())}
        held[name] = about | {"rows": [_judged(each, before.get(each.name, "")) for each in rows]}
    told = {"machine": here.to_dict(), "by_hand": False, "benchmarks": dict(sorted(held.items()))}
    folder.mkdir(exist_ok=True)
    path = folder / f"{here.slug}-{here.cores}-cores-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for each in old:
        if each != path:
            each.unlink()
    return path


def read(path: Path) -> dict[str, Any]:
    """A result file: `machine`, `by_hand`, and `benchmarks`, each with date, commit, versions and rows."""
    return json.loads(path.read_text(encoding="utf-8"))


def all_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """All result files: those that the benchmark wrote first, then those recorded by hand."""
    return sorted(map(read, sorted(folder.glob("*.json"))), key=lambda each: each["by_hand"])


def versions() -> dict[str, str]:
    """What is installed of what is measured."""
    found = {name: version for name in _PACKAGES if (version := installed_version(name)) is not None}
    beside = sorted((Path(sys.prefix) / "opencv4").glob("opencv_python_headless-*.dist-info"))
    return found | ({"OpenCV 4": beside[0].name.split("-")[1].removesuffix(".dist")} if beside else {})


def _is_of(told: Mapping[str, Any], here: Machine) -> bool:
    machine = told["machine"]
    return not told["by_hand"] and (machine["kind"], machine["cores"]) == (here.kind, here.cores)


def _judged(row: Row, before: str) -> dict[str, Any]:
    told = asdict(row)
    if row.most is not None:
        told["verdict"] = verdict(row.value, row.most, before)
    rounded = {key: _rounded(value) for key, value in told.items() if value not in (None, "")}
    if row.more:
        rounded["more"] = {key: _rounded(value) for key, value in row.more.items()}
    return rounded


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _commit() -> str:
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty"], check=True, capture_output=True, text=True, cwd=RESULTS.parent
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()
