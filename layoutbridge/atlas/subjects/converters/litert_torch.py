"""litert-torch, which was ai-edge-torch: PyTorch's ops in LiteRT."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://github.com/google-ai-edge/litert-torch"
_SETUP = """import litert_torch, torch
example = torch.tensor(x.tolist(), dtype=getattr(torch, x.dtype.name))
model = litert_torch.convert(torch.nn.{module}(s).eval(), (example,))"""
_MODULES = {
    "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle", "ChannelShuffle": "channel_shuffle",
}  # fmt: skip


def _cell(module: str) -> Cell:
    entry, setup = _MODULES[module], _SETUP.format(module=module)
    return Cell(
        f"nn.{module}", "y = model(x)", shapes_of=entry, documented=entry, source=_DOCS, setup=setup, is_costly=True
    )


SUBJECT = Subject(
    "litert_torch", "litert-torch", "converter", "litert_torch",
    distribution_version("litert-torch", "torch", "ai-edge-litert"), tuple(map(_cell, _MODULES)),
)  # fmt: skip
