"""TensorFlow and Keras 3: a rearrangement as a layer, .keras files and SavedModels, and what TensorFlow has of this
kind itself.

A layer's `data_format` says how its tensors are held. An entry of the catalogue is defined on [N, C, H, W]; with
"channels_last", the default as in Keras, its layer takes [N, H, W, C] and gives the same image that way round. The
entries `nchw_to_nhwc` and `nhwc_to_nchw` are the layout change itself and take the tensor as it is, under either.

A `.keras` file names the layer's class, and Keras loads such a file only where the class is registered: call
`custom_objects()` first, or load it by `load_keras_file`. A SavedModel needs nothing but TensorFlow.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import (
    LayoutBridgeError,
    MissingFrameworkError,
    ParameterError,
    UnsupportedError,
    UnusableInputError,
)
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import Layout, Runnable, first_line, installed_version, missing, open_lengths

if TYPE_CHECKING:
    import keras

EXTRA = "tensorflow"
KERAS = ".keras"
DATA_FORMATS = ("channels_last", "channels_first")
_LAYOUTS: dict[str, Layout] = {"channels_first": "NCHW", "channels_last": "NHWC"}


def installed() -> str | None:
    """TensorFlow's version, or None where it is not installed."""
    return installed_version("tensorflow", "tensorflow-cpu", "tf-nightly")


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


def check_data_format(data_format: str) -> None:
    """Raise `ParameterError` for a format there is not."""
    if data_format not in DATA_FORMATS:
        raise ParameterError(f"data_format is {' or '.join(DATA_FORMATS)}, not {data_format!r}")


def custom_objects() -> dict[str, type[keras.Layer]]:
    """Register our layers, so that `keras.saving.load_model` finds them, and return them under their Keras names."""
    load_keras()
    from layoutbridge.frameworks.tensorflow import layers
    from layoutbridge.frameworks.tensorflow.rearrange import Rearrange

    return {f"layoutbridge>{layer.__name__}": layer for layer in (Rearrange, *layers.LAYERS)}


def load_keras_file(path: str | os.PathLike[str]) -> keras.Model:
    """The model in a .keras file, which may hold our layers.

    Batch norm that was called with `training=False`, as in Darknet's networks, keeps its statistics in training too:
    `keras.saving.load_model` leaves it to `fit` to override that. Raises `UnusableInputError` for what is no such file
    or was written by a newer Keras than is installed, and `MissingFrameworkError`.
    """
    keras = load_keras()
    custom_objects()
    from layoutbridge.frameworks.tensorflow.layers import fix_called_statistics

    if not Path(path).is_file():
        raise UnusableInputError(f"there is no file '{os.fspath(path)}'")
    if Path(path).suffix == KERAS:
        require_h5py()
        if not is_zipfile(path):
            raise UnusableInputError(f"'{os.fspath(path)}' is no whole .keras file: write or copy it again")
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # whatever reading another version's config runs into
        written, installed_here = _keras_version_of(path), keras.__version__
        if written is not None and _numbers(written) > _numbers(installed_here):
            raise UnusableInputError(
                f"'{os.fspath(path)}' was written by Keras {written}, and {installed_here} is installed, which cannot "
                f"read it: install keras>={written}"
            ) from None
        raise UnusableInputError(
            f"Keras {installed_here} cannot read '{os.fspath(path)}': {first_line(error)}"
        ) from None
    fix_called_statistics(model)
    return model


def _keras_version_of(path: str | os.PathLike[str]) -> str | None:
    """What a .keras file says that it was written by; None where it says nothing."""
    try:
        with ZipFile(path) as file:
            version = json.loads(file.read("metadata.json"))["keras_version"]
    except (OSError, BadZipFile, KeyError, TypeError, ValueError):
        return None
    return version if isinstance(version, str) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


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
        raise ParameterError(f"Keras has no dtype {dtype!r}") from None
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
    from layoutbridge.frameworks.tensorflow.rearrange import has_data_format

    lengths: tuple[int | None, ...]
    if shape is None:
        fixed = dict(op.domain.fixed)
        lengths = tuple(fixed.get(axis) for axis in range(op.rank))
    else:
        lengths = open_lengths(op, shape)[-op.rank :]
    if data_format == "channels_last" and has_data_format(op):
        channels, height, width = lengths
        return height, width, channels
    return lengths


def export_saved_model(model: keras.Model, path: Path, names: Sequence[str] = ()) -> None:
    """Write `model` of one input as a SavedModel folder, without TensorFlow's remarks.

    `serve(x)` of it returns what the model does; its signature, "serving_default", gives the outputs these `names`.
    """
    import keras
    import tensorflow as tf

    def named(x: Any) -> dict[str, Any]:
        results = model(x, training=False)
        return dict(zip(names, results if isinstance(results, list) else [results], strict=True))

    (taken,) = model.inputs
    signature = [keras.InputSpec(shape=taken.shape, dtype=taken.dtype, name=taken.name)]
    archive = keras.export.ExportArchive()
    archive.track_and_add_endpoint("serve", model, signature)
    if names:
        archive.add_endpoint("serving_default", named, signature)
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # "Assets written to" would name the temporary folder
    try:
        archive.write_out(path, verbose=False)
    finally:
        logger.setLevel(level)


# ---------------------------------------------------------------------- importing TensorFlow


def load_keras() -> Any:
    """Import TensorFlow and Keras, quietly, and return the module `keras`.

    Raises `MissingFrameworkError` where they are not installed, `UnsupportedError` where Keras has another backend.
    """
    try:
        with _without_start_up_notes():
            import tensorflow  # noqa: F401  # before Keras, which would import it with all its notes
    except ModuleNotFoundError as error:
        raise _as_missing(error) from None
    try:
        import keras
    except ModuleNotFoundError as error:
        raise _as_missing(error) from None
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedError(f"Keras runs on {backend} here: set KERAS_BACKEND=tensorflow before it is imported")
    return keras


def require_h5py() -> None:
    """Raise `MissingFrameworkError` where h5py is not installed, without which Keras has no .keras files."""
    try:
        import_module("h5py")
    except ImportError:
        raise missing("h5py", EXTRA) from None


def _as_missing(error: ModuleNotFoundError) -> MissingFrameworkError | ModuleNotFoundError:
    names = {"tensorflow": "TensorFlow", "keras": "Keras"}
    return missing(names[error.name], EXTRA) if error.name in names else error


@contextmanager
def _without_start_up_notes() -> Iterator[None]:
    """Keep what TensorFlow's C++ code writes while it is imported off stderr, unless the import fails.

    These notes come before its logging is set up and heed no setting. TF_CPP_MIN_LOG_LEVEL=0 brings them back.
    """
    if "tensorflow" in sys.modules or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    with quiet_stderr():
        yield


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what C++ code writes to stderr off it, unless the block fails with an error of its own."""
    try:
        stderr = os.dup(2)
    except OSError:  # a process without stderr
        yield
        return
    with TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except LayoutBridgeError:  # whose text says it all
            raise
        except Exception:  # not one who stops the process: the notes of what was under way help nobody
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


# ---------------------------------------------------------------------- for verification


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
    """TensorFlow's and Keras' own operations at `stride`, and every entry as a layer in both data formats."""
    keras = load_keras()
    yield from _native_runnables(keras, stride)
    from layoutbridge.frameworks.tensorflow.rearrange import has_data_format

    version = f"tensorflow {installed()}"
    for op in entries:
        for data_format, layout in _LAYOUTS.items():
            if layout == "NCHW" or has_data_format(op):
                layer = emit(op, data_format=data_format)
                yield _runnable(version, op.label, op.name, layer.call, layout, emitted=True)


def _native_runnables(keras: Any, stride: int) -> Iterator[Runnable]:
    import tensorflow as tf

    version = f"tensorflow {installed()}"
    for name in ("space_to_depth", "depth_to_space"):
        for data_format, layout in _LAYOUTS.items():
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
