"""MNN: its expressions, run on the CPU."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://github.com/alibaba/MNN/blob/master/pymnn/pip_package/MNN/expr/__init__.py"
_CODE = """import MNN.expr as F
dtype = dict(float32=F.float, int32=F.int, uint8=F.uint8)[x.dtype.name]
given = F.const(x, x.shape, F.{layout}, dtype)
result = F.convert(F.{op}(given, s), F.{layout})
y = np.array(result.read())"""


def _cells(op: str, documented: str = "") -> tuple[Cell, ...]:
    layouts: tuple[Layout, ...] = ("NCHW", "NHWC")
    return tuple(
        Cell(op, _CODE.format(op=op, layout=layout), layout=layout, shapes_of=op, documented=documented, source=_DOCS,
             dtypes=("float32", "uint8", "int32"))
        for layout in layouts
    )  # fmt: skip


_BATCHES = """import MNN.expr as F
dtype = dict(float32=F.float, int32=F.int, uint8=F.uint8)[x.dtype.name]
given = F.convert(F.const(x, x.shape, F.NCHW, dtype), F.NC4HW4)
nothing = F.const([0, 0, 0, 0], [2, 2], F.NCHW, F.int)
result = F.convert(F.{op}(given, [s, s], nothing), F.NCHW)
y = np.array(result.read())"""


def _batches(op: str, shapes_of: str) -> Cell:
    return Cell(op, _BATCHES.format(op=op), shapes_of=shapes_of, source=_DOCS, dtypes=("float32", "uint8", "int32"))


SUBJECT = Subject(
    "mnn", "MNN", "runtime", "mnn", distribution_version("MNN"),
    (*_cells("space_to_depth"), *_cells("depth_to_space"), *_cells("channel_shuffle", "channel_shuffle"),
     _batches("space_to_batch_nd", "space_to_batch"), _batches("batch_to_space_nd", "batch_to_space")),
    "The wheel's optimizers train nothing, so that there are no gradients to ask for.",
)  # fmt: skip
