"""onnx's own node tests as an oracle: what they expect of an operator, the catalogue's map gives."""

import functools
import importlib

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx.backend.test.case import node as node_tests

import layoutbridge as lb
from layoutbridge.frameworks.onnx.emission import emit
from layoutbridge.frameworks.onnx.sessions import run_in_onnxruntime

WANTED = ("test_spacetodepth", "test_depthtospace", "test_transpose")
ENTRIES = {
    ("SpaceToDepth", "DCR"): "space_to_depth",
    ("SpaceToDepth", "CRD"): "space_to_depth_crd",
    ("DepthToSpace", "DCR"): "depth_to_space",
    ("DepthToSpace", "CRD"): "depth_to_space_crd",
}


@functools.cache
def onnx_node_cases():
    """(name, model, inputs, outputs) of each case; the generators ship with the wheel."""
    state = np.random.get_state()  # noqa: NPY002  importing them seeds it
    try:
        for name in ("spacetodepth", "depthtospace", "transpose"):
            importlib.import_module(f"onnx.backend.test.case.node.{name}")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return [
        (case.name, case.model, inputs, outputs)
        for case in node_tests._NodeTestCases
        if case.name.startswith(WANTED)
        for inputs, outputs in case.data_sets
    ]


def operation_of(name, model):
    """The catalogue's operation for a case: from its one node, or for an expanded case from the node it expands."""
    nodes = {case: made.graph.node[0] for case, made, _, _ in onnx_node_cases()}
    node = nodes[name.removesuffix("_expanded")] if name.endswith("_expanded") else model.graph.node[0]
    held = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Transpose":
        x = model.graph.input[0].type.tensor_type.shape.dim
        perm = list(held["perm"].ints) if "perm" in held else list(range(len(x)))[::-1]
        names = [f"x{axis}" for axis in range(len(x))]
        return lb.Rearrangement(f"{' '.join(names)} -> {' '.join(names[axis] for axis in perm)}")
    mode = held["mode"].s.decode() if "mode" in held else "DCR"
    return lb.op(ENTRIES[node.op_type, mode], stride=held["blocksize"].i)


@pytest.mark.parametrize(
    ("name", "model", "inputs", "outputs"), onnx_node_cases(), ids=[case[0] for case in onnx_node_cases()]
)
def test_a_node_test_of_onnx_is_the_map_of_the_catalogue(name, model, inputs, outputs):
    op = operation_of(name, model)
    (x,), (expected,) = inputs, outputs
    assert np.array_equal(op(x), expected)
    assert np.array_equal(x.reshape(-1)[op.table(x.shape)].reshape(op.out_shape(x.shape)), expected)
    # a model has a batch axis in front, which an operation on all axes lacks
    batched = x if x.ndim == op.rank + 1 else x[None]
    result = run_in_onnxruntime(emit(op, dtype=x.dtype.name).SerializeToString())(batched)
    assert np.array_equal(result.reshape(expected.shape), expected)


def test_there_are_cases_of_every_operator():
    found = {case[0].split("_")[1] for case in onnx_node_cases()}
    assert found == {"spacetodepth", "depthtospace", "transpose"}
    assert len(onnx_node_cases()) >= 10
