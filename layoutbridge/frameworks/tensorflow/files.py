"""Files with our layers: `.keras` files registered and read, SavedModels written.

A `.keras` file names the layer's class, and Keras loads such a file only where the class is registered: call
`custom_objects()` first, or load it by `load_keras_file`. A SavedModel needs nothing but TensorFlow.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from layoutbridge.errors import UnusableInputError, first_line
from layoutbridge.frameworks.tensorflow.saving import saving
from layoutbridge.frameworks.tensorflow.start_up import load_keras, require_h5py

if TYPE_CHECKING:
    import keras

KERAS = ".keras"


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
    if not Path(path).is_file():
        raise UnusableInputError(f"there is no file '{os.fspath(path)}'")
    keras = load_keras()
    custom_objects()
    from layoutbridge.frameworks.tensorflow.layers import fix_called_statistics

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


def export_saved_model(model: keras.Model, path: Path, names: Sequence[str] = ()) -> None:
    """Write `model` as a SavedModel folder, without TensorFlow's remarks.

    `serve(x)` of it (of several inputs their list) returns what the model does; its signature, "serving_default", takes
    the inputs by their names, and gives the outputs these `names`.
    """
    import keras

    def named(*given: Any) -> dict[str, Any]:
        results = model(list(given) if len(given) > 1 else given[0], training=False)
        return dict(zip(names, results if isinstance(results, list) else [results], strict=True))

    signature = [keras.InputSpec(shape=taken.shape, dtype=taken.dtype, name=taken.name) for taken in model.inputs]
    archive = keras.export.ExportArchive()
    archive.track_and_add_endpoint("serve", model, signature if len(signature) == 1 else [signature])
    if names:
        archive.add_endpoint("serving_default", named, signature)
    with saving():
        archive.write_out(path, verbose=False)
