"""Models for audits: small ONNX files, and one that takes long. Not a test itself."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import layoutbridge as lb


def wrapped(path, op, shape=(1, 4, 6, 8), seed=0):
    """An op between two ReLUs of a model that no other seed gives."""
    inner = lb.emit(op, "onnx", shape=shape, native=False).graph
    first, last = inner.input[0].name, inner.output[0].name
    nodes = [helper.make_node("Relu", ["x"], [first], name="before"), *inner.node]
    nodes.append(helper.make_node("Mul", [last, "scale"], ["y"], name="behind"))
    scale = numpy_helper.from_array(np.float32(seed + 2), "scale")
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [*inner.initializer, scale],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def long_one(path, nodes=95_000):
    """A model whose scan takes seconds, and more bytes than are handed over with others."""
    made = [helper.make_node("Relu", [f"t{k}"], [f"t{k + 1}"]) for k in range(nodes)]
    graph = helper.make_graph(
        made, "long",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1, 4, 4, 4])],
        [helper.make_tensor_value_info(f"t{nodes}", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(1 << 19, np.float32), "unused")],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
