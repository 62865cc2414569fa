"""pnnx: PyTorch's ops, and ONNX operators, in ncnn."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_DOCS = "https://github.com/Tencent/ncnn/tree/master/tools/pnnx"
_OF_TORCH = """import ncnn, pnnx, torch
pnnx.export(torch.nn.{module}(s), folder + '/a.pt', (torch.from_numpy(x),))
"""
_OF_ONNX = """import ncnn, pnnx, subprocess
subprocess.run([pnnx.EXEC_PATH, folder + '/a.onnx', f'inputshape=[{n},{c},{h},{w}]f32'], check=True)
"""
_LOADED = """net = ncnn.Net()
assert not net.load_param(folder + '/a.ncnn.param'), open(folder + '/a.ncnn.param').read()"""
_RUN = """extractor = net.create_extractor()
extractor.input('in0', ncnn.Mat(x[0]).clone())
y = np.array(extractor.extract('out0')[1])[None]"""
_MODULES = {
    "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle", "ChannelShuffle": "channel_shuffle",
}  # fmt: skip


def _cell(module: str) -> Cell:
    entry, setup = _MODULES[module], _OF_TORCH.format(module=module) + _LOADED
    return Cell(
        f"nn.{module}", _RUN, shapes_of=entry, documented=entry, source=_DOCS, setup=setup,
        dtypes=("float32",), takes_batches=False, is_costly=True,
    )  # fmt: skip


_VERSION = distribution_version("pnnx", "ncnn")
TORCH = Subject(
    "pnnx", "pnnx, from PyTorch to ncnn", "converter", "pnnx", distribution_version("pnnx", "torch", "ncnn"),
    tuple(map(_cell, _MODULES)),
)  # fmt: skip
ONNX = Subject(
    "pnnx_onnx", "pnnx, from ONNX to ncnn", "converter", "pnnx", _VERSION,
    onnx_cells(_OF_ONNX + _LOADED, _RUN, dtypes=("float32",), is_file=True, takes_batches=False, is_costly=True),
)  # fmt: skip
