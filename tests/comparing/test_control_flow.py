"""ONNX models whose graphs within nodes read tensors around them: what such a node gives depends on these."""

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from layoutbridge.scanning.readers.onnx import read_proto  # noqa: E402

SHAPE = [1, 3, 4, 5]


def value(name, shape=SHAPE, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, held):
    return numpy_helper.from_array(np.asarray(held), name)


def branch(name, factor, source="a"):
    nodes = [helper.make_node("Mul", [source, f"{name}_factor"], [f"{name}_result"])]
    return helper.make_graph(
        nodes, name, [], [value(f"{name}_result")], [constant(f"{name}_factor", np.float32(factor))]
    )


def conditional(name, output, factor, source="a"):
    branches = {"then_branch": branch(f"{name}_then", factor, source), "else_branch": branch(f"{name}_else", 3, source)}
    return helper.make_node("If", ["is_on"], [output], name=name, **branches)


def nested(name, output, factor):
    """An If within an If: the tensor is read two graphs further in."""
    within = helper.make_graph([conditional(f"{name}_in", f"{name}_y", factor)], "in", [], [value(f"{name}_y")])
    return helper.make_node("If", ["is_on"], [output], name=name, then_branch=within, else_branch=branch("other", 5))


def loop(name, output, factor):
    flag = value("going", [], TensorProto.BOOL)
    nodes = [
        helper.make_node("Identity", ["going"], ["goes_on"]),
        helper.make_node("Mul", ["a", "loop_factor"], ["part"]),
        helper.make_node("Add", ["sum", "part"], ["new_sum"]),
    ]
    body = helper.make_graph(
        nodes, "body", [value("count", [], TensorProto.INT64), flag, value("sum")],
        [value("goes_on", [], TensorProto.BOOL), value("new_sum")], [constant("loop_factor", np.float32(factor))],
    )  # fmt: skip
    return helper.make_node("Loop", ["times", "is_on", "zeros"], [output], name=name, body=body)


def scan(name, output, factor):
    nodes = [
        helper.make_node("Mul", ["a", "scan_factor"], ["part"]),
        helper.make_node("Add", ["sum", "part"], ["half"]),
        helper.make_node("Add", ["half", "row"], ["new_sum"]),
    ]
    body = helper.make_graph(
        nodes, "body", [value("sum"), value("row", [])], [value("new_sum")],
        [constant("scan_factor", np.float32(factor))],
    )  # fmt: skip
    return helper.make_node("Scan", ["zeros", "rows"], [output], name=name, body=body, num_scan_inputs=1)


KINDS = {"if": conditional, "nested": nested, "loop": loop, "scan": scan}


def model(kind, factor=2, condition_is_given=False):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), KINDS[kind]("control", "y", factor)]
    constants = [
        constant("times", np.int64(2)),
        constant("zeros", np.zeros(SHAPE, np.float32)),
        constant("rows", np.ones(2, np.float32)),
    ]
    flag = [value("is_on", [], TensorProto.BOOL)] if condition_is_given else []
    constants += [] if condition_is_given else [constant("is_on", np.bool_(True))]
    graph = helper.make_graph(nodes, "g", [value("x"), *flag], [value("y")], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_reads_what_graphs_within_it_read(kind):
    graph = read_proto(model(kind), "m.onnx")
    (control,) = (node for node in graph.nodes if node.output == "y")
    assert "a" in control.inputs
    inner = {name for name in control.inputs if name not in graph.tensors}
    assert not inner  # tensors of its own are none of those around it
    assert not graph.tensors["y"].is_constant


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_compared(tmp_path, kind):
    paths = tmp_path / "two.onnx", tmp_path / "four.onnx"
    for path, factor in zip(paths, (2, 4), strict=True):
        onnx.save(model(kind, factor), path)
    assert lb.compare(paths[0], paths[0]).equal
    apart = lb.compare(*paths)
    assert not apart.equal
    assert apart.first.reference == "y"


def test_a_condition_that_is_given_is_a_tensor_of_no_axes(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model("if", condition_is_given=True), path)
    assert lb.compare(path, path).equal


def test_a_branch_by_a_shape_depends_on_what_it_reads(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ReduceMax", ["shape"], ["longest"], keepdims=0),
        helper.make_node("Equal", ["longest", "five"], ["is_on"]),
        conditional("control", "y", 2),
    ]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], [constant("five", np.int64(5))])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert [node.output for node in read_proto(made, "m.onnx").nodes][-1] == "y"
    onnx.save(made, tmp_path / "m.onnx")
    assert lb.compare(tmp_path / "m.onnx", tmp_path / "m.onnx").equal
