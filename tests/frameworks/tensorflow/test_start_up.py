"""TensorFlow's start: what is missing is told, and environment and stderr stay the program's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from layoutbridge.errors import MissingFrameworkError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.tensorflow.start_up import load_keras, require_h5py

ROOT = Path(__file__).resolve().parents[3]


def fresh(program, **variables):
    """A program in a process of its own, whose environment says nothing to TensorFlow but these `variables`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "OMP_"))}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False, timeout=300
    )


USES = """
import os, sys, tempfile, threading
before = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
seen, ended = set(), threading.Event()
def watch():
    while not ended.wait(0.001):
        seen.add((os.fstat(2)[:3], os.environ.get("TF_CPP_MIN_LOG_LEVEL"), "OMP_WAIT_POLICY" in os.environ))
watching = threading.Thread(target=watch)
watching.start()
import numpy as np
import layoutbridge as lb
folder = tempfile.mkdtemp()
op = lb.op("darknet_reorg")
lb.emit(op, "tensorflow")(np.zeros((1, 4, 4, 4), np.float32))
lb.export(op, "tensorflow", folder + "/net.keras", shape=(1, 64, 26, 26))
lb.export(op, "tensorflow", folder + "/saved", shape=(1, 64, 26, 26))
assert lb.identify(folder + "/net.keras", (1, 26, 26, 64)).is_permutation
ended.set()
watching.join()
assert seen == {(os.fstat(2)[:3], before, False)}, seen
"""


@pytest.mark.slow
def test_stderr_and_the_environment_stay_the_programs_all_the_while():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    done = fresh(USES, TF_CPP_MIN_LOG_LEVEL="2")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_many_threads_may_load_it_at_once():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    program = """
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
before = os.fstat(2)[:3]
start = Barrier(8)
from layoutbridge.frameworks.tensorflow.start_up import load_keras
def load(_):
    start.wait()
    return load_keras()
with ThreadPoolExecutor(8) as pool:
    (keras,) = set(pool.map(load, range(8)))
assert os.fstat(2)[:3] == before
os.write(2, b"stderr is stderr")
"""
    done = fresh(program)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("stderr is stderr")


@pytest.mark.thorough
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
    with pytest.raises(MissingFrameworkError, match=rf"^{name} is not installed: .*\[tensorflow\]'"):
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
