"""`explore` on the command line: the file, what it begins with, refusals, a browser or none."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import parse_qs

import pytest

from tests.command_line import ROOT, completed, refused, run


class Data(HTMLParser):
    """What lies in a page's element for data."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.held = False, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script" and dict(attrs).get("type") == "application/json"

    def handle_data(self, data):
        self.held += data * self.inside


def begins_with(path):
    start = json.loads(Data(path.read_text(encoding="utf-8")).held)["start"]
    return {name: values[0] for name, values in parse_qs(start).items()}


def test_it_is_written_and_said_where(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capfd, "explore") == (0, "", "layoutbridge: wrote explorer.html\n")
    assert begins_with(tmp_path / "explorer.html") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["explorer.html"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["focus"], {"op": "focus", "p.stride": "2"}),
        (
            ["focus", "--compare", "space_to_depth", "--stride", "3", "--shape", "3,6,6"],
            {"op": "focus", "p.stride": "3", "with": "space_to_depth", "q.stride": "3", "shape": "3,6,6"},
        ),
        (["pixel_shuffle", "--stride", "1x4"], {"op": "pixel_shuffle", "p.stride": "1x4"}),
        (["c (h p:2) w -> (p c) h w"], {"pattern": "c (h p:2) w -> (p c) h w"}),
        (["inverse(nchw_to_nhwc)"], {"pattern": "H W C | a:H*W b:C -> b a | C H W"}),
    ],
)
def test_what_it_begins_with(capfd, tmp_path, words, expected):
    assert run(capfd, "explore", *words, "-o", str(tmp_path / "a.html"))[0] == 0
    assert begins_with(tmp_path / "a.html") == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "a.pdf"], "end 'a.pdf' in .html"),
        (["-o", "/nowhere/a.html"], "/nowhere"),
        (["--shape", "3,4,4"], "--shape is of an operation"),
        (["--compare", "focus"], "--compare is of an operation"),
        (["--stride", "3"], "--stride is of an operation"),
        (["focus", "--shape", "3,5,4"], "H = 5 is not a multiple of 2"),
        (["focus", "--compare", "darknet_reorg", "--shape", "3,4,4"], "C = 3"),
        (["focus", "--heads", "3"], "focus takes no --heads"),
        (["focs"], "did you mean focus"),
        (["a -> b"], "unknown on the left"),
        (["--opn"], "no such option"),
    ],
)
def test_refusals(capfd, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in refused(capfd, "explore", *words)
    assert list(tmp_path.iterdir()) == []


def explored(folder, **environment):
    """`explore --open` in a process with no browser but what `environment` names."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    (folder / "nothing").mkdir()
    return subprocess.run(
        [sys.executable, "-m", "layoutbridge", "explore", "focus", "-o", "a.html", "--open"],
        cwd=folder, env={**kept, "PATH": str(folder / "nothing"), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_a_browser_it_says_so(tmp_path):
    done = explored(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "layoutbridge: wrote a.html",
        "layoutbridge: no browser could be opened here: open 'a.html' in one by hand",
    ]


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for a browser")
def test_the_browser_is_given_the_page(tmp_path):
    script = tmp_path / "browser.sh"
    script.write_text(f"#!/bin/sh\nprintf %s \"$1\" > '{tmp_path}/opened'\n")
    script.chmod(0o755)
    done = explored(tmp_path, BROWSER=f"{script} %s")
    assert done.returncode == 0, done
    assert (tmp_path / "opened").read_text() == (tmp_path / "a.html").as_uri()


def test_names_are_completed():
    assert "focus" in completed("layoutbridge explore foc")
