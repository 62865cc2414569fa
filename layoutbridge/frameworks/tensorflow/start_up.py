"""TensorFlow and Keras imported, and what is told where they are missing or do not fit."""

from __future__ import annotations

from typing import Any

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.base import installed_version, require

EXTRA = "tensorflow"


def installed() -> str | None:
    """TensorFlow's version, or None where it is not installed."""
    return installed_version("tensorflow", "tensorflow-cpu", "tf-nightly")


def load_keras() -> Any:
    """Import TensorFlow and Keras, and return the module `keras`.

    The notes that TensorFlow's C++ code writes to stderr at its start, and LiteRT's converter later, are left as they
    are: stderr is the program's. Most stay away where TF_CPP_MIN_LOG_LEVEL is 3 before TensorFlow is imported. Raises
    `MissingFrameworkError` where they are not installed, `UnsupportedError` where Keras has another backend.
    """
    require("tensorflow", "TensorFlow", EXTRA)  # before Keras, whose own error would not name the extra
    keras = require("keras", "Keras", EXTRA)
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedError(f"Keras runs on {backend} here: set KERAS_BACKEND=tensorflow before it is imported")
    return keras


def require_h5py() -> None:
    """Raise `MissingFrameworkError` where h5py is not installed, without which Keras has no .keras files."""
    require("h5py", "h5py", EXTRA)
