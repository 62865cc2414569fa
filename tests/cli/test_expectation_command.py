"""`identify --expect`: the first line says whether it is that, the exit code too."""

import json

import numpy as np
import pytest

import layoutbridge as lb
from tests.command_line import refused, run

PORTS = """
import os

def reorg(x):
    n, c, h, w = x.shape
    return x.reshape(n, c // 4, h, 2, w, 2).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, w // 2)

def unshuffled(x):
    print("called")
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)

open("loaded", "a").write("x")
"""
SHAPE = ("--shape", "1,64,26,26")


@pytest.fixture
def ports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ports.py"
    path.write_text(PORTS)
    return path


def test_it_is(capfd, ports):
    code, out, _ = run(capfd, "identify", f"{ports}:reorg", *SHAPE, "--expect", "darknet_reorg")
    assert (code, out.split("\n")[0]) == (0, "it is darknet_reorg (stride 2), as expected")
    assert f"{ports}:reorg: darknet_reorg" in out  # the rest is told as without it
    for more in (["--stride", "2"], ["--stride=2x2"]):
        expected = "darknet_reorg" if more[0] == "--stride" else "pixel_unshuffle"
        target = "reorg" if more[0] == "--stride" else "unshuffled"
        assert run(capfd, "identify", f"{ports}:{target}", *SHAPE, "--expect", expected, *more)[0] == 0
    chain = "inverse(pixel_shuffle(stride=2)) then '(c k:2) h w -> (k c) h w'"
    assert run(capfd, "identify", f"{ports}:unshuffled", *SHAPE, "--expect", chain)[0] == 1
    assert (ports.parent / "loaded").read_text() == "x" * 4  # each command runs the file once


def test_it_is_not(capfd, ports):
    code, out, _ = run(capfd, "identify", f"{ports}:unshuffled", *SHAPE, "--expect", "darknet_reorg")
    assert code == 1
    assert out.startswith(
        "not darknet_reorg (stride 2): input [1, 4, 2, 2]: the result's element [0, 1, 0, 0] comes from"
    )
    assert "pixel_unshuffle" in out  # what it is
    code, out, _ = run(capfd, "identify", f"{ports}:reorg", *SHAPE, "--expect", "darknet_reorg", "--stride", "4")
    assert (code, out.startswith("not darknet_reorg (stride 4): input [1, 16, 4, 4]: the result's shape")) == (1, True)
    code, out, _ = run(capfd, "identify", f"{ports}:reorg", *SHAPE, "--expect", "darknet_reorg", "--stride", "3")
    assert (code, "not darknet_reorg (stride 3): " in out) == (1, True)


def test_json(capfd, ports):
    for name, holds in (("darknet_reorg", True), ("space_to_depth", False)):
        code, out, _ = run(capfd, "identify", f"{ports}:reorg", *SHAPE, "--expect", name, "--json")
        told = json.loads(out)["expected"]
        assert code == (not holds)
        assert (told["name"], told["parameters"], told["holds"]) == (name, {"stride": 2}, holds)
        assert told["difference"] is None if holds else told["difference"].startswith("input [1, 4, 2, 2]")
    assert "expected" not in json.loads(run(capfd, "identify", f"{ports}:reorg", *SHAPE, "--json")[1])


def test_a_table(capfd, tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, lb.op("space_to_depth").table((4, 8, 8)))
    shape = ("--shape", "4,8,8")
    assert run(capfd, "identify", str(path), *shape, "--expect", "leimao_reorg")[0] == 0
    code, out, _ = run(capfd, "identify", str(path), *shape, "--expect", "darknet_reorg")
    assert (code, "input [4, 2, 2]" in out.split("\n")[0]) == (1, True)


def test_the_second_shape(capfd, ports):
    again = ("--second-shape", "1,8,12,4")
    code, out, _ = run(capfd, "identify", f"{ports}:reorg", *SHAPE, *again)
    assert (code, "[1, 64, 26, 26] and [1, 8, 12, 4]" in out) == (0, True)
    assert "--second-shape 1,8,z" in refused(capfd, "identify", f"{ports}:reorg", *SHAPE, "--second-shape", "1,8,z")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--expect", "darknet_reorgg"], "did you mean darknet_reorg"),
        (["--expect", "focus", "--strid", "2"], "focus takes no --strid; it takes --stride"),
        (["--expect", "focus", "--stride", "0"], "--stride must be between 1"),
        (["--expect", "focus then"], "character 11"),
        (["--expect", "focus", "--stride", "2x2x2x2"], "no form"),
        (["--stride", "2"], "--stride is of the entry to --expect"),
        (["--exspect", "focus"], "did you mean --expect?"),
    ],
)
def test_what_is_refused_before_anything_is_run(capfd, ports, arguments, says):
    assert says in refused(capfd, "identify", f"{ports}:reorg", *SHAPE, *arguments)
    assert not (ports.parent / "loaded").exists()
