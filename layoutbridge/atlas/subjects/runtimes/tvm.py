"""TVM: its tensor operators and those of Relax, compiled for the CPU."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://tvm.apache.org/docs/reference/api/python/{page}.html"
_TOPI = """import tvm, tvm.topi.nn.pixel_shuffle
from tvm import te, topi
given = te.placeholder(x.shape, x.dtype.name)
made = topi.nn.{call}
run = tvm.compile(te.create_prim_func([given, made]), target='llvm')
result = tvm.runtime.empty([int(size) for size in made.shape], x.dtype.name)"""
_RUN_TOPI = "run(tvm.runtime.tensor(x), result)\ny = result.numpy()"
_RELAX = """import tvm
from tvm import relax
given, builder = relax.Var('x', relax.TensorType(x.shape, x.dtype.name)), relax.BlockBuilder()
with builder.function('main', [given]):
    builder.emit_func_output(builder.emit(relax.op.nn.pixel_shuffle(given, s)))
machine = relax.VirtualMachine(tvm.compile(builder.get(), target='llvm'), tvm.cpu())"""
_RUN_RELAX = "y = machine['main'](tvm.runtime.tensor(x)).numpy()"


def _topi(op: str, call: str, mode: str, layout: Layout, shapes_of: str, documented: str = "") -> Cell:
    return Cell(
        f"topi.nn.{op}", _RUN_TOPI, mode, layout, shapes_of, documented, _DOCS.format(page="topi"),
        setup=_TOPI.format(call=call),
    )  # fmt: skip


def _in_both(op: str, mode: str = "", documented: str = "") -> tuple[Cell, ...]:
    told = f", mode='{mode}'" if mode else ""
    layouts: tuple[Layout, ...] = ("NCHW", "NHWC")
    return tuple(
        _topi(op, f"{op}(given, s, layout='{layout}'{told})", f"mode {mode}" if mode else "", layout, op, documented)
        for layout in layouts
    )


SUBJECT = Subject(
    "tvm", "TVM", "runtime", "tvm", distribution_version("apache-tvm"),
    (
        *_in_both("space_to_depth"),
        *_in_both("depth_to_space", "DCR", "depth_to_space"),
        *_in_both("depth_to_space", "CDR", "pixel_shuffle"),
        _topi("pixel_shuffle", "pixel_shuffle.pixel_shuffle(given, s)", "", "NCHW", "pixel_shuffle"),
        _topi("space_to_batch_nd", "space_to_batch_nd(given, [s, s], [0, 0], [0, 0])", "", "NHWC", "space_to_batch"),
        _topi("batch_to_space_nd", "batch_to_space_nd(given, [s, s], [0, 0], [0, 0])", "", "NHWC", "batch_to_space"),
        Cell("relax.op.nn.pixel_shuffle", _RUN_RELAX, shapes_of="pixel_shuffle", documented="pixel_shuffle",
             source=_DOCS.format(page="relax/op"), setup=_RELAX),
    ),
)  # fmt: skip
