"""TensorFlow and Keras 3: a rearrangement as a layer or a file, and what TensorFlow has of this kind itself.

A layer's `data_format` says how its tensors are held. An entry of the catalogue is defined on [N, C, H, W]; with
"channels_last", the default as in Keras, its layer takes [N, H, W, C] and gives the same image that way round. The
entries `nchw_to_nhwc` and `nhwc_to_nchw` are the layout change itself and take the tensor as it is, under either.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.fitting import read_open_lengths
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, UnsupportedError, shown
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import Layout, Runnable
from layoutbridge.frameworks.tensorflow.data_formats import LAYOUTS, has_data_format
from layoutbridge.frameworks.tensorflow.files import KERAS, export_saved_model
from layoutbridge.frameworks.tensorflow.start_up import EXTRA, installed, load_keras, require_h5py

if TYPE_CHECKING:
    import keras

__all__ = ["EXTRA", "emit", "installed", "runnables", "save"]


def emit(op: Rearrangement, *, data_format: str = "channels_last") -> keras.Layer:
    """`op` as a Keras layer without weights, for tensors [N, H, W, C], or [N, C, H, W] with "channels_first".

    N, H and W may be unknown when a model is built, and so may C. Any dtype passes through as it is, also under
    mixed precision; the layer runs eagerly, in `tf.function` and under XLA, and its gradient is the inverse
    rearrangement. Raises `ParameterError` for another `data_format`, `MissingFrameworkError` without TensorFlow and
    `UnsupportedError` where Keras runs on another backend; the layer raises `ShapeError` for a shape that does not fit.

    >>> from layoutbridge.operations.catalog import op
    >>> layer = emit(op("darknet_reorg", stride=2))
    >>> layer.compute_output_shape((None, 26, 26, 64))
    (None, 13, 13, 256)
    >>> layer(np.zeros((1, 4, 4, 4), np.int8)).dtype
    tf.int8
    """
    load_keras()
    from layoutbridge.frameworks.tensorflow.rearrange import Rearrange

    return Rearrange(op, data_format=data_format)


def save(
    op: Rearrangement,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    data_format: str = "channels_last",
    dtype: str = "float32",
) -> None:
    """Write a model of this one layer, whole or not at all: a file where `path` ends in .keras, else a SavedModel.

    `shape` is that of the entry's input, [N, C, H, W] whatever the `data_format`, None for a length left open; the
    model takes any N. Without a shape all lengths stay open. Raises `ParameterError` for a path with another ending,
    an unknown dtype or `data_format`, `ShapeError` for a shape that does not fit, and what `emit` raises.

    >>> import tempfile
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "reorg")
    >>> save(op("darknet_reorg"), path, shape=(1, 64, 26, 26))
    >>> import tensorflow
    >>> tensorflow.saved_model.load(path).serve(np.zeros((3, 26, 26, 64), np.float32)).shape
    TensorShape([3, 13, 13, 256])
    """
    suffix = Path(path).suffix
    if suffix not in ("", KERAS):
        raise ParameterError(
            f"'{path}' must end in {KERAS}, or have no ending, as a SavedModel folder's name, not {suffix}"
        )
    keras = load_keras()
    if suffix:
        require_h5py()
    try:
        kind = keras.backend.standardize_dtype(dtype)
    except ValueError:
        raise ParameterError(f"Keras has no dtype {shown(dtype)}") from None
    layer = emit(op, data_format=data_format)
    inputs = keras.Input(_open_lengths(op, shape, data_format), dtype=kind)
    model = keras.Model(inputs, layer(inputs), name=op.name or "rearrangement")
    with whole_file(path) as temporary:
        if suffix:
            model.save(temporary)
        else:
            export_saved_model(model, temporary)


def _open_lengths(op: Rearrangement, shape: Sequence[int | None] | None, data_format: str) -> tuple[int | None, ...]:
    """One item's lengths in the layer's own layout, from the entry's shape with or without its batch axis."""
    lengths: tuple[int | None, ...]
    if shape is None:
        fixed = dict(op.domain.fixed)
        lengths = tuple(fixed.get(axis) for axis in range(op.rank))
    else:
        lengths = read_open_lengths(op, shape)[-op.rank :]
    if data_format == "channels_last" and has_data_format(op):
        channels, height, width = lengths
        return height, width, channels
    return lengths


# ---------------------------------------------------------------------- for verification


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
    """TensorFlow's and Keras' own operations at `stride`, and every entry as a layer in both data formats."""
    keras = load_keras()
    yield from _native_runnables(keras, stride)
    version = f"tensorflow {installed()}"
    for op in entries:
        for data_format, layout in LAYOUTS.items():
            if layout == "NCHW" or has_data_format(op):
                layer = emit(op, data_format=data_format)
                yield _runnable(version, op.label, op.name, layer.call, layout, emitted=True)


def _native_runnables(keras: Any, stride: int) -> Iterator[Runnable]:
    import tensorflow as tf

    version = f"tensorflow {installed()}"
    for name in ("space_to_depth", "depth_to_space"):
        for data_format, layout in LAYOUTS.items():
            function = partial(getattr(tf.nn, name), block_size=stride, data_format=layout)
            yield _runnable(version, f"tf.nn.{name}", name, function, layout)
            native = getattr(keras.ops, name, None)
            if native is not None:  # an older Keras has none
                function = partial(native, block_size=stride, data_format=data_format)
                yield _runnable(f"keras {keras.__version__}", f"keras.ops.{name}", name, function, layout)
    size = [1, stride, stride, 1]
    patches = partial(tf.image.extract_patches, sizes=size, strides=size, rates=[1, 1, 1, 1], padding="VALID")
    yield _runnable(version, "tf.image.extract_patches", None, patches, "NHWC")


def _runnable(
    version: str, name: str, entry: str | None, function: Callable[[Any], Any], layout: Layout, *, emitted: bool = False
) -> Runnable:
    import tensorflow as tf

    def called(x: Any) -> Any:
        try:
            return function(x)
        except tf.errors.NotFoundError:  # whose own text lists every kernel of every device
            devices = " and ".join(sorted({device.device_type for device in tf.config.list_logical_devices()}))
            kind = x.dtype.name
            raise UnsupportedError(f"{name} has no {layout} kernel for {kind} on this machine ({devices})") from None

    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(called(tf.constant(x)).numpy())

    def gradient(x: NDArray[Any], upstream: NDArray[Any]) -> NDArray[Any]:
        leaf = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(leaf)
            result = called(leaf)
        return np.asarray(tape.gradient(result, leaf, output_gradients=tf.constant(upstream)).numpy())

    return Runnable("tensorflow", version, name, entry, emitted, layout, run, gradient)
