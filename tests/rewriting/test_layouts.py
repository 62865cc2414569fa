"""Each operator's rule on its own: on tensors stored otherwise, what is written gives what the file's node does."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
ir = pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed

from layoutbridge.rewriting.checking import refuse_unsound  # noqa: E402
from layoutbridge.rewriting.choices.candidates import Nodes  # noqa: E402
from layoutbridge.rewriting.choices.writing import write_forms  # noqa: E402
from layoutbridge.rewriting.layouts.layout import Layout, laid_out  # noqa: E402
from layoutbridge.rewriting.layouts.sizes import Sizes  # noqa: E402
from layoutbridge.rewriting.opening import Source, as_ir, as_proto  # noqa: E402
from layoutbridge.rewriting.places.locating import scene_of  # noqa: E402
from layoutbridge.rewriting.places.names import FreshNames  # noqa: E402
from tests.onnx_ports import node, run  # noqa: E402

RNG = np.random.default_rng(0)
F, I64, B, U8 = "float32", "int64", "bool", "uint8"
INEXACT = 1e-5
NEW = range(13, 22)
ALL = range(11, 22)


def at(shape, dtype=F):
    return shape, dtype


def one(kind, *inputs, opsets=ALL, outputs=1, **attributes):
    """A node, its inputs (a shape for one that is computed, else an array, or None), and the opsets to try it in."""
    return pytest.param(kind, inputs, opsets, outputs, attributes, id=f"{kind}-{len(CASES)}")


CASES: list[Any] = []


def case(*args, **keywords):
    CASES.append(one(*args, **keywords))


def ints(*values):
    return np.array(values, np.int64)


X = at((2, 3, 4, 5))
case("Relu", X)
case("Exp", X)
case("Cast", X, to=TensorProto.INT32)
case("Clip", X, np.float32(-0.5), np.float32(0.5))
case("Dropout", X, opsets=(11, 13, 21))
case("Add", X, X)
case("Add", X, at((3, 1, 5)))
case("Mul", at((4, 5)), X)
case("Sub", X, at((5,)))
case("Div", at((1, 3, 1, 1)), X)
case("Add", X, RNG.standard_normal((3, 4, 1)).astype(F))
case("Add", at((2, 3, 1, 5)), at((4, 1)))
case("Add", X, at(()))
case("Where", at((2, 1, 4, 5), B), X, at((4, 5)))
case("Max", X, at((5,)), at((3, 1, 1)))
case("Sum", X, X, X)
case("PRelu", X, RNG.standard_normal((3, 1, 1)).astype(F))
case("Equal", at((2, 3, 4), I64), at((4,), I64))
case("Pow", X, at((3, 1, 1)))
case("Transpose", X, perm=(0, 2, 3, 1))
case("Transpose", X)
case("Reshape", X, ints(2, 3, 20))
case("Reshape", X, ints(2, 60))
case("Reshape", X, ints(0, -1, 5))
case("Reshape", at((2, 12, 5)), ints(0, 3, 4, 5))
case("Reshape", at((2, 12, 1, 1)), ints(2, 12))
case("Reshape", at((2, 12)), ints(2, 12, 1, 1))
case("Reshape", at((2, 3, 4)), ints(6, 2, 2))
case("Flatten", X, axis=1)
case("Flatten", X, axis=2)
case("Flatten", X, axis=-1)
case("Squeeze", at((2, 1, 4, 1)), axes=(1, 3), opsets=(11, 12))
case("Squeeze", at((2, 1, 4, 1)), axes=(-1,), opsets=(11, 12))
case("Squeeze", at((2, 1, 4, 1)), opsets=(11, 12))
case("Squeeze", at((2, 1, 4, 1)), ints(1, -1), opsets=NEW)
case("Squeeze", at((2, 1, 4, 1)), opsets=NEW)
case("Unsqueeze", at((2, 3, 4)), axes=(0, -1), opsets=(11, 12))
case("Unsqueeze", at((2, 3, 4)), ints(2), opsets=NEW)
case("Unsqueeze", at((2, 3)), ints(1, -1), opsets=NEW)
case("Expand", at((2, 1, 4, 1)), ints(2, 3, 4, 5))
case("Expand", at((3, 1, 1)), ints(2, 1, 4, 5))
case("Expand", at((2, 3, 4, 1)), ints(5))
case("Tile", at((2, 3, 4)), ints(1, 3, 2))
case("Shape", X)
case("Shape", X, start=1, opsets=range(15, 22))
case("Shape", X, start=-3, end=-1, opsets=range(15, 22))
case("Size", X)
case("Concat", at((2, 3, 4)), at((2, 5, 4)), axis=1)
case("Concat", at((2, 3, 4)), at((2, 3, 1)), RNG.standard_normal((2, 3, 2)).astype(F), axis=-1)
case("Split", at((2, 6, 4)), axis=1, outputs=2, opsets=(11, 13, 17))
case("Split", at((2, 6, 4)), ints(2, 3, 1), axis=-2, outputs=3, opsets=NEW)
case("Split", at((2, 6, 4)), split=(2, 4), axis=1, outputs=2, opsets=(11, 12))
case("Slice", X, ints(1, 0), ints(3, 4))
case("Slice", X, ints(1, 4), ints(3, -10), ints(-2, -1), ints(1, -2))
case("Slice", X, np.array([1], np.int32), np.array([3], np.int32), np.array([2], np.int32))
case("Pad", X, ints(0, 0, 1, 2, 0, 0, 0, 1))
case("Pad", X, ints(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect")
case("Pad", X, ints(1, 2, 0, 1), np.float32(3), ints(-1, 1), opsets=range(18, 22))
case("Softmax", X, axis=1)
case("Softmax", X, axis=-1)
case("Softmax", X, axis=2)
case("Softmax", at((2, 3, 1, 1)), axis=1)
case("LogSoftmax", X)
case("Hardmax", X, axis=3)
case("TopK", X, ints(2), axis=1, outputs=2)
case("TopK", X, ints(2), outputs=2)
case("CumSum", X, ints(2))
case("CumSum", X, np.int64(-3), reverse=1)
case("LpNormalization", X, axis=1)
case("GatherElements", X, np.array(RNG.integers(0, 3, (2, 3, 4, 2))), axis=1)
case("ScatterElements", X, np.tile(ints(2, 0, 1).reshape(1, 3, 1, 1), (2, 1, 2, 3)), at((2, 3, 2, 3)), axis=1)
case("LayerNormalization", X, np.ones((4, 5), F), at((4, 5)), axis=2, opsets=range(17, 22))
case("LayerNormalization", X, RNG.standard_normal(5).astype(F), opsets=range(17, 22))
for kind in ("ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"):
    case(kind, X, axes=(2, 3), opsets=range(11, 18))
    case(kind, X, axes=(-1, 1), keepdims=0, opsets=range(11, 18))
    case(kind, X, ints(2, -1), opsets=range(18, 22))
    case(kind, X, ints(1), keepdims=0, opsets=range(18, 22))
    case(kind, X, keepdims=0)
case("ReduceSum", X, axes=(1,), keepdims=0, opsets=(11, 12))
case("ReduceSum", X, ints(-2), keepdims=0, opsets=NEW)
case("ReduceSum", X)
case("ArgMax", X, axis=1)
case("ArgMax", X, axis=-1, keepdims=0)
case("ArgMin", X, axis=2, keepdims=0, select_last_index=1, opsets=range(12, 22))
case("Gather", X, ints(2, 0, -1), axis=1)
case("Gather", X, np.int64(1), axis=2)
case("Gather", X, ints(2, 0, 1, 1).reshape(2, 2), axis=-1)
case("Gather", RNG.standard_normal((6, 4)).astype(F), at((2, 3), I64))
case("Conv", X, RNG.standard_normal((6, 3, 3, 2)).astype(F), pads=(1, 0, 2, 1), strides=(2, 1), dilations=(1, 2))
case("Conv", X, at((6, 3, 1, 1)), at((6,)))
case("Conv", at((2, 4, 5, 6)), RNG.standard_normal((4, 1, 3, 3)).astype(F), np.ones(4, F), group=4)
case("Conv", at((2, 4, 5, 6)), RNG.standard_normal((6, 2, 3, 3)).astype(F), group=2, auto_pad="SAME_UPPER")
case("Conv", at((2, 4, 5)), RNG.standard_normal((6, 4, 3)).astype(F), kernel_shape=(3,))
case("ConvTranspose", X, RNG.standard_normal((3, 6, 3, 2)).astype(F), pads=(1, 0, 0, 1), strides=(2, 1))
case("ConvTranspose", at((2, 4, 5, 6)), RNG.standard_normal((4, 1, 3, 2)).astype(F), np.ones(4, F), group=4)
case("MaxPool", X, kernel_shape=(2, 3), pads=(0, 1, 1, 0), strides=(2, 1))
case("AveragePool", X, kernel_shape=(2, 3), pads=(0, 1, 1, 0), count_include_pad=1)
case("GlobalAveragePool", X)
case("GlobalMaxPool", X)
case("LpPool", X, kernel_shape=(2, 3))
case("BatchNormalization", X, *(np.array(v, F) for v in ([1, 2, 3], [0, 1, 2], [1, 0, 1], [1, 2, 3])))
case("InstanceNormalization", X, np.array([1, 2, 3], F), np.array([3, 2, 1], F))
case("LRN", at((2, 8, 3, 4)), size=3)
case("GroupNormalization", at((2, 4, 3, 5)), np.ones(4, F), np.arange(4, dtype=F), num_groups=2, opsets=(21,))
case("Resize", X, np.array([], F), np.array([1, 1, 2, 3], F), mode="nearest")
case("Resize", X, np.array([], F), np.array([1, 1, 2, 2], F), mode="linear")
case("Resize", X, None, None, ints(2, 3, 6, 5), mode="nearest", opsets=NEW)
case("Resize", at((2, 4, 5, 3)), np.array([], F), np.array([1, 2, 2, 1], F), mode="linear")
case("Resize", X, np.array([], F), np.array([1, 1, 1.5, 2], F), mode="cubic")
case("MatMul", at((2, 3, 4, 5)), at((5, 6)))
case("MatMul", at((2, 3, 4, 5)), at((2, 3, 5, 6)))
case("MatMul", at((2, 3, 4, 5)), at((2, 1, 5, 6)))
case("MatMul", at((4, 5)), at((5, 6)))
case("MatMul", at((4, 5)), at((2, 3, 5, 6)))
case("MatMul", at((2, 3, 4, 5)), at((3, 5, 6)))
case("Gemm", at((4, 5)), at((5, 6)), at((6,)))
case("Gemm", at((5, 4)), at((6, 5)), at((4, 1)), transA=1, transB=1, alpha=0.5, beta=2.0)
case("Gemm", at((4, 5)), RNG.standard_normal((6, 5)).astype(F), transB=1)
case("Gemm", at((4, 5)), at((5, 6)), at((1, 6)))
case("Einsum", at((2, 3, 4)), at((2, 4, 5)), equation="bij, bjk -> bik", opsets=range(12, 22))
case("Einsum", at((2, 3, 4)), equation="abc->cab", opsets=range(12, 22))
case("QuantizeLinear", X, np.float32(0.1), np.uint8(128), opsets=(11, 13, 21))
case("QuantizeLinear", X, np.array([0.1, 0.2, 0.3], F), np.array([1, 2, 3], np.uint8), axis=1, opsets=NEW)
case("DequantizeLinear", at((2, 3, 4), U8), np.array([0.1, 0.2, 0.3], F), axis=-2, opsets=NEW)
case("DequantizeLinear", at((2, 3, 4), U8), np.float32(0.5), opsets=(11, 13, 21))
case("DynamicQuantizeLinear", at((3, 4, 5)), outputs=3)


def built(kind, inputs, opset, outputs, attributes, shapes=None):
    names, given, constants = [], [], []
    for place, held in enumerate(inputs):
        name = f"i{place}"
        names.append("" if held is None else name)
        if isinstance(held, tuple):
            shape, dtype = held
            elem = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            given.append(helper.make_tensor_value_info(name, elem, (shapes or {}).get(name, shape)))
        elif held is not None:
            constants.append(numpy_helper.from_array(np.asarray(held), name))
    results = [f"o{place}" for place in range(outputs)]
    returned = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node(kind, names, results, name="it", **attributes)], "g", given, returned, constants)
    held = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    made = onnx.shape_inference.infer_shapes(held)
    for value in made.graph.output:
        if not value.type.WhichOneof("value"):  # onnx knows no type for some that are functions of others
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return made


def drawn(shape, dtype):
    if dtype == F:
        return RNG.standard_normal(shape).astype(F)
    return RNG.integers(0, 2, shape).astype(dtype)


def layouts(shape, cuts):
    """Every order of axes, and with `cuts` some in which one axis is cut."""
    rank = len(shape)
    made = [Layout(order) for order in permutations(range(rank))]
    if cuts:
        for axis, length in enumerate(shape):
            if length in (4, 6, 12):
                parts = ((1, 2), (2, length // 2))
                made += [laid_out(order, {axis: parts}) for order in permutations(range(rank))]
    return made


def opened(model):
    scene = scene_of(model, "m")
    held = as_ir(model, Source("m"))
    is_open = any(not each.dim_value for value in model.graph.input for each in value.type.tensor_type.shape.dim)
    nodes = Nodes(held.graph, Sizes(scene.graph, scene.second, is_open=is_open), model.opset_import[0].version)
    return held, nodes


def forms(model, shapes):
    """Every form that has another layout than the file's, from every layout of every port."""
    _, nodes = opened(model)
    (it,) = nodes.graph
    behaviour = nodes.behaviour(it)
    assert behaviour is not None
    found = {}
    for port, shape in shapes.items():
        for layout in layouts(shape, cuts=True):
            found |= dict.fromkeys(each for each in behaviour.forms(port, layout) if not each.is_plain)
    for one, two in product(list(found)[:60], repeat=2):
        if one is not two and (both := behaviour.together(one, two)) is not None:
            found[both] = None
    return list(found)


def written(model, form):
    """The model with inputs and outputs stored as a form has them."""
    held, nodes = opened(model)
    (it,) = held.graph
    own = [
        {v: lay for v, lay in zip(values, side, strict=True) if v is not None and lay is not None and not lay.is_plain}
        for values, side in ((it.inputs, form.takes), (it.outputs, form.gives))
    ]
    given = {value: layout for value, layout in own[0].items() if value.is_graph_input()}
    write_forms(held, nodes, {it: form}, FreshNames(held), given, own[1])
    return as_proto(held, model)


def check(model, given, expected, form):
    """The node in this form gives, on what is stored so, what the file's node does."""
    made = written(model, form)
    refuse_unsound(made, model)
    names = list(model.graph.node[0].input)
    layouts_of = {name: layout for name, layout in zip(names, form.takes, strict=True) if layout is not None}
    stored = {name: layouts_of[name].stored(x) if name in layouts_of else x for name, x in given.items()}
    found = run(made, **stored)
    assert list(found) == list(expected)
    for layout, (name, value) in zip(form.gives, expected.items(), strict=True):
        wanted = value if layout is None else layout.stored(value)
        assert found[name].shape == wanted.shape and found[name].dtype == wanted.dtype, (name, form)
        if form.is_exact:
            assert found[name].tobytes() == np.ascontiguousarray(wanted).tobytes(), (name, form)
        else:
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=INEXACT * max(1, np.abs(wanted).max()))


def chosen_opsets(opsets):
    """The ends, and those between at which operators changed."""
    return sorted({min(opsets), max(opsets), *({12, 13, 18} & {*opsets})})


def tried(kind, inputs, opset, outputs, attributes, most):
    model = built(kind, inputs, opset, outputs, attributes)
    given = {f"i{k}": drawn(*held) for k, held in enumerate(inputs) if isinstance(held, tuple)}
    expected = run(model, **given)
    shapes = {k: held[0] for k, held in enumerate(inputs) if isinstance(held, tuple)}
    shapes |= {len(inputs) + k: value.shape for k, value in enumerate(expected.values())}
    found = forms(model, shapes)
    assert found, "no layout but the file's is taken"
    for k in np.random.default_rng(opset).permutation(len(found))[:most]:
        check(model, given, expected, found[k])


@pytest.mark.sample(25, slow=20)
@pytest.mark.parametrize(("kind", "inputs", "opsets", "outputs", "attributes"), CASES)
def test_what_a_rule_writes(kind, inputs, opsets, outputs, attributes):
    for opset in chosen_opsets(opsets):
        tried(kind, inputs, opset, outputs, attributes, 4)


@pytest.mark.sample(slow=14)
@pytest.mark.parametrize(("kind", "inputs", "opsets", "outputs", "attributes"), CASES)
def test_all_that_a_rule_writes(kind, inputs, opsets, outputs, attributes):
    for opset in opsets:
        tried(kind, inputs, opset, outputs, attributes, 60)
