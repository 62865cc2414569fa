"""Joins of several tensors: those that interleave are places, those that lay tensors side by side are not."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.algebra.table import gather_table
from layoutbridge.scanning.expecting import other_than
from layoutbridge.scanning.models import graphs_of
from layoutbridge.scanning.regions import find_regions
from tests.command_line import run

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed


def node(kind, inputs, outputs, name="", **attributes):
    return helper.make_node(kind, inputs, outputs, name=name or outputs[0], **attributes)


def model(nodes, inputs, constants=(), outputs=("y",)):
    """A model of `inputs`, shapes by name; `constants` are arrays by name."""
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    given_back = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", taken, given_back, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def stacked(names, axis, output="joined"):
    """`torch.stack` as PyTorch exports it; the constant `at` is its axis."""
    made = [node("Unsqueeze", [name, "at"], [f"{name}_up_{output}_{k}"]) for k, name in enumerate(names)]
    return [*made, node("Concat", [each.output[0] for each in made], [output], axis=axis)]


def table_of(place):
    return place.seen.table.reshape(-1) if place.seen.table is not None else gather_table(place.seen.digits)


def compare(made, place, values):
    """What onnxruntime computes of a place's output, from its table over all sources, and from its pattern."""
    shown = onnx.shape_inference.infer_shapes(made)
    asked = [name for name in (*place.inputs, place.output) if name not in values]
    held = [output.name for output in shown.graph.output]
    shown.graph.output.extend(helper.make_value_info(name, onnx.TypeProto()) for name in asked if name not in held)
    for output in shown.graph.output:
        if not output.type.HasField("tensor_type"):
            output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    session = runtime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {each.name: values[each.name] for each in session.get_inputs()}
    values = {**values, **dict(zip(asked, session.run(asked, given), strict=True))}
    sources = [values[name] for name in place.inputs]
    assert place.in_shapes == tuple(source.shape for source in sources)
    flat, wanted = np.concatenate([source.reshape(-1) for source in sources]), values[place.output]
    np.testing.assert_array_equal(flat[table_of(place)].reshape(place.out_shape), wanted)
    assert place.bytes == wanted.nbytes
    if place.pattern is not None and not place.wrapping:
        whole = sources[0] if len(sources) == 1 else np.stack(sources)
        np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(whole), wanted)


def numbered(inputs):
    counts = np.cumsum([0, *(np.prod(shape) for shape in inputs.values())])
    return {
        name: np.arange(start, end, dtype=np.float32).reshape(shape)
        for (name, shape), (start, end) in zip(inputs.items(), pairwise(counts), strict=True)
    }


def test_elements_of_two_tensors_in_turns():
    nodes = [node("Relu", ["x"], ["a"]), *stacked(["a", "z"], -1), node("Reshape", ["joined", "to"], ["y"])]
    shapes = {"x": (2, 3, 4), "z": (2, 3, 4)}
    made = model(nodes, shapes, {"at": np.array([-1]), "to": np.array([2, 3, 8])})
    (place,) = lb.scan(made).places
    assert place.nodes == ("a_up_joined_0", "z_up_joined_1", "joined", "y")
    assert (place.kind, place.inputs, place.pattern) == (
        "joins",
        ("a", "z"),
        "n c h w -> c h (w n), c=2, h=3, w=4, n=2",
    )
    compare(made, place, numbered(shapes))
    assert other_than(lb.scan(made), "pixel_shuffle") == []


def test_planes_of_colour_in_turns_behind_those_of_light():
    """NV12: the plane of light lies in front as it is."""
    nodes = [
        *stacked(["u", "v"], 4),
        node("Flatten", ["joined"], ["uv"], axis=1),
        node("Flatten", ["light"], ["lights"], axis=1),
        node("Concat", ["lights", "uv"], ["y"], axis=1),
    ]
    shapes = {"light": (1, 1, 4, 6), "u": (1, 1, 2, 3), "v": (1, 1, 2, 3)}
    made = model(nodes, shapes, {"at": np.array([4])})
    view, place = sorted(lb.scan(made).places, key=lambda each: len(each.inputs))
    assert view.kind == "view" and (place.kind, place.inputs) == ("joins", ("u", "v"))
    compare(made, place, numbered(shapes))


def test_four_maps_to_one_of_twice_the_size():
    nodes = [
        *stacked(["a", "b"], 4, "upper"),
        node("Reshape", ["upper", "rows"], ["u"]),
        *stacked(["c", "d"], 4, "lower"),
        node("Reshape", ["lower", "rows"], ["l"]),
        node("Unsqueeze", ["u", "three"], ["u3"]),
        node("Unsqueeze", ["l", "three"], ["l3"]),
        node("Concat", ["u3", "l3"], ["both"], axis=3),
        node("Reshape", ["both", "to"], ["y"]),
    ]
    shapes = dict.fromkeys("abcd", (2, 3, 4, 5))
    constants = {"at": [4], "three": [3], "rows": [2, 3, 4, 10], "to": [2, 3, 8, 10]}
    made = model(nodes, shapes, {name: np.array(value) for name, value in constants.items()})
    (place,) = lb.scan(made).places
    assert place.inputs == ("a", "b", "c", "d")
    assert place.pattern == "(n p:2) c d h w -> c d (h n) (w p), c=2, d=3, h=4, n=2, w=5"
    compare(made, place, numbered(shapes))


def test_channels_of_two_tensors_that_were_split():
    parts = [f"{name}{k}" for k in range(3) for name in "xz"]
    nodes = [
        node("Split", ["x"], ["x0", "x1", "x2"], name="split_x", axis=1),
        node("Split", ["z"], ["z0", "z1", "z2"], name="split_z", axis=1),
    ]
    shapes = {"x": (2, 3, 4), "z": (2, 3, 4)}
    made = model([*nodes, node("Concat", parts, ["y"], axis=1)], shapes)
    (place,) = lb.scan(made).places
    assert (place.kind, place.inputs) == ("joins", ("x", "z"))
    compare(made, place, numbered(shapes))
    plain = model([*nodes, node("Concat", sorted(parts), ["y"], axis=1)], shapes)
    assert {place.kind for place in lb.scan(plain).places} == {"drops"}


@pytest.mark.parametrize(
    ("names", "shapes", "told"),
    [
        (("x", "z", "x"), {"x": (2, 3), "z": (2, 3)}, "it repeats 6"),
        (("x", "constant"), {"x": (2, 3)}, "a permutation of 2 digits"),
    ],
)
def test_sources_that_repeat_and_constants(names, shapes, told):
    """Each source is told once, in the order of the join, and constants as all others."""
    constants = {"at": np.array([2]), "constant": np.zeros((2, 3), np.float32), "to": np.array([2, -1])}
    made = model([*stacked(names, 2), node("Reshape", ["joined", "to"], ["y"])], shapes, constants)
    (place,) = lb.scan(made).places
    assert place.inputs == tuple(dict.fromkeys(names)) and place.kind == "joins" and told in place.reason
    compare(made, place, {**numbered(shapes), "constant": constants["constant"]})


def test_sources_of_different_shapes(tmp_path, capfd):
    nodes = [node("Concat", ["x", "z"], ["joined"], axis=3), node("Reshape", ["joined", "to"], ["y"])]
    shapes = {"x": (2, 3, 4, 1), "z": (2, 3, 4, 2)}
    made = model(nodes, shapes, {"to": np.array([2, 3, 12])})
    (place,) = lb.scan(made).places
    assert (place.pattern, place.names) == (None, ())
    assert place.reason.endswith("no pattern over them: 24 times over come the next 1 of x, 2 of z")
    compare(made, place, numbered(shapes))
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    out = run(capfd, "scan", str(path))[1]
    assert "joined, y  joins\n  x, z to y, [2, 3, 4, 1], [2, 3, 4, 2] to [2, 3, 12], 288 bytes\n  its sources" in out
    (told,) = json.loads(run(capfd, "scan", str(path), "--json")[1])["places"]
    assert (told["kind"], told["inputs"], told["in_shapes"]) == ("joins", ["x", "z"], [[2, 3, 4, 1], [2, 3, 4, 2]])


def test_open_sizes_have_their_names_in_a_join():
    nodes = [*stacked(["x", "z"], 3), node("Reshape", ["joined", "to"], ["y"])]
    shapes = {"x": ("N", 3, "L"), "z": ("N", 3, "L")}
    (place,) = lb.scan(model(nodes, shapes, {"at": np.array([3]), "to": np.array([0, 3, -1])})).places
    assert (place.in_shapes, place.out_shape) == ((("N", 3, "L"), ("N", 3, "L")), ("N", 3, "2*L"))
    assert place.pattern == "n c h w -> c h (w n)"


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Concat", ["x", "z"], ["y"], axis=2)],
        [node("Concat", ["x", "z"], ["joined"], axis=1), node("Reshape", ["joined", "to"], ["y"])],
        stacked(["x", "z"], 1, "y"),
        [
            node("Flatten", ["x"], ["a"], axis=2),
            node("Flatten", ["z"], ["b"], axis=2),
            node("Concat", ["a", "b"], ["y"], axis=1),
        ],
    ],
)  # fmt: skip
def test_tensors_side_by_side_are_no_join(nodes):
    constants = {"at": np.array([1]), "to": np.array([2, 24, 1])}
    found = lb.scan(model(nodes, {"x": (2, 3, 4), "z": (2, 3, 4)}, constants)).places
    assert {place.kind for place in found} <= {"view"}


def test_two_branches_and_a_shuffle_are_a_shuffle():
    nodes = [
        node("Concat", ["x", "z"], ["joined"], axis=1),
        node("Reshape", ["joined", "cut"], ["five"]),
        node("Transpose", ["five"], ["turned"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["turned", "to"], ["y"]),
    ]
    constants = {"cut": np.array([1, 2, 4, 5, 6]), "to": np.array([1, 8, 5, 6])}
    (place,) = lb.scan(model(nodes, {"x": (1, 4, 5, 6), "z": (1, 4, 5, 6)}, constants)).places
    assert (place.inputs, place.names) == (("joined",), ("channel_shuffle",))


@pytest.mark.parametrize("between", [(), ("Transpose",)], ids=["joins alone", "transposes between"])
def test_a_long_chain_of_joins_takes_time_by_its_length(between):
    """Each join takes one tensor more: what lies in front of them is not looked at again for each."""
    nodes, last = [], "x"
    for k in range(3000):
        nodes += [node("Relu", ["x"], [f"r{k}"]), node("Concat", [last, f"r{k}"], [f"c{k}"], axis=2)]
        nodes += [node(kind, [f"c{k}"], [f"t{k}"], perm=[1, 0, 2]) for kind in between]
        last = nodes[-1].output[0]
    graph, _ = graphs_of(model([*nodes, node("Relu", [last], ["y"])], {"x": (2, 2, 1)}))
    regions = find_regions(graph)
    assert len(regions) == len(between) * 3000


def test_what_ends_a_chain_of_joins_is_looked_at_on_its_own():
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        node("Neg", ["turned"], ["less"]),
        node("Concat", ["turned", "less"], ["two"], axis=0),
        node("Concat", ["two", "less"], ["y"], axis=0),
    ]
    assert [place.nodes for place in lb.scan(model(nodes, {"x": (4, 3)})).places] == [("turned",)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_drawn_joins_compute_what_the_runtime_does(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    names = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=4))
    axis = data.draw(st.integers(0, len(shape)))
    joined = [*shape[:axis], len(names), *shape[axis:]]
    cut = data.draw(st.integers(0, len(joined)))
    to = [int(np.prod(joined[:cut])), int(np.prod(joined[cut:]))]
    nodes = [*stacked(names, axis), node("Reshape", ["joined", "to"], ["wide"]), node("Relu", ["wide"], ["y"])]
    shapes = {name: tuple(shape) for name in dict.fromkeys(names)}
    made = model(nodes, shapes, {"at": np.array([axis]), "to": np.array(to)})
    for place in lb.scan(made).places:
        compare(made, place, numbered(shapes))
