"""Overwriting is asked about where somebody sits at a terminal, and nowhere else: with a real one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pty = pytest.importorskip("pty", reason="terminals of this kind are POSIX's", exc_type=ImportError)
ROOT = Path(__file__).resolve().parents[2]
NET = [str(ROOT / "fixtures" / "nets" / "alexey" / "yolo_head" / name) for name in ("net.cfg", "net.weights")]
TABLE = ["table", "focus", "--shape", "3,4,4"]


def at_a_terminal(folder, arguments, answer, *, streams="stdin stdout stderr"):
    """Exit code, and all that was shown, of a command whose streams are a terminal; the others are pipes."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        chosen = {name: theirs if name in streams else subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        process = subprocess.Popen(
            [sys.executable, "-m", "layoutbridge", *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
            **chosen,
        )  # fmt: skip
        out, err = process.communicate(timeout=120)
        os.write(theirs, b"\n[end]")
        shown = b""
        while not shown.endswith(b"[end]"):
            shown += os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
    return process.returncode, (shown.removesuffix(b"[end]") + (out or b"") + (err or b"")).decode()


@pytest.mark.sample(2)
@pytest.mark.parametrize(("answer", "overwritten"), [(b"y\n", True), (b"Yes\n", True), (b"\n", False), (b"n\n", False),
                                                     (b"\x04", False), (b"yes, please\n", False)])  # fmt: skip
def test_the_answer_is_followed(tmp_path, answer, overwritten):
    path = tmp_path / "t.csv"
    path.write_text("mine")
    code, shown = at_a_terminal(tmp_path, [*TABLE, "-o", "t.csv"], answer)
    assert "'t.csv' exists: overwrite? [y/N] " in shown
    assert (code, path.read_text() != "mine") == ((0, True) if overwritten else (2, False))
    assert ("layoutbridge: 't.csv' stays, and nothing is written" in shown) != overwritten


def test_force_and_new_files_are_not_asked_about(tmp_path):
    (tmp_path / "t.csv").write_text("mine")
    for arguments in (
        [*TABLE, "-o", "t.csv", "--force"],
        [*TABLE, "-o", "new.csv"],
        [*TABLE, "-o", "/dev/null", "--format", "csv"],
    ):
        code, shown = at_a_terminal(tmp_path, arguments, b"n\n")
        assert (code, "overwrite?" in shown) == (0, False)
    assert (tmp_path / "t.csv").read_text() != "mine"


@pytest.mark.sample(1)
@pytest.mark.parametrize("streams", ["", "stdin", "stdout stderr"])
def test_scripts_are_not_asked(tmp_path, streams):
    (tmp_path / "t.csv").write_text("mine")
    code, shown = at_a_terminal(tmp_path, [*TABLE, "-o", "t.csv"], b"n\n", streams=streams)
    assert (code, "overwrite?" in shown) == (0, False)
    assert (tmp_path / "t.csv").read_text() != "mine"


@pytest.mark.parametrize("streams", ["stdin stdout", "stdin stderr"])
def test_one_output_on_a_terminal_is_enough(tmp_path, streams):
    (tmp_path / "t.csv").write_text("mine")
    code, shown = at_a_terminal(tmp_path, [*TABLE, "-o", "t.csv"], b"n\n", streams=streams)
    assert (code, "overwrite?" in shown) == (2, True)


@pytest.mark.slow
def test_every_command_that_writes(tmp_path):
    calls = [["export", "focus", "-o", "t.npy", "--shape", "3,4,4"], ["export", *NET, "-o", "t.param"],
             ["detect", "m.onnx", "p.png", "-o", "t.png"]]  # fmt: skip
    for call in calls:
        path = tmp_path / call[call.index("-o") + 1]
        path.write_text("mine")
        code, shown = at_a_terminal(tmp_path, call, b"n\n")
        assert (code, f"'{path.name}' exists: overwrite? [y/N] " in shown) == (2, True), shown
        assert path.read_text() == "mine"
        assert at_a_terminal(tmp_path, [*call, "--force"], b"n\n")[0] == (2 if call[0] == "detect" else 0)  # no model
    (tmp_path / "t.param").unlink()
    code, shown = at_a_terminal(tmp_path, calls[1], b"n\n")
    assert (code, "'t.bin' and 't.json' exist: overwrite?" in shown) == (2, True)  # the files beside it
    assert np.load(tmp_path / "t.npy").shape == (48,)


def test_a_name_that_steers_is_shown_escaped(tmp_path):
    path = tmp_path / "\x1b[31m.csv"
    path.write_text("mine")
    code, shown = at_a_terminal(tmp_path, [*TABLE, "-o", path.name], b"n\n")
    assert code == 2 and "'\\x1b[31m.csv' exists" in shown and "\x1b" not in shown


def test_pages_are_asked_about_too(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("mine")
    code, shown = at_a_terminal(tmp_path, ["scan", NET[0], "--html", "r.html"], b"n\n")
    assert "'r.html' exists: overwrite? [y/N] " in shown
    assert (code, path.read_text()) == (2, "mine")
    code, shown = at_a_terminal(tmp_path, ["scan", NET[0], "--html", "r.html", "--force"], b"n\n")
    assert (code, "overwrite?" in shown) == (0, False)
    assert path.read_text() != "mine"


@pytest.mark.slow
def test_tune_asks_of_a_folder_before_the_trials(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "net.onnx").write_text("mine")
    command = ["tune", *NET, "-o", "folder", "--targets", "onnx", "--threads", "1", "--seconds", "0.001"]
    code, shown = at_a_terminal(tmp_path, command, b"n\n")
    assert code == 2 and "overwrite? [y/N] " in shown and "stays, and nothing is written" in shown
    assert "trying" not in shown and "of plain" not in shown, "the trials ran before"
    assert (tmp_path / "folder" / "net.onnx").read_text() == "mine"
    code, shown = at_a_terminal(tmp_path, [*command, "--force"], b"n\n")
    assert code == 0 and "overwrite?" not in shown and (tmp_path / "folder" / "net.onnx").stat().st_size > 1000
