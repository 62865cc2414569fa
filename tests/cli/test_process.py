"""The command line's own process: no notes of C++ code on stderr, and nothing else is lost."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from layoutbridge.cli.process import without_notes

ROOT = Path(__file__).resolve().parents[2]
NET = ROOT / "fixtures" / "nets" / "alexey" / "dense_tiny"
NOTE = b"I0000 00:00:1795630394.910804   11531 port.cc:153] a note\n"
NOTES = (
    NOTE,
    b"E0000 00:00:1795661100.523102   13142 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n",
    b"2026-11-20 10:11:12.345678: W tensorflow/core/util/port.cc:153] an older one\n",
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow\n",
    b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n",
    b'loc(callsite("a"("b.py":1:2) at "c"): error: \'tf.Cholesky\' op is neither a custom op nor a flex op\n',
    b"<unknown>:0: error: failed\n",
    b"error: failed while converting: 'main': \n"
    b"Some ops are not supported by the native TFLite runtime, you can enable TF kernels fallback using TF Select.\n"
    b"TF Select ops: Cholesky, MatrixDiagPartV3\n"
    b"Details:\n"
    b'\ttf.Cholesky(tensor<3x3xf32>) -> (tensor<3x3xf32>) : {device = ""}\n'
    b"\n",
)
OTHERS = (
    b"WARNING:root:mine\n",
    b"layoutbridge: wrote 'net.tflite'\n",
    b"F0000 00:00:1795661100.523102   13142 check.cc:52] Check failed: this ends the process\n",
    b"\n",
    b"an error: of mine\n",
    b"\xff\xfe no text\r\n",
)


def test_notes_are_left_out_and_nothing_else():
    for note in NOTES:
        assert b"".join(without_notes([note])) == b""
    for other in OTHERS:
        assert b"".join(without_notes([other])) == other
    mixed = b"".join(x for pair in zip(OTHERS * 2, NOTES, strict=False) for x in pair)
    told = b"".join((OTHERS * 2)[: len(NOTES)])
    for size in (1, 2, 3, 7, 64, 100_000):  # as it may be cut into pieces
        assert b"".join(without_notes(mixed[k : k + size] for k in range(0, len(mixed), size))) == told


def test_a_line_that_has_begun_is_told_after_a_while_and_at_the_end():
    assert list(without_notes([b"Name? ", b"", b"error: my name\n", NOTE])) == [b"Name? ", b"error: my name\n"]
    assert list(without_notes([NOTE[:20], b"", NOTE[20:]])) == []
    assert list(without_notes([b"no end"])) == [b"no end"]
    assert list(without_notes([NOTE[:-1]])) == []


# ---------------------------------------------------------------------- processes


def fresh(program, *, before="", **variables):
    """A program in a process of its own whose stderr is the command line's."""
    whole = (
        f"import os, sys\n{before}\nfrom layoutbridge.cli.process import own_process\nwith own_process():\n"
        + "".join(f"    {line}\n" for line in program.splitlines())
    )
    return run([sys.executable, "-c", whole], **variables)


def run(command, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "OMP_"))}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


CHILD = f"""
import os
os.write(2, b"a child\\n" + {NOTE!r})
"""


def test_what_the_process_and_its_children_write_comes_through():
    done = fresh(
        f"os.write(2, {NOTE!r})\n"
        "sys.stderr.write('from Python\\n')\n"
        "os.write(2, b'by its number\\n')\n"
        f"import subprocess; subprocess.run([sys.executable, '-c', {CHILD!r}])\n"
        "os.write(2, b'the last')"
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(done.stderr.splitlines()) == ["a child", "by its number", "from Python", "the last"]


STATE = """
def state():
    files = sorted(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else ()
    return os.fstat(2)[:3], sys.stderr, tuple(files)
before, stream = state(), sys.stderr
import atexit
atexit.register(lambda: print(state() == before))
"""


def test_stderr_is_afterwards_what_it_was():
    done = fresh(
        "assert os.fstat(2)[:3] != before[0]\n"
        "assert sys.stderr is not stream\n"
        "assert (sys.stderr.isatty(), sys.stderr.encoding) == (stream.isatty(), stream.encoding)",
        before=STATE,
    )
    assert done.stdout == "True\n", done.stderr


def test_code_that_keeps_the_interpreters_lock_may_write_more_than_a_pipe_takes():
    done = fresh("import ctypes\nfor _ in range(4): ctypes.PyDLL(None).write(2, b'x' * 999_999 + b'\\n', 1_000_000)")
    assert done.returncode == 0
    assert len(done.stderr) == 4_000_000


def test_what_is_said_when_the_process_goes_down_comes_through():
    done = fresh("os.write(2, b'F0000 Check failed\\n')\nos.abort()")
    assert (done.returncode, done.stderr) == (-6, "F0000 Check failed\n")
    done = fresh("os.write(2, b'on the way out\\n')\nraise SystemExit(143)")
    assert (done.returncode, done.stderr) == (143, "on the way out\n")


def test_a_program_that_is_left_behind_holds_nobody_up():
    begun = time.monotonic()
    program = (
        "import subprocess\nsubprocess.Popen(['sleep', '30'], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)\n"
    )
    whole = f"from layoutbridge.cli.process import own_process\nwith own_process():\n    {program}".replace(
        "\nsub", "; sub"
    )
    done = subprocess.run(
        [sys.executable, "-c", whole],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(closed, tmp_path):
    table = tmp_path / "a.npy"
    command = f"exec {sys.executable} -m layoutbridge table focus --shape 3,4,4 -o {table} {closed}"
    assert run(["sh", "-c", command]).returncode == 0
    assert table.stat().st_size > 128


def test_the_environment_has_defaults_and_the_callers_own_values_stay():
    program = "print(os.environ['TF_CPP_MIN_LOG_LEVEL'], os.environ['OMP_WAIT_POLICY'])"
    assert fresh(program).stdout == "3 passive\n"
    assert fresh(program, TF_CPP_MIN_LOG_LEVEL="1", OMP_WAIT_POLICY="active").stdout == "1 active\n"
    assert fresh(f"os.write(2, {NOTE!r})", TF_CPP_MIN_LOG_LEVEL="0").stderr == NOTE.decode()


# ---------------------------------------------------------------------- the commands


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_the_commands_print_nothing_of_tensorflow(tmp_path):
    command = [sys.executable, "-m", "layoutbridge"]
    export = [*command, "export", str(NET / "net.cfg"), str(NET / "net.weights"), "-o", str(tmp_path / "net.tflite")]
    done = run(export)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("layoutbridge: ") for line in done.stderr.splitlines()), done.stderr
    port = tmp_path / "port.py"
    port.write_text("import tensorflow as tf\ndef port(x): return tf.nn.space_to_depth(tf.constant(x), 2)")
    done = run([*command, "identify", f"{port}:port", "--shape", "1,4,4,3"])
    assert (done.returncode, done.stderr) == (0, "")
