"""Paddle2ONNX: Paddle's layers as ONNX models, run by onnxruntime."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import DTYPE_NAMES, Layout

_DOCS = "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/{layer}_en.html"
_SETUP = """import onnxruntime, paddle
net = paddle.nn.{layer}(s, data_format='{layout}')
given = paddle.static.InputSpec(x.shape, x.dtype.name, 'x')
paddle.onnx.export(net, folder + '/a', [given], opset_version=13)
session = onnxruntime.InferenceSession(folder + '/a.onnx')"""

_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # ONNX Runtime takes no such arrays


def _cell(layer: str, entry: str, layout: Layout, shapes_of: str) -> Cell:
    return Cell(
        layer, "y = session.run(None, {'x': x})[0]", "opset 13", layout, shapes_of, entry, _DOCS.format(layer=layer),
        setup=_SETUP.format(layer=layer, layout=layout), dtypes=_DTYPES,
    )  # fmt: skip


SUBJECT = Subject(
    "paddle2onnx", "Paddle2ONNX", "converter", "paddle", distribution_version("paddle2onnx", "paddlepaddle"),
    (
        _cell("PixelShuffle", "pixel_shuffle", "NCHW", "pixel_shuffle"),
        # What takes H for the channels runs at these shapes, too: there the stride's square divides it.
        _cell("PixelShuffle", "pixel_shuffle", "NHWC", "darknet_reorg"),
        _cell("PixelUnshuffle", "pixel_unshuffle", "NCHW", "pixel_unshuffle"),
        _cell("ChannelShuffle", "channel_shuffle", "NCHW", "channel_shuffle"),
    ),
)  # fmt: skip
