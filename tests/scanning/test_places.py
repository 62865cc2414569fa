"""Places in ONNX models that are made here: what is found, what it is called, what is left alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layoutbridge as lb
from tests.command_line import refused, run

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed


def model(nodes, shape, out_rank=4, constants=(), more_inputs=(), outputs=("y",)):
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, own) for name, own in more_inputs]
    given_back = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * out_rank) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, given_back, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(kind, inputs, outputs, name="", **attributes):
    return helper.make_node(kind, inputs, outputs, name=name or outputs[0], **attributes)


def focus_nodes(order=((0, 0), (1, 0), (0, 1), (1, 1))):
    constants = {"axes": np.array([2, 3]), "ends": np.array([2**63 - 1] * 2), "steps": np.array([2, 2])}
    nodes = []
    for k, (row, column) in enumerate(order):
        constants[f"start{k}"] = np.array([row, column])
        nodes.append(node("Slice", ["x", f"start{k}", "ends", "axes", "steps"], [f"part{k}"]))
    return [*nodes, node("Concat", [f"part{k}" for k in range(4)], ["y"], axis=1)], constants


def test_focus_as_slices_and_a_join():
    nodes, constants = focus_nodes()
    (place,) = lb.scan(model(nodes, (1, 3, 8, 8), constants=constants)).places
    assert place.nodes == ("part0", "part1", "part2", "part3", "y")
    assert (place.kind, place.names, dict(place.parameters)) == ("moves", ("focus",), {"stride": 2})
    assert (place.inputs, place.output, place.in_shapes, place.out_shape) == (
        ("x",),
        "y",
        ((1, 3, 8, 8),),
        (1, 12, 4, 4),
    )
    assert place.bytes == 4 * 3 * 64


def test_what_a_place_is_not(tmp_path, capfd):
    nodes, constants = focus_nodes()
    (focus,) = lb.scan(model(nodes, (1, 3, 8, 8), constants=constants)).places
    assert {"darknet_reorg", "space_to_depth", "pixel_unshuffle"} <= set(focus.is_not) and "focus" not in focus.is_not
    made = model([node("Reshape", ["x", "to"], ["y"])], (1, 64, 26, 26), constants={"to": np.array([1, 256, 13, 13])})
    (view,) = lb.scan(made).places
    assert view.kind == "view" and {"darknet_reorg", "space_to_depth", "focus"} <= set(view.is_not)
    for name in view.is_not:
        x = np.arange(64 * 26 * 26).reshape(1, 64, 26, 26)
        assert not np.array_equal(lb.op(name)(x), x.reshape(1, 256, 13, 13))
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    assert json.loads(run(capfd, "scan", str(path), "--json")[1])["places"][0]["is_not"] == list(view.is_not)
    assert ": the same shapes, other elements\n  a view" in run(capfd, "scan", str(path))[1]


def test_a_shuffle_as_split_and_join_behind_a_join_of_others():
    """The join of two tensors is where the region begins: it is no place itself."""
    nodes = [
        node("Relu", ["x"], ["left"]),
        node("Concat", ["left", "z"], ["both"], axis=1),
        node("Split", ["both"], [f"s{k}" for k in range(4)], axis=1, name="cut"),
        node("Concat", ["s0", "s2", "s1", "s3"], ["y"], axis=1),
    ]
    (place,) = lb.scan(model(nodes, (1, 2, 3, 5), more_inputs=[("z", (1, 2, 3, 5))])).places
    assert (place.nodes, place.inputs) == (("cut", "y"), ("both",))
    assert place.names == ("channel_shuffle",) and dict(place.parameters) == {"groups": 2}


def test_shape_arithmetic_is_no_place_and_ends_no_region():
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        node("Shape", ["t"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "zeros"], ["batches"]),
        node("Concat", ["batches", "rest"], ["wanted"], axis=0),
        node("Reshape", ["t", "wanted"], ["y"]),
    ]
    constants = {"zero": np.array(0), "zeros": np.array([0]), "rest": np.array([-1])}
    (place,) = lb.scan(model(nodes, ("N", 3, 4, 5), 2, constants)).places
    assert place.nodes == ("t", "y") and place.names[0] == "nchw_to_nhwc"
    assert (place.in_shapes, place.out_shape) == ((("N", 3, 4, 5),), ("N", 60))


def test_a_tensor_that_others_read_ends_a_region():
    nodes = [
        node("Reshape", ["x", "to"], ["wide"]),
        node("Transpose", ["wide"], ["y"], perm=[0, 2, 1]),
        node("Relu", ["wide"], ["other"]),
    ]
    made = model(nodes, (1, 4, 2, 3), 3, {"to": np.array([1, 4, 6])}, outputs=("y", "other"))
    assert [(place.nodes, place.kind) for place in lb.scan(made).places] == [(("wide",), "view"), (("y",), "moves")]


@pytest.mark.parametrize(
    ("outputs", "ends"), [(["wide", "far"], True), (["wide", "same"], True), (["wide", "out"], False)]
)
def test_a_tensor_whose_shape_others_read_ends_a_region(outputs, ends):
    """Be it by way of arithmetic, by another node or by whoever takes what the model gives back."""
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        node("Shape", ["turned"], ["shape"]),
        node("Mul", ["shape", "ones"], ["same"]),
        node("Concat", ["shape", "one"], ["to"], axis=0),
        node("Reshape", ["turned", "to"], ["wide"]),
        *([] if outputs == ["wide", "same"] else [node("Reshape", ["z", "same" if ends else "fixed"], ["far"])]),
        node("Relu", ["z"], ["out"]),
    ]
    constants = {"fixed": np.array([24, 1]), "one": np.array([1]), "ones": np.ones(3, np.int64)}
    made = model(nodes, (1, 4, 6), 4, constants, [("z", (24,))], outputs)
    found = [place.nodes for place in lb.scan(made).places]
    assert found[: 1 + ends] == ([("turned",), ("wide",)] if ends else [("turned", "wide")])


def test_what_is_undone_and_what_folds_into_weights():
    weights = np.random.default_rng(0).standard_normal((4, 4, 1, 1)).astype(np.float32)
    nodes = [
        node("Conv", ["x", "weights"], ["features"]),
        node("Reshape", ["features", "cut"], ["five"]),
        node("Transpose", ["five"], ["turned"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["turned", "join"], ["y"]),
    ]
    constants = {"weights": weights, "cut": np.array([1, 2, 2, 3, 5]), "join": np.array([1, 4, 3, 5])}
    (place,) = lb.scan(model(nodes, (1, 4, 3, 5), constants=constants)).places
    assert place.names == ("channel_shuffle",)
    assert "it can be folded into the weights of features" in place.advice
    nodes = [node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("Transpose", ["a"], ["y"], perm=[0, 3, 1, 2])]
    (place,) = lb.scan(model(nodes, (1, 4, 3, 5))).places
    assert (place.kind, place.advice) == ("view", "its nodes cancel: all of them can be left out")


def test_weights_in_fewer_bits_are_constants():
    nodes = [
        node("DequantizeLinear", ["stored", "scale"], ["weights"]),
        node("Transpose", ["weights"], ["turned"], perm=[1, 0]),
        node("MatMul", ["x", "turned"], ["y"]),
    ]
    constants = {"stored": np.ones((5, 4), np.uint8), "scale": np.float32(0.5)}
    (place,) = lb.scan(model(nodes, (2, 4), 2, constants)).places
    assert place.nodes == ("turned",) and place.advice.startswith("of a constant")


def test_one_hot_convolutions_and_einsum():
    weights = np.zeros((4, 1, 2, 2), np.float32)
    weights[range(4), 0, [0, 0, 1, 1], [0, 1, 0, 1]] = 1
    convolution = model([node("Conv", ["x", "w"], ["y"], strides=[2, 2])], (2, 1, 6, 8), constants={"w": weights})
    assert lb.scan(convolution).places[0].names[0] == "space_to_depth"
    blurred = model([node("Conv", ["x", "w"], ["y"], strides=[2, 2])], (2, 1, 6, 8), constants={"w": weights / 2})
    assert lb.scan(blurred).places == ()
    einsum = model([node("Einsum", ["x"], ["y"], equation="nchw->nhwc")], (2, 3, 4, 5))
    assert lb.scan(einsum).places[0].names == ("nchw_to_nhwc",)


def test_a_part_and_a_repetition_are_told_and_expansion_is_not():
    part = model(
        [node("Slice", ["x", "a", "b", "c"], ["y"])],
        (1, 4, 2, 3),
        constants={k: np.array([v]) for k, v in zip("abc", (0, 2, 1), strict=True)},
    )
    (place,) = lb.scan(part).places
    assert (place.kind, place.reason) == ("drops", "the part [:, :2]: 12 of 24 elements")
    tiled = model([node("Tile", ["x", "r"], ["y"])], (1, 4, 2, 3), constants={"r": np.array([1, 1, 2, 1])})
    assert [place.kind for place in lb.scan(tiled).places] == ["repeats"]
    expanded = model([node("Expand", ["x", "r"], ["y"])], (1, 4, 1, 1), constants={"r": np.array([1, 4, 3, 3])})
    assert lb.scan(expanded).places == ()


def test_within_control_flow():
    body = helper.make_graph(
        [node("Transpose", ["x"], ["inside"], perm=[0, 2, 3, 1])], "then", [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, [None] * 4)],
    )  # fmt: skip
    other = helper.make_graph(
        [node("Relu", ["x"], ["outside"])], "else", [],
        [helper.make_tensor_value_info("outside", TensorProto.FLOAT, [None] * 4)],
    )  # fmt: skip
    nodes = [node("If", ["flag"], ["y"], then_branch=body, else_branch=other)]
    found = lb.scan(model(nodes, (1, 2, 3, 4), constants={"flag": np.array(True)}))
    assert [(place.nodes, place.names) for place in found.places] == [(("inside",), ("nchw_to_nhwc",))]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_drawn_chains_compute_what_the_runtime_does(data):
    shape = [1, *data.draw(st.lists(st.integers(2, 4), min_size=2, max_size=3))]
    nodes, constants, held, name = [], {}, list(shape), "x"
    for k in range(data.draw(st.integers(1, 5))):
        kind = data.draw(st.sampled_from(["Transpose", "Reshape", "Slice", "SplitConcat", "Gather"]))
        axis = data.draw(st.integers(0, len(held) - 1))
        output = f"t{k}"
        if kind == "Transpose":
            order = data.draw(st.permutations(range(len(held))))
            nodes.append(node("Transpose", [name], [output], perm=order))
            held = [held[place] for place in order]
        elif kind == "Reshape":
            held = (
                [held[0], int(np.prod(held[1:]))] if data.draw(st.booleans()) else [int(np.prod(held[:-1])), held[-1]]
            )
            constants[f"c{k}"] = np.array(held)
            nodes.append(node("Reshape", [name, f"c{k}"], [output]))
        elif kind == "Slice":
            constants |= {f"b{k}": np.array([-1]), f"e{k}": np.array([-(2**62)]), f"a{k}": np.array([axis])}
            constants[f"s{k}"] = np.array([-1])
            nodes.append(node("Slice", [name, f"b{k}", f"e{k}", f"a{k}", f"s{k}"], [output]))
        elif kind == "SplitConcat":
            parts = [f"p{k}_{i}" for i in range(held[axis])]
            constants[f"c{k}"] = np.ones(held[axis], np.int64)
            nodes.append(node("Split", [name, f"c{k}"], parts, axis=axis, name=f"split{k}"))
            nodes.append(node("Concat", data.draw(st.permutations(parts)), [output], axis=axis))
        else:
            constants[f"c{k}"] = np.array(data.draw(st.permutations(range(held[axis]))))
            nodes.append(node("Gather", [name, f"c{k}"], [output], axis=axis))
        name = output
    made = model([*nodes, node("Relu", [name], ["y"])], shape, len(held), constants)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x})
    found = lb.scan(made).places
    if not found:  # nothing but the same tensor again
        np.testing.assert_array_equal(wanted, x)
        return
    (place,) = found
    assert place.kind in ("view", "moves") and place.seen.out_shape == wanted.shape
    if place.seen.table is not None:
        np.testing.assert_array_equal(wanted.reshape(-1), x.reshape(-1)[place.seen.table.reshape(-1)])
    if place.pattern is not None and not place.wrapping:
        np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(x), wanted)


def test_the_command(tmp_path, capfd):
    nodes, constants = focus_nodes()
    path = str(tmp_path / "focus.onnx")
    Path(path).write_bytes(model(nodes, ("N", 3, "H", "W"), constants=constants).SerializeToString())
    code, out, _ = run(capfd, "scan", path, "--json")
    (place,) = json.loads(out)["places"]
    assert code == 0 and place["names"] == ["focus"]
    assert (place["in_shapes"], place["out_shape"]) == ([["N", 3, "H", "W"]], ["N", 12, "H/2", "W/2"])
    assert run(capfd, "scan", path, "--expect", "focus")[0] == 0
    code, _, err = run(capfd, "scan", path, "--expect", "space_to_depth")
    assert code == 1 and "focus, not space_to_depth" in err
    assert "part0, part1, part2, … y (5 nodes)  focus (stride 2)" in run(capfd, "scan", path)[1]


def test_identify_answers_with_it_where_values_change(tmp_path, capfd):
    path = tmp_path / "net.onnx"
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), node("Relu", ["t"], ["y"])]
    path.write_bytes(model(nodes, (1, 2, 3, 4)).SerializeToString())
    code, out, _ = run(capfd, "identify", str(path), "--shape", "1,2,3,4")
    scanned = run(capfd, "scan", str(path))[1]
    assert code == 1 and out.endswith(scanned)
    first = " ".join(out.removesuffix(scanned).split())
    assert first.startswith(f"{path}: no permutation: it depends on sign")
    assert first.endswith("; these are the places inside")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.onnx"], "there is no model 'nowhere.onnx'"),
        (["a.unknown"], "no reader knows 'a.unknown'"),
        (["broken.onnx"], "is no ONNX model"),
        (["focus.onnx", "--shape", "1,3,8"], "has 4 axes"),
        (["focus.onnx", "--shape", "1,4,8,8"], "fixed shape"),
        (["focus.onnx", "--shape", "other=1,3,8,8"], "no input called 'other'"),
        (["focus.onnx", "--shape", "x=1,3,8,8", "--shape", "1,3,8,8"], "name=1,3,224,224"),
        (["focus.onnx", "--shape", "1,3,7,8"], "takes no inputs"),
        (["focus.onnx", "--expect", "focuss"], "did you mean focus"),
    ],
)
def test_what_cannot_be_scanned_is_one_line(tmp_path, capfd, monkeypatch, arguments, told):
    nodes, constants = focus_nodes()
    made = model(nodes, ("N", 3, "H", "W"), constants=constants).SerializeToString()
    (tmp_path / "focus.onnx").write_bytes(made)
    (tmp_path / "broken.onnx").write_bytes(made[:100])
    monkeypatch.chdir(tmp_path)
    assert told in refused(capfd, "scan", *arguments)


def strange(node, **fields):
    """The node with fields of its first attribute set."""
    for name, value in fields.items():
        setattr(node.attribute[0], name, value)
    return node


STRANGE = {
    "more parts than it says": node("Split", ["x"], ["y", "b", "c"], axis=-(2**63), num_outputs=2),
    "before the batch": node("GatherND", ["x", "index"], ["y"], batch_dims=-2),
    "behind the batch": node("GatherND", ["x", "index"], ["y"], batch_dims=99),
    "a start that is text": node("Shape", ["x"], ["y"], start="first"),
    "a reference": strange(node("Shape", ["x"], ["y"], start=1), ref_attr_name="start"),
    "no type": strange(node("Transpose", ["x"], ["y"], perm=[0, 1, 2, 3]), type=0),
    "an order that is text": node("Transpose", ["x"], ["y"], perm="0123"),
    "an axis that is a list": node("Concat", ["x", "x"], ["y"], axis=[1]),
    "a block that is text": node("SpaceToDepth", ["x"], ["y"], blocksize="2"),
    "a long name": node("Transpose", ["x"], ["y"], name="n" * 5000, perm=[9, 9, 9, 9]),
    "a long operator": node("N" * 5000, ["x"], ["y"]),
    "no groups": node("Conv", ["x", "first"], ["y"], group=0),
    "many groups": node("Conv", ["x", "first"], ["y"], group=99),
    "a division by nothing": node("Div", ["index", "none"], ["y"]),
}


@pytest.mark.parametrize("which", STRANGE)
@pytest.mark.filterwarnings("error")
def test_strange_nodes_have_clear_answers(which):
    """They are passed over or refused in a line; nothing else is raised, no warning is shown, the process goes on."""
    first = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    constants = {"index": np.array([-1]), "none": np.array([0]), "first": first}
    made = model([STRANGE[which]], (1, 4, 4, 4), constants=constants)
    made.opset_import[0].version = 18
    try:
        found = lb.scan(made)
    except lb.LayoutBridgeError as error:
        assert len(str(error)) < 1000
    else:
        assert all(len(note) < 1000 for note in found.notes)
        assert found.places == ()


def test_a_constant_of_less_than_nothing_is_refused():
    made = model([node("Relu", ["x"], ["y"])], (1, 2), 2, {"c": np.zeros(3)})
    made.graph.initializer[0].dims[0] = -3
    with pytest.raises(lb.LayoutBridgeError, match=r"'c' has the shape \[-3\]"):
        lb.scan(made)


@pytest.mark.parametrize("shape", [(1, 2, 2**62, 2), (2**40, 4), (2**62, 2**62)])
def test_tensors_larger_than_any_are_refused(shape):
    rank = len(shape)
    made = model([node("Transpose", ["x"], ["y"], perm=list(range(rank))[::-1])], shape, rank)
    with pytest.raises(lb.LayoutBridgeError, match="too many to follow"):
        lb.scan(made)


@pytest.mark.parametrize("what", ["operator", "inner operator", "inner name", "open length", "attribute"])
def test_names_that_are_no_text_are_damage(tmp_path, what):
    inner = node("MARKED_INNER", ["x"], ["z"], name="MARKED_NAME")
    body = helper.make_graph([inner], "b", [], [onnx.ValueInfoProto(name="z")])
    nodes = [node("MARKED_OUTER", ["x"], ["t"], MARKED_ATTRIBUTE=1), node("If", ["x"], ["y"], then_branch=body)]
    content = model(nodes, ("MARKED_LENGTH", 2), 2).SerializeToString()
    marks = ("MARKED_OUTER", "MARKED_INNER", "MARKED_NAME", "MARKED_LENGTH", "MARKED_ATTRIBUTE")
    mark = dict(zip(("operator", "inner operator", "inner name", "open length", "attribute"), marks, strict=True))[what]
    assert content.count(mark.encode()) == 1
    (tmp_path / "a.onnx").write_bytes(content.replace(mark.encode(), b"\xff" * len(mark)))
    with pytest.raises(lb.LayoutBridgeError, match="is damaged: a name in it is no text"):
        lb.scan(tmp_path / "a.onnx")


def test_a_long_axis_takes_no_long_time():
    """Its length is a prime, and the numbers that may divide it are looked for."""
    made = model([node("Unsqueeze", ["x", "axes"], ["y"])], (2, 2**31 - 1), 3, {"axes": np.array([1])})
    (place,) = lb.scan(made).places
    assert (place.kind, place.out_shape) == ("view", (2, 1, 2**31 - 1))


@pytest.mark.parametrize(
    "moving",
    [
        node("SpaceToDepth", ["q"], ["y"], blocksize=2),
        node("DepthToSpace", ["q"], ["y"], blocksize=2),
        node("Einsum", ["q"], ["y"], equation="nchw->nhwc"),
        node("GatherND", ["q", "index"], ["y"]),
    ],
    ids=lambda moving: moving.op_type,
)
def test_a_movement_of_a_tensor_whose_shape_is_not_known_is_no_place(moving):
    made = model([node("Mystery", ["x"], ["q"]), moving], (1, 4, 4, 4), constants={"index": np.array([[0]])})
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, 4]))
    assert lb.scan(made).places == ()


def test_a_join_of_one_tensor_is_a_copy():
    assert lb.scan(model([node("Concat", ["x"], ["y"], axis=1)], (1, 4, 4, 4))).places == ()


def test_nodes_out_of_order_are_the_same_model():
    nodes, constants = focus_nodes()
    turned = lb.scan(model(nodes[::-1], (1, 3, 8, 8), constants=constants))
    assert [place.names for place in turned.places] == [("focus",)]


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([node("Transpose", ["y"], ["y"], perm=[0, 1, 3, 2])], "node 'y' reads what is made of its own result"),
        ([node("Add", ["x", "y"], ["a"]), node("Neg", ["a"], ["y"])], "node 'a' reads what is made of its own result"),
        ([node("Neg", ["x"], ["y"]), node("Relu", ["x"], ["y"])], "the tensor 'y' is given twice"),
        ([node("Neg", ["x"], ["x"]), node("Relu", ["x"], ["y"])], "the tensor 'x' is given twice"),
    ],
)
def test_nodes_that_go_in_circles_and_names_given_twice_are_refused(nodes, told):
    with pytest.raises(lb.LayoutBridgeError, match=told):
        lb.scan(model(nodes, (1, 4, 4, 4)))


def test_a_million_nodes_are_refused():
    made = model([node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["y"])], (1, 2), 2)
    made.graph.node.extend([made.graph.node[0]] * 1_000_000)
    with pytest.raises(lb.LayoutBridgeError, match="has more than 100,000 nodes"):
        lb.scan(made)


@pytest.mark.parametrize("shape", [None, (1, 4, 6, 8)])
def test_an_input_of_no_rank_needs_a_shape(shape):
    made = model([node("Relu", ["x"], ["a"]), node("Transpose", ["a"], ["y"], perm=[0, 2, 3, 1])], (1,))
    made.graph.input[0].type.tensor_type.ClearField("shape")
    if shape is None:
        with pytest.raises(lb.LayoutBridgeError, match="input 'x' has, and node 'y' moves what"):
            lb.scan(made)
        with pytest.raises(lb.LayoutBridgeError, match="no input called 'z'; it has x"):
            lb.scan(made, {"z": (1, 2, 3, 4)})
    else:
        for given in (shape, {"x": shape}):
            (place,) = lb.scan(made, given).places
            assert (place.names, place.in_shapes) == (("nchw_to_nhwc",), (shape,))


def test_sizes_that_no_reshape_has_are_not_passed_over():
    """Of a model that was exported at one size, and says that its sizes are open: it is read at those that fit."""
    cut = {"to": np.array([1, 4, 2, 7, 2, 11])}
    nodes = [node("Reshape", ["x", "to"], ["a"]), node("Transpose", ["a"], ["y"], perm=[0, 1, 3, 5, 2, 4])]
    made = model(nodes, ("N", 4, "H", "W"), 6, cut)
    with pytest.raises(lb.LayoutBridgeError, match=r"'a' cannot make \[1, 4, 2, 7, 2, 11\] .* give the sizes"):
        lb.scan(made)
    assert [place.nodes for place in lb.scan(made, (1, 4, 14, 22)).places] == [("a", "y")]


def test_what_values_decide_and_joins_side_by_side_are_told():
    nodes = [node("Gather", ["x", "at"], ["a"], axis=1), node("Concat", ["a", "x"], ["y"], axis=1)]
    made = model(nodes, (1, 4, 2, 3))
    made.graph.input.append(helper.make_tensor_value_info("at", TensorProto.INT64, [5]))
    found = lb.scan(made)
    assert found.places == ()
    assert found.notes == (
        "what moves elements as values decide is passed over: Gather (1)",
        "joins that lay tensors side by side are no places: Concat (1)",
    )
