"""What the command line does with the unexpected: a line and a code, never a traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import layoutbridge as lb
from layoutbridge.files import whole_file
from tests.command_line import refused, run

ROOT = Path(__file__).resolve().parents[2]


def test_a_fault_of_our_own_is_code_3_with_a_trace_in_a_file(capfd, monkeypatch):
    def broken(*_):
        raise RuntimeError("no\x1b[31m way\nat all")

    monkeypatch.setattr("layoutbridge.report.catalogue.show_catalog", broken)
    code, out, err = run(capfd, "list")
    assert (code, out) == (3, "")
    found = re.fullmatch(
        r"layoutbridge: this is a fault of layoutbridge, not of your input: RuntimeError: no\\x1b\[31m way; "
        r"the trace is in '(.*)': please send it with your report\n",
        err,
    )
    trace = Path(found.group(1))
    try:
        text = trace.read_text("utf-8")
    finally:
        trace.unlink()
    assert f"layoutbridge {lb.__version__}, Python {sys.version}" in text
    assert "Traceback" in text and "in broken" in text and "at all" in text


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes there")
def test_names_that_a_file_system_or_an_encoding_refuses(capfd, tmp_path):
    for name in ("x" * 5000, "x" * 300):
        assert "File name too long" in refused(capfd, "summary", f"{name}.cfg")
        assert "name too long" in refused(capfd, "identify", f"{name}.onnx", "--shape", "1,4,4,4")
    done = subprocess.run(
        [sys.executable, "-m", "layoutbridge", "summary", b"\xff\x1b[31m.cfg"],
        capture_output=True, cwd=ROOT, check=False, env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == b""
    (line,) = done.stderr.decode("ascii").splitlines()
    assert "\\udcff\\x1b[31m.cfg" in line and "\x1b" not in line


def test_answers_in_an_encoding_without_their_letters():
    done = subprocess.run(
        [sys.executable, "-m", "layoutbridge", "prove", "darknet_reorg", "space_to_depth"],
        capture_output=True, cwd=ROOT, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.decode("ascii")


@pytest.mark.parametrize("length", [150, 151, 255])
def test_output_names_as_long_as_a_file_systems(length, tmp_path):
    path = tmp_path / ("n" * (length - 5) + ".onnx")
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        (left,) = tmp_path.iterdir()  # what a killed process would leave
        assert len(left.name.encode()) <= 255
    assert path.read_text() == "whole"
    stale = tmp_path / left.name.replace(f".{os.getpid()}.", ".999999999.")
    stale.mkdir()
    with whole_file(path) as temporary:
        temporary.write_text("again")
    assert not stale.exists() and path.read_text() == "again"


class Panic(BaseException):
    """As some libraries raise, under no Exception."""


class Silent(Exception):
    """Its text cannot be had."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (RecursionError("too deep"), 3, "RecursionError: too deep"),
        (Panic("a panic"), 3, "Panic: a panic"),
        (SystemExit(1), 3, "SystemExit: 1"),
        (SystemExit("bye"), 3, "SystemExit: bye"),
        (Silent(), 3, "Silent"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), 3, "UnicodeEncodeError"),
        (OSError("without a number"), 3, "OSError: without a number"),
        (MemoryError(), 2, "not enough memory\n"),
        (MemoryError("of 7 GB"), 2, "not enough memory: of 7 GB\n"),
        (PermissionError(13, "Permission denied", "a\x1bb"), 2, "cannot use 'a\\x1bb': Permission denied\n"),
        (lb.LayoutBridgeError("a\nb"), 2, "layoutbridge: a\\nb\n"),
    ],
)
def test_every_way_out_is_a_line_and_a_code(capfd, tmp_path, monkeypatch, error, code, says):
    def broken(*_):
        raise error

    monkeypatch.setattr("layoutbridge.report.catalogue.show_catalog", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found, out, err = run(capfd, "list")
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert says in err
    assert len(list(tmp_path.iterdir())) == (code == 3)


def test_keys_and_readers_that_leave(capfd, monkeypatch):
    for error, code in ((KeyboardInterrupt(), 130), (BrokenPipeError(), 0), (SystemExit(0), 0)):

        def broken(*_, error=error):
            raise error

        monkeypatch.setattr("layoutbridge.report.catalogue.show_catalog", broken)
        monkeypatch.setattr("layoutbridge.cli.running.drop", lambda _: None)
        assert run(capfd, "list") == (code, "", "")


def in_a_process(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False,
        env=os.environ | environment,
    )  # fmt: skip


BROKEN = """
import sys
from layoutbridge.report import catalogue
def broken(*_): raise RuntimeError("no\\x1b[31m way")
catalogue.show_catalog = broken
sys.argv = ["layoutbridge", "list"]
from layoutbridge.cli import program
sys.exit(program())
"""


def test_a_trace_that_no_folder_takes_is_told(tmp_path, monkeypatch):
    """Python looks for folders elsewhere, too: none can be written."""
    nowhere = "import tempfile\ndef none(*_, **__): raise FileNotFoundError('no folder')\ntempfile.mkstemp = none\n"
    done = in_a_process(nowhere + BROKEN)
    assert (done.returncode, done.stdout) == (3, "")
    first, *trace = done.stderr.splitlines()
    assert "RuntimeError: no\\x1b[31m way; the trace, which could be written to no folder" in first
    assert any("in broken" in line for line in trace) and "\x1b" not in done.stderr
    assert all(line.startswith("layoutbridge:") for line in trace)


def test_what_breaks_while_it_is_imported_is_told_the_same_way():
    for broken, kind in (("import typer\ndel typer.Typer\n", "AttributeError"),
                         ("sys.modules['typer'] = None\n", "ModuleNotFoundError"),
                         ("sys.modules['rich.console'] = None\n", "ModuleNotFoundError")):  # fmt: skip
        program = "from layoutbridge.cli import program\nsys.argv = ['layoutbridge', 'list']\nsys.exit(program())"
        done = in_a_process(f"import sys\n{broken}{program}")
        (line,) = done.stderr.splitlines()
        found = re.search(rf"{kind}.*the trace is in '(.*)'", line)
        assert done.returncode == 3 and found, done
        Path(found.group(1)).unlink()


def test_warnings_and_logs_of_others_are_lines_of_ours():
    program = (
        "import sys, warnings, logging\nfrom layoutbridge.report import catalogue\n"
        "def told(*_):\n    warnings.warn('a\\x1b[31m\\nb'); logging.getLogger('x').warning('w')\n"
        "    logging.getLogger('x').error('e\\x1b%s', 1)\n"
        "catalogue.show_catalog = told\nsys.argv = ['layoutbridge', 'list']\n"
        "from layoutbridge.cli import program\nsys.exit(program())"
    )
    done = in_a_process(program)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == ["layoutbridge: UserWarning: a\\x1b[31m b", "layoutbridge: x: e\\x1b1"]


def test_a_wish_for_completion_that_typer_does_not_know_is_no_fault_of_ours():
    for wish in ("complete_nothing", "x", ""):
        done = in_a_process(
            "import sys\nfrom layoutbridge.cli import program\nsys.argv[0] = 'layoutbridge'\nsys.exit(program())",
            _LAYOUTBRIDGE_COMPLETE=wish,
        )
        assert done.returncode in (0, 2) and "fault" not in done.stderr


def test_help_tells_all_codes(capfd):
    out = " ".join(run(capfd, "--help")[1].split())
    assert "0 all holds, 1 a finding, 2 the call or its input is unusable, 3 a fault of layoutbridge" in out
