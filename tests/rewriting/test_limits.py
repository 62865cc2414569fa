"""Models within a target's limits: the same outputs bit for bit, and nothing in them that the target does not take."""

from itertools import chain, combinations
from random import Random

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import UnsupportedError

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from tests.command_line import refused  # noqa: E402 - only where it is installed
from tests.command_line import run as call  # noqa: E402
from tests.onnx_ports import model, node, run  # noqa: E402

RNG = np.random.default_rng(0)


def six_axes(batch="N"):
    """A reorg of its own kind, spelled with six axes, between two ReLUs."""
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Reshape", ["a", "wide"], ["b"], name="port.wide"),
        node("Transpose", ["b"], ["c"], perm=(0, 5, 1, 3, 2, 4), name="port.turn"),
        node("Reshape", ["c", "deep"], ["d"], name="port.deep"),
        node("Relu", ["d"], ["y"]),
    ]
    return model(nodes, (batch, 8, 12, 6), {"wide": np.array([-1, 8, 6, 2, 3, 2]), "deep": np.array([-1, 32, 6, 3])})


def ranks(made):
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True).graph
    values = (*inferred.value_info, *inferred.output, *inferred.input)
    return [len(value.type.tensor_type.shape.dim) for value in values]


@pytest.mark.parametrize("batch", ["N", 2])
@pytest.mark.parametrize(
    "limits",
    [{"max_rank": 5}, {"max_rank": 4}, {"runtime": "qnn"}, {"max_rank": 4, "without": ["SpaceToDepth", "Gather"]}],
)
def test_a_transpose_of_six_axes(batch, limits):
    port = six_axes(batch)
    done = lb.rewrite(port, **limits)
    assert max(ranks(done.model)) <= limits.get("max_rank", 5) < max(ranks(port))
    assert not {each.op_type for each in done.model.graph.node} & set(limits.get("without", ()))
    x = RNG.standard_normal((2, 8, 12, 6)).astype(np.float32)
    assert run(done.model, x=x)["y"].tobytes() == run(port, x=x)["y"].tobytes() and done.deviation == 0
    (applied,) = done.passes
    assert applied.name == "limits" and "every element comes from where" in applied.proof
    assert not lb.rewrite(done.model, **limits).changed


@pytest.mark.parametrize("name", ["space_to_depth", "depth_to_space", "darknet_reorg", "pixel_shuffle"])
def test_an_operator_that_is_not_there(name):
    shape = (1, 8, 8, 12) if lb.op(name).out_shape((8, 8, 12))[0] > 8 else (1, 16, 4, 6)
    port = lb.emit(lb.op(name), "onnx", shape=shape)
    done = lb.rewrite(port, without=["SpaceToDepth", "DepthToSpace"])
    assert done.changed and not {"SpaceToDepth", "DepthToSpace"} & {each.op_type for each in done.model.graph.node}
    x = RNG.standard_normal(shape).astype(np.float32)
    assert np.array_equal(run(done.model, input=x)["output"], lb.op(name)(x))


MOVERS = ("Reshape", "Transpose", "SpaceToDepth", "DepthToSpace", "Gather", "Einsum", "Slice", "Split", "Concat")


SUBSETS = [*chain.from_iterable(combinations(MOVERS, count) for count in range(1, len(MOVERS)))]
NO_RESHAPE = ("Reshape", "Transpose", "SpaceToDepth", "Gather", "Einsum", "Slice")  # a form of several outputs is left


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["darknet_reorg", "pixel_unshuffle", "channel_shuffle"])
def test_whatever_is_missing_what_is_left_is_right(name):
    shape, taken = (2, 8, 4, 6), {} if name != "channel_shuffle" else {"groups": 2}
    port = lb.emit(lb.op(name, **taken), "onnx", shape=shape)
    x = RNG.standard_normal(shape).astype(np.float32)
    wanted, kept = lb.op(name, **taken)(x), 0
    for missing in (NO_RESHAPE, *Random(name).sample(SUBSETS, 12)):
        try:
            done = lb.rewrite(port, without=missing, check=False)
        except UnsupportedError:
            continue
        assert not {each.op_type for each in done.model.graph.node} & {*missing}
        assert np.array_equal(run(done.model, input=x)["output"], wanted), missing
        kept += 1
    assert kept > 3


def test_the_shortest_form_keeps_the_limits():
    done = lb.rewrite(lb.emit(lb.op("space_to_depth"), "onnx", shape=(1, 8, 8, 12), native=False), native=True,
                      without=["SpaceToDepth"])  # fmt: skip
    assert "SpaceToDepth" not in {each.op_type for each in done.model.graph.node}
    assert not lb.rewrite(done.model, native=True, without=["SpaceToDepth"]).changed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-rank", "3"], "has 4 axes"),
        (["--max-rank", "0"], "--max-rank must be between 1"),
        (["--without", "Relu"], "is a Relu, and has no other form within the limits: without Relu"),
        (["--without", "Reshape,Transpose,Gather,SpaceToDepth,DepthToSpace,Einsum,Slice,Split,Concat"], "without"),
        (["--without", "Reshap"], "did you mean Reshape"),
        (["--for", "nowhere"], "no runtime of ONNX models is called 'nowhere'"),
        (["--for", "opset11"], "has opset 17, and opset 11 at most: convert it first"),
    ],
)
def test_what_cannot_be_kept_is_one_line(words, said, tmp_path, capfd):
    onnx.save(six_axes(), tmp_path / "a.onnx")
    line = refused(capfd, "rewrite", str(tmp_path / "a.onnx"), "-o", str(tmp_path / "b.onnx"), *words)
    assert said in line and not (tmp_path / "b.onnx").exists()


def test_the_command(tmp_path, capfd):
    onnx.save(six_axes(), tmp_path / "a.onnx")
    words = ["rewrite", str(tmp_path / "a.onnx"), "-o", str(tmp_path / "b.onnx"), "--max-rank", "4"]
    code, out, _ = call(capfd, *words)
    assert code == 0 and "limits" in out and max(ranks(onnx.load(tmp_path / "b.onnx"))) == 4
