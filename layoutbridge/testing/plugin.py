"""pytest's plugin: `--layout-report FILE.html` writes a page of all layout assertions of the run.

pytest loads it in every run, wherever layoutbridge is installed: what it needs is imported when the option is given.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from layoutbridge.testing.checks import Check
    from layoutbridge.testing.page import Line

_CARRIED = "layout_checks"  # the attribute of a test's report: pytest-xdist sends it along


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--layout-report`."""
    parser.getgroup("layoutbridge").addoption(
        "--layout-report",
        metavar="FILE.html",
        default=None,
        help="write a page of all assert_same_layout and assert_same_model of this run",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start to listen, where a page is asked for."""
    asked = config.getoption("layout_report")
    if asked is None:
        return
    is_worker = hasattr(config, "workerinput")  # one of pytest-xdist's: its reports go to the process that writes
    path = None if is_worker else _path(config.invocation_params.dir / asked)
    config.pluginmanager.register(LayoutReport(path), "layoutbridge-report")


def _path(path: Path) -> Path:
    from layoutbridge.errors import LayoutBridgeError
    from layoutbridge.files import refuse_overwriting

    if path.suffix.lower() not in (".html", ".htm"):
        raise pytest.UsageError(f"--layout-report writes a page: give it FILE.html, not '{path.name}'")
    try:
        refuse_overwriting(path, ())
    except LayoutBridgeError as error:
        raise pytest.UsageError(f"--layout-report: {error}") from None
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else "its folder is not there: make it first"
        raise pytest.UsageError(f"--layout-report cannot write '{path}': {reason}")
    return path


class LayoutReport:
    """Takes the checks of each test, wherever it runs, and writes the page where `path` is given."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.told = ""
        self._lines: list[Line] = []
        self._checks: list[Check] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """Record what the assertions of one test, its fixtures among it, settle."""
        from layoutbridge.testing.checks import recording

        with recording() as self._checks:
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Hand on what was recorded with the report of each phase."""
        report = yield
        vars(report)[_CARRIED] = [asdict(check) for check in self._checks]
        self._checks.clear()
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it for the page, in the process that writes."""
        from layoutbridge.testing.checks import Check
        from layoutbridge.testing.page import Line

        for values in vars(report).get(_CARRIED, ()):
            self._lines.append(Line(report.nodeid, _outcome(report), Check.from_dict(values)))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the page; where that fails the run does, too."""
        from layoutbridge.errors import LayoutBridgeError
        from layoutbridge.files import whole_file
        from layoutbridge.testing.page import layout_page

        if self.path is None or session.config.getoption("collectonly"):
            return
        try:
            with whole_file(self.path) as temporary:
                temporary.write_text(layout_page(self._lines), encoding="utf-8")
        except LayoutBridgeError as error:
            self.told = f"no layout report: {error}"
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR
        else:
            self.told = f"layout report: {self.path}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is."""
        if self.told:
            terminalreporter.write_sep("-", self.told)


def _outcome(report: pytest.TestReport) -> str:
    """How the test ended, as pytest names it."""
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    return report.outcome
