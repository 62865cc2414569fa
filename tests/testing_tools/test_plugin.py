"""pytest's plugin in real sessions: what it writes, with several processes, too, and what it leaves alone."""

from html.parser import HTMLParser
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(
    not entry_points(group="pytest11", name="layoutbridge"),
    reason="layoutbridge was installed before it had a plugin for pytest: install it again",
)

TESTS = """
import numpy as np
import pytest
import layoutbridge as lb
from layoutbridge.testing import assert_same_layout


def port(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)


@pytest.fixture
def checked():
    assert_same_layout(lb.op("focus"), "focus", stride=2)


def test_right(checked):
    assert_same_layout(port, "pixel_unshuffle", stride=2)


def test_wrong():
    assert_same_layout(port, "darknet_reorg", stride=2)


def test_caught():
    with pytest.raises(AssertionError):
        assert_same_layout(port, "focus", stride=2)


@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert_same_layout(port, "space_to_depth", stride=2)


def test_unusable():
    assert_same_layout(port, "<script>alert(1)</script>")


def test_other():
    pass
"""


class Page(HTMLParser):
    """The texts of a page's cells and headings, and every tag that is not closed in order."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.open, self.wrong, self.cells, self.text = [], [], [], [], ""
        self.feed(Path(path).read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data
        if "td" in self.open:
            self.cells[-1] += data

    @property
    def rows(self):
        """The table of all: test, what was compared, verdict."""
        cells = self.cells[: 3 * next((k for k in range(len(self.cells) // 3) if not self._is_row(k)), len(self.cells))]
        return list(zip(cells[::3], cells[1::3], cells[2::3], strict=True))

    def _is_row(self, k):
        return "::" in self.cells[3 * k]


def checked_page(path):
    page = Page(path)
    assert (page.open, page.wrong) == ([], [])
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not [value for _, given in page.tags for name, value in given.items() if name in ("src", "onclick")]
    assert all(given["href"].startswith("#") for tag, given in page.tags if tag == "a")
    return page


ALL = [
    ("test_ports.py::test_caught passed", "port and focus (stride 2)", "different"),
    ("test_ports.py::test_expected_to_fail xfailed", "port and space_to_depth (stride 2)", "different"),
    ("test_ports.py::test_right passed", "focus (stride 2) and focus (stride 2)", "same"),
    ("test_ports.py::test_right passed", "port and pixel_unshuffle (stride 2)", "same"),
    ("test_ports.py::test_unusable failed", "port and <script>alert(1)</script>", "not checked"),
    ("test_ports.py::test_wrong failed", "port and darknet_reorg (stride 2)", "different"),
]


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_the_page_has_all_of_them(pytester, processes):
    pytester.makepyfile(test_ports=TESTS)
    done = pytester.runpytest_subprocess("--layout-report", "report.html", *processes)
    done.assert_outcomes(passed=3, failed=2, xfailed=1)
    done.stdout.fnmatch_lines(["*layout report: *report.html*"])
    page = checked_page(pytester.path / "report.html")
    assert page.rows == ALL
    assert "6 layout assertions: 2 same, 3 different, 1 not checked" in page.text
    assert "14 of 16 elements differ there" in page.text
    assert sum(given.get("class") == "apart" for _, given in page.tags) == 14 + 2 + 6
    assert sorted(path.name for path in pytester.path.iterdir() if "report" in path.name) == ["report.html"]


def test_a_failure_is_told_at_the_line_of_the_test(pytester):
    pytester.makepyfile(test_ports=TESTS)
    done = pytester.runpytest_subprocess("-k", "wrong or unusable")
    done.stdout.fnmatch_lines([
        ">*assert_same_layout(port, \"darknet_reorg\", stride=2)",
        "E*AssertionError: port is not darknet_reorg (stride 2): it is pixel_unshuffle (stride 2)*",
        "E*input [[]1, 4, 2, 2[]]: the result's element [[]0, 1, 0, 0[]] comes from input [[]0, 0, 0, 1[]]*",
        "E*to do: use what lb.code(*",
    ])  # fmt: skip
    done.stdout.no_fnmatch_line("*testing/layouts.py*")
    done.stdout.no_fnmatch_line("*layout report*")


def test_models_in_the_page(pytester):
    folder = Path(__file__).resolve().parents[2] / "fixtures" / "nets" / "pjreddie" / "passthrough"
    pytester.makepyfile(
        f"""
        import layoutbridge as lb
        from layoutbridge.testing import assert_same_model

        def test_models(tmp_path):
            net = lb.darknet.load({str(folder / "net.cfg")!r}, {str(folder / "net.weights")!r}, flavor="pjreddie")
            assert_same_model(net, net)
            text = open({str(folder / "net.cfg")!r}).read().replace("[reorg]", "[reorg3d]")
            (tmp_path / "port.cfg").write_text(text)
            assert_same_model(net, (tmp_path / "port.cfg", {str(folder / "net.weights")!r}))
        """
    )
    pytester.runpytest_subprocess("--layout-report=report.html").assert_outcomes(failed=1)
    page = checked_page(pytester.path / "report.html")
    assert [verdict for *_, verdict in page.rows] == ["same", "different"]
    assert "rearrangement at 4_reorg\n  found: space_to_depth\n  expected: darknet_reorg\n  to do: " in page.text
    assert ("tr", {"class": "marked"}) in page.tags


def test_none_of_them(pytester):
    pytester.makepyfile("def test_other(): pass")
    pytester.runpytest_subprocess("--layout-report", "report.html").assert_outcomes(passed=1)
    assert "No layout assertion ran in this session." in checked_page(pytester.path / "report.html").text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("test_ports.py", "give it FILE.html, not 'test_ports.py'"),
        ("missing/report.html", "its folder is not there"),
        ("folder.html", "it is a folder"),
    ],
)
def test_a_page_that_cannot_be_written_is_told_before_anything_runs(pytester, path, told):
    pytester.makepyfile(test_ports=TESTS)
    pytester.mkdir("folder.html")
    done = pytester.runpytest_subprocess("--layout-report", path)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: --layout-report*{told}*"])
    assert (pytester.path / "test_ports.py").read_text().strip() == TESTS.strip()


def test_a_page_that_cannot_be_written_any_more_fails_the_run(pytester):
    pytester.makepyfile("import shutil\ndef test_other(): shutil.rmtree('pages')")
    pytester.mkdir("pages")
    done = pytester.runpytest_subprocess("--layout-report", "pages/report.html")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stdout.fnmatch_lines(["*no layout report: *", "*1 passed*"])


def test_a_page_that_was_there_stays_when_nothing_runs(pytester):
    pytester.makepyfile(test_ports=TESTS)
    (pytester.path / "report.html").write_text("old")
    assert pytester.runpytest_subprocess("--collect-only", "--layout-report", "report.html").ret == 0
    assert (pytester.path / "report.html").read_text() == "old"


def test_it_can_be_left_out(pytester):
    pytester.makepyfile("def test_other(): pass")
    done = pytester.runpytest_subprocess("-p", "no:layoutbridge", "--layout-report", "report.html")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*unrecognized arguments: --layout-report*"])
