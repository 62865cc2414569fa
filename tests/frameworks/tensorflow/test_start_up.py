"""TensorFlow's start: quiet, with the environment and stderr as they were, whichever threads take part."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from layoutbridge.errors import MissingFrameworkError, UnusableInputError
from layoutbridge.frameworks.base import default_environment, require
from layoutbridge.frameworks.tensorflow.start_up import load_keras, quiet_stderr, require_h5py

ROOT = Path(__file__).resolve().parents[3]
NOTE = b"I0000 00:00:1795630394.910804   11531 port.cc:153] a note\n"


def fresh(program, **variables):
    """A program in a process of its own, whose environment says nothing to TensorFlow but these `variables`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "OMP_"))}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False, timeout=300
    )


USES = """
import os, sys, tempfile, numpy as np
before = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
import layoutbridge as lb
folder = tempfile.mkdtemp()
op = lb.op("darknet_reorg")
lb.emit(op, "tensorflow")(np.zeros((1, 4, 4, 4), np.float32))
lb.export(op, "tensorflow", folder + "/net.keras", shape=(1, 64, 26, 26))
lb.export(op, "tensorflow", folder + "/saved", shape=(1, 64, 26, 26))
assert lb.identify(folder + "/net.keras", (1, 26, 26, 64)).is_permutation
import tensorflow as tf
tf.function(lambda x: x * 2, jit_compile=True)(tf.constant([1.0]))  # XLA has notes of its own
assert os.environ.get("TF_CPP_MIN_LOG_LEVEL") == before
"""


def test_what_tensorflow_does_is_silent_and_the_environment_is_as_before():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    for variables in ({}, {"TF_CPP_MIN_LOG_LEVEL": "3"}):
        done = fresh(USES, **variables)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_callers_own_level_brings_the_notes_back():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    done = fresh(USES, TF_CPP_MIN_LOG_LEVEL="0")
    assert done.returncode == 0
    assert "oneDNN" in done.stderr or "This TensorFlow binary" in done.stderr


def test_many_threads_may_load_it_at_once():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    program = """
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
start = Barrier(8)
from layoutbridge.frameworks.tensorflow.start_up import load_keras
def load(_):
    start.wait()
    return load_keras()
with ThreadPoolExecutor(8) as pool:
    (keras,) = set(pool.map(load, range(8)))
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
os.write(2, b"stderr is stderr")
"""
    done = fresh(program)
    assert (done.returncode, done.stderr) == (0, "stderr is stderr")


def test_another_backend_is_refused():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("keras", reason="Keras is not installed")
    done = fresh("import layoutbridge.frameworks.tensorflow.start_up as s; s.load_keras()", KERAS_BACKEND="torch")
    assert "UnsupportedError: Keras runs on torch here: set KERAS_BACKEND=tensorflow" in done.stderr


@pytest.mark.parametrize(("module", "name"), [("tensorflow", "TensorFlow"), ("keras", "Keras")])
def test_what_is_missing_is_told(module, name, monkeypatch):
    if module == "keras":
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    monkeypatch.setitem(sys.modules, module, None)  # as Python marks what cannot be imported
    with pytest.raises(MissingFrameworkError, match=rf"^{name} is not installed: .*layoutbridge\[tensorflow\]"):
        load_keras()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingFrameworkError, match=r"^h5py is not installed"):
        require_h5py()


def test_a_broken_installation_says_itself_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "broken_framework.py").write_text("import a_part_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_part_that_is_not_there") as caught:
        require("broken_framework", "It", "it")
    assert not isinstance(caught.value, MissingFrameworkError)


# ---------------------------------------------------------------------- the environment


def test_a_default_is_there_in_the_block_alone_and_the_callers_value_stays(monkeypatch):
    monkeypatch.delenv("LAYOUTBRIDGE_TEST", raising=False)
    with pytest.raises(ValueError, match="stop"), default_environment("LAYOUTBRIDGE_TEST", "ours"):
        assert os.environ["LAYOUTBRIDGE_TEST"] == "ours"
        raise ValueError("stop")
    assert "LAYOUTBRIDGE_TEST" not in os.environ
    monkeypatch.setenv("LAYOUTBRIDGE_TEST", "theirs")
    with default_environment("LAYOUTBRIDGE_TEST", "ours"):
        assert os.environ["LAYOUTBRIDGE_TEST"] == "theirs"
    assert os.environ["LAYOUTBRIDGE_TEST"] == "theirs"


def test_threads_leave_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("LAYOUTBRIDGE_TEST", raising=False)
    start = Barrier(8)

    def enter(_):
        start.wait()
        for _ in range(200):
            with default_environment("LAYOUTBRIDGE_TEST", "ours"):
                assert os.environ["LAYOUTBRIDGE_TEST"] == "ours"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert "LAYOUTBRIDGE_TEST" not in os.environ


# ---------------------------------------------------------------------- stderr


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, UnusableInputError, ValueError])
def test_notes_are_told_of_failures_alone(kind, capfd):
    with pytest.raises(kind), quiet_stderr():
        os.write(2, NOTE)
        raise kind
    assert capfd.readouterr().err == (NOTE.decode() if kind is ValueError else "")


def test_what_is_no_note_comes_through(capfd):
    with quiet_stderr():
        os.write(2, b"WARNING:root:mine\n" + NOTE + b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nlast")
    assert capfd.readouterr().err == "WARNING:root:mine\nlast"


def test_what_an_error_of_ours_stands_for_is_not_told_twice(capfd):
    with pytest.raises(UnusableInputError), quiet_stderr():
        try:
            os.write(2, b"the converter's own words\nanother thread's\n")
            raise RuntimeError("the converter's own words")
        except RuntimeError:
            raise UnusableInputError("it cannot be converted") from None
    assert capfd.readouterr().err == "another thread's\n"


def test_blocks_within_blocks(capfd):
    with quiet_stderr():
        with quiet_stderr():
            os.write(2, NOTE + b"inner\n")
        os.write(2, NOTE + b"outer\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "inner\nouter\nafter\n"


def test_threads_leave_stderr_as_it_was_and_lose_nothing(capfd):
    """Eight threads in blocks, some of which fail, and one that writes from outside while each of them is open."""
    start, outside = Barrier(8), ThreadPoolExecutor(1)

    def inside(thread):
        start.wait()
        for turn in range(50):
            try:
                with quiet_stderr():
                    os.write(2, NOTE)
                    outside.submit(os.write, 2, f"outside {thread} {turn}\n".encode()).result()
                    if turn % 10 == 0:
                        raise ValueError("it failed")
            except ValueError:
                pass

    before = stderr_now()
    count = open_files()
    with outside, ThreadPoolExecutor(8) as pool:
        list(pool.map(inside, range(8)))
    assert (stderr_now(), open_files()) == (before, count)
    told = capfd.readouterr().err.splitlines(keepends=True)
    wanted = [f"outside {thread} {turn}\n" for thread in range(8) for turn in range(50)]
    assert sorted(line for line in told if line != NOTE.decode()) == sorted(wanted)
    assert told.count(NOTE.decode()) == 8 * 5  # those of the blocks that failed, and no other


def stderr_now():
    """Which file stderr is."""
    held = os.fstat(2)
    return held.st_dev, held.st_ino


def open_files():
    """How many files the process has open, where the system tells."""
    places = [place for place in ("/proc/self/fd", "/dev/fd") if Path(place).is_dir()]
    return len(os.listdir(places[0])) if places else None


def test_a_process_without_stderr():
    program = """
import os
from layoutbridge.frameworks.tensorflow.start_up import quiet_stderr
os.close(2)
with quiet_stderr():
    pass
print("well")
"""
    assert fresh(program).stdout == "well\n"
