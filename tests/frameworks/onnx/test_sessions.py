"""Sessions of onnxruntime: how they are opened, and what its refusals become."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import MissingFrameworkError, ShapeError, UnusableInputError

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from layoutbridge.frameworks.onnx.emission import emit, save
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of, run_in_onnxruntime, run_in_reference

ROOT = Path(__file__).resolve().parents[3]
X = np.arange(2 * 4 * 4 * 6, dtype=np.float32).reshape(2, 4, 4, 6)


def test_a_session_is_opened_from_a_path_or_bytes(tmp_path):
    model = emit(lb.op("darknet_reorg"))
    save(lb.op("darknet_reorg"), tmp_path / "a.onnx")
    wanted = lb.op("darknet_reorg")(X)
    for held in (tmp_path / "a.onnx", str(tmp_path / "a.onnx"), model.SerializeToString()):
        for options in ({}, {"threads": 1}, {"optimized": False}):
            session = open_session(held, **options)
            assert session.get_providers() == ["CPUExecutionProvider"]
            assert session.get_session_options().intra_op_num_threads == options.get("threads", 0)
            assert np.array_equal(session.run(None, {"input": X})[0], wanted)
    assert np.array_equal(run_in_onnxruntime(model.SerializeToString())(X), wanted)
    assert np.array_equal(run_in_reference(model)(X), wanted)


def test_what_it_refuses_is_one_line_and_nothing_on_stderr(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    program = f"""
from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
path = {str(tmp_path / "broken.onnx")!r}
try:
    with refusals_of(path, "load"):
        open_session(path)
except UnusableInputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"onnxruntime cannot load '{tmp_path / 'broken.onnx'}': [ONNXRuntimeError]")


def test_a_refusal_at_the_run_is_told_too_and_our_own_errors_stay():
    session = open_session(emit(lb.op("darknet_reorg")).SerializeToString())
    with pytest.raises(UnusableInputError) as caught, refusals_of("a.onnx", "run"):
        session.run(None, {"input": X.astype(np.int8)})
    assert str(caught.value).startswith("onnxruntime cannot run 'a.onnx': [ONNXRuntimeError]")
    assert "\n" not in str(caught.value)
    with pytest.raises(ShapeError, match="mine"), refusals_of("a.onnx", "run"):
        raise ShapeError("mine")


def test_without_onnxruntime_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingFrameworkError, match=r"^onnxruntime is not installed: .*\[onnx\]'"):
        open_session(b"")
