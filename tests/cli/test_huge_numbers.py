"""Numbers and patterns far too large, with every command that takes them: one line, code 2, at once, without memory."""

import resource
from pathlib import Path

import pytest

import layoutbridge as lb
from layoutbridge.algebra.fitting import refuse_impossible
from layoutbridge.errors import LayoutBridgeError, ShapeError
from tests.command_line import refused, run

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NET = tuple(str(FIXTURES / "nets" / "alexey" / "yolo_head" / name) for name in ("net.cfg", "net.weights"))
RECURRENT = tuple(str(FIXTURES / "recurrent" / "alexey" / "lstm" / name) for name in ("net.cfg", "net.weights"))
BILLION, LARGE, LARGER = "1000000000", "9" * 18, "9" * 5000
NAMES = [f"a{k}" for k in range(70)]
MANY_DIGITS = f"({' '.join(f'{name}:2' for name in NAMES[1:])} a0) -> ({' '.join(NAMES)})"

NEEDED = {".onnx": "onnx", ".jax": "jax", ".pt2": "torch", ".keras": "tensorflow", ".tflite": "tensorflow"}
CALLS = [
    *(["table", name, "--shape", "3,4,4", "--stride", number] for number in (BILLION, LARGE, LARGER)
      for name in ("focus", "darknet_reorg", "darknet_reorg_reverse", "darknet_reorg3d_reverse")),
    *(["table", "channel_shuffle", "--shape", "3,4,4", "--groups", number] for number in (BILLION, LARGE, LARGER)),
    ["table", "focus", "--shape", ",".join(["2"] * 5000)],
    ["table", "focus", "--shape", "30000,100000,100000", "-o", "t.csv"],
    ["table", MANY_DIGITS, "--shape", "4096"],
    ["table", "a b -> b a" + " " * 100_000, "--shape", "2,3"],
    ["table", "(" * 4000, "--shape", "2,3"],
    ["prove", "focus", "focus", "--stride", LARGER],
    ["prove", "focus", "x" * 100_000],
    ["prove", "focus", " ".join(["x"] * 50_000)],
    ["prove", "focus", "a:" + "9^" * 1000 + "9 b -> b a"],
    ["prove", "focus", "a b -> b a, a=" + "9" * 5000],
    ["identify", "numpy:copy", "--shape", "1,2147483647"],
    ["identify", "numpy:copy", "--shape", f"{LARGE},9"],
    ["identify", "numpy:copy", "--shape", LARGER],
    ["list", "x" * 100_000],
    ["verify", "--ops", "x" * 100_000],
    ["verify", "--frameworks", "x," * 50_000],
    ["export", "focus", "-o", "t.npy", "--stride", BILLION, "--shape", "3,2,2"],
    ["export", "focus", "-o", "t.npy", "--shape", "3,2000000000,2000000000"],
    ["export", "darknet_reorg", "-o", "t.onnx", "--stride", LARGE],
    ["export", "focus", "-o", "t.onnx", "--opset", BILLION],
    ["export", "focus", "-o", "t.onnx", "--opset", LARGER],
    ["export", "focus", "-o", "t.jax", "--stride", BILLION],
    ["export", "focus", "-o", "t.pt2", "--stride", BILLION, "--shape", f"1,3,{BILLION},{BILLION}"],
    ["export", MANY_DIGITS, "-o", "t.onnx"],
    ["summary", NET[0], "--size", f"{LARGE}x{LARGE}"],
    ["summary", NET[0], "--size", f"{LARGER}x8"],
    ["summary", NET[0], "--upto", BILLION],
    ["summary", NET[0], "--upto", LARGER],
    ["check", *NET, "--size", "100000x100000"],
    ["check", *NET, "--upto", BILLION],
    ["check", *NET, "--tolerance", "1e400"],
    ["export", *NET, "-o", "t.onnx", "--size", f"{BILLION}x{BILLION}"],
    ["export", *NET, "-o", "t.onnx", "--opset", LARGE],
    ["export", *NET, "-o", "t.onnx", "--upto", LARGE],
    ["export", *NET, "-o", "t.onnx", "--threshold", LARGER],
    *(["export", *NET, "-o", f"t{ending}", "--batch", LARGE] for ending in (".onnx", ".pt2", ".keras", ".tflite")),
    *(["export", *RECURRENT, "-o", f"t{ending}", "--steps", number] for number in (BILLION, LARGE)
      for ending in (".onnx", ".pt2", ".keras")),
    ["detect", "t.onnx", "t.png", "--threshold", LARGER],
]  # fmt: skip


@pytest.mark.sample(25)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(part[-24:] for part in call)[:80])
def test_one_line_at_once(capfd, tmp_path, monkeypatch, call):
    for ending, module in NEEDED.items():
        if any(part.endswith(ending) for part in call):
            pytest.importorskip(module)
    capfd.readouterr()  # what importing them prints
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = refused(capfd, *call)
    assert "a fault of" not in line
    if not any(part.endswith((".pt2", ".keras", ".tflite", ".jax")) for part in call):  # those are imported, too
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    assert list(tmp_path.iterdir()) == []


def test_large_strides_that_an_array_could_have_are_answered(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("space_to_depth", "darknet_reorg"):
        assert run(capfd, "prove", "focus", name, "--stride", BILLION)[0] == 1
    assert run(capfd, "prove", "pixel_shuffle", "depth_to_space_crd", "--stride", BILLION)[0] == 0
    assert run(capfd, "prove", MANY_DIGITS, MANY_DIGITS)[0] == 0
    pytest.importorskip("onnx")
    assert run(capfd, "export", "focus", "-o", "t.onnx", "--stride", BILLION)[0] == 0
    assert (tmp_path / "t.onnx").stat().st_size < 10_000


@pytest.mark.parametrize("pattern", ["x" * 10**6, "(" * 10**6, "a " * 10**6, "a:" + "2*" * 10**6, "," * 10**6])
def test_patterns_of_a_million_characters(pattern):
    with pytest.raises(LayoutBridgeError, match="too long") as caught:
        lb.Rearrangement(pattern)
    assert len(str(caught.value)) < 500


def test_what_takes_no_shape_that_can_be_counted():
    for op in (
        lb.op("focus", stride=2**32),
        lb.op("darknet_reorg3d_reverse", stride=2**16),
        lb.Rearrangement(MANY_DIGITS),
    ):
        with pytest.raises(ShapeError, match=r"takes no shape with at most 2\^63 - 1 elements"):
            refuse_impossible(op)
    for op in (lb.op("focus", stride=2**31), lb.op("darknet_reorg3d_reverse", stride=2**15)):
        refuse_impossible(op)
