"""What was measured is kept in a file: whole, beside what others keep at the same time, and broken ones are remade."""

import json
import os
import subprocess
import sys

import pytest

from layoutbridge.darknet.tuning import remembering
from layoutbridge.darknet.tuning.budgets import Budget
from layoutbridge.darknet.tuning.candidates import threads_tried
from layoutbridge.darknet.tuning.remembering import CONVOLUTIONS, TRIALS, cache_folder, remembered, sources_digest
from layoutbridge.errors import ParameterError

_WRITER = """
import sys
from layoutbridge.darknet.tuning.remembering import remembered
memory = remembered("Xeon", "ncnn", "1.0", 2, sys.argv[1])
for number in range(15):
    memory.keep("trials", {f"{sys.argv[2]} {number}": number})
"""


def memory_in(folder, processor="Xeon", version="1.0", threads=2):
    return remembered(processor, "ncnn", version, threads, folder)


def test_what_is_kept_is_recalled(tmp_path):
    memory = memory_in(tmp_path / "made" / "here")
    assert memory.recall(TRIALS) == {}
    memory.keep(TRIALS, {"a": 1.5})
    memory.keep(CONVOLUTIONS, {"c": {"direct": 0.5}})
    memory.keep(TRIALS, {"b": 2.5, "a": 3.5})
    again = memory_in(tmp_path / "made" / "here")
    assert again.recall(TRIALS) == {"a": 3.5, "b": 2.5}
    assert again.recall(CONVOLUTIONS) == {"c": {"direct": 0.5}}


def test_another_processor_version_or_number_of_threads_has_a_file_of_its_own(tmp_path):
    memory_in(tmp_path).keep(TRIALS, {"a": 1})
    for other in ({"processor": "Epyc"}, {"version": "1.1"}, {"threads": 1}):
        assert memory_in(tmp_path, **other).recall(TRIALS) == {}


def test_another_layoutbridge_has_a_file_of_its_own(tmp_path, monkeypatch):
    """Between releases, too: how forms are written changes, and with it what they take."""
    memory_in(tmp_path).keep(CONVOLUTIONS, {"a": 1})
    monkeypatch.setattr(remembering, "sources_digest", lambda: "another")
    assert memory_in(tmp_path).recall(CONVOLUTIONS) == {}


def test_a_changed_module_is_another_layoutbridge(tmp_path):
    digests = []
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2"), ("within/c.py", ""), ("d.txt", "no")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        digests.append(sources_digest.__wrapped__(tmp_path))
    assert len(set(digests)) == 4 and digests[-1] == digests[-2]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trials": {"a": 1}}', '{"key": {}, "trials": 3}', "\0\xff"])
def test_a_broken_file_is_remade(tmp_path, text):
    memory = memory_in(tmp_path)
    memory.path.write_text(text, encoding="latin-1")
    assert memory.recall(TRIALS) == {}
    memory.keep(TRIALS, {"b": 2})
    assert memory.recall(TRIALS) == {"b": 2}
    assert json.loads(memory.path.read_text())["key"]["runtime"] == "ncnn"


def test_two_processes_at_once_lose_nothing(tmp_path):
    commands = [[sys.executable, "-c", _WRITER, str(tmp_path), name] for name in ("left", "right")]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait(120) == 0
    held = memory_in(tmp_path).recall(TRIALS)
    assert held == {f"{name} {number}": number for name in ("left", "right") for number in range(15)}


def test_without_a_place_nothing_is_remembered(tmp_path):
    (tmp_path / "file").write_text("here")
    memory = memory_in(tmp_path / "file")
    memory.keep(TRIALS, {"a": 1})
    assert memory.recall(TRIALS) == {}


def test_the_folder_is_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "layoutbridge" / "tuning"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # is to be ignored
    assert cache_folder().is_absolute() or os.path.expanduser("~") == "~"
    assert "relative" not in cache_folder().parts


def test_each_limit_is_told_with_its_figure():
    budget = Budget(deviation=1e-5, memory=100_000_000, load=1, size=1_000_000)
    assert budget.breach(size=1_000_000, load=1, memory=100_000_000, deviation=1e-5) == ""
    assert budget.breach(size=1_500_000) == "its files take 1.5 MB, and 1 MB are allowed"
    assert budget.breach(load=2.25) == "it loads in 2.2 s, and 1 s are allowed"
    assert budget.breach(memory=250_000_000) == "its process takes 250 MB, and 100 MB are allowed"
    assert budget.breach(deviation=2e-5) == "it deviates by 2.0e-05 of the largest value, and 1e-05 is allowed"
    assert (
        Budget().breach(load=2.9, plain_load=0.5)
        == Budget().breach(load=7, plain_load=5.0)
        == Budget().breach(load=9)
        == ""
    )
    assert Budget().breach(load=8, plain_load=5.0) == "it loads in 8.0 s, and 7.5 s are allowed"
    assert "deviates by nan" in budget.breach(deviation=float("nan"))
    assert Budget().breach(deviation=1e-3, allowed=1e-2) == Budget().breach(deviation=1.0) == ""


@pytest.mark.parametrize("name", ["deviation", "memory", "load", "size"])
@pytest.mark.parametrize("value", [0, -1, True, float("inf"), float("nan"), "3"])
def test_what_is_no_limit(name, value):
    with pytest.raises(ParameterError, match=f"the budget's {name} is a number over 0"):
        Budget(**{name: value})


def test_threads_to_try():
    assert threads_tried(None, 1) == (1,)
    assert threads_tried(None, 8) == (8, 4, 2, 1)
    for unfit in (0, -1, True, [1, 0], "2", [], 9, [1, 9]):
        with pytest.raises(ParameterError):
            threads_tried(unfit, 8)
