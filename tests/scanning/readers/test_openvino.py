"""What the reader of OpenVINO's IR finds, against OpenVINO: every tensor's shape, every movement's elements."""

from functools import partial
from random import Random

import numpy as np
import pytest

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from layoutbridge.scanning.readers.openvino import read
from tests.followed import followed
from tests.fuzzing.mutation import mutated
from tests.fuzzing.surface import refuse_unclear

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")

from openvino import opset8, opset13, opset15  # noqa: E402
from openvino.utils.node_factory import NodeFactory  # noqa: E402

ops = opset13
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


def ints(*values):
    return ops.constant(np.array(values, np.int64))


def one(value):
    return ops.constant(np.array(value, np.int64))


def saved(folder, parameters, results, *, half=False):
    """A model of these, written and to be read."""
    path = folder / "net.xml"
    model = openvino.Model([ops.result(result) for result in results], parameters, "net")
    openvino.save_model(model, str(path), compress_to_fp16=half)
    return path


def tensors_of(path, graph, inputs):
    """What OpenVINO computes for every tensor of `graph`."""
    model = openvino.Core().read_model(str(path))
    model.reshape({port: openvino.PartialShape(graph.tensors[port.get_any_name()].shape) for port in model.inputs})
    results = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("Result", "Parameter"):
            continue
        for port in node.outputs():
            names = {node.get_friendly_name(), f"{node.get_friendly_name()}:{port.get_index()}", *port.get_names()}
            for name in names & set(graph.tensors):
                results[name] = ops.result(port)
    everything = openvino.Model(list(results.values()), model.get_parameters(), "everything")
    given = [inputs[parameter.output(0).get_any_name()] for parameter in model.get_parameters()]
    found = openvino.Core().compile_model(everything, "CPU", FLOAT32)(given)
    return {name: np.array(found[place]) for place, name in enumerate(results)} | inputs


def compare(path, shapes=None):
    """The graph, each of its tensors compared with OpenVINO's."""
    graph = read(path, shapes)
    rng = np.random.default_rng(1)
    inputs = {name: rng.permutation(np.prod(graph.tensors[name].shape)) for name in graph.inputs}
    inputs = {name: x.reshape(graph.tensors[name].shape).astype(np.float32) for name, x in inputs.items()}
    found = tensors_of(path, graph, inputs)
    for node in graph.nodes:
        assert graph.tensors[node.output].shape == found[node.output].shape, node
        assert graph.tensors[node.output].dtype == found[node.output].dtype
    followed(graph, found)
    return graph


def strided(x, begins, ends, steps, /, **masks):
    given = {
        f"{name}_mask": masks.get(name, [0] * len(begins))
        for name in ("begin", "end", "new_axis", "shrink_axis", "ellipsis")
    }
    return ops.strided_slice(x, ints(*begins), ints(*ends), ints(*steps), **given)


def reversed_axes(x, operand, mode):
    return NodeFactory("opset1").create("Reverse", [x.output(0), operand.output(0)], {"mode": mode})


PICTURE = (2, 8, 4, 6)
MOVING = {
    "reshape": (PICTURE, lambda x: ops.reshape(x, ints(0, 2, -1, 6), True)),
    "squeeze": ((2, 1, 4, 1), lambda x: ops.squeeze(x, ints(1, -1))),
    "squeeze all": ((2, 1, 4, 1), lambda x: opset15.squeeze(x)),
    "unsqueeze": (PICTURE, lambda x: ops.unsqueeze(x, ints(0, -1))),
    "transpose": (PICTURE, lambda x: ops.transpose(x, ints(0, 2, 3, 1))),
    "transpose by default": (PICTURE, lambda x: ops.transpose(x, ops.constant(np.zeros(0, np.int64)))),
    "strided slice": (PICTURE, lambda x: strided(x, (0, 0, 1), (0, 0, 4), (1, 1, 2), begin=[1, 1, 0], end=[1, 1, 0])),
    "strided slice back": (PICTURE, lambda x: strided(x, (-1, 3), (0, 0), (-1, -2), begin=[1, 0], end=[1, 1])),
    "strided slice shrinking": (PICTURE, lambda x: strided(x, (1, 2), (2, 4), (1, 1), shrink_axis=[1, 0])),
    "strided slice, an axis more": (PICTURE, lambda x: strided(x, (0, 1), (0, 2), (1, 1), new_axis=[1, 0])),
    "strided slice of the last": (
        PICTURE,
        lambda x: strided(x, (0, 1), (0, 9), (1, 2), ellipsis=[1, 0]),
    ),
    "strided slice of all": (PICTURE, lambda x: strided(x, (0,), (0,), (1,), end=[1])),
    "slice": (PICTURE, lambda x: opset8.slice(x, ints(1, 0), ints(4, 100), ints(1, 2), ints(2, -1))),
    "slice back": (PICTURE, lambda x: opset8.slice(x, ints(-1), ints(-100), ints(-1), ints(1))),
    "slice back by two": (PICTURE, lambda x: opset8.slice(x, ints(-2), ints(0), ints(-2), ints(1))),
    "slice without axes": (PICTURE, lambda x: opset8.slice(x, ints(0, 1), ints(1, 7), ints(1, 3))),
    "concat": (PICTURE, lambda x: ops.concat([x, x], -1)),
    "gather": (PICTURE, lambda x: opset8.gather(x, ints(3, 0, -1), one(1))),
    "gather one": (PICTURE, lambda x: opset8.gather(x, one(2), one(-1))),
    "gather many": (PICTURE, lambda x: opset8.gather(x, ops.constant(np.array([[0, 1], [2, 3]])), one(2))),
    "tile": (PICTURE, lambda x: ops.tile(x, ints(1, 2, 1, 3))),
    "tile, an axis more": (PICTURE, lambda x: ops.tile(x, ints(2, 1, 2, 1, 3))),
    "broadcast": ((8, 1, 6), lambda x: ops.broadcast(x, ints(2, 8, 4, 6))),
    "broadcast explicitly": ((8, 6), lambda x: ops.broadcast(x, ints(2, 8, 4, 6), ints(1, 3), "explicit")),
    "broadcast both ways": ((8, 4, 1), lambda x: ops.broadcast(x, ints(1, 1, 6), None, "bidirectional")),
    "roll": (PICTURE, lambda x: ops.roll(x, ints(1, -2), ints(2, -1))),
    "reverse": (PICTURE, lambda x: reversed_axes(x, ints(1, 3), "index")),
    "reorg": (PICTURE, lambda x: ops.reorg_yolo(x, [2])),
    "shuffle channels": (PICTURE, lambda x: ops.shuffle_channels(x, 1, 4)),
    "shuffle rows": (PICTURE, lambda x: ops.shuffle_channels(x, -2, 2)),
    "space to batch": (
        PICTURE,
        lambda x: ops.space_to_batch(x, ints(1, 1, 2, 3), ints(0, 0, 0, 0), ints(0, 0, 0, 0)),
    ),
    "batch to space": (
        (12, 3, 4, 6),
        lambda x: ops.batch_to_space(x, ints(1, 1, 2, 3), ints(0, 0, 0, 0), ints(0, 0, 0, 0)),
    ),
    "patches": (PICTURE, lambda x: ops.extract_image_patches(x, [2, 2], [2, 1], [1, 2], "VALID")),
    "patches of all": (PICTURE, lambda x: ops.extract_image_patches(x, [2, 2], [2, 2], [1, 1], "SAME_UPPER")),
    "einsum": (PICTURE, lambda x: ops.einsum([x], "abcd->dacb")),
    "identity": (PICTURE, lambda x: opset15.reshape(x, ints(*PICTURE), False)),
    **{
        f"{name} {mode}": (shape, partial(make, mode=mode, block_size=2))
        for name, shape, make in (
            ("depth to space", (2, 8, 4, 6), ops.depth_to_space),
            ("depth to volume", (2, 16, 4, 6, 2), ops.depth_to_space),
            ("space to depth", (2, 8, 4, 6), ops.space_to_depth),
            ("volume to depth", (2, 3, 4, 6, 2), ops.space_to_depth),
        )
        for mode in ("blocks_first", "depth_first")
    },
}


@pytest.mark.parametrize("name", MOVING)
def test_movements(tmp_path, name):
    shape, make = MOVING[name]
    x = ops.parameter(list(shape), np.float32, name="x")
    (node,) = compare(saved(tmp_path, [x], [make(x)])).nodes
    assert node.movement is not None
    assert set(node.inputs) == {"x"}


@pytest.mark.parametrize(
    "make",
    [lambda x: ops.split(x, one(1), 4), lambda x: ops.variadic_split(x, one(-1), ints(1, -1, 2))],
)
def test_several_outputs(tmp_path, make):
    x = ops.parameter(list(PICTURE), np.float32, name="x")
    nodes = compare(saved(tmp_path, [x], make(x).outputs())).nodes
    assert len({node.name for node in nodes}) == 1
    assert len({node.output for node in nodes}) == len(nodes) > 1
    assert all(node.movement is not None for node in nodes)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: ops.relu(x),
        lambda x: ops.einsum([x], "abcd->abd"),
        lambda x: ops.space_to_batch(x, ints(1, 1, 2, 3), ints(0, 0, 1, 0), ints(0, 0, 1, 0)),
        lambda x: ops.extract_image_patches(x, [3, 3], [1, 1], [1, 1], "SAME_LOWER"),
        lambda x: ops.pad(x, ints(0, 0, 1, 1), ints(0, 0, 0, 0), "constant"),
        lambda x: ops.add(x, ops.constant(np.ones((1, 8, 1, 1), np.float32))),
    ],
)
def test_what_is_no_movement(tmp_path, make):
    x = ops.parameter(list(PICTURE), np.float32, name="x")
    (node,) = compare(saved(tmp_path, [x], [make(x)])).nodes
    assert node.movement is None


def focus(x):
    parts = [
        strided(x, (0, 0, i, j), (0, 0, 0, 0), (1, 1, 2, 2), begin=[1, 1, 0, 0], end=[1, 1, 1, 1])
        for i, j in np.ndindex(2, 2)
    ]
    return ops.concat(parts, 1)


def length(x, axis):
    return opset8.gather(ops.shape_of(x), ints(axis), one(0))


def shuffled(x):
    """A pixel unshuffle that reads its sizes from its input."""
    two = ints(2)
    shape = [length(x, 0), ints(3), ops.divide(length(x, 2), two), two, ops.divide(length(x, 3), two), two]
    apart = ops.reshape(x, ops.concat(shape, 0), False)
    turned = ops.transpose(apart, ints(0, 1, 3, 5, 2, 4))
    turned.set_friendly_name("turned")
    return ops.reshape(turned, ops.concat([length(x, 0), ints(12), ints(-1), shape[4]], 0), False)


def open_model(folder):
    x = ops.parameter([-1, 3, -1, -1], np.float32, name="images")
    return saved(folder, [x], [ops.relu(focus(x)), shuffled(x)])


def test_open_sizes(tmp_path):
    graph = compare(open_model(tmp_path))
    assert (graph.name, graph.format, graph.inputs) == ("net.xml", "OpenVINO", ("images",))
    assert graph.tensors["images"].shape == (2, 3, 64, 96)
    assert graph.tensors["images"].open_shape == (None, 3, None, None)
    assert "[2, 3, 64, 96]" in graph.notes[0]
    assert {node.operator for node in graph.nodes} == {"StridedSlice", "Concat", "Relu", "Reshape", "Transpose"}
    assert [node.order for node in graph.nodes if node.name == "turned"] == [(0, 1, 3, 5, 2, 4)]
    assert graph.node_count > len(graph.nodes)
    made = {"images"} | {name for name, tensor in graph.tensors.items() if tensor.is_constant}
    for node in graph.nodes:
        assert made.issuperset(node.inputs)
        made.add(node.output)
    assert made.issuperset(graph.outputs)


def test_weights_in_fewer_bits_are_constants(tmp_path):
    x = ops.parameter(list(PICTURE), np.float32, name="x")
    scaled = ops.multiply(x, ops.constant(np.full((1, 8, 4, 6), 0.1, np.float32)))
    graph = compare(saved(tmp_path, [x], [scaled], half=True))
    (node,) = graph.nodes
    assert [graph.tensors[name].is_constant for name in node.inputs] == [False, True]


def test_given_sizes(tmp_path):
    graph = compare(open_model(tmp_path), (1, None, 8, 12))
    assert graph.tensors["images"].shape == (1, 3, 8, 12)
    assert compare(open_model(tmp_path), {"images": (None, 3, 8, 12)}).tensors["images"].shape == (2, 3, 8, 12)


def test_the_next_sizes_are_tried(tmp_path):
    x = ops.parameter([-1, 3, -1, -1], np.float32, name="x")
    fixed = ops.add(x, ops.constant(np.zeros((1, 3, 8, 12), np.float32)))
    assert compare(saved(tmp_path, [x], [fixed])).tensors["x"].shape == (1, 3, 8, 12)


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [((1, 4, 8, 12), "fixed shape"), ({"x": (1, 3, 8, 12)}, "no input called"), ((1, 3, 7, 12), "cannot be at")],
)
def test_shapes_that_do_not_fit(tmp_path, shapes, wanted):
    with pytest.raises(ShapeError, match=wanted):
        read(open_model(tmp_path), shapes)


def test_any_number_of_axes(tmp_path):
    x = ops.parameter(openvino.PartialShape.dynamic(), np.float32, name="x")
    path = saved(tmp_path, [x], [ops.transpose(x, ops.constant(np.zeros(0, np.int64)))])
    with pytest.raises(ShapeError, match="give --shape"):
        read(path)
    assert compare(path, (2, 3)).nodes[0].order == (1, 0)


def test_shapes_that_depend_on_values(tmp_path):
    x = ops.parameter([3, 4], np.float32, name="x")
    y = ops.relu(x)
    y.set_friendly_name("y")
    graph = read(saved(tmp_path, [x], [ops.non_zero(y), ops.reshape(y, ints(-1), False)]))
    assert [node.operator for node in graph.nodes] == ["Relu", "Reshape"]
    assert "y" in graph.outputs
    assert "NonZero (1)" in graph.notes[0]


def test_bodies_of_control_flow(tmp_path):
    x, condition = ops.parameter([1, 3, 4], np.float32, name="x"), ops.parameter([], bool, name="c")
    t, e = ops.parameter([1, 3, 4], np.float32), ops.parameter([1, 3, 4], np.float32)
    then = openvino.Model([ops.result(ops.transpose(t, ints(0, 2, 1)))], [t], "then")
    otherwise = openvino.Model([ops.result(ops.reshape(e, ints(1, 4, 3), False))], [e], "else")
    either = ops.if_op(condition)
    either.set_then_body(then)
    either.set_else_body(otherwise)
    either.set_input(x.output(0), t, e)
    graph = read(saved(tmp_path, [x, condition], [either.set_output(then.results[0], otherwise.results[0])]))
    assert [node.operator for node in graph.nodes] == ["If"]
    assert [[node.operator for node in inner.nodes] for inner in graph.inner] == [["Transpose"], ["Reshape"]]
    assert {inner.name for inner in graph.inner} == {graph.nodes[0].name}


def test_bodies_of_loops(tmp_path):
    x, step = ops.parameter([5, 3, 4], np.float32, name="x"), ops.parameter([1, 3, 4], np.float32)
    body = openvino.Model([ops.result(ops.transpose(step, ints(0, 2, 1)))], [step], "body")
    loop = ops.tensor_iterator()
    loop.set_body(body)
    loop.set_sliced_input(step, x.output(0), 0, 1, 1, -1, 0)
    out = loop.get_concatenated_slices(body.results[0].output(0), 0, 1, 1, -1, 0)
    graph = read(saved(tmp_path, [x], [out]))
    assert [[node.operator for node in inner.nodes] for inner in graph.inner] == [["Transpose"]]


# ---------------------------------------------------------------------- refusals


def test_weights_that_are_missing(tmp_path):
    path = open_model(tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(UnusableInputError, match="OpenVINO cannot read") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "nothing", "<net", "\xff\xfe"])
def test_broken_files(tmp_path, text, capfd):
    path = tmp_path / "net.xml"
    path.write_text(text)
    with pytest.raises(UnusableInputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_names_that_are_no_text(tmp_path):
    path = open_model(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'names="images"', b'names="im\xff"'))
    with pytest.raises(UnusableInputError, match="utf-8"):
        read(path)


def test_changed_files_are_an_error_of_ours_or_a_graph(tmp_path):
    path, random = open_model(tmp_path), Random(1)
    whole = path.read_bytes()
    for _ in range(600):
        path.write_bytes(mutated(random, whole, (whole,)))
        try:
            graph = read(path)
        except LayoutBridgeError as error:
            refuse_unclear(str(error), 1)
            continue
        assert all(node.output in graph.tensors for node in graph.nodes)


def test_files_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "missing.xml"):
        with pytest.raises(UnusableInputError):
            read(path)


def test_constants_that_would_grow(tmp_path):
    x = ops.parameter([1], np.float32, name="x")
    grown = ops.broadcast(ops.constant(np.float32(1)), ints(1 << 20, 1 << 20))
    path = saved(tmp_path, [x], [ops.add(grown, x)])
    with pytest.raises(LayoutBridgeError, match="LAYOUTBRIDGE_MEGABYTES"):
        read(path)
