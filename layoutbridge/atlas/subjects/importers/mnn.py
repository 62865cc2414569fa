"""MNN's converter, from ONNX to its own files."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

# What mnnconvert calls: its own module installs a package for logs when it is imported.
_READY = """import _tools, MNN.nn, MNN.expr as F
_tools.mnnconvert(['', '-f', 'ONNX', '--modelFile', folder + '/a.onnx', '--MNNModel', folder + '/a.mnn'])
net = MNN.nn.load_module_from_file(folder + '/a.mnn', ['x'], ['y'])"""
_RUN = """dtype = {'float32': F.float, 'uint8': F.uint8, 'int32': F.int}[x.dtype.name]
result = net.forward(F.const(x, x.shape, F.NCHW, dtype))
y = np.array(result.read())"""

ONNX = Subject(
    "mnn_onnx", "MNN's ONNX importer", "importer", "mnn", distribution_version("MNN"),
    onnx_cells(_READY, _RUN, is_file=True, dtypes=("float32", "uint8", "int32")),
)  # fmt: skip
