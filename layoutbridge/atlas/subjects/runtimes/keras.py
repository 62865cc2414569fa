"""Keras on each of its backends, which a process chooses before it imports Keras."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://keras.io/api/ops"
_BEGIN = """import os
os.environ['KERAS_BACKEND'] = '{backend}'
import keras
"""
_CODE = "y = keras.ops.convert_to_numpy({call})"
_GRADIENTS = {
    "tensorflow": """import tensorflow as tf
x = tf.constant(x)
with tf.GradientTape() as tape:
    tape.watch(x)
    y = {call}
y = tape.gradient(y, x, upstream).numpy()""",
    "jax": """import jax
y = np.asarray(jax.vjp(lambda x: {call}, jax.numpy.asarray(x))[1](jax.numpy.asarray(upstream))[0])""",
    "torch": """import torch
x = keras.ops.convert_to_tensor(x).requires_grad_()
{call}.backward(keras.ops.convert_to_tensor(upstream))
y = keras.ops.convert_to_numpy(x.grad)""",
}
_FORMATS: dict[Layout, str] = {"NHWC": "channels_last", "NCHW": "channels_first"}
_CALLS = {  # the call, what its documentation says it is, its page, the entry whose inputs it takes
    "space_to_depth": ("ops.space_to_depth(x, s, '{form}')", "", "nn", "space_to_depth"),
    "depth_to_space": ("ops.depth_to_space(x, s, '{form}')", "pixel_shuffle", "nn", "depth_to_space"),
    "image.extract_patches": ("ops.image.extract_patches(x, s, data_format='{form}')", "", "image", "space_to_depth"),
}


def _cell(backend: str, op: str, layout: Layout) -> Cell:
    call, documented, page, shapes_of = _CALLS[op]
    call, begin = f"keras.{call.format(form=_FORMATS[layout])}", _BEGIN.format(backend=backend)
    return Cell(
        f"ops.{op}", begin + _CODE.format(call=call), "", layout, shapes_of, documented,
        f"{_DOCS}/{page}/#{op.rpartition('.')[2]}-function", gradient=begin + _GRADIENTS[backend].format(call=call),
    )  # fmt: skip


def _subject(backend: str, title: str) -> Subject:
    cells = tuple(_cell(backend, op, layout) for op in _CALLS for layout in _FORMATS)
    version = distribution_version("keras", backend)
    return Subject(f"keras_{backend}", f"Keras on {title}", "runtime", BESIDE, version, cells)


ON_TENSORFLOW = _subject("tensorflow", "TensorFlow")
ON_JAX = _subject("jax", "JAX")
ON_TORCH = _subject("torch", "PyTorch")
