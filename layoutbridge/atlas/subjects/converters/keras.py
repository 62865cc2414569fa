"""Keras' own exports: its ops in ONNX Runtime and in LiteRT, from the backends that have the export."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import DTYPE_NAMES, Layout

_DOCS = "https://keras.io/api/models/model_saving_apis/export/"
_MODEL = """import os
os.environ['KERAS_BACKEND'] = '{backend}'
import keras
given = keras.Input(batch_shape=x.shape, dtype=x.dtype.name)
model = keras.Model(given, keras.ops.{op}(given, s, '{layout}'))
model(x)
"""
_TO_ONNX = """model.export(folder + '/a.onnx', format='onnx', verbose=False)
import onnxruntime
session = onnxruntime.InferenceSession(folder + '/a.onnx')"""
_RUN_ONNX = "y = session.run(None, {session.get_inputs()[0].name: x})[0]"
_TO_LITERT = """model.export(folder + '/a.tflite', format='litert', verbose=False)
from ai_edge_litert.interpreter import Interpreter
runner = Interpreter(folder + '/a.tflite').get_signature_runner()"""
_RUN_LITERT = "y = list(runner(**{name: x for name in runner.get_input_details()}).values())[0]"
_LAYOUTS: dict[Layout, str] = {"NHWC": "channels_last", "NCHW": "channels_first"}

_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # ONNX Runtime takes no such arrays


def _cell(backend: str, op: str, layout: Layout, export: str, run: str) -> Cell:
    setup = _MODEL.format(backend=backend, op=op, layout=_LAYOUTS[layout]) + export
    return Cell(f"ops.{op}", run, "", layout, op, "", _DOCS, setup=setup, dtypes=_DTYPES, is_costly=True)


def _cells(backend: str, export: str, run: str) -> tuple[Cell, ...]:
    ops = ("space_to_depth", "depth_to_space")
    return tuple(_cell(backend, op, layout, export, run) for op in ops for layout in _LAYOUTS)


TENSORFLOW_ONNX = Subject(
    "keras_tensorflow_to_onnx", "Keras on TensorFlow, exported to ONNX", "converter", "tf2onnx",
    distribution_version("keras", "tensorflow", "tf2onnx"), _cells("tensorflow", _TO_ONNX, _RUN_ONNX),
)  # fmt: skip
TORCH_ONNX = Subject(
    "keras_torch_to_onnx", "Keras on PyTorch, exported to ONNX", "converter", BESIDE,
    distribution_version("keras", "torch", "onnxscript"), _cells("torch", _TO_ONNX, _RUN_ONNX),
)  # fmt: skip
TENSORFLOW_LITERT = Subject(
    "keras_tensorflow_to_litert", "Keras on TensorFlow, exported to LiteRT", "converter", BESIDE,
    distribution_version("keras", "tensorflow", "ai-edge-litert"), _cells("tensorflow", _TO_LITERT, _RUN_LITERT),
)  # fmt: skip
