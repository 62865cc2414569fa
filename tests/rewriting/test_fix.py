"""Wrong ops in ONNX models, replaced: the outputs are those of the right model, and all else stays as it was."""

import subprocess
import sys

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed

from tests import onnx_ports as ports  # noqa: E402
from tests.onnx_ports import NETS, model, node, port_of, run, same  # noqa: E402

WRONG = [
    ports.space_to_depth,
    ports.space_to_depth_by_hand,
    ports.pixel_unshuffle,
    ports.marvis,
    ports.focus,
    ports.a_view,
    ports.by_table,
]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("written", WRONG)
@pytest.mark.parametrize("net", ["alexey/passthrough", "pjreddie/passthrough", "alexey/reorg_stride3"])
def test_a_wrong_reorg_gives_darknets_outputs_once_it_is_fixed(net, written, tmp_path):
    port, right, x, recorded = port_of(NETS / net, tmp_path, written, net.partition("/")[0])
    before = port.SerializeToString()
    done = lb.rewrite(port, fix={"port.last": "darknet_reorg"})
    assert port.SerializeToString() == before
    outputs = run(done.model, input=x)
    assert same(outputs, run(right, input=x))
    assert not same(outputs, run(port, input=x)) and done.deviation > 1e-4
    (output,) = outputs.values()
    np.testing.assert_allclose(output.reshape(recorded.shape), recorded, atol=2e-5)
    assert not any("port" in each.name and "darknet_reorg" not in each.name for each in done.model.graph.node)
    again = lb.rewrite(done.model, fix={lb_output(right, port): "darknet_reorg"})
    assert not again.changed and again.model is done.model


def lb_output(right, port):
    """The tensor that the reorg gives."""
    return next(each.output[0] for each in port.graph.node if each.name == "port.last")


@pytest.mark.parametrize("opset", range(11, 22))
def test_every_opset_is_kept(opset):
    nodes, constants = ports.space_to_depth_by_hand("x", "y", 8, 4, 6, 2)
    port = model(nodes, ("N", 8, 4, 6), constants, opset=opset)
    done = lb.rewrite(port, fix={0: "darknet_reorg"})
    assert [(each.domain, each.version) for each in done.model.opset_import] == [("", opset)]
    assert done.model.ir_version == port.ir_version
    x = RNG.standard_normal((3, 8, 4, 6)).astype(np.float32)
    assert run(done.model, x=x)["y"].tobytes() == lb.op("darknet_reorg")(x).tobytes()


@pytest.mark.parametrize("name", ["darknet_reorg", "pixel_unshuffle", "focus", "space_to_depth"])
def test_open_sizes_stay_open(name):
    nodes = [node("Relu", ["x"], ["a"]), node("SpaceToDepth", ["a"], ["b"], blocksize=2), node("Neg", ["b"], ["y"])]
    done = lb.rewrite(model(nodes, ("N", 8, "H", "W")), fix={"b": f"{name}"})
    for shape in ((1, 8, 2, 4), (3, 8, 10, 6)):
        x = RNG.standard_normal(shape).astype(np.float32)
        assert np.array_equal(run(done.model, x=x)["y"], -lb.op(name)(np.maximum(x, 0)))
    assert [length.dim_param for length in done.model.graph.input[0].type.tensor_type.shape.dim] == ["N", "", "H", "W"]


def test_a_place_that_is_channels_last_stays_so():
    nodes = [
        node("Reshape", ["x", "wide"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=(0, 1, 3, 2, 4, 5)),
        node("Reshape", ["b", "deep"], ["y"]),
    ]
    constants = {"wide": np.array([-1, 4, 2, 6, 2, 3]), "deep": np.array([-1, 4, 6, 12])}
    port = model(nodes, ("N", 8, 12, 3), constants)
    (place,) = lb.scan(port).places
    assert place.layout == "NHWC" and place.names[0] == "space_to_depth"
    done = lb.rewrite(port, fix={0: "pixel_unshuffle"})
    x = RNG.standard_normal((2, 8, 12, 3)).astype(np.float32)
    expected = lb.op("pixel_unshuffle")(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(run(done.model, x=x)["y"], expected)
    assert "channels last" in done.passes[0].proof


def test_parameters_are_those_of_the_shapes_or_those_that_are_given():
    port = model([node("SpaceToDepth", ["x"], ["y"], blocksize=3)], (1, 2, 6, 9))
    for name in ("focus", "focus(stride=3)", "c (h p:3) (w q:3) -> (q p c) h w"):
        x = RNG.standard_normal((1, 2, 6, 9)).astype(np.float32)
        assert np.array_equal(run(lb.rewrite(port, fix={0: name}).model, x=x)["y"], lb.op("focus", stride=3)(x))
    with pytest.raises(lb.LayoutBridgeError, match="focus\\(stride=2\\) does not"):
        lb.rewrite(port, fix={0: "focus(stride=2)"})


def test_what_shapes_do_not_tell_is_asked_for():
    nodes = [
        node("Reshape", ["x", "wide"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=(0, 2, 1, 3, 4)),
        node("Reshape", ["b", "deep"], ["y"]),
    ]
    port = model(nodes, (1, 12, 2, 3), {"wide": np.array([1, 3, 4, 2, 3]), "deep": np.array([1, 12, 2, 3])})
    assert not lb.rewrite(port, fix={0: "channel_shuffle"}).changed  # its own groups
    x = RNG.standard_normal((1, 12, 2, 3)).astype(np.float32)
    done = lb.rewrite(port, fix={0: "channel_shuffle(groups=2)"})
    assert np.array_equal(run(done.model, x=x)["y"], lb.op("channel_shuffle", groups=2)(x))
    unnamed = model([node("Gather", ["x", "order"], ["y"], axis=1)], (1, 12, 2, 3), {"order": np.arange(12)[::-1]})
    with pytest.raises(lb.LayoutBridgeError, match=r"give one of channel_shuffle\(groups=2\)"):
        lb.rewrite(unnamed, fix={0: "channel_shuffle"})


def test_what_others_need_stays_and_names_are_fresh():
    """The view's constant is read elsewhere, a tensor within is an output's shape, and our names are taken."""
    nodes = [
        node("SpaceToDepth", ["x"], ["b"], name="port", blocksize=2),
        node("Neg", ["b"], ["port/darknet_reorg/Reshape"], name="port/darknet_reorg/Reshape"),
        node("Identity", ["port/darknet_reorg/Reshape"], ["y"]),
        node("Relu", ["x"], ["z"]),
    ]
    port = model(nodes, (1, 8, 4, 6), outputs=("y", "z", "b"))
    done = lb.rewrite(port, fix={"port": "darknet_reorg"})
    names = [each.name for each in done.model.graph.node]
    assert len(set(names)) == len(names) and "port/darknet_reorg/Reshape_2" in names
    x = RNG.standard_normal((1, 8, 4, 6)).astype(np.float32)
    expected = lb.op("darknet_reorg")(x)
    found = run(done.model, x=x)
    assert list(found) == ["y", "z", "b"]
    assert np.array_equal(found["b"], expected) and np.array_equal(found["y"], -expected)


def test_two_places_at_once():
    nodes = [
        node("SpaceToDepth", ["x"], ["a"], blocksize=2),
        node("Neg", ["a"], ["b"]),
        node("DepthToSpace", ["b"], ["y"], blocksize=2),
    ]
    done = lb.rewrite(model(nodes, ("N", 8, 4, 6)), fix={0: "darknet_reorg", "y": "darknet_reorg3d_reverse"})
    x = RNG.standard_normal((2, 8, 4, 6)).astype(np.float32)
    assert np.array_equal(run(done.model, x=x)["y"], -x)
    assert [each.places for each in done.passes] == [(0,), (1,)]


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.INT32, TensorProto.UINT8, TensorProto.DOUBLE])
def test_other_dtypes(dtype):
    nodes, constants = ports.space_to_depth_by_hand("x", "y", 8, 4, 6, 2)
    done = lb.rewrite(model(nodes, ("N", 8, 4, 6), constants, dtype=dtype), fix={0: "darknet_reorg"})
    x = np.arange(192).reshape(1, 8, 4, 6).astype(helper.tensor_dtype_to_np_dtype(dtype))
    assert np.array_equal(run(done.model, x=x)["y"], lb.op("darknet_reorg")(x))


def conditional():
    """Each branch reads x from outside and has a place whose tensors go by the same names."""
    branches = {}
    for branch, operator in (("then_branch", "Neg"), ("else_branch", "Abs")):
        nodes = [
            node("SpaceToDepth", ["x"], ["inner"], name="blocks", blocksize=2),
            node(operator, ["inner"], [f"given_{operator}"]),
        ]
        returned = [helper.make_tensor_value_info(f"given_{operator}", TensorProto.FLOAT, None)]
        branches[branch] = helper.make_graph(nodes, branch, [], returned)
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], name="choose", **branches),
        node("Relu", ["x"], ["z"]),
    ]
    return model(nodes, (1, 8, 4, 6), {"zero": np.float32(0)}, outputs=("y", "z"))


def test_places_within_control_flow():
    port = conditional()
    assert [place.nodes for place in lb.scan(port).places] == [("blocks",), ("blocks",)]
    with pytest.raises(lb.LayoutBridgeError, match="belongs to the places 0 and 1"):
        lb.rewrite(port, fix={"blocks": "darknet_reorg"})
    done = lb.rewrite(port, fix={0: "darknet_reorg"})  # the helper has sorted the branches by name
    x = np.abs(RNG.standard_normal((1, 8, 4, 6)).astype(np.float32))
    assert np.array_equal(run(done.model, x=x)["y"], -lb.op("space_to_depth")(x))
    assert np.array_equal(run(done.model, x=-x)["y"], np.abs(lb.op("darknet_reorg")(-x)))


def test_what_a_model_says_of_itself_is_kept():
    nodes = [node("Relu", ["x"], ["a"], doc_string="a note"), node("SpaceToDepth", ["a"], ["b"], blocksize=2)]
    nodes += [helper.make_node("Twice", ["b"], ["y"], name="twice", domain="own")]
    port = model(nodes, ("N", 8, 4, 6))
    port.graph.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 32, 2, 3]))
    body = [helper.make_node("Add", ["p", "p"], ["q"])]
    port.functions.append(helper.make_function("own", "Twice", ["p"], ["q"], body, [helper.make_opsetid("", 17)]))
    port.opset_import.append(helper.make_opsetid("own", 1))
    port.doc_string, port.graph.doc_string, port.producer_name, port.model_version = "a model", "a graph", "us", 7
    helper.set_model_props(port, {"author": "somebody", "names": "[]"})
    made = lb.rewrite(port, fix={0: "darknet_reorg"}).model
    for name in ("ir_version", "producer_name", "model_version", "doc_string", "metadata_props", "functions"):
        assert getattr(made, name) == getattr(port, name), name
    assert made.opset_import == port.opset_import and made.graph.doc_string == "a graph"
    assert made.graph.node[0] == port.graph.node[0] and made.graph.node[-1] == port.graph.node[-1]
    assert made.graph.input == port.graph.input and made.graph.output == port.graph.output
    kept = {value.name: value for value in made.graph.value_info}
    assert kept["b"] == port.graph.value_info[0]
    x = RNG.standard_normal((2, 8, 4, 6)).astype(np.float32)
    assert np.array_equal(run(made, x=x)["y"], 2 * lb.op("darknet_reorg")(np.maximum(x, 0)))


def test_a_place_in_a_function_of_the_models_own_is_refused():
    body = [helper.make_node("SpaceToDepth", ["p"], ["q"], blocksize=2)]
    port = model([helper.make_node("Blocks", ["x"], ["y"], name="blocks", domain="own")], (1, 8, 4, 6))
    port.functions.append(helper.make_function("own", "Blocks", ["p"], ["q"], body, [helper.make_opsetid("", 17)]))
    port.opset_import.append(helper.make_opsetid("own", 1))
    with pytest.raises(lb.LayoutBridgeError, match="a function of the model's own"):
        lb.rewrite(port, fix={0: "darknet_reorg"})


def test_models_of_old_have_constants_as_nodes():
    port = model([node("SpaceToDepth", ["x"], ["y"], blocksize=2)], (1, 8, 4, 6), ir_version=3, opset=11)
    made = lb.rewrite(port, fix={0: "darknet_reorg"}).model
    assert made.ir_version == 3 and not made.graph.initializer
    onnx.checker.check_model(made, full_check=True)


def test_data_in_other_files_are_copied_whole(tmp_path):
    weights = RNG.standard_normal((5, 32, 3, 3)).astype(np.float32)
    nodes = [
        node("SpaceToDepth", ["x"], ["a"], blocksize=2),
        node("Conv", ["a", "w"], ["b"]),
        node("Add", ["b", "c"], ["y"]),
    ]
    port = model(nodes, ("N", 8, 12, 14), {"w": weights, "c": np.ones((1, 5, 1, 1), np.float32)})
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "port.onnx"
    held = type(port).FromString(port.SerializeToString())  # which saving changes
    onnx.save(held, source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = {path.name: path.read_bytes() for path in source.parent.iterdir()}
    for output in (source.with_name("fixed.onnx"), tmp_path / "fixed.onnx"):
        done = lb.rewrite(source, fix={0: "darknet_reorg"})
        done.save(output)
        assert output.with_name("fixed.onnx.data").exists()
        x = RNG.standard_normal((2, 8, 12, 14)).astype(np.float32)
        expected = run(lb.rewrite(port, fix={0: "darknet_reorg"}).model, x=x)
        assert same(run(str(output), x=x), expected)
    assert {name: (source.parent / name).read_bytes() for name in before} == before
    with pytest.raises(lb.LayoutBridgeError, match="give its path"):
        lb.rewrite(onnx.load(source, load_external_data=False), fix={0: "darknet_reorg"})


def test_it_is_imported_when_asked_for():
    code = (
        "import sys, layoutbridge as lb; lb.rewrite; assert 'onnx_ir' not in sys.modules and 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_of_numbers_is_untouched():
    """Large constants of any dtype come back bit for bit, strings too."""
    nodes = [node("SpaceToDepth", ["x"], ["y"], blocksize=2), node("Identity", ["words"], ["z"])]
    port = model(nodes, (1, 8, 4, 6))
    port.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [2], [b"one", b"two"]))
    port.graph.initializer.append(numpy_helper.from_array(RNG.standard_normal((64, 64)), "unused"))
    port.graph.output.append(helper.make_tensor_value_info("z", TensorProto.STRING, [2]))
    made = lb.rewrite(port, fix={0: "darknet_reorg"}).model
    held = {tensor.name: tensor for tensor in made.graph.initializer}
    assert all(held[tensor.name] == tensor for tensor in port.graph.initializer)
