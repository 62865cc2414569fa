"""IREE's importer of ONNX, compiled for its own virtual machine."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells
from layoutbridge.frameworks.base import DTYPE_NAMES

_READY = """import iree.runtime, iree.compiler.tools
from iree.compiler.tools.import_onnx.__main__ import main, parse_arguments
main(parse_arguments([folder + '/a.onnx', '-o', folder + '/a.mlir']))
code = iree.compiler.tools.compile_file(folder + '/a.mlir', target_backends=['vmvx'], input_type='onnx')
net = iree.runtime.load_vm_flatbuffer(code, driver='local-sync')"""
_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # the runtime takes no such arrays

ONNX = Subject(
    "iree_onnx", "IREE's ONNX importer", "importer", "iree", distribution_version("iree-base-compiler"),
    onnx_cells(_READY, "y = net['g'](x).to_host()", is_file=True, dtypes=_DTYPES),
)  # fmt: skip
