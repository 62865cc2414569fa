"""`layoutbridge checkpoint` as a user meets it: what is printed, what is written, and what is refused in one line."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.checkpoints import transfer
from layoutbridge.cli import main
from tests.checkpoint_files import read, write
from tests.command_line import refused, run

ROOT = Path(__file__).resolve().parents[2]
ROTARY = """
[[rule]]
tensors = "*.q.weight"
apply = "rotary_halves_to_pairs"
heads = 2
"""
RULES = f"""{ROTARY}
[[rule]]
tensors = "conv"
apply = "oihw_to_hwio"
"""
Q = bytes(range(16))  # of shape [8, 2]: two heads, of halves of two rows


def pairs(content):
    """The rows of both heads, first and third, second and fourth beside each other."""
    return np.frombuffer(content, "u1").reshape(2, 2, 2, 2).swapaxes(1, 2).tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    tensors = {f"layers.{k}.q.weight": ("F8_E4M3", (8, 2), Q) for k in range(3)}
    tensors |= {
        "conv": ("BF16", (3, 2, 1, 1), bytes(range(12))), "scale": ("F8_E5M2", (3,), b"abc"),
        "four": ("F4", (2, 4), b"wxyz"), "new": ("F9_NEW", (5,), b"1234567"), "nothing": ("F32", (0, 4), b""),
    }  # fmt: skip
    write(tmp_path / "in.safetensors", tensors, {"format": "pt"})
    (tmp_path / "rules.toml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments, source="in.safetensors", output="out.safetensors", rules="rules.toml"):
    return ["checkpoint", source, *(["-o", output] if output is not None else []), "--rules", rules, *arguments]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tensors_are_moved_told_and_undone(folder, capfd):
    code, out, err = run(capfd, *call())
    assert (code, err) == (0, "layoutbridge: wrote out.safetensors\n")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "rule 1 rotary_halves_to_pairs (heads 2)", "layers.*.q.weight 3 × F8_E4M3 [8, 2]",
        "rule 2 oihw_to_hwio", "conv 1 × BF16 [3, 2, 1, 1] -> [1, 1, 2, 3]",
        "4 tensors of 8 changed (60 bytes of 74 bytes), 4 stay",
    ]  # fmt: skip
    (header, found), (_, before) = read(folder / "out.safetensors"), read(folder / "in.safetensors")
    assert header["__metadata__"] == {"format": "pt"}
    assert found["layers.1.q.weight"] == pairs(Q) != Q
    assert (
        np.frombuffer(found["conv"], "u2").tolist()
        == np.frombuffer(before["conv"], "u2").reshape(3, 2).T.ravel().tolist()
    )
    assert all(found[name] == before[name] for name in ("scale", "four", "new", "nothing"))
    code, out, err = run(capfd, *call("--undo", source="out.safetensors", output="back.safetensors"))
    assert (code, "inverse of oihw_to_hwio" in out) == (0, True)
    assert (folder / "back.safetensors").read_bytes() == (folder / "in.safetensors").read_bytes()


def test_a_dry_run_writes_nothing(folder, capfd):
    before = contents(folder)
    for output in (None, "out.safetensors", "nowhere/out.safetensors"):
        code, out, err = run(capfd, *call("--dry-run", output=output))
        assert (code, err) == (0, "")
        assert "4 tensors of 8 would change" in out
    assert contents(folder) == before


def test_json(folder, capfd):
    code, out, _ = run(capfd, *call("--json"))
    told = json.loads(out)
    assert (code, told["written"], told["tensors"], told["bytes"], told["output"]) == (
        0,
        True,
        8,
        74,
        "out.safetensors",
    )
    assert told["changed"][3] == {
        "name": "conv", "dtype": "BF16", "from": [3, 2, 1, 1], "to": [1, 1, 2, 3], "rule": 2,
        "operation": "oihw_to_hwio", "bytes": 12,
    }  # fmt: skip


def test_archives_and_shards(folder, capfd):
    np.savez(folder / "in.npz", kernel=np.arange(24).reshape(2, 12), bias=np.arange(12))
    (folder / "lstm.toml").write_text(
        '[[rule]]\ntensors = "kernel"\napply = ["transpose", "lstm_gates"]\nsource = "keras"\ntarget = "onnx"\n'
        '[[rule]]\ntensors = "bias"\napply = "lstm_gates"\naxes = 1\nsource = "keras"\ntarget = "onnx"\n'
    )
    assert run(capfd, *call(source="in.npz", output="out.npz", rules="lstm.toml"))[0] == 0
    found = np.load(folder / "out.npz")
    assert found["bias"].tolist() == [0, 1, 2, 9, 10, 11, 3, 4, 5, 6, 7, 8]  # i f c o to i o f c
    assert np.array_equal(found["kernel"], np.arange(24).reshape(2, 12)[:, found["bias"]].T)
    (folder / "shards").mkdir()
    for number, name in enumerate(("layers.0.q.weight", "conv")):
        tensor = ("U8", (8, 2), Q) if number == 0 else ("U8", (4, 4, 1, 1), Q)
        write(folder / "shards" / f"m-{number}.safetensors", {name: tensor})
    owners = {"layers.0.q.weight": "m-0.safetensors", "conv": "m-1.safetensors"}
    (folder / "shards" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": owners}))
    code, out, _ = run(capfd, *call(source="shards", output="made"))
    assert (code, "2 tensors of 2 changed" in out) == (0, True)
    assert read(folder / "made" / "m-0.safetensors")[1]["layers.0.q.weight"] == pairs(Q)
    before = contents(folder)
    assert "'made' is not empty" in refused(capfd, *call(source="shards", output="made"))
    assert contents(folder) == before


def rule(tensors, more='apply = "transpose"'):
    return f"[[rule]]\ntensors = '{tensors}'\n{more}\n"


REFUSED_RULES = {
    "matches nothing": (rule("*.k.weight"), "matches none of the 8 tensors: '*.k.weight'; they are called such as"),
    "matched twice": (RULES + rule("layers.0.*"), "rule 1 and rule 3 both match tensor 'layers.0.q.weight'"),
    "does not fit": (rule("conv"), "tensor 'conv'"),
    "does not divide": (RULES.replace("= 2", "= 3"), "is not a multiple of"),
    "fewer axes": (rule("scale", 'apply = "qkv_rows"\nheads = 1'), "a rule of its own, with axes = 1, or leave it out"),
    "heads unsaid": (RULES.replace("heads = 2", ""), "rotary_halves_to_pairs takes heads (how many heads)"),
    "heads unsaid in an inverse": (
        rule("*.q.weight", 'apply = "inverse(rotary_halves_to_pairs)"'), "rule 1: rotary_halves_to_pairs takes heads"
    ),
    "half a byte": (rule("four"), "elements of F4 are no whole bytes"),
    "an unknown dtype": (rule("new"), "elements of F9_NEW are no whole bytes, or not known"),
    "no TOML": ("[[rule", "is no TOML"),
    "no rule": ("", "there is no rule"),
    "a misspelt name": (rule("conv", 'apply = "oihw_to_hwo"'), "did you mean oihw_to_hwio"),
}  # fmt: skip


@pytest.mark.sample(4, slow=4)
@pytest.mark.parametrize("name", REFUSED_RULES)
def test_rules_that_do_not_fit_are_refused_and_nothing_is_written(name, folder, capfd):
    text, told = REFUSED_RULES[name]
    (folder / "rules.toml").write_text(text)
    before = contents(folder)
    for options in ([], ["--undo"]):
        assert told in refused(capfd, *call(*options)), options
    assert contents(folder) == before


REFUSED_CALLS = {
    "the input itself": ({"output": "in.safetensors"}, "would overwrite the input"),
    "the input by another name": ({"output": "./in.safetensors"}, "would overwrite the input"),
    "the rules": ({"output": "rules.toml"}, "would overwrite the input 'rules.toml'"),
    "a missing folder": ({"output": "nowhere/out.safetensors"}, "cannot write into 'nowhere'"),
    "another format": ({"output": "out.npz"}, "must end in .safetensors"),
    "no output": ({"output": None}, "say where to write"),
    "no source": ({"source": "missing.safetensors"}, "there is no safetensors file 'missing.safetensors'"),
    "no rules": ({"rules": "missing.toml"}, "there is no file of rules 'missing.toml'"),
    "a pickle": ({"source": "model.pt", "output": "out.pt"}, "run code"),
    "a folder without index": ({"source": ".", "output": "made"}, "name a file in it, such as 'in.safetensors'"),
    "cut short": ({"source": "short.safetensors"}, "its tensors end at byte"),
    "cut within its header": ({"source": "header.safetensors"}, "are there"),
    "a broken header": ({"source": "broken.safetensors"}, "is no JSON of this form"),
    "empty": ({"source": "empty.safetensors"}, "it has 0 bytes"),
}  # fmt: skip


@pytest.mark.sample(6)
@pytest.mark.parametrize("name", REFUSED_CALLS)
def test_calls_that_cannot_be_done_are_refused_and_nothing_is_written(name, folder, capfd):
    whole = (folder / "in.safetensors").read_bytes()
    if "source" in REFUSED_CALLS[name][0] and name != "a folder without index":
        (folder / "short.safetensors").write_bytes(whole[:-1])
        (folder / "header.safetensors").write_bytes(whole[:100])
        (folder / "broken.safetensors").write_bytes(whole.replace(b'"dtype"', b'"dtype ', 1))
        (folder / "empty.safetensors").touch()
        (folder / "model.pt").touch()
    before = contents(folder)
    given, told = REFUSED_CALLS[name]
    assert told in refused(capfd, *call(**given))
    assert contents(folder) == before


# ---------------------------------------------------------------------- interrupted runs


def fails(number):
    def instead(*_):
        raise OSError(number, os.strerror(number))

    return instead


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "No space left on device"), (errno.EIO, "Input/output error")]
)
@pytest.mark.parametrize("name", ["pwrite", "preadv"])
def test_a_full_or_broken_disk_is_one_line_and_leaves_nothing(folder, capfd, monkeypatch, name, number, told):
    if not hasattr(os, name):
        pytest.skip(f"this system has no {name}")
    before = contents(folder)
    monkeypatch.setattr(transfer.os, name, fails(number))
    assert told in refused(capfd, *call())
    assert contents(folder) == before


def test_an_error_on_a_thread_reaches_the_caller(folder, capfd, monkeypatch):
    """Of many tensors, on as many threads as there may be, one fails."""
    write(folder / "in.safetensors", {f"{k}.q.weight": ("U8", (8, 2), Q) for k in range(200)})
    (folder / "rules.toml").write_text(ROTARY)
    before, real, written = contents(folder), transfer.Transfer.write, []

    def write_some(self, view, at):
        written.append(at)
        if len(written) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, view, at)

    monkeypatch.setattr(transfer.Transfer, "write", write_some)
    for workers in (1, 2, 4):
        written.clear()
        monkeypatch.setattr(transfer, "worker_count", lambda count=workers: count)
        assert "No space left on device" in refused(capfd, *call())
        assert len(written) < 110  # the others stopped
        assert contents(folder) == before


def test_an_interrupt_leaves_nothing(folder, capfd, monkeypatch):
    before = contents(folder)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer.Transfer, "read", interrupted)
    assert main(call()) == 130
    assert contents(folder) == before


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="signals are POSIX's")
def test_a_signal_while_a_large_file_is_written_leaves_nothing(folder):
    size = 32 << 20
    write(folder / "in.safetensors", {f"{k}.q.weight": ("U8", (8, size // 8), bytes(size)) for k in range(8)})
    (folder / "rules.toml").write_text(ROTARY)
    process = subprocess.Popen(
        [sys.executable, "-m", "layoutbridge", *call()], env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(folder.glob(".*.part/new/*")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("this machine wrote the file before it could be interrupted")
    assert process.returncode in (130, -signal.SIGINT), err
    assert (out, "Traceback" in err) == ("", False)
    assert sorted(path.name for path in folder.iterdir()) == ["in.safetensors", "rules.toml"]
