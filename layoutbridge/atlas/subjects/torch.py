"""PyTorch in eager mode."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn"
_GRADIENT = """import torch
x = torch.from_numpy(x).requires_grad_()
torch.nn.functional.{call}.backward(torch.from_numpy(upstream))
y = x.grad.numpy()"""


def _cell(op: str, call: str, documented: str, page: str, shapes_of: str) -> Cell:
    code = f"import torch\ny = torch.nn.functional.{call}.numpy()"
    return Cell(
        op, code.replace("(x,", "(torch.from_numpy(x),"), shapes_of=shapes_of, documented=documented,
        source=f"{_DOCS}.{page}.html", gradient=_GRADIENT.format(call=call), differentiable=("float32", "float64"),
    )  # fmt: skip


SUBJECT = Subject(
    "torch", "PyTorch", "runtime", BESIDE, distribution_version("torch"),
    (
        _cell("pixel_shuffle", "pixel_shuffle(x, s)", "pixel_shuffle", "PixelShuffle", "pixel_shuffle"),
        _cell("pixel_unshuffle", "pixel_unshuffle(x, s)", "pixel_unshuffle", "PixelUnshuffle", "pixel_unshuffle"),
        _cell("channel_shuffle", "channel_shuffle(x, s)", "channel_shuffle", "ChannelShuffle", "channel_shuffle"),
    ),
)  # fmt: skip
