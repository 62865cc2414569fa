"""Whole models in Keras' older files, HDF5: written, and read with their weights."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np

from layoutbridge.errors import UnsupportedError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.base import ABOUT
from layoutbridge.frameworks.tensorflow.hdf5.designs import load_keras_design
from layoutbridge.frameworks.tensorflow.start_up import require_h5py

if TYPE_CHECKING:
    import keras

_LONGEST = 8 << 20  # bytes of what is told of a file


def save_hdf5(model: keras.Model, path: Path, about: str) -> None:
    """Write `model` to `path`, which ends in .h5, without Keras' advice to take another format.

    `about` is a text that the file holds as bytes beside the model: an attribute has room for 64 KB alone. Raises
    `UnsupportedError` where the model has operations that are no layers: such files have no names for these.
    """
    import h5py
    import keras

    bare = next((one for one in model.operations if not isinstance(one, keras.Layer)), None)
    if bare is not None:
        raise UnsupportedError(
            f"Keras' older files hold layers alone, and {bare.name} is the operation {type(bare).__name__}: write a "
            ".keras file"
        )
    here, logger = get_ident(), logging.getLogger("absl")

    def is_told(record: logging.LogRecord) -> bool:
        return record.thread != here or "HDF5" not in record.getMessage()

    logger.addFilter(is_told)
    try:
        model.save(path)
    finally:
        logger.removeFilter(is_told)
    with h5py.File(path, "a") as held:
        held[ABOUT] = np.frombuffer(about.encode(), np.uint8)


def load_keras_hdf5(path: str | os.PathLike[str]) -> keras.Model:
    """The model in the HDF5 file at `path`, with its weights; it may hold our layers.

    It is looked at before Keras reads it: see `load_keras_design`, as which this raises.

    >>> load_keras_hdf5("net.h5")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no file 'net.h5'
    """
    model = load_keras_design(path)
    from layoutbridge.frameworks.tensorflow.layers import fix_called_statistics

    try:
        model.load_weights(path)
    except Exception as error:  # whatever reading a broken file runs into
        raise UnusableInputError(
            f"Keras cannot read the weights of '{os.fspath(path)}': {class_and_first_line(error)}"
        ) from None
    fix_called_statistics(model)
    return model


def read_about(path: str | os.PathLike[str]) -> bytes | None:
    """The text that `save_hdf5` put beside the model; None where there is none, or one that is too long."""
    require_h5py()
    import h5py

    with h5py.File(path, "r") as held:
        told = held.get(ABOUT)
        if not isinstance(told, h5py.Dataset) or told.dtype != np.uint8 or (told.size or 0) > _LONGEST:
            return None
        return bytes(told[...].tobytes())
