"""Which ONNX there is: the installed packages, the operator sets, the types of elements."""

from __future__ import annotations

from layoutbridge.frameworks.base import installed_version

EXTRA = "onnx"
DEFAULT_OPSET = 17  # loaded by every onnxruntime from 1.12 on, and by what else reads ONNX today
LOWEST_OPSET = 11  # DepthToSpace has its CRD mode from here on
LOWEST_NETWORK_OPSET = 9  # Where, and BatchNormalization as it is
BFLOAT16_OPSET = 13
ELEM_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9,
    "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
}  # fmt: skip
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")


def installed() -> str | None:
    """The versions of onnx and of onnxruntime, or None where neither is there."""
    found = [f"{name} {held}" for name, held in (("onnx", onnx_version()), ("onnxruntime", runtime_version())) if held]
    return ", ".join(found) or None


def onnx_version() -> str | None:
    """The version of onnx, or None."""
    return installed_version("onnx")


def runtime_version() -> str | None:
    """The version of onnxruntime under any of the names that it is packaged as, or None."""
    return installed_version(*_RUNTIMES)
