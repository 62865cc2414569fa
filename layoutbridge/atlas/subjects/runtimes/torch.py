"""PyTorch, in eager mode and compiled."""

from __future__ import annotations

from dataclasses import replace

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{page}.html"
_TENSOR = "import torch\nx = torch.tensor(x.tolist(), dtype=getattr(torch, x.dtype.name))"
_ARRAY = "y = y.float().numpy() if y.dtype == torch.bfloat16 else y.numpy()"
_GRADIENT = """x = x.requires_grad_()
{call}.backward(torch.tensor(upstream.tolist(), dtype=x.dtype))
y = x.grad.float().numpy()"""
_COMPILED = """import torch
torch.compiler.reset()
f = torch.compile(lambda x: {call}, fullgraph=True)"""
_CHANNELS_LAST = "x = x.to(memory_format=torch.channels_last)"
_UNFOLDED = "torch.nn.functional.unfold(x, s, stride=s).reshape(len(x), -1, x.shape[2] // s, x.shape[3] // s)"
_FOLDED = "torch.nn.functional.fold(x.flatten(2), (x.shape[2] * s, x.shape[3] * s), s, stride=s)"


def _cell(op: str, call: str, documented: str, page: str, shapes_of: str, mode: str = "", before: str = "") -> Cell:
    begin = "\n".join(filter(None, (_TENSOR, before)))
    return Cell(
        op, f"{begin}\ny = {call}\n{_ARRAY}", mode, shapes_of=shapes_of, documented=documented,
        source=_DOCS.format(page=page), gradient=f"{begin}\n{_GRADIENT.format(call=call)}",
    )  # fmt: skip


_SHUFFLES = (
    ("pixel_shuffle", "PixelShuffle"),
    ("pixel_unshuffle", "PixelUnshuffle"),
    ("channel_shuffle", "ChannelShuffle"),
)
_CALLS = {name: f"torch.nn.functional.{name}(x, s)" for name, _ in _SHUFFLES}
_PATCHES = (
    ("unfold", _UNFOLDED, "space_to_depth_crd", "Unfold", "space_to_depth", "seen as [N, C·s², H/s, W/s]"),
    ("fold", _FOLDED, "", "Fold", "depth_to_space", "of [N, C·s², H·W]"),
)

SUBJECT = Subject(
    "torch", "PyTorch", "runtime", BESIDE, distribution_version("torch"),
    (
        *(_cell(name, _CALLS[name], name, page, name) for name, page in _SHUFFLES),
        *(
            _cell(name, _CALLS[name], name, page, name, "channels_last memory", _CHANNELS_LAST)
            for name, page in _SHUFFLES
        ),
        *(_cell(*patches) for patches in _PATCHES),
    ),
)  # fmt: skip


def _compiled(op: str, call: str, page: str) -> Cell:
    code, gradient = f"{_TENSOR}\ny = f(x)\n{_ARRAY}", f"{_TENSOR}\n{_GRADIENT.format(call='f(x)')}"
    like, setup = _cell(op, call, op, page, op), _COMPILED.format(call=call)
    return replace(like, code=code, gradient=gradient, setup=setup, is_costly=True)


COMPILED = Subject(
    "torch_compile", "PyTorch, torch.compile", "runtime", BESIDE, distribution_version("torch"),
    tuple(_compiled(name, _CALLS[name], page) for name, page in _SHUFFLES),
)  # fmt: skip
