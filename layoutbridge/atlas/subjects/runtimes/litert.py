"""LiteRT, which was TensorFlow Lite: its own operators, in flatbuffers that TensorFlow's converter makes."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://www.tensorflow.org/mlir/tfl_ops"
_SETUP = """import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
f = tf.function(lambda x: {call}, input_signature=[tf.TensorSpec(x.shape, x.dtype)])
content = tf.lite.TFLiteConverter.from_concrete_functions([f.get_concrete_function()]).convert()
interpreter = Interpreter(model_content=content{resolver})
interpreter.allocate_tensors()"""
_CODE = """interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
interpreter.invoke()
y = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])"""
_PLAIN = ", experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES"
_NO_MARGIN = "[[0, 0], [0, 0]]"
_OPERATORS = (  # each with the first runtime that has it, as the converter writes it into files
    ("SPACE_TO_DEPTH", "tf.nn.space_to_depth(x, s)", "space_to_depth", "1.5.0"),
    ("DEPTH_TO_SPACE", "tf.nn.depth_to_space(x, s)", "depth_to_space", "2.1.0"),
    ("SPACE_TO_BATCH_ND", f"tf.space_to_batch(x, [s, s], {_NO_MARGIN})", "space_to_batch", "1.6.0"),
    ("BATCH_TO_SPACE_ND", f"tf.batch_to_space(x, [s, s], {_NO_MARGIN})", "batch_to_space", "1.6.0"),
)


def _cell(op: str, call: str, shapes_of: str, since: str, mode: str, resolver: str) -> Cell:
    setup = _SETUP.format(call=call, resolver=resolver)
    return Cell(op, _CODE, mode, "NHWC", shapes_of, "", _DOCS, f"runtime {since}", setup)


SUBJECT = Subject(
    "litert", "LiteRT", "runtime", BESIDE, distribution_version("ai-edge-litert", "tensorflow"),
    (
        *(_cell(*operator, "", "") for operator in _OPERATORS),
        *(_cell(*operator, "without XNNPACK", _PLAIN) for operator in _OPERATORS),
    ),
)  # fmt: skip
