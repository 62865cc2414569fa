"""torch.onnx, both of its exporters: PyTorch's ops in ONNX Runtime."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import DTYPE_NAMES

_DOCS = "https://docs.pytorch.org/docs/stable/onnx.html"
_SETUP = """import onnxruntime, torch
example = torch.tensor(x.tolist(), dtype=getattr(torch, x.dtype.name))
path = folder + '/model.onnx'
torch.onnx.export(torch.nn.{module}(s), (example,), path, {options}, input_names=['x'])
session = onnxruntime.InferenceSession(path)"""
_CODE = "y = session.run(None, {'x': x})[0]"
_MODULES = {
    "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle", "ChannelShuffle": "channel_shuffle",
}  # fmt: skip
_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # ONNX Runtime takes no such arrays


def _cell(module: str, is_new: bool, opset: int) -> Cell:
    entry = _MODULES[module]
    setup = _SETUP.format(module=module, options=f"dynamo={is_new}, opset_version={opset}")
    return Cell(
        f"nn.{module}", _CODE, f"opset {opset}", shapes_of=entry, documented=entry, source=_DOCS, setup=setup,
        dtypes=_DTYPES, is_costly=is_new,
    )  # fmt: skip


_VERSION = distribution_version("torch", "onnxruntime")
DYNAMO = Subject(
    "torch_onnx", "torch.onnx", "converter", BESIDE, distribution_version("torch", "onnxscript", "onnxruntime"),
    (*(_cell(module, True, 18) for module in _MODULES), _cell("PixelShuffle", True, 23)),
)  # fmt: skip
TORCHSCRIPT = Subject(
    "torch_onnx_torchscript", "torch.onnx, dynamo=False", "converter", BESIDE, _VERSION,
    tuple(_cell(module, False, opset) for module in _MODULES for opset in (9, 11, 20)),
    "the exporter through TorchScript, which PyTorch has deprecated",
)  # fmt: skip
