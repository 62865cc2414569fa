"""A .keras file looked at before Keras reads it: it may name nothing that runs code or opens another file.

Keras has a safe mode of its own, which refuses what is known to be unsafe. Here it is the other way round: what a file
names must be among what models are made of. So are its parts and their sizes checked, before TensorFlow is started.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Container, Iterator
from math import prod
from typing import Any, BinaryIO
from zipfile import ZipFile, ZipInfo

from layoutbridge.archives import checked_zip
from layoutbridge.errors import UnusableInputError, first_line
from layoutbridge.frameworks.base import ABOUT
from layoutbridge.inputs import PathLike, refuse_costly

OURS = frozenset(
    f"layoutbridge>{name}"
    for name in (
        "Rearrange", "Parameter", "Arithmetic", "Reduction", "StepsAsBatch", "BatchAsSteps", "OneStep", "StackedSteps",
        "GivenFilters2D", "LeastPadding2D", "LocallyConnected2D",
    )
)  # fmt: skip
CLASSES_FROM = frozenset(
    f"keras{name}"
    for name in (
        "", ".layers", ".models", ".initializers", ".regularizers", ".constraints", ".dtype_policies", ".quantizers",
        ".random", ".optimizers", ".optimizers.schedules", ".losses", ".metrics", ".src.models.functional",
        ".src.models.model", ".src.models.sequential", ".src.ops.core", ".src.ops.einops", ".src.ops.image",
        ".src.ops.linalg", ".src.ops.math", ".src.ops.nn", ".src.ops.numpy",
    )
)  # fmt: skip
FUNCTIONS_FROM = frozenset(
    f"keras.{name}"
    for name in (
        "activations", "initializers", "regularizers", "constraints", "losses", "metrics", "ops", "ops.image",
        "ops.linalg", "ops.nn", "ops.numpy",
    )
) | {"builtins"}  # fmt: skip
# Keras' own that run code of the file, open files that it names, or call functions for as long as it likes.
REFUSED_CLASSES = frozenset((
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    "StringLookup", "IntegerLookup", "TextVectorization",
    "AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap", "WhileLoop",
))  # fmt: skip
_VALUES = frozenset(("__keras_tensor__", "__bytes__", "__ellipsis__", "__slice__"))
_ARRAYS = frozenset(("__numpy__", "__tensor__"))
_NUMBERS = re.compile(r"bool|bfloat16|(u?int|float)(8|16|32|64)")

_WEIGHTS = "model.weights.h5"
_MOST_BYTES = {"metadata.json": 1 << 16, "config.json": 1 << 23}  # JSON takes up to 25 times as much in memory
_MOST_ABOUT = 1 << 23  # bytes of what our own exports tell beside, which Keras does not look at
_MOST_IN_METRICS = 4096  # thresholds, classes: tables of their square
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}[\w.+-]{0,20}")


def check_keras_file(path: PathLike, registered: Container[str] = ()) -> tuple[dict[str, Any], str | None, int]:
    """The config in the .keras file at `path`, the Keras that wrote it where it says so, how many numbers it holds.

    `registered` are the names that the program itself has registered with Keras, beside our layers'. Raises
    `UnusableInputError` for what is no regular file or no whole .keras file, for parts that such a file has not, too
    large or packed too well for what they are, for a config that names anything but what models are made of, and for
    weights that lie outside of the file or would take more memory than the file is worth.

    >>> check_keras_file("net.cfg")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no .keras file 'net.cfg'
    """
    told = f"'{os.fspath(path)}'"
    parts = {part.filename: part for part in checked_zip(path, ".keras file")}
    try:
        _check_parts(parts)
        with ZipFile(path) as archive:
            written_by = _version(archive.read("metadata.json"))
            config = _parsed(archive.read("config.json"), "config.json")
            if "class_name" not in config:
                raise UnusableInputError("its config.json names no model")
            refuse_names(config, registered)
            weights = archive.read(_WEIGHTS)
            held = check_weights(io.BytesIO(weights), len(weights))
    except UnusableInputError as error:
        raise UnusableInputError(f"{told} is not read as a Keras model: {error}") from None
    except Exception as error:  # whatever reading bytes that are no such part runs into
        raise UnusableInputError(f"{told} is no whole .keras file ({first_line(error)}): write it again") from None
    return config, written_by, held


def read_unmade(path: PathLike) -> tuple[dict[str, Any], bytes]:
    """The config and the HDF5 file of weights in the .keras file at `path`, of which no model is made.

    So the config may name what it likes. Raises `UnusableInputError` for what is no whole .keras file.
    """
    told = f"'{os.fspath(path)}'"
    parts = {part.filename: part for part in checked_zip(path, ".keras file")}
    try:
        _check_parts(parts)
        with ZipFile(path) as archive:
            return _parsed(archive.read("config.json"), "config.json"), archive.read(_WEIGHTS)
    except UnusableInputError as error:
        raise UnusableInputError(f"{told} is not read as a Keras model: {error}") from None
    except Exception as error:  # whatever reading bytes that are no such part runs into
        raise UnusableInputError(f"{told} is no whole .keras file ({first_line(error)}): write it again") from None


def _check_parts(parts: dict[str, ZipInfo]) -> None:
    """Raise `UnusableInputError` where these are not the parts of a .keras file, or larger than they may be."""
    wanted = (*_MOST_BYTES, _WEIGHTS)
    for name, part in parts.items():
        if name not in (*wanted, ABOUT):
            raise UnusableInputError(f"it holds {_short(name)}, and is read only with {', '.join(wanted)} in it")
        most = _MOST_ABOUT if name == ABOUT else _MOST_BYTES.get(name, part.file_size)
        if part.file_size > most:
            raise UnusableInputError(f"its {name} has {part.file_size:,} bytes, and at most {most:,} do")
    for name in wanted:
        if name not in parts:
            raise UnusableInputError(f"it holds no {name}")


def _version(metadata: bytes) -> str | None:
    held = _parsed(metadata, "metadata.json").get("keras_version")
    return held if isinstance(held, str) and _VERSION.fullmatch(held) else None


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableInputError(f"its {name} is no JSON that is read: {first_line(error)}") from None
    if not isinstance(held, dict):
        raise UnusableInputError(f"its {name} holds no object, but {type(held).__name__}")
    return held


# ---------------------------------------------------------------------- what a config names


def refuse_names(config: dict[str, Any], registered: Container[str] = ()) -> None:
    """Raise `UnusableInputError` where `config` names anything but what models are made of, wherever it does.

    >>> refuse_names({"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}})
    >>> refuse_names({"class_name": "run", "module": "subprocess", "config": {}})
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: it names 'subprocess.run', which is no part of models
    """
    for named in _objects(config):
        _refuse_large_metrics(named.get("compile_config"))
        name, module, inner = named["class_name"], named.get("module"), named.get("config")
        if not isinstance(name, str) or not (module is None or isinstance(module, str)):
            raise UnusableInputError(f"it names a class by {_short(name)} of {_short(module)}")
        if name in REFUSED_CLASSES:
            raise UnusableInputError(f"it names {name}, which runs code or opens files that the file names")
        if name in _VALUES:
            continue
        if name in _ARRAYS:
            kind = inner.get("dtype") if isinstance(inner, dict) else None
            if not isinstance(kind, str) or not _NUMBERS.fullmatch(kind):
                raise UnusableInputError(f"it holds an array of {_short(kind)}, and only numbers are read")
        elif name == "function":
            if not isinstance(inner, str) or not (module in FUNCTIONS_FROM or inner in registered):
                raise UnusableInputError(
                    f"it names the function {_short(f'{module}.{inner}')}, which is no part of models"
                )
        elif not _is_known(named, module, registered):
            raise UnusableInputError(
                f"it names {_short(name if module is None else f'{module}.{name}')}, which is no part of models"
            )


def _refuse_large_metrics(settings: Any) -> None:
    """Raise `UnusableInputError` where losses or metrics ask for tables of their own that no file needs."""
    left = [value for name, value in settings.items() if name != "optimizer"] if isinstance(settings, dict) else []
    while left:
        held = left.pop()
        if isinstance(held, dict | list):
            left.extend(held.values() if isinstance(held, dict) else held)
        elif isinstance(held, int) and abs(held) > _MOST_IN_METRICS:
            raise UnusableInputError(f"its metrics ask for {held:,}, and at most {_MOST_IN_METRICS:,} is read")


def without_training(config: Any) -> Any:
    """A copy of `config` without what models are compiled with."""
    if isinstance(config, dict):
        return {name: without_training(value) for name, value in config.items() if name != "compile_config"}
    return [without_training(value) for value in config] if isinstance(config, list) else config


def _is_known(named: dict[str, Any], module: str | None, registered: Container[str]) -> bool:
    """Whether Keras finds the class among its own, ours, or what the program registered."""
    under = named.get("registered_name")
    if isinstance(under, str) and (under in OURS or under in registered):
        return True
    # without a module, as Keras' wrappers have it too, it looks among its own layers, initializers and so on
    return not str(named["class_name"]).startswith("__") and (module is None or module in CLASSES_FROM)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every dict in `config` that names a class, however deep."""
    left = [config]
    while left:
        held = left.pop()
        if isinstance(held, dict):
            if "class_name" in held:
                yield held
            left.extend(held.values())
        elif isinstance(held, list):
            left.extend(held)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


# ---------------------------------------------------------------------- weights


def check_weights(content: BinaryIO, size: int) -> int:
    """How many numbers the arrays in an HDF5 file of `size` bytes hold, which must lie in it as they are.

    Raises `UnusableInputError` where they do not, or take more memory than the file is worth.
    """
    import h5py

    numbers, total, seen = 0, 0, set()
    with h5py.File(content, "r") as file:
        left = [file]
        while left:
            group = left.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise UnusableInputError(f"its weights hold the link {_short(name)}, and links are not followed")
                held = group[name]
                place = h5py.h5o.get_info(held.id).addr
                if place in seen:  # by another name
                    continue
                seen.add(place)
                if isinstance(held, h5py.Group):
                    left.append(held)
                else:
                    _check_array(held, name)
                    numbers += prod(held.shape)
                    total += prod(held.shape) * held.dtype.itemsize
    refuse_costly(total, size, "what its weights declare")
    return numbers


def _check_array(held: Any, name: str) -> None:
    import h5py

    if not isinstance(held, h5py.Dataset):
        raise UnusableInputError(f"its weights hold {_short(name)}, which is no array")
    if held.external or held.is_virtual:
        raise UnusableInputError(f"its weights hold {_short(name)}, which lies in another file")
    if held.dtype.kind not in "biufcV" or held.dtype.hasobject or held.shape is None:
        raise UnusableInputError(f"its weights hold {_short(name)} of {held.dtype}, and only numbers are read")
