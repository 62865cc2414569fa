"""tinygrad's importer of ONNX; run by its emulator, which needs no compiler."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_READY = """import os
os.environ['DEV'] = 'PYTHON'
from tinygrad.nn.onnx import OnnxRunner
net = OnnxRunner(folder + '/a.onnx')"""

ONNX = Subject(
    "tinygrad_onnx", "tinygrad's ONNX importer", "importer", "tinygrad", distribution_version("tinygrad"),
    onnx_cells(_READY, "y = net({'x': x})['y'].numpy()", is_file=True,
               dtypes=("float32", "float16", "uint8", "int8", "int32", "int64", "bool")),
)  # fmt: skip
