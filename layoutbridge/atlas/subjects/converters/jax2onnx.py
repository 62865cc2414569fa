"""jax2onnx: movements that spell an op in JAX, and its patches, in ONNX Runtime."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import SPELLINGS
from layoutbridge.frameworks.base import DTYPE_NAMES, Layout

_NUMPY = "https://docs.jax.dev/en/latest/_autosummary/jax.numpy.transpose.html"
_PATCHES = "https://docs.jax.dev/en/latest/_autosummary/jax.lax.conv_general_dilated_patches.html"
_SETUP = """import jax, jax2onnx, onnxruntime
jax.config.update('jax_enable_x64', True)
{function}
model = jax2onnx.to_onnx(f, [jax.ShapeDtypeStruct(x.shape, x.dtype)])
session = onnxruntime.InferenceSession(model.SerializeToString())"""
_SPELLED = "n, c, h, w = x.shape\nf = lambda x: x.reshape({between}).transpose({order}).reshape({after})"
_UNFOLDED = """form = ('{layout}', '{weights}', '{layout}')
f = lambda x: jax.lax.conv_general_dilated_patches(x, (s, s), (s, s), 'VALID', dimension_numbers=form)"""
_RUN = "y = session.run(None, {session.get_inputs()[0].name: x})[0]"
_DTYPES = tuple(name for name in DTYPE_NAMES if name != "bfloat16")  # ONNX Runtime takes no such arrays


def _spelled(entry: str, between: str, order: list[int], after: str) -> Cell:
    lengths = (each.replace("{", "").replace("}", "") for each in (between, after))
    function = _SPELLED.format(between=next(lengths), order=order, after=next(lengths))
    return Cell(
        "reshape, transpose, reshape", _RUN, entry, shapes_of=entry, documented=entry, source=_NUMPY,
        setup=_SETUP.format(function=function), dtypes=_DTYPES, is_costly=True,
    )  # fmt: skip


def _patches(layout: Layout, weights: str) -> Cell:
    setup = _SETUP.format(function=_UNFOLDED.format(layout=layout, weights=weights))
    return Cell(
        "lax.conv_general_dilated_patches", _RUN, "", layout, documented="space_to_depth_crd", source=_PATCHES,
        setup=setup, dtypes=_DTYPES, is_costly=True,
    )  # fmt: skip


SUBJECT = Subject(
    "jax2onnx", "jax2onnx", "converter", "jax2onnx", distribution_version("jax2onnx", "jax", "onnxruntime"),
    (*(_spelled(*told) for told in SPELLINGS), _patches("NCHW", "OIHW"), _patches("NHWC", "HWIO")),
)  # fmt: skip
