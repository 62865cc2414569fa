"""The command line where others would fail: no home, one that cannot be written, the C locale, closed streams."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="users, closed streams and /dev/full are POSIX's")
ROOT = Path(__file__).resolve().parents[2]
CFG, WEIGHTS = (str(ROOT / "fixtures" / "nets" / "alexey" / "yolo_head" / name) for name in ("net.cfg", "net.weights"))
NOBODY = 65534
CALLS = {
    "list": (0, ["list", "focus"]),
    "table": (0, ["table", "focus", "--shape", "3,4,4"]),
    "write": (0, ["table", "focus", "--shape", "3,4,4", "-o", "t.csv"]),
    "finding": (1, ["prove", "focus", "space_to_depth"]),
    "refusal": (2, ["identify", "nothing.npy"]),
    "summary": (0, ["summary", CFG, "--json"]),
    "verify": (0, ["verify", "--frameworks", "numpy", "--ops", "focus"]),
}
THOROUGH = {
    "onnx": (0, ["export", CFG, WEIGHTS, "-o", "t.onnx"]),
    "check": (0, ["check", CFG, WEIGHTS, "--targets", "onnx"]),
    "jax": (0, ["export", "focus", "-o", "t.jax"]),
    "torch": (0, ["export", "focus", "-o", "t.pt2", "--shape", "1,3,4,4"]),
    "tensorflow": (0, ["export", "focus", "-o", "t.keras"]),
}
NEEDED = {"onnx": "onnx", "check": "onnxruntime", "jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
FEW = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
# `python -c` beside `cli.main` needs no shell; what is closed is closed before Python starts
SHELL = 'exec "$@"'
SURROUNDINGS = {
    "hardly any environment": (FEW, SHELL),
    "the C locale": (FEW | {"LC_ALL": "C"}, SHELL),
    "ASCII alone": (FEW | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, SHELL),
    "another encoding": (FEW | {"PYTHONIOENCODING": "ascii"}, SHELL),
    "a home that is not there": (FEW | {"HOME": "/nonexistent"}, SHELL),
    "no standard input": (FEW, f"{SHELL} <&-"),
    "no standard output": (FEW, f"{SHELL} >&-"),
    "no standard error": (FEW, f"{SHELL} 2>&-"),
    "no stream at all": (FEW, f"{SHELL} <&- >&- 2>&-"),
    "errors to a full disk": (FEW, f"{SHELL} 2>/dev/full"),
    "no folder for temporary files": (FEW | {"TMPDIR": "/nonexistent"}, SHELL),
}
HARDEST = {"no stream at all"}


def called(arguments, folder, environment, script=SHELL, before=()):
    return subprocess.run(
        ["bash", "-c", script, "bash", *before, sys.executable, "-m", "layoutbridge", *arguments],
        cwd=folder, env=environment, capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def right(done, code, arguments):
    """The code, and on standard error nothing but our lines."""
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, (arguments, done)
    assert all(line.startswith("layoutbridge: ") for line in lines), lines
    assert "a fault of" not in done.stderr.decode()


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize(("environment", "script"), SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_one_call_of_each_outcome(tmp_path, environment, script):
    for name in ("write", "finding", "refusal"):
        code, arguments = CALLS[name]
        right(called(arguments, tmp_path, environment, script), code, arguments)
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == ["0", "2"]


@pytest.mark.parametrize(
    ("environment", "script"),
    [
        pytest.param(*given, id=name, marks=pytest.mark.slow if name in HARDEST else pytest.mark.thorough)
        for name, given in SURROUNDINGS.items()
    ],
)
def test_every_command(tmp_path, environment, script):
    for name, (code, arguments) in (CALLS | THOROUGH).items():
        if name not in NEEDED or find_spec(NEEDED[name]):
            right(called(arguments, tmp_path, environment, script), code, arguments)


@pytest.mark.slow
def test_an_answer_that_cannot_be_written_is_code_2(tmp_path):
    for arguments in (["list"], ["list", "--json"], ["--help"], ["--version"], CALLS["table"][1], CALLS["summary"][1]):
        done = called(arguments, tmp_path, FEW, f"{SHELL} >/dev/full")
        assert done.returncode == 2
        assert done.stderr == b"layoutbridge: cannot write the answer: No space left on device\n"
        assert called(arguments, tmp_path, FEW, f"{SHELL} >/dev/full 2>/dev/full").returncode == 2


def test_a_folder_that_was_taken_away(tmp_path):
    script = f"mkdir away; cd away; rmdir ../away; {SHELL}"
    right(called(["list"], tmp_path, FEW, script), 0, ["list"])
    for arguments in (
        CALLS["write"][1],
        CALLS["refusal"][1],
        ["identify", "a:b", "--shape", "1"],
        ["summary", "a.cfg"],
    ):
        right(called(arguments, tmp_path, FEW, script), 2, arguments)


def as_nobody() -> tuple[str, ...]:
    """What makes a call one of a user without rights, who may read everything, this Python's own files among it."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed, which takes root's rights away")
    may_read = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")
    before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *may_read)
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("setpriv may not hand on the right to read here")
    return before


@pytest.mark.thorough
@pytest.mark.parametrize("calls", [CALLS, pytest.param(THOROUGH, marks=pytest.mark.slow)], ids=["core", "frameworks"])
def test_a_user_without_rights_in_a_home_that_cannot_be_written(tmp_path, calls):
    before = as_nobody()
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    folder.chmod(0o777)
    home.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o011)
    for name, (code, arguments) in calls.items():
        if name not in NEEDED or find_spec(NEEDED[name]):
            right(called(arguments, folder, FEW | {"HOME": str(home)}, before=before), code, arguments)
    assert list(home.iterdir()) == []
    done = called(CALLS["write"][1], home, FEW | {"HOME": str(home)}, before=before)
    right(done, 2, ["table in a home that cannot be written"])
    assert done.stderr == b"layoutbridge: cannot write into '.': Permission denied\n"


@pytest.mark.slow
def test_copying_without_a_place_for_compiled_code(tmp_path):
    pytest.importorskip("numba")
    before = as_nobody()
    program = (
        "import numpy as np, layoutbridge as lb\nx = np.zeros((8, 64, 104, 104), np.float32)\n"
        "assert lb.op('focus')(x).shape == (8, 256, 52, 52)"
    )
    done = subprocess.run([*before, sys.executable, "-W", "error", "-c", program], cwd="/", check=False,
                          env=FEW | {"HOME": str(tmp_path / "nothing")}, capture_output=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_home_is_left_as_it_was(tmp_path):
    for name, (code, arguments) in (CALLS | THOROUGH).items():
        if name not in NEEDED or find_spec(NEEDED[name]):
            home, folder = tmp_path / f"home_{name}", tmp_path / f"folder_{name}"
            home.mkdir()
            folder.mkdir()
            right(called(arguments, folder, FEW | {"HOME": str(home)}), code, arguments)
            left = [path for path in home.rglob("*") if "Microsoft" in path.parts]
            assert left == []
