"""ONNX's record."""

from layoutbridge.frameworks.framework import Framework
from layoutbridge.frameworks.onnx.code import write_code
from layoutbridge.frameworks.onnx.emission import emit, runnables, save
from layoutbridge.frameworks.onnx.reading import load_callable
from layoutbridge.frameworks.onnx.versions import EXTRA, installed

RECORD = Framework(
    name="onnx",
    extra=EXTRA,
    installed=installed,
    emit=emit,
    save=save,
    writes=(".onnx",),
    runnables=runnables,
    code=write_code,
    reads={".onnx": load_callable},
)
