"""ONNX models made by hand: small ones, and Darknet's networks with another op as their reorg. Not a test itself."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import layoutbridge as lb

NETS = Path(__file__).resolve().parent.parent / "fixtures" / "nets"


def node(kind, inputs, outputs, name="", **attributes):
    return helper.make_node(kind, inputs, outputs, name=name or outputs[0], **attributes)


def model(nodes, shape, constants=(), out_rank=4, opset=17, outputs=("y",), ir_version=8, dtype=TensorProto.FLOAT):
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    given = [helper.make_tensor_value_info("x", dtype, shape)]
    returned = [helper.make_tensor_value_info(name, dtype, [None] * out_rank) for name in outputs]
    graph = helper.make_graph(nodes, "g", given, returned, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def run(held, **given):
    """All outputs by name in onnxruntime, nothing of the graph rewritten."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = held if isinstance(held, str) else held.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def same(one, two):
    return one.keys() == two.keys() and all(one[key].tobytes() == two[key].tobytes() for key in one)


def turned(source, output, view, order, result, scope="port"):
    """Reshape, Transpose, Reshape with the batch left open, and the constants."""
    names = f"{scope}.view", f"{scope}.result"
    nodes = [
        node("Reshape", [source, names[0]], [f"{scope}.wide"]),
        node("Transpose", [f"{scope}.wide"], [f"{scope}.turned"], perm=order),
        node("Reshape", [f"{scope}.turned", names[1]], [output], name=f"{scope}.last"),
    ]
    return nodes, {names[0]: np.array([-1, *view]), names[1]: np.array([-1, *result])}


# How a reorg of an item [c, h, w] at a stride is written by those who got it wrong.
def space_to_depth(source, output, c, h, w, s):
    return [node("SpaceToDepth", [source], [output], name="port.last", blocksize=s)], {}


def space_to_depth_by_hand(source, output, c, h, w, s):
    return turned(source, output, (c, h // s, s, w // s, s), (0, 3, 5, 1, 2, 4), (c * s * s, h // s, w // s))


def pixel_unshuffle(source, output, c, h, w, s):
    return turned(source, output, (c, h // s, s, w // s, s), (0, 1, 3, 5, 2, 4), (c * s * s, h // s, w // s))


def marvis(source, output, c, h, w, s):
    """As a well-known PyTorch port of YOLOv2 has it, in three views and transposes."""
    t = s * s
    nodes = [
        node("Reshape", [source, "m1"], ["p1"]),
        node("Transpose", ["p1"], ["p2"], perm=(0, 1, 2, 4, 3, 5)),
        node("Reshape", ["p2", "m2"], ["p3"]),
        node("Transpose", ["p3"], ["p4"], perm=(0, 1, 3, 2)),
        node("Reshape", ["p4", "m3"], ["p5"]),
        node("Transpose", ["p5"], ["p6"], perm=(0, 2, 1, 3, 4)),
        node("Reshape", ["p6", "m4"], [output], name="port.last"),
    ]
    return nodes, {
        "m1": np.array([-1, c, h // s, s, w // s, s]),
        "m2": np.array([-1, c, h // s * (w // s), t]),
        "m3": np.array([-1, c, t, h // s, w // s]),
        "m4": np.array([-1, c * t, h // s, w // s]),
    }


def focus(source, output, c, h, w, s):
    constants = {"axes": np.array([2, 3]), "ends": np.array([2**62] * 2), "steps": np.array([s, s])}
    nodes = []
    for k, (column, row) in enumerate(np.ndindex(s, s)):
        constants[f"start{k}"] = np.array([row, column])
        nodes.append(node("Slice", [source, f"start{k}", "ends", "axes", "steps"], [f"part{k}"]))
    return [*nodes, node("Concat", [f"part{k}" for k in range(s * s)], [output], name="port.last", axis=1)], constants


def a_view(source, output, c, h, w, s):
    return [node("Reshape", [source, "to"], [output], name="port.last")], {
        "to": np.array([-1, c * s * s, h // s, w // s])
    }


def by_table(source, output, c, h, w, s):
    table = lb.op("space_to_depth_crd", stride=s).table((c, h, w))
    nodes = [
        node("Reshape", [source, "flat"], ["row"]),
        node("Gather", ["row", "table"], ["moved"], axis=1),
        node("Reshape", ["moved", "to"], [output], name="port.last"),
    ]
    flat = np.array([-1, prod((c, h, w))])
    return nodes, {"flat": flat, "table": table, "to": np.array([-1, c * s * s, h // s, w // s])}


def port_of(folder, tmp_path, written, flavor="alexey", **options):
    """Darknet's network as ONNX, its reorg written by `written`; the right one; its input and Darknet's last output."""
    net = lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=flavor)
    net.to_onnx(tmp_path / "right.onnx", head="darknet", **options)
    right, port = onnx.load(tmp_path / "right.onnx"), onnx.load(tmp_path / "right.onnx")
    (layer,) = [each for each in net.network.layers if each.kind.startswith("reorg")]
    number = layer.index
    nodes = list(port.graph.node)
    own = [k for k, each in enumerate(nodes) if each.name.startswith(f"{number}_reorg")]
    source, output = nodes[own[0]].input[0], nodes[own[-1]].output[0]
    (c, h, w), s = layer.in_shape, layer.settings.stride
    made, constants = written(source, output, c, h, w, s)
    del port.graph.node[:]
    port.graph.node.extend([*nodes[: own[0]], *made, *nodes[own[-1] + 1 :]])
    port.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    outputs = np.load(folder / "outputs.npz")
    last = max(name for name in outputs.files if name.startswith("layer"))
    return port, right, outputs["input"][None], outputs[last]
