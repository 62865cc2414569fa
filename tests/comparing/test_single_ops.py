"""Models of few ops: what moves elements is no end that a candidate may leave out, and the input is no answer."""

import numpy as np
import pytest

import layoutbridge as lb

SHAPES = {"SpaceToDepth": [1, 16, 2, 2]}


def model(folder, *operators):
    """An ONNX model of these ops in a row; Conv has weights of its own, always the same."""
    onnx = pytest.importorskip("onnx", reason="models are made of it")
    pytest.importorskip("onnxruntime", reason="both models are run")
    helper, path = onnx.helper, folder / f"{'-'.join(operators)}.onnx"
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype("f"), "w")
    names = ["x", *(f"t{number}" for number in range(len(operators) - 1)), "y"]
    nodes = [
        helper.make_node(
            operator, [names[number], *(["w"] if operator == "Conv" else [])], [names[number + 1]],
            **({"blocksize": 2} if operator == "SpaceToDepth" else {}),
        )
        for number, operator in enumerate(operators)
    ]  # fmt: skip
    given, made = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("x", [1, 4, 4, 4]), ("y", SHAPES.get(operators[-1], [1, 4, 4, 4])))
    )
    graph = helper.make_graph(nodes, "g", given, made, [weights] if "Conv" in operators else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_an_op_that_moves_elements_is_not_equal_to_none(tmp_path):
    moving, bending = model(tmp_path, "SpaceToDepth"), model(tmp_path, "Softplus")
    relu, nothing = model(tmp_path, "Relu"), model(tmp_path, "Identity")
    for candidate in (relu, nothing):
        assert not lb.compare(moving, candidate).equal
        assert not lb.compare(bending, candidate).equal
    assert lb.compare(moving, relu).causes[0].cause == "rearrangement"
    assert lb.compare(moving, moving).equal
    assert lb.compare(nothing, relu).equal  # of numbers from 0 to 1


def test_what_moves_elements_at_the_end_may_not_be_left_out(tmp_path):
    whole, cut = model(tmp_path, "Conv", "SpaceToDepth"), model(tmp_path, "Conv")
    found = lb.compare(whole, cut)
    assert not found.equal and found.first.reference == "y"
    assert lb.compare(model(tmp_path, "Conv", "Softplus"), cut).equal  # a head may be


def test_a_reorg_at_the_end_of_a_network_may_not_be_left_out(tmp_path):
    layers = "[net]\nwidth=8\nheight=8\nchannels=4\n\n[convolutional]\nfilters=4\nsize=1\nactivation=leaky\n"
    weights = np.array([0, 2, 5, 0, 0], "i4").tobytes() + np.random.default_rng(0).normal(size=20).astype("f").tobytes()
    nets = []
    for name, behind in (("whole", "\n[reorg]\nstride=2\n"), ("cut", "")):
        (tmp_path / f"{name}.cfg").write_text(layers + behind)
        (tmp_path / f"{name}.weights").write_bytes(weights)
        nets.append(lb.darknet.load(tmp_path / f"{name}.cfg", tmp_path / f"{name}.weights"))
    found = lb.compare(*nets)
    assert not found.equal and found.causes[0].cause == "rearrangement"
    assert found.causes[0].expected == "darknet_reorg"
