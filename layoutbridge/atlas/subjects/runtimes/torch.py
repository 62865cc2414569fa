"""PyTorch, in eager mode, compiled, and on a GPU."""

from __future__ import annotations

from dataclasses import replace

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{page}.html"
_TENSOR = "import torch\nx = torch.tensor(x.tolist(), dtype=getattr(torch, x.dtype.name))"
_ARRAY = "y = y.float().numpy() if y.dtype == torch.bfloat16 else y.numpy()"
_GRADIENT = """x = x.requires_grad_()
{call}.backward(torch.tensor(upstream.tolist(), dtype=x.dtype{device}))
y = x.grad.float(){back}.numpy()"""
_ON_CUDA, _FROM_CUDA = ", device='cuda'", ".cpu()"
_HAS_CUDA = "import torch\nassert torch.cuda.is_available(), 'PyTorch has no CUDA device here'"
_COMPILED = """import torch
torch.compiler.reset()
f = torch.compile(lambda x: {call}, fullgraph=True)"""
_CHANNELS_LAST = "x = x.to(memory_format=torch.channels_last)"
_UNFOLDED = "torch.nn.functional.unfold(x, s, stride=s).reshape(len(x), -1, x.shape[2] // s, x.shape[3] // s)"
_FOLDED = "torch.nn.functional.fold(x.flatten(2), (x.shape[2] * s, x.shape[3] * s), s, stride=s)"


def _cell(
    op: str, call: str, documented: str, page: str, shapes_of: str, mode: str = "", before: str = "",
    device: str = "", back: str = "",
) -> Cell:  # fmt: skip
    tensor = _TENSOR.replace("))", f"){device})")
    begin = "\n".join(filter(None, (tensor, before)))
    gradient = _GRADIENT.format(call=call, device=device, back=back)
    return Cell(
        op, f"{begin}\ny = {call}{back}\n{_ARRAY}", mode, shapes_of=shapes_of, documented=documented,
        source=_DOCS.format(page=page), gradient=f"{begin}\n{gradient}",
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


def _cells(device: str = "", back: str = "") -> tuple[Cell, ...]:
    where = {"device": device, "back": back}
    shuffles = [(name, _CALLS[name], name, page, name) for name, page in _SHUFFLES]
    return (
        *(_cell(*told, **where) for told in shuffles),
        *(_cell(*told, "channels_last memory", _CHANNELS_LAST, **where) for told in shuffles),
        *(_cell(*told, **where) for told in _PATCHES),
    )


SUBJECT = Subject("torch", "PyTorch", "runtime", BESIDE, distribution_version("torch"), _cells())
ON_CUDA = Subject(
    "torch_cuda", "PyTorch on CUDA", "runtime", BESIDE, f"{distribution_version('torch')}\n{_HAS_CUDA}",
    _cells(_ON_CUDA, _FROM_CUDA),
)  # fmt: skip


def _compiled(op: str, call: str, page: str) -> Cell:
    code, gradient = f"{_TENSOR}\ny = f(x)\n{_ARRAY}", f"{_TENSOR}\n{_GRADIENT.format(call='f(x)', device='', back='')}"
    like, setup = _cell(op, call, op, page, op), _COMPILED.format(call=call)
    return replace(like, code=code, gradient=gradient, setup=setup, is_costly=True)


COMPILED = Subject(
    "torch_compile", "PyTorch, torch.compile", "runtime", BESIDE, distribution_version("torch"),
    tuple(_compiled(name, _CALLS[name], page) for name, page in _SHUFFLES),
)  # fmt: skip
