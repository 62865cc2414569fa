"""Keras models: .keras and .h5 files, and SavedModel folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.metadata import output_names, read_beside, read_within, told_in
from layoutbridge.darknet.detectors.opened import Opened, Outputs, is_channels_last, picture_shape
from layoutbridge.errors import UnsupportedError, UnusableInputError, counted, first_line
from layoutbridge.frameworks.base import ABOUT
from layoutbridge.frameworks.tensorflow.files import KERAS, load_keras_file
from layoutbridge.frameworks.tensorflow.hdf5.designs import is_design
from layoutbridge.frameworks.tensorflow.hdf5.files import load_keras_hdf5, read_about
from layoutbridge.frameworks.tensorflow.start_up import load_keras


def open_model(path: str | os.PathLike[str], threads: int = 0) -> Opened:
    """The model in a .keras or .h5 file, or in the folder of a SavedModel, at `path`; TensorFlow chooses the `threads`.

    Raises `UnusableInputError` for what Keras or TensorFlow cannot load, `UnsupportedError` where its input is no
    picture, and `MissingFrameworkError`.
    """
    del threads
    if is_design(path):
        return _of_keras(path, load_keras_hdf5(path), told_in(read_about(path), path))
    if Path(path).suffix == KERAS:
        return _of_keras(path, load_keras_file(path), read_within(path))
    return _of_saved_model(path)


def _of_keras(path: str | os.PathLike[str], model: Any, metadata: Mapping[str, str]) -> Opened:
    source = os.fspath(path)
    import tensorflow as tf

    taken, *others = model.inputs
    if others:
        raise UnsupportedError(f"'{source}' takes {counted(len(others), 'input')} beside the picture")
    names = output_names(metadata, len(model.outputs), source)

    # Layer by layer it takes far longer. No layer of a file depends on values in Python, and what autograph converts
    # it would leave in the folder for temporary files where a process is ended
    graph = tf.function(partial(model, training=False), reduce_retracing=True, autograph=False)

    def run(x: NDArray[np.float32]) -> Any:
        results = graph(tf.constant(x))
        tensors = results if isinstance(results, list | tuple) else [results]
        return dict(zip(names, tensors, strict=True))

    return _opened(source, tuple(taken.shape), run, metadata)


def _of_saved_model(path: str | os.PathLike[str]) -> Opened:
    load_keras()
    import tensorflow as tf

    source = os.fspath(path)
    try:
        loaded = tf.saved_model.load(source)
        signature = loaded.signatures["serving_default"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UnusableInputError(f"TensorFlow cannot load '{source}': {first_line(error)}") from None
    ((name, taken), *others) = signature.structured_input_signature[1].items()
    if others:
        raise UnsupportedError(f"'{source}' takes {counted(len(others), 'input')} beside the picture")

    def run(x: NDArray[np.float32]) -> Any:
        return signature(**{name: tf.constant(x)})

    opened = _opened(source, tuple(taken.shape), run, read_beside(Path(path) / ABOUT))
    return replace(opened, keeps=loaded)  # which has the variables


def _opened(source: str, lengths: tuple[int | None, ...], call: Any, metadata: Any) -> Opened:
    last = is_channels_last(lengths, metadata)

    def run(x: NDArray[np.float32]) -> Outputs:
        made = call(np.ascontiguousarray(x.transpose(0, 2, 3, 1) if last else x))
        return {name: np.asarray(value) for name, value in made.items()}

    shape = picture_shape(lengths, source, channels_last=last)
    return Opened(source, "keras", run, shape, lengths[0], channels_last=last, metadata=metadata)
