"""TVM's importer of ONNX, into Relax."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_READY = """import tvm
from tvm.relax import VirtualMachine
from tvm.relax.frontend.onnx import from_onnx
net = VirtualMachine(tvm.compile(from_onnx(model), target='llvm'), tvm.cpu())"""

ONNX = Subject(
    "tvm_onnx", "TVM's ONNX importer", "importer", "tvm", distribution_version("apache-tvm"),
    onnx_cells(_READY, "y = net['main'](tvm.runtime.tensor(x)).numpy()"),
)  # fmt: skip
