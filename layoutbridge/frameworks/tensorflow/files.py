"""Files with our layers: `.keras` files registered and read, SavedModels written.

A `.keras` file names the layer's class, and Keras loads such a file only where the class is registered: call
`custom_objects()` first, or load it by `load_keras_file`. A SavedModel needs nothing but TensorFlow.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.errors import UnusableInputError, first_line
from layoutbridge.frameworks.base import installed_version
from layoutbridge.frameworks.tensorflow.archive import check_keras_file, without_training
from layoutbridge.frameworks.tensorflow.saving import saving
from layoutbridge.frameworks.tensorflow.start_up import load_keras, require_h5py
from layoutbridge.inputs import file_size

if TYPE_CHECKING:
    import keras

KERAS = ".keras"
LEAST_KERAS = "3.14.1"  # older ones run, open or follow what files name, whatever their safe mode
_FEW_NUMBERS = 1 << 20  # in layers, beside those that a file holds


def custom_objects() -> dict[str, type[keras.Layer]]:
    """Register our layers, so that `keras.saving.load_model` finds them, and return them under their Keras names."""
    load_keras()
    from layoutbridge.frameworks.tensorflow import layers
    from layoutbridge.frameworks.tensorflow.rearrange import Rearrange

    return {f"layoutbridge>{layer.__name__}": layer for layer in (Rearrange, *layers.LAYERS)}


def load_keras_file(path: str | os.PathLike[str]) -> keras.Model:
    """The model in a .keras file, which may hold our layers.

    Batch norm that was called with `training=False`, as in Darknet's networks, keeps its statistics in training too:
    `keras.saving.load_model` leaves it to `fit` to override that. The file is looked at before Keras reads it: code in
    it or named by it is refused, so is what takes more memory than its weights have (see `check_keras_file`). Layers
    that the program has registered with Keras are known. Raises `UnusableInputError` for such a file, for what is no
    .keras file, for one of a newer Keras than is installed, and where the Keras installed is older than `LEAST_KERAS`;
    `MissingFrameworkError`.
    """
    if Path(path).suffix != KERAS:
        raise UnusableInputError(f"'{os.fspath(path)}' does not end in .keras, and no other files of Keras are read")
    file_size(path)
    require_h5py()
    installed_here = refuse_old_keras()
    known = sys.modules.get("keras")  # where it is not imported, nothing is registered
    registered = frozenset(known.saving.get_custom_objects() if known is not None else ())
    config, written_by, held = check_keras_file(path, registered)
    keras = load_keras()
    custom_objects()
    from layoutbridge.frameworks.tensorflow.layers import fix_called_statistics

    try:
        refuse_more_variables(config, held)
        model = keras.saving.load_model(path)
    except UnusableInputError as error:
        raise UnusableInputError(f"'{os.fspath(path)}' is not read as a Keras model: {error}") from None
    except Exception as error:  # whatever reading another version's config runs into
        if written_by is not None and _numbers(written_by) > _numbers(installed_here):
            raise UnusableInputError(
                f"'{os.fspath(path)}' was written by Keras {written_by}, and {installed_here} is installed, which "
                f"cannot read it: install keras>={written_by}"
            ) from None
        raise UnusableInputError(
            f"Keras {installed_here} cannot read '{os.fspath(path)}': {first_line(error)}"
        ) from None
    fix_called_statistics(model)
    return model


def refuse_old_keras() -> str:
    """The version of Keras; raises `UnusableInputError` where it is one that is known to run code from .keras files."""
    version = installed_version("keras", "keras-nightly") or str(load_keras().__version__)
    if _numbers(version) < _numbers(LEAST_KERAS):
        raise UnusableInputError(
            f"Keras {version} may run code from .keras files: pip install 'keras>={LEAST_KERAS}' to read them"
        )
    return version


def refuse_more_variables(config: dict[str, Any], held: int) -> None:
    """Raise `UnusableInputError` where the layers of `config` have far more numbers than the `held` ones of the file.

    The model is made without any numbers for that. It leaves marks in what Keras keeps for each thread, so a thread of
    its own does it.
    """
    import keras

    bare = without_training(config)

    def count() -> int:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(bare)
            return sum(prod(variable.shape) for variable in model.variables)

    with ThreadPoolExecutor(1) as thread:
        wanted = thread.submit(count).result()
    if wanted > held + _FEW_NUMBERS:
        raise UnusableInputError(f"its layers have {wanted:,} numbers, and its weights hold {held:,}")


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
