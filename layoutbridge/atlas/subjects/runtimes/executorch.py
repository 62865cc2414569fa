"""ExecuTorch: programs exported from PyTorch, run by its portable kernels."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{layer}.html"
_SETUP = """import torch
from executorch.exir import EdgeCompileConfig, to_edge
from executorch.runtime import Runtime
config = EdgeCompileConfig(preserve_ops=[{kept}])
exported = torch.export.export(torch.nn.{layer}(s), (torch.from_numpy(x),))
program = to_edge(exported, compile_config=config).to_executorch()
net = Runtime.get().load_program(program.buffer).load_method('forward')"""


def _cell(op: str, layer: str, *, is_kept: bool) -> Cell:
    """The kernel of the op, or those of the views and permutations that it is taken apart to."""
    setup = _SETUP.format(layer=layer, kept=f"torch.ops.aten.{op}.default" if is_kept else "")
    return Cell(
        op, "y = net.execute([torch.from_numpy(x)])[0].numpy()", "kernel" if is_kept else "decomposed",
        shapes_of=op, documented=op, source=_DOCS.format(layer=layer), setup=setup,
        dtypes=("float32", "float16", "uint8", "int64", "bool") if is_kept else ("float32",),
    )  # fmt: skip


SUBJECT = Subject(
    "executorch", "ExecuTorch", "runtime", "executorch", distribution_version("executorch", "torch"),
    (
        _cell("pixel_shuffle", "PixelShuffle", is_kept=True),
        _cell("pixel_unshuffle", "PixelUnshuffle", is_kept=True),
        _cell("pixel_shuffle", "PixelShuffle", is_kept=False),
        _cell("channel_shuffle", "ChannelShuffle", is_kept=False),
    ),
)  # fmt: skip
