"""`rewrite(native=True)`: every spelling becomes its shortest form, and the outputs stay what they were."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.frameworks.base import numpy_dtype
from tests.every_form import every_form

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed

from layoutbridge.rewriting.checking import compare_stages  # noqa: E402
from layoutbridge.rewriting.draft import Draft  # noqa: E402
from layoutbridge.rewriting.opening import Source  # noqa: E402
from layoutbridge.rewriting.places.locating import scene_of  # noqa: E402
from layoutbridge.rewriting.proving import proven  # noqa: E402
from tests import onnx_ports as ports  # noqa: E402
from tests.onnx_ports import model, node, run, same  # noqa: E402

RNG = np.random.default_rng(2)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def kinds(held):
    return [each.op_type for each in held.graph.node]


def within(nodes, source="a", target="b"):
    """Nodes between two that change values."""
    return [node("Neg", ["x"], [source]), *nodes, node("Neg", [target], ["y"])]


def shortened(port, *inputs):
    """The model made native: sound, idempotent, bit for bit the same on `inputs`, and never more nodes or bytes."""
    before = port.SerializeToString()
    done = lb.rewrite(port, native=True)
    assert port.SerializeToString() == before
    assert done.deviation == 0 and done.bytes_moved_after <= done.bytes_moved_before
    assert done.nodes_after <= done.nodes_before and done.changed == (done.model is not port)
    onnx.checker.check_model(done.model, full_check=True)
    for x in inputs:
        assert same(run(port, x=x), run(done.model, x=x))
    again = lb.rewrite(done.model, native=True)
    assert not again.changed and again.model is done.model
    return done


# ---------------------------------------------------------------------- spellings


def twice_transposed(source, output, c, h, w, s):
    """Rows to the front, then columns."""
    nodes = [
        node("Reshape", [source, "v1"], ["p1"]),
        node("Transpose", ["p1"], ["p2"], perm=(0, 2, 1, 3)),
        node("Reshape", ["p2", "v2"], ["p3"]),
        node("Transpose", ["p3"], ["p4"], perm=(0, 1, 3, 2)),
        node("Reshape", ["p4", "v3"], [output]),
    ]
    shapes = {
        "v1": np.array([-1, c * h // s, s, w]), "v2": np.array([-1, s, c * h * w // s // s, s]),
        "v3": np.array([-1, c * s * s, h // s, w // s]),
    }  # fmt: skip
    return nodes, shapes


def einsum(source, output, c, h, w, s):
    wide, deep = np.array([-1, c, h // s, s, w // s, s]), np.array([-1, c * s * s, h // s, w // s])
    nodes = [
        node("Reshape", [source, "wide"], ["p1"]),
        node("Einsum", ["p1"], ["p2"], equation="nchpwq->npqchw"),
        node("Reshape", ["p2", "deep"], [output]),
    ]
    return nodes, {"wide": wide, "deep": deep}


def split_and_joined(source, output, c, h, w, s):
    """Rows of blocks apart, columns of blocks apart, one behind the other."""
    nodes = [
        node("Reshape", [source, "wide"], ["p1"]),
        node("Split", ["p1"], [f"row{k}" for k in range(s)], axis=3),
        *(node("Split", [f"row{k}"], [f"part{k}_{j}" for j in range(s)], axis=5) for k in range(s)),
        node("Concat", [f"part{k}_{j}" for k in range(s) for j in range(s)], ["p2"], axis=1),
        node("Reshape", ["p2", "deep"], [output]),
    ]
    wide, deep = np.array([-1, c, h // s, s, w // s, s]), np.array([-1, c * s * s, h // s, w // s])
    return nodes, {"wide": wide, "deep": deep}


def one_hot(source, output, c, h, w, s):
    """A convolution that only moves."""
    weights = np.zeros((s, s, c, c, s, s), np.float32)
    for p, q, k in np.ndindex(s, s, c):
        weights[p, q, k, k, p, q] = 1
    nodes = [node("Conv", [source, "ones"], [output], strides=[s, s])]
    return nodes, {"ones": weights.reshape(c * s * s, c, s, s)}


NATIVE = [
    ports.space_to_depth, ports.space_to_depth_by_hand, ports.marvis,
    twice_transposed, einsum, split_and_joined, one_hot,
]  # fmt: skip


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("written", NATIVE)
def test_every_spelling_of_space_to_depth_is_one_node(written, batch):
    nodes, constants = written("a", "b", 4, 8, 12, 2)
    port = model(within(nodes), (batch, 4, 8, 12), constants)
    done = shortened(port, random(1 if batch == 1 else 3, 4, 8, 12))
    assert kinds(done.model) == ["Neg", "SpaceToDepth", "Neg"]
    assert not done.model.graph.initializer


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("written", [ports.pixel_unshuffle, ports.by_table])
def test_pixel_unshuffle_is_a_space_to_depth_between_views(written, stride):
    nodes, constants = written("a", "b", 4, 12, 18, stride)
    done = shortened(model(within(nodes), ("N", 4, 12, 18), constants), random(2, 4, 12, 18))
    assert kinds(done.model) == ["Neg", "Reshape", "SpaceToDepth", "Reshape", "Neg"]


def test_a_large_table_too():
    """As a table of positions is written, with more entries than any shape has."""
    nodes, constants = ports.by_table("a", "b", 16, 32, 32, 2)
    done = shortened(model(within(nodes), (1, 16, 32, 32), constants), random(1, 16, 32, 32))
    assert "Gather" not in kinds(done.model) and done.passes[0].bytes_after == 4 * 16 * 32 * 32


@pytest.mark.parametrize("operator", ["GatherElements", "GatherND"])
def test_tables_of_other_operators(operator):
    table = lb.op("space_to_depth").table((4, 4, 6))
    taken = table[None] if operator == "GatherElements" else table[None, :, None]
    attributes = {"axis": 1} if operator == "GatherElements" else {"batch_dims": 1}
    nodes = [
        node("Flatten", ["a"], ["row"]),
        node(operator, ["row", "table"], ["moved"], **attributes),
        node("Reshape", ["moved", "deep"], ["b"]),
    ]
    port = model(within(nodes), (1, 4, 4, 6), {"table": taken, "deep": np.array([1, 16, 2, 3])})
    assert kinds(shortened(port, random(1, 4, 4, 6)).model) == ["Neg", "SpaceToDepth", "Neg"]


@pytest.mark.parametrize(
    ("name", "view", "order"),
    [("pixel_shuffle", (3, 2, 2, 4, 6), (0, 1, 4, 2, 5, 3)), ("depth_to_space", (2, 2, 3, 4, 6), (0, 3, 4, 1, 5, 2))],
)
def test_depth_to_space_in_both_modes(name, view, order):
    nodes, constants = ports.turned("a", "b", view, order, (3, 8, 12))
    done = shortened(model(within(nodes), ("N", 12, 4, 6), constants), random(2, 12, 4, 6))
    made = done.model.graph.node[1]
    assert kinds(done.model) == ["Neg", "DepthToSpace", "Neg"]
    assert {a.name: a.s for a in made.attribute}["mode"] == (b"CRD" if name == "pixel_shuffle" else b"DCR")


def test_a_channel_shuffle_is_one_gather():
    nodes, constants = ports.turned("a", "b", (3, 4, 8, 12), (0, 2, 1, 3, 4), (12, 8, 12))
    done = shortened(model(within(nodes), ("N", 12, 8, 12), constants), random(2, 12, 8, 12))
    assert kinds(done.model) == ["Neg", "Gather", "Neg"]


def test_transposes_in_a_row_are_one():
    nodes = [node("Transpose", ["a"], ["p"], perm=(0, 2, 3, 1)), node("Transpose", ["p"], ["b"], perm=(0, 2, 1, 3))]
    done = shortened(model(within(nodes), ("N", 3, "H", "W")), random(2, 3, 4, 6), random(1, 3, 10, 8))
    assert kinds(done.model) == ["Neg", "Transpose", "Neg"]


VIEWS = {
    "reshapes": ([node("Reshape", ["a", "one"], ["p"]), node("Reshape", ["p", "two"], ["b"])], ["Reshape"]),
    "squeezes": (
        [node("Unsqueeze", ["a", "axis"], ["p"]), node("Flatten", ["p"], ["q"], axis=2),
         node("Reshape", ["q", "two"], ["b"])],
        ["Reshape"],
    ),
    "computed": (
        [
            node("Shape", ["a"], ["shape"]), node("Gather", ["shape", "zero"], ["n"]),
            node("Concat", ["n", "rest"], ["to"], axis=0), node("Reshape", ["a", "to"], ["b"]),
        ],
        ["Reshape"],
    ),
    "one that is short already": ([node("Flatten", ["a"], ["b"])], ["Flatten"]),
    "a transpose of lengths of 1": (
        [node("Transpose", ["a"], ["p"], perm=(0, 2, 3, 1)), node("Reshape", ["p", "flat"], ["q"]),
         node("Unsqueeze", ["q", "axis"], ["r"]), node("Transpose", ["r"], ["b"], perm=(1, 0, 2))],
        ["Reshape", "Transpose", "Reshape"],
    ),
}  # fmt: skip
LENGTHS = {
    "one": np.array([0, 24, 6]), "two": np.array([0, -1]), "axis": np.array([1]), "zero": np.array([0]),
    "rest": np.array([-1]), "flat": np.array([-1, 144]),
}  # fmt: skip


@pytest.mark.parametrize("kind", VIEWS)
def test_views_in_a_row_are_one(kind):
    nodes, left = VIEWS[kind]
    used = {name for each in nodes for name in each.input}
    constants = {name: value for name, value in LENGTHS.items() if name in used}
    port = model(within(nodes), ("N", 6, 4, 6), constants, out_rank=3 if "1" in kind else 2)
    assert kinds(shortened(port, random(2, 6, 4, 6)).model) == ["Neg", *left, "Neg"]


CANCELLING = [node("Transpose", ["a"], ["p"], perm=(0, 2, 3, 1)), node("Transpose", ["p"], ["b"], perm=(0, 3, 1, 2))]


def test_what_moves_nothing_goes():
    done = shortened(model(within(CANCELLING), ("N", 3, "H", "W")), random(1, 3, 4, 6))
    assert kinds(done.model) == ["Neg", "Neg"]
    assert done.passes[0].proof == "read at [2, 3, 64, 96] and [3, 3, 160, 192], nothing moves, and nothing is left"


@pytest.mark.parametrize(("before", "left"), [(True, ["Neg"]), (False, ["Identity"])])
def test_an_output_keeps_its_name_where_nothing_moves(before, left):
    nodes = [node("Neg", ["x"], ["a"]) if before else node("Identity", ["x"], ["a"]), *CANCELLING]
    port = model(nodes, ("N", 3, 4, 6), outputs=("b",))
    done = shortened(port, random(2, 3, 4, 6))
    assert kinds(done.model) == left and done.model.graph.output == port.graph.output


def test_two_outputs_that_are_one_tensor():
    """The first gives its name to what computes it, the second is a copy."""
    other = [node("Transpose", ["a"], ["q"], perm=(0, 1, 3, 2)), node("Transpose", ["q"], ["c"], perm=(0, 1, 3, 2))]
    port = model([node("Neg", ["x"], ["a"]), *CANCELLING, *other], ("N", 3, 4, 6), outputs=("b", "c"))
    assert kinds(shortened(port, random(2, 3, 4, 6)).model) == ["Neg", "Identity"]


def test_places_that_give_each_other_their_tensors():
    """Each moves nothing; the tensor between both is an output, and so is what it is made of."""
    second = [node("Transpose", ["b"], ["q"], perm=(0, 1, 3, 2)), node("Transpose", ["q"], ["c"], perm=(0, 1, 3, 2))]
    port = model([node("Neg", ["x"], ["a"]), *CANCELLING, *second], ("N", 3, 4, 6), outputs=("a", "b", "c"))
    done = shortened(port, random(2, 3, 4, 6))
    assert kinds(done.model) == ["Neg", "Identity", "Identity"]


def test_places_that_meet_once_a_shape_is_asked_for_no_more():
    """The tensor between both is kept apart by a Shape, for which nothing is left to do."""
    nodes = [
        node("Transpose", ["a"], ["p"], perm=(0, 2, 3, 1)),
        node("Shape", ["p"], ["shape"]),
        node("Reshape", ["p", "rows"], ["q"]),
        node("Reshape", ["q", "shape"], ["r"]),
        node("Transpose", ["r"], ["b"], perm=(0, 3, 1, 2)),
    ]
    port = model(within(nodes), ("N", 3, 4, 6), {"rows": np.array([0, -1])})
    assert kinds(shortened(port, random(2, 3, 4, 6)).model) == ["Neg", "Neg"]


# ---------------------------------------------------------------------- emitted ones


QUICK = {"space_to_depth", "pixel_shuffle", "darknet_reorg", "focus", "channel_shuffle", "nchw_to_nhwc", "flip"}
EMITTED = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in sorted({case.operation.name for case in every_form() if case.batch})
]


@pytest.mark.parametrize("name", EMITTED)
def test_what_is_emitted_without_native_operators(name):
    """Bit for bit, at fixed and at open sizes, and SpaceToDepth where it is that."""
    cases = [case for case in every_form() if case.operation.name == name and case.batch]
    for place, case in enumerate(cases):
        for shape in (case.shape, *(((None, *case.item),) if place == 0 else ())):
            port = lb.emit(case.operation, "onnx", shape=shape, native=False)
            port.graph.input[0].name = "x"
            for each in port.graph.node:
                for place, entry in enumerate(each.input):
                    if entry == "input":
                        each.input[place] = "x"
            x = case.input()
            done = shortened(port, x)
            (output,) = run(done.model, x=x).values()
            assert np.array_equal(output, case.expected(x))
            if name == "space_to_depth" and len(case.item) == 3 and case.item[1] == case.item[2]:
                assert kinds(done.model) == ["SpaceToDepth"]


def test_depth_to_space_as_two_swaps_stays(tmp_path):
    """onnxruntime runs them in less time (`benchmarks/test_rewrite_speed.py`)."""
    for name in ("depth_to_space", "pixel_shuffle"):
        assert not lb.rewrite(lb.emit(lb.op(name), "onnx", shape=(1, 64, 26, 26), native=False), native=True).changed


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int64", "uint8", "bool", "bfloat16"])
def test_other_dtypes(dtype):
    """What onnxruntime has no SpaceToDepth for stays as it is."""
    from layoutbridge.frameworks.onnx.versions import ELEM_TYPES

    nodes, constants = ports.marvis("x", "b", 4, 4, 6, 2)
    nodes.append(node("Identity", ["b"], ["y"]))
    port = model(nodes, (2, 4, 4, 6), constants, dtype=ELEM_TYPES[dtype])
    x = np.arange(192).reshape(2, 4, 4, 6).astype(numpy_dtype(dtype))
    done = lb.rewrite(port, native=True, check=dtype != "bfloat16")
    if dtype != "bfloat16":  # which onnxruntime does not run
        assert np.array_equal(run(done.model, x=x)["y"], lb.op("space_to_depth")(x))
    assert ("SpaceToDepth" in kinds(done.model)) == (dtype in ("float64", "uint8"))
    assert not lb.rewrite(done.model, native=True, check=False).changed


# ---------------------------------------------------------------------- blocks in front of convolutions


def yolov5(source, output, c, h, w, s):
    """As YOLOv5's Focus is exported: rows, then columns, of each corner."""
    constants = {f"at{k}": np.array([k]) for k in range(s)} | {"end": np.array([2**63 - 1]), "step": np.array([s])}
    constants |= {"rows": np.array([2]), "columns": np.array([3])}
    nodes = []
    for column, row in np.ndindex(s, s):
        nodes += [
            node("Slice", [source, f"at{row}", "end", "rows", "step"], [f"half{row}{column}"]),
            node("Slice", [f"half{row}{column}", f"at{column}", "end", "columns", "step"], [f"part{row}{column}"]),
        ]
    return [*nodes, node("Concat", [f"part{q}{p}" for p, q in np.ndindex(s, s)], [output], axis=1)], constants


def random_order(source, output, c, h, w, s):
    nodes, constants = ports.space_to_depth_by_hand(source, "blocks", c, h, w, s)
    return [*nodes, node("Gather", ["blocks", "order"], [output], axis=1)], constants | {
        "order": RNG.permutation(c * s * s)
    }


STEMS = [yolov5, ports.focus, ports.space_to_depth, ports.pixel_unshuffle, ports.marvis, split_and_joined, random_order]


def assert_folded(port, *inputs, left=("Conv",), nodes=None):
    """The model with its blocks folded into the convolution: nothing else is left of them, and 1e-5 of the largest."""
    done = lb.rewrite(port, native=True)
    assert tuple(kind for kind in kinds(done.model) if kind not in ("Neg", "Relu", "Cast")) == left
    assert done.deviation <= 1e-5
    onnx.checker.check_model(done.model, full_check=True)
    for x in inputs:
        before, after = run(port, x=x), run(done.model, x=x)
        for name, value in before.items():
            assert value.shape == after[name].shape
            assert np.abs(value - after[name]).max() <= 1e-5 * np.abs(value).max()
    assert not lb.rewrite(done.model, native=True).changed
    return done


@pytest.mark.parametrize("kernel", [1, 3, (3, 1)])
@pytest.mark.parametrize("written", STEMS)
def test_blocks_are_folded_into_the_convolution_behind(written, kernel):
    nodes, constants = written("a", "b", 3, 12, 16, 2)
    down, across = (kernel, kernel) if isinstance(kernel, int) else kernel
    conv = node("Conv", ["b", "w", "bias"], ["c"], name="conv", pads=[down // 2, across // 2] * 2)
    constants |= {"w": random(8, 12, down, across), "bias": random(8)}
    port = model([node("Neg", ["x"], ["a"]), *nodes, conv, node("Relu", ["c"], ["y"])], ("N", 3, 12, 16), constants)
    done = assert_folded(port, random(2, 3, 12, 16))
    held = {a.name: list(a.ints) for a in done.model.graph.node[1].attribute}
    assert held == {
        "kernel_shape": [2 * down, 2 * across], "strides": [2, 2], "pads": [2 * (down // 2), 2 * (across // 2)] * 2,
    }  # fmt: skip
    assert sorted(tensor.name for tensor in done.model.graph.initializer) == ["bias", "w/unfolded"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [0, 1, 2, 3], "strides": [1, 2]},
        {"auto_pad": "VALID"},
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [3, 2]},
    ],
)
def test_every_padding(attributes):
    nodes, constants = ports.focus("x", "b", 3, 18, 28, 2)
    port = model(
        [*nodes, node("Conv", ["b", "w"], ["y"], **attributes)],
        ("N", 3, 18, 28),
        constants | {"w": random(4, 12, 3, 2)},
    )
    if attributes.get("strides") and "auto_pad" in attributes:  # depends on sizes: the batch must not be open
        port.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert_folded(port, random(2, 3, 18, 28))


def test_open_sizes_are_folded():
    nodes, constants = yolov5("x", "b", 3, 0, 0, 2)
    conv = node("Conv", ["b", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])
    port = model([*nodes, conv], ("N", 3, "H", "W"), constants | {"w": random(4, 12, 3, 3)})
    done = assert_folded(port, random(1, 3, 8, 12), random(2, 3, 20, 6))
    assert "[2, 3, 64, 96] and [3, 3, 160, 192]" in done.passes[0].proof


def test_a_picture_with_its_channels_last():
    """As a Keras model is converted: strided slices of NHWC, joined on the last axis, then turned for the Conv."""
    constants = {"axes": np.array([1, 2]), "all": np.array([2**31 - 1] * 2)}
    constants |= {"steps": np.array([2, 2]), "w": random(8, 12, 3, 3)}
    nodes = []
    for column, row in np.ndindex(2, 2):
        constants[f"at{row}{column}"] = np.array([row, column])
        nodes.append(node("Slice", ["x", f"at{row}{column}", "all", "axes", "steps"], [f"part{row}{column}"]))
    nodes += [
        node("Concat", [f"part{q}{p}" for p, q in np.ndindex(2, 2)], ["joined"], axis=-1),
        node("Transpose", ["joined"], ["b"], perm=(0, 3, 1, 2)),
        node("Conv", ["b", "w"], ["y"], auto_pad="SAME_UPPER"),
    ]
    port = model(nodes, ("N", 12, 16, 3), constants)
    done = assert_folded(port, random(2, 12, 16, 3), left=("Transpose", "Conv"))
    assert done.bytes_moved_after < done.bytes_moved_before


def test_through_what_works_on_each_element_and_into_several():
    nodes, constants = yolov5("x", "blocks", 3, 12, 16, 2)
    nodes += [
        node("Cast", ["blocks"], ["b"], to=TensorProto.FLOAT),
        node("Relu", ["b"], ["c"]),
        node("Conv", ["b", "w"], ["y"]),
        node("Conv", ["c", "w"], ["z"], strides=[2, 2]),
    ]
    port = model(
        nodes, (1, 3, 12, 16), constants | {"w": random(4, 12, 3, 3)}, outputs=("y", "z"), dtype=TensorProto.DOUBLE
    )
    for each in port.graph.output:
        each.type.tensor_type.elem_type = TensorProto.FLOAT
    port.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 12, 6, 8]))
    assert_folded(port, random(1, 3, 12, 16).astype(np.float64), left=("Conv", "Conv"))


def test_weights_in_another_file(tmp_path):
    nodes, constants = yolov5("x", "b", 3, 12, 16, 2)
    conv, more = node("Conv", ["b", "w"], ["c"]), node("Conv", ["c", "v"], ["y"])
    held = constants | {"w": random(8, 12, 3, 3), "v": random(4, 8, 1, 1)}
    port = model([*nodes, conv, more], (1, 3, 12, 16), held)
    x = random(1, 3, 12, 16)
    before = run(port, x=x)["y"]
    source, made = tmp_path / "port.onnx", tmp_path / "native.onnx"
    onnx.save(port, source, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    done = lb.rewrite(source, native=True)
    done.save(made)
    assert kinds(done.model) == ["Conv", "Conv"]
    assert np.abs(run(str(made), x=x)["y"] - before).max() <= 1e-5 * np.abs(before).max()


def test_blocks_on_one_axis_and_on_three():
    for rank, pattern in ((1, "n c (w q) -> n (q c) w"), (3, "n c (d o) (h p) (w q) -> n (q o c p) d h w")):
        shape, sizes = (2, 3, *(4, 6, 8)[:rank]), {"o": 2, "p": 3, "q": 2}
        used = {name: size for name, size in sizes.items() if name in pattern}
        moved = lb.emit(lb.Rearrangement(pattern, **used), "onnx", shape=shape, batch=False, native=False)
        port = model([], shape, {"w": random(5, 3 * np.prod(list(used.values())), *[2] * rank)}, out_rank=rank + 2)
        port.graph.node.extend(moved.graph.node)
        port.graph.initializer.extend(moved.graph.initializer)
        port.graph.node[0].input[0] = "x"
        port.graph.node.append(node("Conv", ["output", "w"], ["y"]))
        assert_folded(port, random(*shape))


def test_old_opsets_are_folded_too():
    """Operations are written from opset 11 on, but nothing is written here."""
    shapes = {"wide": np.array([-1, 3, 6, 2, 8, 2]), "deep": np.array([-1, 12, 6, 8])}
    nodes = [
        node("Reshape", ["x", "wide"], ["p"]),
        *(
            node("Slice", ["p"], [f"part{q}{p}"], axes=[3, 5], starts=[q, p], ends=[q + 1, p + 1])
            for p, q in np.ndindex(2, 2)
        ),
        node("Concat", [f"part{q}{p}" for p, q in np.ndindex(2, 2)], ["r"], axis=1),
        node("Reshape", ["r", "deep"], ["b"]),
        node("Conv", ["b", "w"], ["y"]),
    ]
    port = model(nodes, ("N", 3, 12, 16), shapes | {"w": random(4, 12, 3, 3)}, opset=9, ir_version=4)
    assert_folded(port, random(2, 3, 12, 16))


KEPT = {
    "groups": ([node("Conv", ["b", "w"], ["y"], group=2)], {"w": random(4, 6, 3, 3)}),
    "dilations": ([node("Conv", ["b", "w"], ["y"], dilations=[2, 2])], {"w": random(4, 12, 3, 3)}),
    "another reader": ([node("Conv", ["b", "w"], ["c"]), node("Neg", ["b"], ["d"]), node("Softmax", ["d"], ["z"]),
                        node("ReduceMean", ["z"], ["m"]), node("Add", ["c", "m"], ["y"])], {"w": random(4, 12, 3, 3)}),
    "computed weights": ([node("Relu", ["w0"], ["w"]), node("Conv", ["b", "w"], ["y"])], {"w0": random(4, 12, 3, 3)}),
    "quantised weights": (
        [node("DequantizeLinear", ["w8", "scale"], ["w"]), node("Conv", ["b", "w"], ["y"])],
        {"w8": RNG.integers(-9, 9, (4, 12, 3, 3)).astype(np.int8), "scale": np.float32(0.1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_what_cannot_be_folded_is_space_to_depth(kind):
    """With the weights behind it permuted where all of them can be, else with a Gather of channels; never slices."""
    nodes, constants = yolov5("a", "b", 3, 12, 16, 2)
    behind, more = KEPT[kind]
    port = model([node("Neg", ["x"], ["a"]), *nodes, *behind], ("N", 3, 12, 16), constants | more)
    x = random(2, 3, 12, 16)
    done = lb.rewrite(port, native=True)
    is_permuted = kind == "dilations"
    assert kinds(done.model)[:3] == ["Neg", "SpaceToDepth", *([] if is_permuted else ["Gather"]), behind[0].op_type][:3]
    assert "Slice" not in kinds(done.model)
    before, after = run(port, x=x), run(done.model, x=x)
    if is_permuted:
        assert 0 < done.deviation <= 1e-5 and "order of channels" in done.passes[0].proof
        assert np.abs(before["y"] - after["y"]).max() <= 1e-5 * np.abs(before["y"]).max()
    else:
        assert same(before, after)
    assert not lb.rewrite(done.model, native=True).changed


def test_many_channels_stay_space_to_depth():
    """Where onnxruntime runs the small kernel on many channels faster, the weights take the other order."""
    nodes, constants = ports.focus("x", "b", 64, 8, 8, 2)
    port = model([*nodes, node("Conv", ["b", "w"], ["y"])], (1, 64, 8, 8), constants | {"w": random(4, 256, 3, 3)})
    done = lb.rewrite(port, native=True)
    assert kinds(done.model) == ["SpaceToDepth", "Conv"] and 0 < done.deviation <= 1e-5


def test_half_precision_is_not_summed_anew():
    nodes, constants = yolov5("x", "b", 3, 12, 16, 2)
    weights = {"w": random(4, 12, 3, 3).astype(np.float16)}
    port = model(
        [*nodes, node("Conv", ["b", "w"], ["y"])], (1, 3, 12, 16), constants | weights, dtype=TensorProto.FLOAT16
    )
    x = random(1, 3, 12, 16).astype(np.float16)
    done = lb.rewrite(port, native=True)
    assert done.deviation == 0 and same(run(port, x=x), run(done.model, x=x))


# ---------------------------------------------------------------------- what is left alone


def test_a_slice_that_ends_beyond_the_sizes_that_were_read_stays():
    """At 64 and 160 rows a slice to 512 keeps all; at 1024 it does not."""
    nodes, constants = yolov5("x", "b", 3, 0, 0, 2)
    constants["end"] = np.array([512])
    port = model([*nodes, node("Relu", ["b"], ["y"])], (1, 3, "H", 64), constants)
    assert lb.scan(port).places[0].names[0] == "focus" and not lb.rewrite(port, native=True).changed


def test_what_was_read_at_one_size_alone_stays():
    """The rows may be 24 at most, so that no second size can be read."""
    nodes, constants = ports.turned("x", "b", (4, 4, 2, 6, 2), (0, 3, 5, 1, 2, 4), (16, 4, 6))
    port = model([*nodes, node("Neg", ["b"], ["y"])], ("N", 4, "H", 12), constants)
    assert not lb.rewrite(port, native=True, shape=(1, 4, 8, 12)).changed


def test_between_what_quantises_it_stays():
    nodes, constants = ports.marvis("a", "b", 4, 4, 6, 2)
    nodes = [
        node("QuantizeLinear", ["x", "scale"], ["q"]), node("DequantizeLinear", ["q", "scale"], ["a"]),
        *nodes, node("QuantizeLinear", ["b", "scale"], ["r"]), node("DequantizeLinear", ["r", "scale"], ["y"]),
    ]  # fmt: skip
    assert not lb.rewrite(model(nodes, (1, 4, 4, 6), constants | {"scale": np.float32(0.1)}), native=True).changed


def test_custom_operators_and_constants_stay():
    nodes, constants = ports.marvis("held", "moved", 4, 4, 6, 2)
    nodes += [
        helper.make_node("Odd", ["x"], ["a"], name="odd", domain="theirs"),
        *ports.space_to_depth_by_hand("a", "b", 4, 4, 6, 2)[0],
        node("Add", ["b", "moved"], ["y"]),
    ]
    constants |= {"held": random(1, 4, 4, 6)} | ports.space_to_depth_by_hand("a", "b", 4, 4, 6, 2)[1]
    port = model(nodes, (1, 4, 4, 6), constants)
    port.opset_import.append(helper.make_opsetid("theirs", 1))
    port.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 4, 4, 6]))
    done = lb.rewrite(port, native=True, check=False)
    assert [kind for kind in kinds(done.model) if kind in ("Odd", "SpaceToDepth", "Transpose")] == [
        "Transpose", "Transpose", "Transpose", "Odd", "SpaceToDepth",
    ]  # fmt: skip


def test_a_shape_that_is_declared_otherwise_stays():
    nodes = [node("Shape", ["x"], ["s"]), node("Slice", ["s", "zero", "one"], ["n"]),
             node("Concat", ["n", "rest"], ["to"], axis=0), node("Reshape", ["x", "to"], ["y"])]  # fmt: skip
    constants = {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([6, -1])}
    assert not lb.rewrite(model(nodes, ("N", 3, 4, 6), constants, out_rank=2), native=True, check=False).changed
    assert lb.rewrite(model(nodes, ("N", 3, 4, 6), constants, out_rank=3), native=True).changed


def renamed(nodes, source, output, suffix):
    """The same nodes with tensors of their own names, but for what goes in and comes out."""
    made = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    for each in made:
        each.name += suffix
        for names in (each.input, each.output):
            names[:] = [name if name in (source, output) else name + suffix for name in names]
    return made


def test_places_within_control_flow():
    """In both branches of a condition, which read from outside."""
    branches = {}
    for branch, operator in (("then_branch", "Neg"), ("else_branch", "Abs")):
        nodes, constants = ports.marvis("x", branch, 8, 4, 6, 2)
        nodes = [*renamed(nodes, "x", branch, f"_{branch}"), node(operator, [branch], [f"given_{branch}"])]
        held = [numpy_helper.from_array(value, f"{name}_{branch}") for name, value in constants.items()]
        given = [helper.make_tensor_value_info(f"given_{branch}", TensorProto.FLOAT, None)]
        branches[branch] = helper.make_graph(nodes, branch, [], given, held)
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0), node("Greater", ["sum", "nought"], ["positive"]),
        node("If", ["positive"], ["y"], name="choose", **branches),
    ]  # fmt: skip
    port = model(nodes, (1, 8, 4, 6), {"nought": np.float32(0)})
    x = np.abs(random(1, 8, 4, 6))
    done = shortened(port, x, -x)
    inner = [a.g for a in done.model.graph.node[-1].attribute]
    assert sorted(tuple(each.op_type for each in graph.node) for graph in inner) == [
        ("SpaceToDepth", "Abs"), ("SpaceToDepth", "Neg"),
    ]  # fmt: skip


def test_what_a_model_says_of_itself_is_kept():
    nodes, constants = ports.marvis("a", "b", 4, 4, 6, 2)
    port = model(within(nodes), ("N", 4, 4, 6), constants, opset=13)
    port.doc_string, port.producer_name, port.model_version = "a model", "us", 7
    helper.set_model_props(port, {"author": "somebody"})
    port.graph.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 16, 2, 3]))
    made = shortened(port, random(1, 4, 4, 6)).model
    for name in ("ir_version", "producer_name", "model_version", "doc_string", "metadata_props", "opset_import"):
        assert getattr(made, name) == getattr(port, name), name
    assert made.graph.input == port.graph.input and made.graph.output == port.graph.output
    assert port.graph.value_info[0] in made.graph.value_info


def test_with_a_fix_in_front():
    """The places are fixed first, then shortened; the outputs' deviation is told from the first model."""
    nodes, constants = ports.marvis("a", "b", 8, 4, 6, 2)
    port = model(within(nodes), (1, 8, 4, 6), constants)
    done = lb.rewrite(port, fix={0: "pixel_unshuffle"}, native=True)
    assert done.deviation > 0.1 and [each.name for each in done.passes] == ["fix"]
    done = lb.rewrite(port, fix={"b": "focus"}, native=True)
    x = random(1, 8, 4, 6)
    assert np.array_equal(run(done.model, x=x)["y"], lb.op("focus")(x))


# ---------------------------------------------------------------------- what is done is looked at


def draft_of(written, *, scale=1.0):
    nodes, constants = written("a", "b", 4, 4, 6, 2)
    nodes = [*nodes, node("Mul", ["b", "scale"], ["y"])]
    port = model([node("Neg", ["x"], ["a"]), *nodes], (1, 4, 4, 6), constants | {"scale": np.float32(scale)})
    return Draft(scene_of(port, "model"), Source("model"), None)


def test_a_stage_that_changes_values_is_found():
    right = draft_of(ports.space_to_depth)
    assert compare_stages(right, right, draft_of(ports.marvis)) == 0
    with pytest.raises(lb.LayoutBridgeError, match="the values of 'y' would change"):
        compare_stages(right, right, draft_of(ports.pixel_unshuffle))
    near = draft_of(ports.marvis, scale=1 + 1e-6)
    with pytest.raises(lb.LayoutBridgeError, match="the values of 'y' would change"):
        compare_stages(right, right, near)
    assert 0 < compare_stages(right, right, near.with_passes((), is_exact=False)) < 1e-5
    with pytest.raises(lb.LayoutBridgeError, match="of the largest value away"):
        compare_stages(right, right, draft_of(ports.marvis, scale=1.001).with_passes((), is_exact=False))


def test_what_draws_numbers_is_refused_with_what_to_do():
    nodes, constants = ports.marvis("a", "b", 4, 4, 6, 2)
    drawn = [node("RandomNormalLike", ["b"], ["r"]), node("Add", ["b", "r"], ["y"])]
    port = model([node("Neg", ["x"], ["a"]), *nodes, *drawn], (1, 4, 4, 6), constants)
    with pytest.raises(lb.LayoutBridgeError, match=r"'y' would change, .* its RandomNormalLike: --no-check"):
        lb.rewrite(port, native=True)
    assert lb.rewrite(port, native=True, check=False).changed


def test_a_place_that_became_something_else_is_found():
    before, after = draft_of(ports.marvis).scene, draft_of(ports.pixel_unshuffle).scene
    assert proven("native", before.places[0], after, lb.op("pixel_unshuffle"), "it").bytes_after == 384
    with pytest.raises(AssertionError, match="did not become it"):
        proven("native", before.places[0], after, lb.op("space_to_depth"), "it")


# ---------------------------------------------------------------------- joins


def joined_in_steps(axes=(1, 1, 1), also_read=False):
    nodes = [
        node("Neg", ["x"], ["a"]),
        node("Relu", ["x"], ["b"]),
        node("Concat", ["a", "b"], ["inner"], axis=axes[0]),
        node("Concat", ["inner", "x"], ["middle"], axis=axes[1]),
        node("Concat", ["b", "middle", "a"], ["y"], axis=axes[2]),
    ]
    nodes += [node("Abs", ["middle"], ["z"])] * also_read
    return model(nodes, ("N", 4, 6, 4), outputs=("y", "z")[: 1 + also_read])


def test_what_is_joined_in_steps_is_joined_at_once():
    port = joined_in_steps(axes=(1, -3, 1))
    done = lb.rewrite(port, native=True)
    assert [(each.op_type, list(each.input)) for each in done.model.graph.node[2:]] == [
        ("Concat", ["b", "a", "b", "x", "a"])
    ]
    assert (done.bytes_moved_before, done.bytes_moved_after) == (10 * 768, 5 * 768)
    assert "5 parts lie one behind the other along axis 1" in done.passes[0].proof
    x = np.random.default_rng(0).standard_normal((3, 4, 6, 4)).astype(np.float32)
    assert same(run(port, x=x), run(done.model, x=x))
    assert not lb.rewrite(done.model, native=True).changed


def test_joins_along_other_axes_and_such_as_others_read_stay():
    done = lb.rewrite(joined_in_steps(also_read=True), native=True)
    assert [each.op_type for each in done.model.graph.node] == ["Neg", "Relu", "Concat", "Concat", "Abs"]
    nodes = [node("Concat", ["x", "x"], ["inner"], axis=2), node("Neg", ["inner"], ["a"])]
    nodes += [node("Concat", ["inner", "a"], ["y"], axis=1)]
    assert not lb.rewrite(model(nodes, ("N", 4, 6, 4)), native=True).changed
