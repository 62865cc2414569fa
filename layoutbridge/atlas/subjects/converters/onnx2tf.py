"""onnx2tf: ONNX operators in LiteRT, whose pictures have their channels last, but not always behind a Reshape."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells
from layoutbridge.frameworks.base import DTYPE_NAMES

_READY = """import onnx2tf, onnx.reference, ai_edge_litert.interpreter
onnx2tf.convert(input_onnx_file_path=folder + '/a.onnx', output_folder_path=folder, non_verbose=True)
output = onnx.reference.ReferenceEvaluator(folder + '/a.onnx').run(None, {'x': x})[0]
interpreter = ai_edge_litert.interpreter.Interpreter(folder + '/a_float32.tflite')
interpreter.allocate_tensors()"""
_RUN = """interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x.transpose(0, 2, 3, 1))
interpreter.invoke()
y = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
y = y if y.shape == output.shape else y.transpose(0, 3, 1, 2)"""

_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # the interpreter takes no such arrays


def _cells() -> tuple[Cell, ...]:
    """One opset of each operator, and what spells one: a conversion takes seconds."""
    made = onnx_cells(_READY, _RUN, is_file=True, dtypes=_DTYPES, is_costly=True)
    return tuple(cell for cell in made if not cell.since or cell.since == "opset 13")


SUBJECT = Subject("onnx2tf", "onnx2tf", "converter", "onnx2tf", distribution_version("onnx2tf", "tensorflow"), _cells())
