"""Cells run in real runtimes and in processes that crash, hang or talk nonsense; the answers say what happened."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from layoutbridge.atlas import asking, surveys
from layoutbridge.atlas.answers import answers_of
from layoutbridge.atlas.asking import Asked, CellError, StoppedError
from layoutbridge.atlas.descriptions.subject import Cell, Subject
from layoutbridge.atlas.measuring import measure, version_of
from layoutbridge.atlas.surveys import survey
from layoutbridge.errors import UnknownNameError

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")  # of bfloat16, in which cells are tried, too

HERE = Path(sys.executable)
REORDERED = """n, c, h, w = x.shape
y = x.reshape(n, c, h // s, s, w // s, s).transpose(0, {}).reshape(n, c*s*s, h // s, w // s)"""
BACK = """n, c, h, w = upstream.shape
y = upstream.reshape(n, s, s, c//s//s, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(x.shape)"""
CHANNELS_LAST = """n, h, w, c = x.shape
y = x.reshape(n, h//s, s, w//s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h//s, w//s, -1)"""


def subject(*cells, version="version = 'made 1'"):
    return Subject("made", "Made", "runtime", "", version, cells)


def answer(cell):
    with Asked(HERE) as asked:
        measured = measure(subject(cell), asked)
    (made,) = answers_of(subject(cell), "made 1", measured, ())
    return made


@pytest.mark.parametrize(
    ("order", "name"),
    [("3, 5, 1, 2, 4", "space_to_depth"), ("1, 3, 5, 2, 4", "pixel_unshuffle"), ("5, 3, 1, 2, 4", "focus")],
)
def test_a_map_is_found(order, name):
    found = answer(Cell("op", REORDERED.format(order)))
    assert name in found.names and found.strides == (1, 2, 3, 4) and not found.contradicts
    assert {"float32", "uint8", "bool"} <= set(found.dtypes)
    assert found.refused == {"[1, 2, 5, 7] at stride 2": found.refused["[1, 2, 5, 7] at stride 2"]}
    assert "cannot reshape array" in found.refused["[1, 2, 5, 7] at stride 2"]


def test_channels_last_is_told_as_channels_first():
    found = answer(Cell("op", CHANNELS_LAST, layout="NHWC"))
    assert "space_to_depth" in found.names and found.example == (1, 2, 6, 2)


def test_an_inverse_without_a_name_of_its_own():
    code = "n, c, h, w = x.shape\ny = x.reshape(n, c//s, s, h, w).swapaxes(1, 2).reshape(x.shape)"
    assert answer(Cell("op", code, shapes_of="channel_shuffle")).names == ("inverse of channel_shuffle",)


def test_another_map_than_is_documented_is_a_finding():
    cell = Cell("op", REORDERED.format("3, 5, 1, 2, 4"), documented="darknet_reorg", source="a page")
    found = answer(cell)
    assert found.contradicts and "darknet_reorg" not in found.names
    assert not answer(replace(cell, documented="space_to_depth")).contradicts


def test_what_is_shown_is_what_the_program_prints():
    found = answer(Cell("op", REORDERED.format("5, 3, 1, 2, 4")))
    printed = subprocess.run([sys.executable, "-c", found.program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == found.shown != ""


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        (BACK, "right"),
        ("y = upstream.reshape(x.shape)", "wrong"),
        ("raise RuntimeError('no gradient')", "none"),
    ],
)
def test_gradients(gradient, told):
    assert answer(Cell("op", REORDERED.format("3, 5, 1, 2, 4"), gradient=gradient)).gradient == told


def test_values_that_change_are_no_map():
    found = answer(Cell("op", "y = x * 2"))
    assert found.names == () and "changes values" in found.detail


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("import os; os._exit(3)", "ended with code 3"),
        ("y = undefined", "NameError: name 'undefined' is not defined"),
        ("y = [object()]", "TypeError"),
        ("raise OSError(folder + '/a is missing')", "OSError: a is missing"),
        ("import os; os.write(1, b'noise'); print('noise'); y = x", None),
    ],
)
def test_what_goes_wrong_costs_the_question_alone(code, said):
    import numpy as np

    x = np.arange(4, dtype=np.int32)
    with Asked(HERE) as asked:
        if said is None:
            assert asked.array(code, {}, x=x).tolist() == [0, 1, 2, 3]
        else:
            with pytest.raises(CellError) as raised:
                asked.array(code, {}, x=x)
            assert said in str(raised.value)
        assert asked.array("y = x + s", {"s": 2}, x=x).tolist() == [2, 3, 4, 5]


@pytest.mark.slow
def test_a_crash_costs_its_own_row_alone(monkeypatch, tmp_path):
    crashing = Cell("crashes", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    at_two = Cell("crashes at times", "import os\ny = x if s != 2 else os.abort()", shapes_of="identity")
    fine = Cell("reorders", REORDERED.format("3, 5, 1, 2, 4"))
    made = (subject(crashing, at_two, fine), replace(subject(version="import os\nos.abort()"), name="lost"))
    monkeypatch.setattr(surveys, "subjects", lambda names: made)
    found = survey(["made", "lost"], environments=tmp_path)
    assert found.missing == {"lost": "the process crashed (SIGABRT)"}
    first, second, third = found.answers
    assert first.names == () and set(first.refused.values()) == {"the process crashed (SIGSEGV)"} and not first.dtypes
    assert second.strides == (1, 3, 4) and "the process crashed (SIGABRT)" in second.refused.values()
    assert "space_to_depth" in third.names and third.strides == (1, 2, 3, 4)


def test_what_is_stopped_answers_nothing_more():
    import numpy as np

    with Asked(HERE) as asked, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(asked.array, "while True: pass", {}, x=np.zeros(1))
        with pytest.raises(TimeoutError):
            waiting.result(2)
        asked.stop()
        for ask in (lambda: waiting.result(10), lambda: asked.text("y = ''", "y")):
            with pytest.raises(StoppedError):
                ask()


def test_an_answer_that_does_not_come(monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_SECONDS", 2.0)
    with Asked(HERE) as asked, pytest.raises(CellError, match="no answer in 2 seconds"):
        asked.text("while True: pass", "y")


def test_a_subject_that_is_not_there():
    with Asked(HERE) as asked, pytest.raises(CellError, match="No module named 'nowhere'"):
        version_of(subject(version="import nowhere"), asked)
    with pytest.raises(UnknownNameError, match="nothing in the atlas is called 'nowhere'"):
        survey(["nowhere"])
