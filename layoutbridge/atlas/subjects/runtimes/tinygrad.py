"""tinygrad: its `rearrange`, as there is no op of a name of its own; run by its emulator, which needs no compiler."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://docs.tinygrad.org/tensor/movement/"
_DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")  # NumPy's, of which bfloat16 is none
_CODE = """import os
os.environ['DEV'] = 'PYTHON'
from tinygrad import Tensor
given = Tensor(x)
y = given.rearrange('{formula}', {size}=s)"""
_FORMULAS = (
    ("pixel_shuffle", "n (c p q) h w -> n c (h p) (w q)", "p=s, q"),
    ("depth_to_space", "n (p q c) h w -> n c (h p) (w q)", "p=s, q"),
    ("pixel_unshuffle", "n c (h p) (w q) -> n (c p q) h w", "p=s, q"),
    ("space_to_depth", "n c (h p) (w q) -> n (p q c) h w", "p=s, q"),
    ("channel_shuffle", "n (k c) h w -> n (c k) h w", "k"),
)


def _cell(entry: str, formula: str, size: str) -> Cell:
    code = _CODE.format(formula=formula, size=size)
    return Cell(
        "rearrange", code + ".numpy()", formula, shapes_of=entry, documented=entry, source=_DOCS, dtypes=_DTYPES,
        gradient=code + ".gradient(given, gradient=Tensor(upstream))[0].numpy()",
        differentiable=("float32", "float16"),
    )  # fmt: skip


SUBJECT = Subject(
    "tinygrad", "tinygrad", "runtime", "tinygrad", distribution_version("tinygrad"),
    tuple(_cell(*each) for each in _FORMULAS),
)  # fmt: skip
