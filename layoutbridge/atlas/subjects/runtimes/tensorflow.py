"""TensorFlow's own ops, in eager mode and compiled by XLA."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://www.tensorflow.org/api_docs/python/tf"
_EAGER = "import tensorflow as tf\ny = {call}.numpy()"
_COMPILED = """import tensorflow as tf
f = tf.function(lambda x: {call}, jit_compile=True)"""
_GRADIENT = """import tensorflow as tf
x = tf.constant(x)
with tf.GradientTape() as tape:
    tape.watch(x)
    y = {call}
y = tape.gradient(y, x, upstream).numpy()"""
_VECTORS = """import tensorflow as tf
x = tf.bitcast(np.repeat(x[..., None], 4, -1), tf.qint8)
y = tf.bitcast({call}, tf.int8).numpy()"""
_NO_MARGIN = "[[0, 0], [0, 0]]"


def _cell(op: str, arguments: str, documented: str, layout: Layout, shapes_of: str) -> Cell:
    call = f"tf.{op}(x, {arguments})"
    return Cell(
        f"tf.{op}", _EAGER.format(call=call), "", layout, shapes_of, documented, f"{_DOCS}/{op.replace('.', '/')}",
        gradient=_GRADIENT.format(call=call),
    )  # fmt: skip


def _compiled(op: str, arguments: str, documented: str, layout: Layout, shapes_of: str) -> Cell:
    call = f"tf.{op}(x, {arguments})"
    return Cell(
        f"tf.{op}", "y = f(x).numpy()", "XLA", layout, shapes_of, documented, f"{_DOCS}/{op.replace('.', '/')}",
        setup=_COMPILED.format(call=call), gradient=_GRADIENT.format(call="f(x)"),
    )  # fmt: skip


def _of_vectors(op: str) -> Cell:
    call = f"tf.{op}(x, s, 'NCHW_VECT_C')"
    shapes_of = op.removeprefix("nn.")
    source = f"{_DOCS}/{op.replace('.', '/')}"
    return Cell(f"tf.{op}", _VECTORS.format(call=call), "NCHW_VECT_C", "NCHW", shapes_of, "", source, dtypes=("int8",))


_BY_BLOCKS: tuple[tuple[str, str, str, Layout, str], ...] = (
    ("nn.space_to_depth", "s, 'NHWC'", "space_to_depth", "NHWC", "space_to_depth"),
    ("nn.space_to_depth", "s, 'NCHW'", "space_to_depth", "NCHW", "space_to_depth"),
    ("nn.depth_to_space", "s, 'NHWC'", "depth_to_space", "NHWC", "depth_to_space"),
    ("nn.depth_to_space", "s, 'NCHW'", "depth_to_space", "NCHW", "depth_to_space"),
)
_OTHERS: tuple[tuple[str, str, str, Layout, str], ...] = (
    ("space_to_batch", f"[s, s], {_NO_MARGIN}", "space_to_batch", "NHWC", "space_to_batch"),
    ("batch_to_space", f"[s, s], {_NO_MARGIN}", "batch_to_space", "NHWC", "batch_to_space"),
    (
        "image.extract_patches", "[1, s, s, 1], [1, s, s, 1], [1, 1, 1, 1], 'VALID'",
        "space_to_depth", "NHWC", "space_to_depth",
    ),
)  # fmt: skip

SUBJECT = Subject(
    "tensorflow", "TensorFlow", "runtime", BESIDE, distribution_version("tensorflow"),
    (
        *(_cell(*told) for told in (*_BY_BLOCKS, *_OTHERS)),
        *(_compiled(*told) for told in (*_BY_BLOCKS, *_OTHERS)),
        _of_vectors("nn.space_to_depth"),
        _of_vectors("nn.depth_to_space"),
    ),
)  # fmt: skip
