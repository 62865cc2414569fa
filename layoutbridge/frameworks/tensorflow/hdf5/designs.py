"""Keras' older files, HDF5: the model that one describes, without its weights."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from layoutbridge.errors import UnusableInputError, class_and_first_line, shown
from layoutbridge.frameworks.tensorflow.archive import check_weights, refuse_names, without_training
from layoutbridge.frameworks.tensorflow.files import custom_objects, refuse_more_variables, refuse_old_keras
from layoutbridge.frameworks.tensorflow.start_up import load_keras, require_h5py
from layoutbridge.inputs import file_size

if TYPE_CHECKING:
    import keras

HDF5 = (".h5", ".hdf5")
_MODULES = {"Functional": "keras.src.models.functional", "Sequential": "keras.src.models.sequential"}
_LONGEST = 1 << 23  # bytes of a config, as in .keras files


def load_keras_design(path: str | os.PathLike[str]) -> keras.Model:
    """The model that the HDF5 file at `path` describes, with weights that are not the file's.

    It is looked at as a .keras file is (see `load_keras_file`): what it names must be what models are made of. Raises
    `UnusableInputError` for another file, `MissingFrameworkError`.

    >>> load_keras_design("net.h5")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no file 'net.h5'
    """
    told = f"'{os.fspath(path)}'"
    size = file_size(path)
    require_h5py()
    refuse_old_keras()
    known = sys.modules.get("keras")  # where it is not imported, nothing is registered
    registered = frozenset(known.saving.get_custom_objects() if known is not None else ())
    try:
        with open(path, "rb") as file:
            config = _config(file)
            refuse_names(config, registered)
            held = check_weights(file, size)
        keras = load_keras()
        custom_objects()
        bare = without_training(config)
        refuse_more_variables(bare, held)
        model = keras.saving.deserialize_keras_object(bare)
    except UnusableInputError as error:
        raise UnusableInputError(f"{told} is not read as a Keras model: {error}") from None
    except Exception as error:  # whatever reading a broken file, or another version's config, runs into
        raise UnusableInputError(f"Keras cannot read {told}: {class_and_first_line(error)}") from None
    if not isinstance(model, keras.Model):
        raise UnusableInputError(f"{told} holds {type(model).__name__}, and no model")
    return model


def is_design(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the ending of such a file."""
    return Path(path).suffix in HDF5


def _config(file: BinaryIO) -> dict[str, Any]:
    import h5py

    with h5py.File(file, "r") as held:
        text = held.attrs.get("model_config")
    text = text.decode() if isinstance(text, bytes) else text
    if not isinstance(text, str):
        raise UnusableInputError("it holds weights alone: save the whole model, model.save('net.keras')")
    if len(text) > _LONGEST:
        raise UnusableInputError(f"its config has {len(text):,} characters, and at most {_LONGEST:,} do")
    config = json.loads(text)
    if not isinstance(config, dict) or "class_name" not in config:
        raise UnusableInputError("its config names no model")
    name = {"Model": "Functional"}.get(config["class_name"], config["class_name"])
    if name not in _MODULES:
        raise UnusableInputError(f"it is a {shown(name)}, and only Functional and Sequential models are read")
    return config | {"class_name": name, "module": _MODULES[name], "registered_name": name}
