"""What an ONNX model is made of, told by onnx and onnxruntime alone. Not a test itself."""

import onnx
import onnxruntime as ort
from onnx.shape_inference import infer_shapes

QUIET = ort.SessionOptions()
QUIET.log_severity_level = 4
QUIET.intra_op_num_threads = 1


def operators(model):
    """The operators of all nodes, of graphs within nodes, too."""

    def within(nodes):
        for node in nodes:
            yield node.op_type
            for attribute in node.attribute:
                yield from within(attribute.g.node)

    return set(within(model.graph.node))


def most_axes(model):
    """The most axes that any tensor of the main graph has, as onnx infers them; constants among them."""
    graph = infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    known = {value.name for value in values}
    assert all(name in known for node in graph.node for name in node.output if name)
    ranks = [len(value.type.tensor_type.shape.dim) for value in values]
    return max([*ranks, *(len(tensor.dims) for tensor in graph.initializer)])


def run(model, x):
    """The first output in onnxruntime."""
    return ort.InferenceSession(model.SerializeToString(), QUIET).run(None, {"input": x})[0]


def moved_bytes(model, x):
    """The bytes that all nodes but Reshapes write for x, lengths that they compute among them."""
    every = onnx.ModelProto()
    every.CopyFrom(model)
    made = [(node.op_type, name) for node in model.graph.node for name in node.output]
    del every.graph.output[:]
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for _, name in made)
    results = ort.InferenceSession(every.SerializeToString(), QUIET).run(None, {"input": x})
    return sum(result.nbytes for (kind, _), result in zip(made, results, strict=True) if kind != "Reshape")
