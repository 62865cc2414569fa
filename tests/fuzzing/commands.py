"""The surface of the whole command line: words from its own options, files of every kind, hostile values.

An input is a line for each word. It runs in this process, in a folder with small files that are made anew when one
has changed; what it prints is read from the process's own output, so that nothing a library prints is missed.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import chdir
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

import typer.main

from layoutbridge.cli import main
from layoutbridge.cli.commands import application
from tests.fuzzing.mutation import encoded, number, word
from tests.fuzzing.surface import CORPORA, refuse_unclear, surface

_COMMANDS: dict[str, tuple[str, ...]] = {
    "summary": ("CFG",), "check": ("CFG", "WEIGHTS"), "detect": ("MODEL", "PICTURE"), "export": ("CFG", "WEIGHTS"),
    "table": ("NAME",), "code": ("NAME",), "prove": ("NAME", "NAME"), "identify": ("TABLE",), "list": ("NAME",),
    "verify": (), "checkpoint": ("CHECKPOINT",), "scan": ("SCANNED",), "show": ("NAME",),
    "tune": ("CFG", "WEIGHTS"), "benchmark": ("CFG", "WEIGHTS"),
}  # fmt: skip
_OPTIONS: dict[str, tuple[str, ...]] = {
    "summary": ("--flavor", "--size", "--upto", "--activation", "--json"),
    "check": ("--flavor", "--size", "--upto", "--strict", "--activation", "--tolerance", "--against", "--brief",
    "--json"),
    "detect": ("--names", "--output", "--threshold", "--nms", "--nms-kind", "--letterbox", "--stretch", "--size",
    "--json"),
    "export": (
        "--to", "-o", "--opset", "--data-format", "--shape", "--stride", "--groups", "--spatial", "--dtype", "--flavor",
        "--head", "--size", "--batch", "--upto", "--every-layer", "--strict", "--activation", "--half", "--for",
        "--winograd", "--store-winograd", "--nms", "--threshold", "--overlap", "--nms-kind", "--steps", "--names",
        "--dynamic-size",
        "--keep-batch-norm", "--external-data", "--no-batch",
    ),
    "table": ("--shape", "--stride", "--groups", "--spatial", "--order", "--output", "--format", "--json"),
    "code": ("--to", "--stride", "--groups", "--spatial", "--order", "--data-format", "--batch", "--no-batch"),
    "prove": ("--stride", "--groups", "--spatial", "--order", "--json"),
    "identify": ("--shape", "--second-shape", "--expect", "--stride", "--json"),
    "list": ("--json",),
    "verify": ("--ops", "--json"),
    "checkpoint": ("-o", "--rules", "--undo", "--dry-run", "--force", "--json"),
    "scan": ("--shape", "--expect", "--flavor", "--json"),
    "show": ("--shape", "--stride", "--groups", "--compare", "--steps", "--digits", "--animate", "--theme", "--title",
    "-o", "--json"),
    "tune": ("-o", "--force", "--threads", "--half", "--int8", "--calibrate", "--max-deviation", "--max-load",
    "--max-memory", "--max-size", "--seconds", "--head", "--batch", "--names", "--flavor", "--size", "--json"),
    "benchmark": ("--half", "--picture", "--threads", "--rounds", "--flavor", "--size", "--html", "--force", "--json"),
}  # fmt: skip
_MEASURING = {"tune", "benchmark"}  # they take minutes: no run gets further than to this target, which there is not
_NO_TARGET = "--targets=x"
_ALONE = {"--json", "--strict", "--brief", "--letterbox", "--stretch", "--every-layer", "--half", "--winograd",
          "--store-winograd",
          "--dynamic-size", "--keep-batch-norm", "--external-data", "--no-batch", "--undo", "--dry-run",
          "--force", "--steps", "--digits", "--animate", "--int8"}  # fmt: skip
_FILES: dict[str, tuple[str, ...]] = {
    "CFG": ("net.cfg", "bad.cfg", "darknet_reorg"), "WEIGHTS": ("net.weights", "short.weights"),
    "MODEL": ("boxes.onnx", "op.onnx"),
    "PICTURE": ("a.png",), "NAME": ("darknet_reorg", "space_to_depth", "channel_shuffle",
    "c (h p) (w q) -> (p q c) h w, p=2, q=2", "focus then inverse(pixel_unshuffle(stride=2))", "inverse(focus)"),
    "CHECKPOINT": ("w.safetensors", "w.safetensors", "outputs.npz"),
    "TABLE": ("t.npy", "t.csv", "t.json", "op.onnx", "json:dumps", "ports.py:Reorg(2)", "net.cfg", "boxes.onnx"),
    "SCANNED": ("net.cfg", "net.cfg", "bad.cfg", "op.onnx", "boxes.onnx", "folder"),
}  # fmt: skip
_STRANGE = (
    "folder", "folder.cfg", "folder.onnx", "link.cfg", "missing.cfg", "zero.npy", "zero.onnx", "zero.png", "zero.csv",
    "null.cfg",
    "-", "", "a\x1b[31mb.cfg", "\udcff.cfg", "\udcff.onnx", "n" * 300 + ".cfg", "n" * 5000, "ö.npy", "a\nb.cfg",
    "locked.csv",
)  # fmt: skip
_OUTPUTS = (
    "o.onnx",
    "o.npy",
    "o.csv",
    "o.json",
    "o.c",
    "o.png",
    "o.svg",
    "o.html",
    "o",
    "o.param",
    "missing/o.onnx",
    "o.py",
    "o.safetensors",
    "o.npz",
    "o\x1b.onnx",
    "n" * 251 + ".npy",
)
_VALUES = (
    "1,64,26,26", "1x4x4x4", "N,4,H,W", "4,4,4", "8x8", "0x0", "2", "3", "17", "13", "float16", "int8", "onnx",
    "numpy", "ncnn", "alexey",
    "pjreddie", "boxes", "raw", "yolov5", "silu=swish", "a=b", "greedynms", "0.5", "outputs.npz", "x.names",
    "darknet_reorg",
)  # fmt: skip
_FITTING: dict[str, tuple[str, ...]] = {
    "--output": _OUTPUTS, "-o": _OUTPUTS, "--shape": ("1,64,26,26", "1x4x4x4", "4,4,4", "N,4,H,W", "input=1,3,8,8"),
    "--compare": ("space_to_depth", "focus"), "--theme": ("dark",),
    "--second-shape": ("1,4,4,8",), "--expect": ("darknet_reorg", "space_to_depth then inverse(focus)"),
    "--stride": ("2", "1", "2x4"), "--spatial": ("1", "3"), "--order": ("pqc",), "--groups": ("2", "4"),
    "--flavor": ("alexey", "pjreddie"), "--size": ("8x8", "4x6"), "--upto": ("1",),
    "--format": ("npy", "c"),
    "--activation": ("leaky=swish",), "--tolerance": ("0.1",), "--against": ("outputs.npz",), "--names": ("x.names",),
    "--to": ("onnx", "ncnn"), "--rules": ("r.toml", "any.toml"),
    "--threshold": ("0.5", "0"), "--nms": ("0.4",), "--nms-kind": ("greedynms", "diounms"), "--opset": ("11", "17"),
    "--head": ("raw", "darknet"),
    "--batch": ("1", "2"), "--for": ("onnxruntime", "opencv"), "--dtype": ("int8", "float16"), "--overlap": ("0.5",),
    "--threads": ("1", "1,2", "0"), "--rounds": ("1",), "--calibrate": ("a.png", "folder"), "--picture": ("a.png",),
    "--html": ("o.html",), "--seconds": ("1", "0"), "--max-size": ("1", "0"), "--max-load": ("0.1",),
}  # fmt: skip
_BESIDE = ("o.bin", "o.json", "o.onnx.data", "o.npz.data", "o\x1b.onnx.data")  # what comes with an output
_KNOWN = {*_STRANGE, *_OUTPUTS, *(name for names in _FILES.values() for name in names)}
_OUTSIDE = re.compile(r"/|\\|\.\.|~")
_RUNS_CODE = re.compile(r":")
_HEAVY = ("keras", "torch", "tflite", "openvino", "jax", "tensorflow", "pytorch", "litert")  # other surfaces have them


_NEEDED: dict[str, tuple[str, ...]] = {
    "table": ("--shape", "4,4,4"), "code": ("--to", "numpy"), "verify": ("--frameworks=numpy", "--ops=darknet_reorg"),
    "checkpoint": ("--rules", "r.toml", "-o", "o.safetensors"), "export": ("--to", "onnx", "-o", "o.onnx"),
    "check": ("--targets", "onnx"),
}  # fmt: skip


def _fitting_command(random: Random) -> bytes:
    """A command that most often runs through: with files of the kind that it reads, and at most an option more."""
    command = random.choice(sorted(_COMMANDS.keys() - _MEASURING))
    words = [command, *(_FILES[kind][0] for kind in _COMMANDS[command]), *_NEEDED.get(command, ())]
    if random.random() < 0.5:
        option = random.choice([each for each in _OPTIONS[command] if each in _ALONE or each in _FITTING] or ["--json"])
        words += [option] if option in _ALONE else [option, random.choice(_FITTING[option])]
    return b"\n".join(encoded_word(each) for each in words)


def drawn_command(random: Random) -> bytes:
    """A command with its arguments and some options: one that fits, or one of which each word may be hostile."""
    return _fitting_command(random) if random.random() < 0.6 else _hostile_command(random)


def _hostile_command(random: Random) -> bytes:
    command = random.choice(sorted(_COMMANDS))
    words = [command]
    for kind in _COMMANDS[command]:
        if random.random() < 0.95:
            words.append(random.choice(_FILES[kind]) if random.random() < 0.85 else _hostile(random))
    for option in random.sample(_OPTIONS[command], min(random.choice((0, 0, 1, 1, 2, 4)), len(_OPTIONS[command]))):
        words.append(option)
        if option not in _ALONE and random.random() < 0.97:
            words.append(_value(random, option))
    if command in ("table", "code") and random.random() < 0.8:
        words += _NEEDED[command]
    if command in ("export",) and random.random() < 0.8:
        words += ["-o", random.choice(_OUTPUTS)]
    if command == "checkpoint" and random.random() < 0.9:
        words += [
            "--rules",
            random.choice(("r.toml", "r.toml", "any.toml")),
            "-o",
            random.choice(("o.safetensors", "o.npz")),
        ]
    if command == "check":
        words += ["--targets", random.choice(("onnx", "ncnn", "x", ",", "onnx,onnx", word(random)))]
    if command == "verify":
        words += ["--frameworks", random.choice(("x", ",", word(random))), "--ops", random.choice(("x", word(random)))]
    if command in _MEASURING:
        words.append(_NO_TARGET)
    if random.random() < 0.1:
        words[random.randrange(len(words))] = _hostile(random)
    return b"\n".join(encoded_word(each) for each in words)


def _hostile(random: Random) -> str:
    return random.choice((word(random), number(random), random.choice(_STRANGE), random.choice(_STRANGE)))


def _value(random: Random, option: str) -> str:
    if option in _FITTING and random.random() < 0.7:
        return random.choice(_FITTING[option])
    return random.choice((random.choice(_VALUES), random.choice(_VALUES), number(random), word(random)))


def encoded_word(text: str) -> bytes:
    """A word as a line: what ends lines is told apart."""
    return encoded(text.replace("\\", "\\\\").replace("\n", "\\n").replace("\0", ""))


def _decoded_word(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape").replace("\0", "")
    return text.replace("\\n", "\n").replace("\\\\", "\\")


def mutated_command(random: Random, data: bytes, others: object = ()) -> bytes:
    """Words of a command changed, lost, repeated or put elsewhere."""
    words = data.split(b"\n")
    at = random.randrange(len(words))
    deed = random.random()
    if deed < 0.5:
        words[at] = encoded_word(_hostile(random) if random.random() < 0.7 else _value(random, ""))
    elif deed < 0.65:
        del words[at]
    elif deed < 0.8:
        words.insert(random.randrange(len(words)), words[at])
    elif deed < 0.9:
        words.insert(at, encoded_word(random.choice([option for each in _OPTIONS.values() for option in each])))
    else:
        words[at] += encoded_word(_hostile(random))
    return b"\n".join(words)


def _is_safe(words: list[str]) -> bool:
    """Whether a command can be run here: nothing written or imported from elsewhere, no Python but ours."""
    foreign = [each for each in words if each not in _KNOWN and not each.startswith("c (h")]
    if any(_OUTSIDE.search(each) for each in foreign) or any(name in each for each in words for name in _HEAVY):
        return False
    if not _MEASURING.isdisjoint(words) and [each for each in words if "--targets" in each] != [_NO_TARGET]:
        return False
    if "verify" in words and not any("--frameworks" in each for each in words):
        return False  # every framework would be loaded
    return not ("identify" in words and any(_RUNS_CODE.search(each) for each in foreign))


@surface(".words", drawn_command, mutate=mutated_command, needs=("onnx", "onnxruntime", "ncnn", "PIL"), share=4)
def command_line(data: bytes, folder: Path) -> bool:
    """A whole command: its code is 0, 1 or 2, and a refusal is a line on standard error and nothing else."""
    words = [_decoded_word(line) for line in data.split(b"\n")]
    if not _is_safe(words):
        return False
    place = _furnished(folder)
    with chdir(place):
        code, out, err = _run(words)
    _tidied(place, words)
    assert code in (0, 1, 2), f"exit code {code}: {err[-300:]}"
    assert "Traceback" not in err, err[-300:]
    if code == 2:
        assert out == "", f"standard output has {out[:200]!r}"
        _check_refusal(err, max(map(len, words), default=0))
    for line in [*("" if "npy" in words else out).split("\n"), *err.split("\n")]:
        assert line.replace("\t", "").isprintable(), f"not printable: {line[:200]!r}"
    return code != 2


def _check_refusal(err: str, quoted: int) -> None:
    assert err.endswith("\n") and err.startswith("layoutbridge: "), err[:300]
    lines = [
        line for line in err[:-1].split("\n") if not line.startswith(("layoutbridge: warning:", "layoutbridge: and "))
    ]
    of_cfg = all(re.match(r"layoutbridge: \S+\.cfg", line) for line in lines)
    refuse_unclear("\n".join(lines), 21 if of_cfg else 1, quoted)


_get_command = typer.main.get_command


@cache
def _built(app: typer.Typer) -> object:
    """All commands, made once: typer makes them anew for each call, which is nine tenths of the time."""
    application()  # else those alone are there that the first words asked for
    return _get_command(app)


def _run(words: list[str]) -> tuple[int, str, str]:
    """The exit code, and what the process wrote on either stream."""
    code: object
    try:
        with patch.object(typer.main, "get_command", _built):
            code = main(words)
    except SystemExit as error:
        code = error.code
    sys.stdout.flush(), sys.stderr.flush()
    out, err = (os.pread(stream, os.fstat(stream).st_size, 0).decode("utf-8", "backslashreplace") for stream in (1, 2))
    for stream in (1, 2):
        os.ftruncate(stream, 0)
    return int(str(code or 0)), out, err


# ---------------------------------------------------------------------- the folder


@cache
def _contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((CORPORA / "command_line.beside").iterdir())}


def _furnished(folder: Path) -> Path:
    """A folder with files of every kind."""
    place = folder / "here"
    if place.is_dir():
        return place
    place.mkdir()
    for name, content in _contents().items():
        (place / name).write_bytes(content)
    for name in ("folder", "folder.cfg", "folder.onnx"):
        (place / name).mkdir()
    (place / "link.cfg").symlink_to("net.cfg")
    for name in ("zero.npy", "zero.onnx", "zero.png", "zero.csv"):
        (place / name).symlink_to("/dev/zero")
    (place / "null.cfg").symlink_to("/dev/null")
    (place / "locked.csv").symlink_to("locked.csv")  # a link to itself
    return place


def _tidied(place: Path, words: list[str]) -> None:
    """Take away what was written; a file that was there must be as it was, and nothing else may lie anywhere."""
    for path in place.iterdir():
        if path.name in _contents():
            assert path.stat().st_size == len(_contents()[path.name]), f"{path.name} was changed"
        elif not (path.is_symlink() or path.is_dir()):
            path.unlink()
            named = any(word.endswith(path.name) for word in words)
            assert named or path.name in _BESIDE, f"{path.name!r} was written"
    assert [path.name for path in place.parent.iterdir()] == ["here"], "written outside"
