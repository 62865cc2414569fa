"""What runs in a process of its own: results and errors come back, and time, memory and crashes have an end."""

import gc
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.errors import MissingFrameworkError, ParameterError, UnusableInputError
from layoutbridge.frameworks.apart import run_apart
from layoutbridge.frameworks.framework import TypedCallable

needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory and time")


def twice(path: str) -> TypedCallable:
    return TypedCallable(lambda x: 2 * x, "int32")


def printing(path: str) -> TypedCallable:
    print("loading")
    os.write(1, b"more\n")
    return TypedCallable(lambda x: print("running") or x, "int32")


def who(path: str) -> TypedCallable:
    return TypedCallable(lambda x: np.array([os.getpid()]), "int32")


def broken(path: str) -> TypedCallable:
    raise {"ours": MissingFrameworkError("not installed"), "theirs": RuntimeError("no such node\nat a.cc")}[path]


def hostile(path: str) -> TypedCallable:
    def run(x):
        match path:
            case "raises":
                raise RuntimeError("no such node\nat a.cc")
            case "text":
                return np.array(["a", None], object)
            case "exits":
                os._exit(7)
            case "aborts":
                os.abort()
            case "turns":
                while True:
                    pass
            case "fills":
                return np.ones(10**9)
            case "grows":
                held = []
                while True:
                    held.append(np.ones(10**6))
        raise AssertionError(path)

    return TypedCallable(run, "float32")


def apart(function, path="x", size=0):
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path:
        sys.path.append(root)
    return run_apart(f"tests.frameworks.test_apart:{function.__name__}", path, size)


@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", ["float32", "bool", "uint8", "int64", "bfloat16"])
def test_arrays_go_there_and_come_back(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    from layoutbridge.frameworks.base import numpy_dtype

    function = apart(printing)
    assert function.dtype == "int32"
    for shape in ((2, 3), (), (0, 4), (3, 1, 2)):
        x = np.arange(max(int(np.prod(shape)), 1))[: int(np.prod(shape))].reshape(shape).astype(numpy_dtype(dtype))
        found = function(x.T)
        assert found.dtype == x.dtype
        assert np.array_equal(found, x.T)


@pytest.mark.slow
def test_it_runs_elsewhere_and_ends_with_the_function():
    function = apart(who)
    (number,) = function(np.zeros(1)).tolist()
    assert number != os.getpid()
    os.kill(number, 0)
    del function
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_errors_while_opening_are_told():
    with pytest.raises(MissingFrameworkError, match=r"^not installed$"):
        apart(broken, "ours")
    with pytest.raises(UnusableInputError, match=r"^'theirs' raised RuntimeError: no such node$"):
        apart(broken, "theirs")


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("raises", "'raises' raised RuntimeError: no such node$"),
        ("text", "gives object, not numbers"),
        ("exits", r"ended the process that ran it \(7\)"),
        ("aborts", r"ended the process that ran it \(-6\)"),
        pytest.param("turns", "ran for 1 seconds and was stopped.*LAYOUTBRIDGE_SECONDS=10", marks=needs_limits),
        pytest.param("fills", r"takes more than 100 MB .*LAYOUTBRIDGE_MEGABYTES=200", marks=needs_limits),
        pytest.param("grows", r"takes more than 100 MB .*LAYOUTBRIDGE_MEGABYTES=200", marks=needs_limits),
    ],
)
def test_every_end_is_one_line(path, said, monkeypatch):
    function = apart(hostile, path)
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "1")
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "100")
    with pytest.raises(UnusableInputError, match=said) as caught:
        function(np.zeros(2, np.float32))
    assert "\n" not in str(caught.value)
    with pytest.raises(UnusableInputError):  # and again, though it is gone
        function(np.zeros(2, np.float32))


def test_a_process_that_sleeps_is_stopped_by_the_clock(monkeypatch):
    function = apart(sleeping)
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "0.05")
    begun = time.monotonic()
    with pytest.raises(UnusableInputError, match="was stopped"):
        function(np.zeros(1))
    assert time.monotonic() - begun < 60


def sleeping(path: str) -> TypedCallable:
    return TypedCallable(lambda x: time.sleep(600), "float32")


def test_a_limit_that_is_none_is_refused(monkeypatch):
    function = apart(twice)
    monkeypatch.setenv("LAYOUTBRIDGE_SECONDS", "soon")
    with pytest.raises(ParameterError, match="LAYOUTBRIDGE_SECONDS"):
        function(np.zeros(1))
    with pytest.raises(ParameterError, match="LAYOUTBRIDGE_SECONDS"):
        apart(twice)
