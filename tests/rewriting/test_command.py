"""`layoutbridge rewrite`, and the lines that `scan` gives to paste."""

import json
import re
import shlex

import numpy as np
import pytest

import layoutbridge as lb
from tests.command_line import refused, run

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import helper  # noqa: E402 - only where it is installed

from tests.onnx_ports import marvis, model, node  # noqa: E402


@pytest.fixture
def port(tmp_path):
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("SpaceToDepth", ["a"], ["blocks"], blocksize=2),
        node("Conv", ["blocks", "w"], ["b"]),
        helper.make_node("Odd", ["b"], ["c"], name="odd", domain="theirs"),
        node("Slice", ["b", "first", "second", "second"], ["part"]),
        node("Relu", ["part"], ["y"]),
    ]
    constants = {"w": np.ones((4, 16, 1, 1), np.float32), "first": np.array([0]), "second": np.array([1])}
    made = model(nodes, ("N", 4, "H", "W"), constants)
    made.opset_import.append(helper.make_opsetid("theirs", 1))
    path = tmp_path / "the port.onnx"
    onnx.save(made, path)
    return path


def test_the_line_to_paste(port, capfd):
    code, out, _ = run(capfd, "scan", str(port), "--expect", "darknet_reorg")
    (line,) = [line.strip() for line in out.splitlines() if "layoutbridge rewrite" in line]
    assert code == 1 and out.startswith("[0] blocks")
    words = shlex.split(line)
    assert words[:2] == ["layoutbridge", "rewrite"] and words[-1] == "0=darknet_reorg"
    code, out, _ = run(capfd, *words[1:], "--no-check")  # onnxruntime has no such custom operator
    assert code == 0 and "fix place 0" in out
    fixed = port.with_name("the port.fixed.onnx")
    assert lb.scan(fixed).places[0].names == ("darknet_reorg",)
    code, out, _ = run(capfd, "scan", str(fixed), "--json")
    places = json.loads(out)["places"]
    assert places[0]["rewrite"].endswith("--fix 0=space_to_depth") and "rewrite" not in places[1]


def test_a_plan_writes_nothing(port, capfd):
    before = sorted(port.parent.iterdir())
    code, out, _ = run(capfd, "rewrite", str(port), "--fix", "blocks=focus", "--plan", "--no-check", "--json")
    told = json.loads(out)
    assert code == 0 and sorted(port.parent.iterdir()) == before
    assert list(told) == [
        "changed", "passes", "nodes_before", "nodes_after", "bytes_moved_before", "bytes_moved_after", "deviation",
    ]  # fmt: skip
    assert list(told["passes"][0]) == ["pass", "places", "proof", "bytes_before", "bytes_after"]
    assert told["changed"] and told["deviation"] is None and told["passes"][0]["places"] == [0]


def test_native_on_the_command_line(tmp_path, capfd):
    nodes, constants = marvis("x", "b", 4, 4, 6, 2)
    path, made = tmp_path / "port.onnx", tmp_path / "native.onnx"
    onnx.save(model([*nodes, node("Neg", ["b"], ["y"])], (1, 4, 4, 6), constants), path)
    code, out, _ = run(capfd, "rewrite", str(path), "-o", str(made), "--native", "--json")
    told = json.loads(out)
    assert code == 0 and told["changed"] and told["deviation"] == 0 and told["passes"][0]["pass"] == "native"
    assert (told["nodes_before"], told["nodes_after"]) == (8, 2)
    assert [each.op_type for each in onnx.load(made).graph.node] == ["SpaceToDepth", "Neg"]
    code, out, _ = run(capfd, "rewrite", str(made), "--plan", "--native")
    assert code == 0 and out.startswith("nothing to do: every place is as asked for")


@pytest.mark.sample(8)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fix", "7=focus"], "no place 7"),
        (["--fix", "blcks=focus"], "did you mean 'blocks', place 0?"),
        (["--fix", "odd=focus"], "a custom operator, theirs.Odd"),
        (["--fix", "y=focus"], "is a Relu that belongs to no place"),
        (["--fix", "0=pixel_shuffle"], "these do: space_to_depth, pixel_unshuffle"),
        (["--fix", "0=focuss"], "did you mean focus"),
        (["--fix", "0=oihw_to_hwio"], "is done to weights"),
        (["--fix", "1=focus"], "drops elements"),
        (["--fix", "0=focus", "--fix", "0=darknet_reorg"], "asked for twice"),
        (["--fix", "0=focus", "--fix", "blocks=darknet_reorg"], "asked for twice"),
        (["--fix", "0=focus", "--fix-weights", "0=darknet_reorg"], "asked for twice"),
        (["--fix-weights", "0=darknet_reorg"], "no weights can undo that"),
        (["--fix", "0"], "is PLACE=NAME"),
        ([], "nothing is asked for"),
        (["--fix", "0=focus"], "--no-check"),
        (["--fix", "0=focus(stride=3)"], "does not; these do"),
    ],
)
def test_bad_wishes_end_in_one_line_and_write_nothing(words, told, port, capfd):
    before = {path: path.read_bytes() for path in port.parent.iterdir()}
    line = refused(capfd, "rewrite", str(port), "-o", str(port.with_name("out.onnx")), *words)
    assert re.search(told, line), line
    assert {path: path.read_bytes() for path in port.parent.iterdir()} == before


def test_what_is_no_model_and_what_would_be_lost(port, tmp_path, capfd):
    assert "would overwrite" in refused(capfd, "rewrite", str(port), "-o", str(port), "--fix", "0=focus")
    assert "say where to write" in refused(capfd, "rewrite", str(port), "--fix", "0=focus")
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    output = str(tmp_path / "out.onnx")
    assert "no ONNX model" in refused(capfd, "rewrite", str(text), "-o", output, "--fix", "0=focus")
    other = str(tmp_path / "net.keras")
    assert "neither an .onnx nor a .pt2 file" in refused(capfd, "rewrite", other, "--plan", "--fix", "0=focus")
