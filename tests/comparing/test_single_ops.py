"""Models of a single op: a candidate that gives the input back has left out all there is, not an end."""

import pytest

import layoutbridge as lb


def model(folder, operator, shape, **attributes):
    onnx = pytest.importorskip("onnx", reason="models are made of it")
    pytest.importorskip("onnxruntime", reason="both models are run")
    helper, path = onnx.helper, folder / f"{operator}.onnx"
    given, made = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, own)]
        for name, own in (("x", [1, 4, 4, 4]), ("y", shape))
    )
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "g", given, made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_an_op_that_moves_elements_is_not_equal_to_none(tmp_path):
    moving = model(tmp_path, "SpaceToDepth", [1, 16, 2, 2], blocksize=2)
    bending = model(tmp_path, "Softplus", [1, 4, 4, 4])
    for candidate in (model(tmp_path, "Relu", [1, 4, 4, 4]), model(tmp_path, "Identity", [1, 4, 4, 4])):
        assert not lb.compare(moving, candidate).equal
        assert not lb.compare(bending, candidate).equal
    assert lb.compare(moving, model(tmp_path, "Relu", [1, 4, 4, 4])).causes[0].cause == "rearrangement"
    assert lb.compare(moving, moving).equal
    assert lb.compare(model(tmp_path, "Identity", [1, 4, 4, 4]), model(tmp_path, "Relu", [1, 4, 4, 4])).equal
