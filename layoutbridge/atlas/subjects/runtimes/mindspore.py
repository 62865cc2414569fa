"""MindSpore, on the CPU, op by op."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://www.mindspore.cn/docs/en/master/api_python/{page}.html"
_FORWARD = """import mindspore
y = mindspore.{call}.asnumpy()"""
_GRADIENT = """import mindspore
weights = mindspore.Tensor(upstream)
gradient = mindspore.grad(lambda given: (mindspore.{call} * weights).sum())
y = gradient(mindspore.Tensor(x)).asnumpy()"""
_UNFOLDED = "ops.unfold({given}, s, stride=s).reshape((x.shape[0], -1, x.shape[2] // s, x.shape[3] // s))"


def _cell(op: str, call: str, shapes_of: str, documented: str = "") -> Cell:
    return Cell(
        op, _FORWARD.format(call=call.format(given="mindspore.Tensor(x)")), shapes_of=shapes_of, documented=documented,
        source=_DOCS.format(page=f"{op.partition('.')[0]}/mindspore.{op}"),
        gradient=_GRADIENT.format(call=call.format(given="given")), differentiable=("float32", "float16"),
    )  # fmt: skip


SUBJECT = Subject(
    "mindspore", "MindSpore", "runtime", "mindspore", distribution_version("mindspore"),
    (
        _cell("ops.SpaceToDepth", "ops.SpaceToDepth(s)({given})", "space_to_depth"),
        _cell("ops.DepthToSpace", "ops.DepthToSpace(s)({given})", "depth_to_space"),
        _cell("ops.pixel_shuffle", "ops.pixel_shuffle({given}, s)", "pixel_shuffle", "pixel_shuffle"),
        _cell("ops.pixel_unshuffle", "ops.pixel_unshuffle({given}, s)", "pixel_unshuffle", "pixel_unshuffle"),
        _cell("nn.ChannelShuffle", "nn.ChannelShuffle(s)({given})", "channel_shuffle", "channel_shuffle"),
        _cell("ops.unfold", _UNFOLDED, "pixel_unshuffle"),
        _cell("ops.space_to_batch_nd", "ops.space_to_batch_nd({given}, [s, s], [[0, 0], [0, 0]])", "space_to_batch"),
        _cell("ops.batch_to_space_nd", "ops.batch_to_space_nd({given}, [s, s], [[0, 0], [0, 0]])", "batch_to_space"),
    ),
)  # fmt: skip
