"""Models and inputs by the words of a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.returning.torch_states import read_state_dict
from layoutbridge.errors import LayoutBridgeError, ParameterError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import is_regular_file, opened
from layoutbridge.recognition.targets.loading import load_target
from layoutbridge.scanning.models import can_be_scanned

_RECORDED = ".npz"
_SOURCES = (".keras", ".h5", ".hdf5", ".onnx", ".safetensors", ".pth")


def _loaded(word: str) -> object:
    """What a word names in a file or module of Python. Raises `ParameterError` for a function, which is no model."""
    model = load_target(word)
    if isinstance(model, FunctionType):
        raise ParameterError(f"'{word}' is a function: if it makes a model, write '{word}()'")
    return model


def named_models(words: Sequence[str], weights: str | None, flavor: str) -> tuple[object, object]:
    """The reference and the candidate: a .cfg takes the word behind it as its weights.

    `weights` is a .safetensors file for the one of them that is a module. Raises `ParameterError` for another number of
    models, and as their readers do.
    """
    models: list[object] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if Path(word).suffix.lower() == ".cfg":
            if not left:
                raise ParameterError(f"'{word}' has no weights: give its .weights file behind it")
            models.append(load(word, left.pop(0), flavor=flavor))
        else:
            models.append(word if _is_model_file(word) else _loaded(word))
    if len(models) != 2:
        raise ParameterError(f"two models are compared, not {len(models)}: a reference, then a candidate")
    if weights is not None:
        live = [model for model in models if hasattr(model, "load_state_dict")]
        if not live:
            raise ParameterError("--weights is for a module of PyTorch, file.py:Module, and none is given")
        _fill(live[-1], weights)
    return models[0], models[1]


def named_source(word: str, state: str | None) -> object:
    """What weights are taken from: the path of a file as it is, or what `file.py:Module` names, filled with `state`.

    `state` is the path of the module's state dict. Raises `ParameterError` where it is given with a file, and as
    readers do.
    """
    _, colon, attribute = word.rpartition(":")
    if not colon or not attribute or Path(word).suffix.lower() in _SOURCES:
        if state is not None:
            raise ParameterError(f"--state is for a module of PyTorch, file.py:Module, not for '{word}'")
        return word
    model = _loaded(word)
    if state is not None:
        if not hasattr(model, "load_state_dict"):
            raise ParameterError(f"--state is for a module of PyTorch, and '{word}' is {type(model).__name__}")
        torch = require("torch", "PyTorch", "torch")
        arrays, _ = read_state_dict(state)
        _load(model, {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}, state)
    return model


def _is_model_file(word: str) -> bool:
    return can_be_scanned(word) or Path(word).suffix.lower() == _RECORDED or Path(word).is_dir()


def _fill(module: Any, path: str) -> None:
    """Put the tensors of a .safetensors file into a module."""
    if not is_regular_file(path):
        raise UnusableInputError(f"'{path}' is not there: give the .safetensors file of the module's state dict")
    torch_files = require("safetensors.torch", "safetensors", "torch")
    try:
        state = torch_files.load_file(path)
    except Exception as error:  # of another file's
        raise UnusableInputError(f"'{path}' does not fit the module: {class_and_first_line(error)}") from None
    _load(module, state, path)


def _load(module: Any, state: Mapping[str, Any], path: str) -> None:
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except Exception as error:  # of shapes that do not fit
        raise UnusableInputError(f"'{path}' does not fit the module: {class_and_first_line(error)}") from None
    if missing or unexpected:
        told = "; ".join(
            f"{what} {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
            for what, names in (("it lacks", missing), ("the module does not know", unexpected))
            if names
        )
        raise UnusableInputError(f"'{path}' does not fit the module: {told}")


def named_input(path: str, reference: object) -> NDArray[Any]:
    """The array in a .npy file, or a picture as a Darknet network takes it.

    Raises `UnusableInputError` for what is no such file, and for a picture where the reference is not Darknet's.
    """
    if Path(path).suffix.lower() == ".npy":
        try:
            with opened(path, "array") as file:
                array: NDArray[Any] = np.load(file, allow_pickle=False)
        except LayoutBridgeError:
            raise
        except Exception as error:  # whatever its parser raises
            raise UnusableInputError(f"'{path}' is no .npy file: {class_and_first_line(error)}") from None
        return array
    if not isinstance(reference, DarknetNetwork):
        raise UnusableInputError(
            f"'{path}' is a picture, and how {type(reference).__name__} takes one is not known: give a .npy file"
        )
    from layoutbridge.darknet.detection.pictures import open_picture
    from layoutbridge.darknet.detection.resizing import fitted

    channels, height, width = reference.network.in_shape
    with open_picture(path) as image:
        return np.asarray(fitted(image, channels, (width, height), letterboxed=False))[None]
