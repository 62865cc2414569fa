import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import layoutbridge as lb  # noqa: E402
from layoutbridge.frameworks import winograd  # noqa: E402
from layoutbridge.frameworks.onnx.folding import folded_bytes  # noqa: E402
from layoutbridge.frameworks.onnx.sessions import open_session  # noqa: E402
from tests.conftest import FIXTURES  # noqa: E402


def model(nodes, initializers, inputs=(("x", [1, 3, 4, 4]),), declared=()):
    """A model that adds what `nodes` call "c" to its input; `declared` are shapes that it says of other tensors."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (*inputs, *declared)]
    return helper.make_model(
        helper.make_graph(
            [*nodes, helper.make_node("Add", ["x", "c"], ["y"])],
            "g",
            values[: len(inputs)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in initializers.items()],
            value_info=values[len(inputs) :],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def node(kind, inputs, output="c", **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


LENGTHS = np.array([1, 3, 4, 4], np.int64)
ROW, COLUMN = np.ones((1, 1, 1, 4), np.float32), np.ones((1, 1, 4, 1), np.float32)


@pytest.mark.parametrize(
    ("nodes", "initializers", "elements"),
    [
        ([], {"c": ROW}, 0),
        ([node("Expand", ["a", "l"])], {"a": ROW, "l": LENGTHS}, 48),
        ([node("ConstantOfShape", ["l"])], {"l": LENGTHS}, 48),
        ([node("MatMul", ["a", "b"])], {"a": COLUMN, "b": ROW}, 16),
        ([node("Add", ["a", "b"])], {"a": COLUMN, "b": ROW}, 16),
        ([node("Shape", ["x"], "s"), node("ConstantOfShape", ["s"])], {}, 48),
    ],
)
def test_what_the_rest_reads_is_counted_twice_and_the_largest_twice(nodes, initializers, elements):
    assert folded_bytes(model(nodes, initializers)) == 4 * elements * 4


def test_lengths_of_many_elements_are_found_without_computing_them():
    lengths = np.array([1, 3, 100_000, 1_000_000], np.int64)
    found = folded_bytes(model([node("ConstantOfShape", ["l"])], {"l": lengths}))
    assert found == 4 * 4 * 3 * 10**11


@pytest.mark.parametrize(
    ("nodes", "initializers", "more"),
    [
        # the lengths are computed in a way that is not followed
        ([node("Div", ["l", "l"], "d"), node("ConstantOfShape", ["d"])], {"l": LENGTHS}, {}),
        # an operator that is none of the common ones, of this domain or another
        ([node("CumSum", ["a", "zero"])], {"a": ROW, "zero": np.array(3, np.int64)}, {}),
        ([node("Expand", ["a", "l"], domain="other")], {"a": ROW, "l": LENGTHS}, {}),
        # what the model itself says of a shape is not believed
        (
            [node("NonZero", ["x"], "n"), node("Shape", ["n"], "s"), node("ConstantOfShape", ["s"])],
            {},
            {"declared": [("n", [4, 1_000_000_000])]},
        ),
    ],
)
def test_what_cannot_be_told_is_not_folded(nodes, initializers, more):
    assert folded_bytes(model(nodes, initializers, **more)) is None


def test_products_that_take_long_are_not_folded():
    side = np.ones((1, 1, 3000, 3000), np.float32)
    assert folded_bytes(model([node("MatMul", ["a", "a"])], {"a": side})) is None


def test_shapes_of_open_inputs_are_no_constants():
    shape_of_batch = [node("Shape", ["x"], "s"), node("ConstantOfShape", ["s"])]
    assert folded_bytes(model(shape_of_batch, {}, inputs=[("x", ["N", 3, 4, 4])])) == 0


def test_winograd_weights_are_folded_and_give_the_same(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    monkeypatch.setattr(winograd, "best_tile", lambda weights, *_: (4, 4) if weights[2:] == (3, 3) else None)
    folder = FIXTURES / "nets" / "pjreddie" / "passthrough"
    net = lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor="pjreddie")
    path = tmp_path / "net.onnx"
    written = net.to_onnx(path, winograd=True)
    assert written.winograd.layers > 0
    folded = folded_bytes(onnx.load(path))
    assert folded is not None and folded >= written.winograd.extra_bytes
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    runs = [open_session(path, most_bytes=10**9, folds=folds).run(None, {"input": x}) for folds in (False, True)]
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
