"""tract's importer of ONNX."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_READY = """import tract
net = tract.onnx().load(folder + '/a.onnx').into_model().into_runnable()"""

ONNX = Subject(
    "tract_onnx", "tract's ONNX importer", "importer", "tract", distribution_version("tract"),
    onnx_cells(_READY, "y = net.run([x])[0].to_numpy()", is_file=True),
)  # fmt: skip
