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
    def broken():
        raise RuntimeError("no\x1b[31m way\nat all")

    monkeypatch.setattr("layoutbridge.operations.catalog.catalog", broken)
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
