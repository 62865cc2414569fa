"""tf2onnx: TensorFlow's ops in ONNX Runtime."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import DTYPE_NAMES, Layout

_DOCS = "https://github.com/onnx/tensorflow-onnx/blob/main/support_status.md"
_SETUP = """import onnxruntime, tensorflow as tf, tf2onnx
f = tf.function(lambda x: {call}, input_signature=[tf.TensorSpec(x.shape, x.dtype, 'x')])
model, _ = tf2onnx.convert.from_function(f, input_signature=f.input_signature, opset={opset})
session = onnxruntime.InferenceSession(model.SerializeToString())"""
_CODE = "y = session.run(None, {'x': x})[0]"
_NO_MARGIN = "[[0, 0], [0, 0]]"
_BY_BLOCKS: tuple[tuple[str, str, str, Layout], ...] = (
    ("nn.space_to_depth", "s, 'NHWC'", "space_to_depth", "NHWC"),
    ("nn.space_to_depth", "s, 'NCHW'", "space_to_depth", "NCHW"),
    ("nn.depth_to_space", "s, 'NHWC'", "depth_to_space", "NHWC"),
    ("nn.depth_to_space", "s, 'NCHW'", "depth_to_space", "NCHW"),
)
_OTHERS: tuple[tuple[str, str, str, Layout], ...] = (
    ("space_to_batch", f"[s, s], {_NO_MARGIN}", "space_to_batch", "NHWC"),
    ("batch_to_space", f"[s, s], {_NO_MARGIN}", "batch_to_space", "NHWC"),
    ("image.extract_patches", "[1, s, s, 1], [1, s, s, 1], [1, 1, 1, 1], 'VALID'", "space_to_depth", "NHWC"),
)
_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # ONNX Runtime takes no such arrays


def _cell(op: str, arguments: str, entry: str, layout: Layout, opset: int) -> Cell:
    setup = _SETUP.format(call=f"tf.{op}(x, {arguments})", opset=opset)
    return Cell(
        f"tf.{op}", _CODE, f"opset {opset}", layout, entry, entry, _DOCS, "", setup, dtypes=_DTYPES, is_costly=True
    )


SUBJECT = Subject(
    "tf2onnx", "tf2onnx", "converter", "tf2onnx", distribution_version("tf2onnx", "tensorflow", "onnxruntime"),
    (
        *(_cell(*told, opset) for told in _BY_BLOCKS for opset in (11, 13, 18)),
        *(_cell(*told, 18) for told in _OTHERS),
    ),
)  # fmt: skip
