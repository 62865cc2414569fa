"""onnx2tf: ONNX operators in LiteRT, whose pictures have their channels last."""

from __future__ import annotations

from dataclasses import replace

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_READY = """import onnx2tf
from ai_edge_litert.interpreter import Interpreter
onnx.save(model, folder + '/a.onnx')
onnx2tf.convert(input_onnx_file_path=folder + '/a.onnx', output_folder_path=folder, non_verbose=True)
interpreter = Interpreter(folder + '/a_float32.tflite')
interpreter.allocate_tensors()"""
_RUN = """interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x.transpose(0, 2, 3, 1))
interpreter.invoke()
y = interpreter.get_tensor(interpreter.get_output_details()[0]['index']).transpose(0, 3, 1, 2)"""


def _cells() -> tuple[Cell, ...]:
    """One opset of each operator, and what spells one: a conversion takes seconds."""
    made = onnx_cells(_READY, _RUN, dtypes=("float32",))
    return tuple(replace(cell, is_costly=True) for cell in made if not cell.since or cell.since == "opset 13")


SUBJECT = Subject("onnx2tf", "onnx2tf", "converter", "onnx2tf", distribution_version("onnx2tf", "tensorflow"), _cells())
