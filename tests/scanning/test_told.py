"""What is told of places: names that say something, parts, copies and expansions that repeat nothing, open sizes."""

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed


def scanned(nodes, shape, constants=(), outputs=("y",)):
    """The places of a model of one input; behind each output values change."""
    ends = [helper.make_node("Relu", [name], [f"after_{name}"], name=f"after {name}") for name in outputs]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    graph = helper.make_graph(
        [*nodes, *ends], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"after_{name}", TensorProto.FLOAT, None) for name in outputs], values,
    )  # fmt: skip
    return lb.scan(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)).places


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def reshaped(source, output, shape, constants):
    constants[f"{output}_shape"] = np.array(shape)
    return node("Reshape", [source, f"{output}_shape"], output)


def sliced(source, output, start, end, axis, constants):
    names = [f"{output}_{what}" for what in ("start", "end", "axis")]
    constants.update(zip(names, map(np.array, ([start], [end], [axis])), strict=True))
    return node("Slice", [source, *names], output)


@pytest.mark.parametrize(
    ("shape", "steps", "pattern"),
    [
        # which would be heads of one element, a patch as large as the picture, a block of all channels
        ((2, 120, 1, 12), [(2, 120, 12), (0, 2, 1)], "n c 1 l -> n l c"),
        ((2, 1, 172, 36), [(2, 172, 36), (0, 2, 1)], "n 1 l c -> n c l"),
        ((36, 1, 256), [(1, 2, 0), (1, 256, 1, 36)], "c h w -> h w 1 c"),
    ],
)
def test_a_transpose_has_no_name_for_what_it_does_not_do(shape, steps, pattern):
    constants, nodes, held = {}, [], "x"
    for k, step in enumerate(steps):
        output = "y" if k == len(steps) - 1 else "a"
        nodes.append(
            node("Transpose", [held], output, perm=step)
            if sorted(step) == list(range(len(step)))
            else reshaped(held, output, step, constants)
        )
        held = output
    (place,) = scanned(nodes, shape, constants)
    assert (place.kind, place.names, place.wrapping, dict(place.parameters)) == ("moves", (), "", {})
    x = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(x), lb.Rearrangement(pattern)(x))
    assert "patch" not in place.pattern and "heads" not in place.pattern


def test_heads_and_patches_that_are_some_keep_their_names():
    constants = {}
    heads = [reshaped("x", "a", (0, 0, 4, -1), constants), node("Transpose", ["a"], "y", perm=[0, 2, 1, 3])]
    (place,) = scanned(heads, (2, 5, 32), constants)
    assert place.names[0] == "split_heads" and place.parameters["heads"] == 4
    patches = [
        reshaped("x", "a", (1, 3, 2, 4, 3, 4), constants),
        node("Transpose", ["a"], "b", perm=[0, 2, 4, 3, 5, 1]),
        reshaped("b", "y", (1, 6, 48), constants),
    ]
    (place,) = scanned(patches, (1, 3, 8, 12), constants)
    assert place.names == ("patchify",)


def test_a_name_by_chance_at_the_sizes_that_were_made_up_is_none():
    """The split of boxes into bins: its axis of all places would be a picture of one row."""
    constants = {}
    nodes = [
        reshaped("x", "flat", (0, 64, -1), constants),
        node("Relu", ["flat"], "boxes"),
        reshaped("boxes", "bins", (0, 4, 16, -1), constants),
        node("Transpose", ["bins"], "y", perm=[0, 2, 1, 3]),
    ]
    place = scanned(nodes, ("N", 64, "H", "W"), constants)[-1]
    assert (place.names, dict(place.parameters)) == ((), {})
    for shape in ((2, 64, 6), (1, 64, 35)):
        x = np.arange(np.prod(shape)).reshape(shape)
        wanted = x.reshape(shape[0], 4, 16, shape[2]).transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(x), wanted)


def test_a_part_that_is_turned_is_told_in_both_steps():
    constants = {}
    nodes = [sliced("x", "a", 1, 3, 1, constants), node("Transpose", ["a"], "y", perm=[0, 2, 1])]
    (place,) = scanned(nodes, (2, 4, 5), constants)
    assert (place.kind, place.reason) == ("drops", "the part [:, 1:3]: 20 of 40 elements, then n l c -> n c l")


def test_a_part_that_is_all_at_one_choice_of_sizes_is_a_part():
    constants = {}
    (place,) = scanned([sliced("x", "y", 0, 2, 0, constants)], ("N", 4), constants)
    assert (place.kind, place.names, place.pattern) == ("drops", (), None)
    assert place.reason == "at other sizes, such as [3, 4]: the part [:2]: 8 of 12 elements"


@pytest.mark.parametrize("kind", ["Slice", "Identity", "Reshape", "Expand"])
def test_what_leaves_a_tensor_as_it_is_is_no_place(kind):
    constants = {"same": np.array([1, 4, 6])}
    nodes = {
        "Slice": [sliced("x", "y", 0, 2**40, 1, constants)],
        "Identity": [node("Identity", ["x"], "y")],
        "Reshape": [node("Reshape", ["x", "same"], "y")],
        "Expand": [node("Expand", ["x", "same"], "y")],
    }
    assert scanned(nodes[kind], (1, 4, 6), constants) == ()


def test_views_that_cancel_are_told():
    constants = {"axis": np.array([1])}
    nodes = [node("Unsqueeze", ["x", "axis"], "a"), node("Squeeze", ["a", "axis"], "y")]
    (place,) = scanned(nodes, (3, 4), constants)
    assert (place.kind, place.nodes) == ("view", ("a", "y"))
    assert place.advice == "its nodes cancel: all of them can be left out"


@pytest.mark.parametrize("batch", [2, "N"])
@pytest.mark.parametrize("is_in_front", [False, True])
def test_an_expansion_that_repeats_nothing_is_in_no_place(is_in_front, batch):
    constants = {"ones": np.array([1, 1, 1])}
    last = "a" if is_in_front else "y"
    view = node("Transpose", ["a" if is_in_front else "x"], "y" if is_in_front else "a", perm=[0, 2, 1])
    expansion = node("Expand", ["x" if is_in_front else "a", "ones"], last)
    nodes = [expansion, view] if is_in_front else [view, expansion]
    (place,) = scanned(nodes, (batch, 4, 6), constants)
    assert place.nodes == (("y",) if is_in_front else ("a",))
    assert (place.inputs, place.output) == ((("a",), "y") if is_in_front else (("x",), "a"))


def test_open_sizes_have_names_where_one_of_them_is_fixed_inside():
    """The height must be 64 for its axis to be squeezed away; the others may be anything."""
    constants = {"axis": np.array([2])}
    nodes = [
        node("AveragePool", ["x"], "pooled", kernel_shape=[64, 8], strides=[64, 8]),
        node("Squeeze", ["pooled", "axis"], "rows"),
        node("Transpose", ["rows"], "y", perm=[0, 2, 1]),
    ]
    (place,) = scanned(nodes, ("N", 8, "H", "W"), constants)
    assert (place.in_shapes, place.out_shape) == ((("N", 8, 1, "W/8"),), ("N", "W/8", 8))
    assert place.pattern == "c 1 w -> w c"


def test_a_part_of_a_tensor_too_large_to_look_at_is_told_by_its_size():
    """Of a model whose shapes are fixed nobody can give smaller ones."""
    constants = {}
    place, turned = scanned(
        [sliced("x", "y", 8, 120, 2, constants), node("Transpose", ["x"], "z", perm=[0, 2, 3, 4, 1])],
        (1, 32, 128, 160, 128), constants, ("y", "z"),
    )  # fmt: skip
    assert (place.kind, place.out_shape) == ("drops", (1, 32, 112, 160, 128))
    assert place.reason == "73,400,320 of 83,886,080 elements: too many to look at each of them"
    assert turned.names == ("nchw_to_nhwc",)


def test_large_tensors_that_are_cut_and_joined_are_no_reason_to_refuse_a_model():
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], name="cut", axis=1),
        node("Relu", ["x"], "r"),
        helper.make_node("Split", ["r"], ["c", "d"], name="cut again", axis=1),
        node("Concat", ["a", "c", "b", "d"], "y", axis=1),
    ]
    assert {place.kind for place in scanned(nodes, (1, 32, 128, 160, 128))} == {"drops"}


def test_an_order_alone_is_no_identity():
    constants = {"parts": np.array([1, 3])}
    cut = helper.make_node("Split", ["x", "parts"], ["a", "b"], name="cut", axis=0)
    (place,) = scanned([cut, node("Concat", ["b", "a"], "y", axis=0)], (4,), constants)
    assert (place.kind, place.names) == ("moves", ())
    np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(np.arange(4)), [1, 2, 3, 0])
