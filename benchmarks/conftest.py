"""`record` for every benchmark; with `--results` what it hears goes into this machine's result file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.result_files import Row, row, save
from benchmarks.tables import write_tables

_RECORDED = pytest.StashKey[dict[str, list[Row]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", action="store_true", help="Write benchmarks/results/ and the tables made of it.")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """`record(benchmark, name, values, unit, most=limit, ...)`: a line of the result file, the median of values."""
    held = request.config.stash.setdefault(_RECORDED, {})

    def keep(benchmark: str, name: str, values: list[float], unit: str, most: float | None = None) -> None:
        held.setdefault(benchmark, []).append(row(name, values, unit, most))

    yield keep


def pytest_sessionfinish(session: pytest.Session) -> None:
    recorded = session.config.stash.get(_RECORDED, {})
    if recorded and session.config.getoption("--results"):
        print(f"\nwrote {save(recorded)}")
        write_tables()
