"""Paddle, in eager mode."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/{page}_en.html"
_FORWARD = """import paddle
y = paddle.nn.functional.{op}(paddle.to_tensor(x), s, data_format='{layout}').numpy()"""
_GRADIENT = """import paddle
given = paddle.to_tensor(x, stop_gradient=False)
paddle.nn.functional.{op}(given, s, data_format='{layout}').backward(paddle.to_tensor(upstream))
y = given.grad.numpy()"""
_UNFOLD = """import paddle
n, c, h, w = x.shape
y = paddle.nn.functional.unfold(paddle.to_tensor(x), s, s).reshape([n, c * s * s, h // s, w // s]).numpy()"""
_UNFOLD_GRADIENT = """import paddle
n, c, h, w = x.shape
given = paddle.to_tensor(x, stop_gradient=False)
result = paddle.nn.functional.unfold(given, s, s).reshape([n, c * s * s, h // s, w // s])
result.backward(paddle.to_tensor(upstream))
y = given.grad.numpy()"""
_DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")  # NumPy's, of which bfloat16 is none


def _cells(op: str, page: str) -> tuple[Cell, ...]:
    layouts: tuple[Layout, ...] = ("NCHW", "NHWC")
    return tuple(
        Cell(
            op, _FORWARD.format(op=op, layout=layout), "", layout, op, op, _DOCS.format(page=page),
            gradient=_GRADIENT.format(op=op, layout=layout), differentiable=("float32",), dtypes=_DTYPES,
        )
        for layout in layouts
    )  # fmt: skip


SUBJECT = Subject(
    "paddle", "Paddle", "runtime", "paddle", distribution_version("paddlepaddle"),
    (
        *_cells("pixel_shuffle", "PixelShuffle"),
        *_cells("pixel_unshuffle", "PixelUnshuffle"),
        *_cells("channel_shuffle", "ChannelShuffle"),
        Cell("unfold", _UNFOLD, shapes_of="pixel_unshuffle", gradient=_UNFOLD_GRADIENT, differentiable=("float32",),
             dtypes=_DTYPES),
    ),
)  # fmt: skip
