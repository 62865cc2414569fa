"""`show` as a user meets it: files, the terminal, JSON, and one line for what cannot be drawn."""

import json
import os
import re

import numpy as np
import pytest

import layoutbridge as lb
from tests.command_line import refused, run


def test_a_figure_in_a_file(capfd, tmp_path):
    path = tmp_path / "f.svg"
    code, out, err = run(capfd, "show", "darknet_reorg", "--shape", "4,4,4", "--stride", "2", "-o", str(path))
    assert (code, out, err) == (0, "", f"layoutbridge: wrote {path}\n")
    pairs = re.findall(r'data-output="(\d+)" data-input="(\d+)"', path.read_text())
    table = lb.op("darknet_reorg").table((4, 4, 4))
    assert {int(output): int(source) for output, source in pairs} == dict(enumerate(table.tolist()))


def test_a_figure_on_a_terminal(capfd):
    code, out, err = run(capfd, "show", "darknet_reorg", "--compare", "space_to_depth")
    assert (code, err) == (0, "")
    for name, mark in (("darknet_reorg", False), ("space_to_depth", True)):
        lines = out.split(f"\n{name} (stride 2) [16, 2, 2]\n")[1].split("\n\n")[0].split("\n")[1:]
        # a line is a row of all 16 planes, two numbers each
        rows = [re.findall(r"(\d+)(\*?)", line) for line in lines]
        moved = np.array([[int(number) for number, _ in row] for row in rows]).reshape(2, 16, 2).transpose(1, 0, 2)
        assert moved.ravel().tolist() == lb.op(name).table((4, 4, 4)).tolist()
        marks = np.array([[bool(star) for _, star in row] for row in rows]).reshape(2, 16, 2).transpose(1, 0, 2)
        other = lb.op("darknet_reorg").table((4, 4, 4)) != moved.ravel()
        assert marks.ravel().tolist() == (other & mark).tolist()
    assert "Marked *: 32 of the 64 cells" in out


def test_a_figure_for_machines(capfd, tmp_path):
    code, out, _ = run(capfd, "show", "focus", "--shape", "3,4,4", "--compare", "space_to_depth", "--json")
    record = json.loads(out)
    assert code == 0
    tables = [lb.op(name).table((3, 4, 4)) for name in ("focus", "space_to_depth")]
    for panel, table in zip(record["panels"][1:], tables, strict=True):
        assert dict(panel["cells"]) == dict(enumerate(table.tolist()))
    assert sorted(record["panels"][2]["differing"]) == np.flatnonzero(tables[0] != tables[1]).tolist()
    out = run(capfd, "show", "focus", "--digits", "--json", "-o", str(tmp_path / "f.svg"))[1]
    assert json.loads(out)["crossings"][0]["order"] == [4, 2, 0, 1, 3]
    assert (tmp_path / "f.svg").exists()


def test_large_tensors_say_what_is_shown(capfd):
    out = run(capfd, "show", "darknet_reorg", "--shape", "64,26,26")[1]
    assert "shown: the first 4 of 64 planes, the first 7 × 7 of 26 × 26 cells of each" in out
    assert len(re.findall(r"\d+", out)) < 600


def test_steps_and_title(capfd):
    words = ("show", "darknet_reorg then inverse(darknet_reorg)", "--steps", "--title", "forward = 0, then 1")
    out = run(capfd, *words)[1]
    assert out.startswith("forward = 0, then 1\n")
    assert "inverse of darknet_reorg (stride 2) [4, 4, 4]" in out


@pytest.mark.sample(8, slow=6)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("darknet_reorg", "--shape", "3,5,4"), "multiple of"),
        (("darknet_reorg", "--shape", "4,4"), "takes 3 axes"),
        (("darknet_reorg", "--shape", "4,4,x"), "whole number"),
        (("darknet_reorg", "--shape", "1048576,1048576,1048576"), "2^31 are the most"),
        (("darknet_rorg",), "did you mean darknet_reorg"),
        (("focus", "--strid", "2"), "--stride"),
        (("focus", "-o", "f.jpg"), "name it .svg, .png, .pdf, .html or .gif"),
        (("focus", "-o", "f"), "name it .svg"),
        (("focus", "-o", "nowhere/f.svg"), "nowhere"),
        (("focus", "-o", "-"), "name it .svg"),
        (("focus", "-o", "/proc/f.svg"), "/proc"),
        (("focus", "--animate"), "--animate needs a file"),
        (("focus", "--animate", "-o", "f.svg"), "cannot move"),
        (("focus", "--animate", "--digits", "-o", "f.html"), "do not move"),
        (("focus", "--digits", "-o", "f.gif"), "do not move"),
        (("focus", "--steps", "--compare", "transpose_hw"), "leave compare and digits out"),
        (("focus", "--theme", "blue"), "auto, light"),
        (("focus", "--compare", "oihw_to_hwio", "--shape", "4,4,4"), "oihw_to_hwio"),
        (("a b ->",), "a b"),
        (("",), "missing"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_one_line(capfd, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in refused(capfd, "show", *words)
    assert os.listdir(tmp_path) == []


def test_no_display_is_needed(capfd, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib, which draws PNG, is not installed")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    assert run(capfd, "show", "focus", "-o", str(tmp_path / "f.png"))[0] == 0
