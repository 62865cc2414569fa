"""What a model to take weights from is: a file by its ending, or a model in memory by its class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.darknet.returning.source import Source
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, UnusableInputError, shown
from layoutbridge.frameworks.base import require

if TYPE_CHECKING:
    import keras
    import torch
    from onnx import ModelProto

Path_ = str | os.PathLike[str]


def check_epsilon(epsilon: float | None) -> None:
    """Raise `ParameterError` for an epsilon that no batch norm has."""
    if epsilon is not None and not 0 <= epsilon < 1:
        raise ParameterError(f"batch norm's epsilon is a number from 0 to below 1, not {shown(epsilon)}")


def torch_source(
    network: Network, model: torch.nn.Module | Mapping[str, Any] | Path_, epsilon: float | None = None
) -> Source:
    """The layers of a module, a state dict, or a file of one; raises as their readers do."""
    from layoutbridge.darknet.returning.torch_states import arrays_of, read_state_dict, source_of_state

    check_epsilon(epsilon)
    if isinstance(model, str | os.PathLike):
        arrays, ordered = read_state_dict(model)
        return source_of_state(arrays, ordered=ordered, epsilon=epsilon)
    if isinstance(model, Mapping):
        return source_of_state(arrays_of(model, "the state dict"), ordered=True, epsilon=epsilon)
    torch = require("torch", "PyTorch", "torch")
    if not isinstance(model, torch.nn.Module):
        raise ParameterError(f"a module, a state dict or a path of one is needed, not {type(model).__name__}")
    from layoutbridge.darknet.returning.torch_modules import source_of_module

    return source_of_module(model, network.in_shape, epsilon)


def keras_source(network: Network, model: keras.Model | Path_, epsilon: float | None = None) -> Source:
    """The layers of a Keras model or of a file of one; raises as their readers do."""
    from layoutbridge.darknet.returning.keras_source import live_layers, source_of_layers

    check_epsilon(epsilon)
    if isinstance(model, str | os.PathLike):
        from layoutbridge.darknet.returning.keras_files import source_of_file

        return source_of_file(model, network.flavor, epsilon)
    if not hasattr(model, "layers") or not hasattr(model, "weights"):
        raise ParameterError(f"a Keras model or a path of one is needed, not {type(model).__name__}")
    layers, known_graph = live_layers(model)
    return source_of_layers(layers, network.flavor, known_graph=known_graph, epsilon=epsilon)


def onnx_source(model: ModelProto | Path_) -> Source:
    """The layers of an ONNX model or of a file of one; raises as its reader does."""
    from layoutbridge.darknet.returning.onnx_source import source_of_onnx

    if not isinstance(model, str | os.PathLike) and not hasattr(model, "graph"):
        raise ParameterError(f"an ONNX model or a path of one is needed, not {type(model).__name__}")
    return source_of_onnx(model)


def source_of(network: Network, model: object, epsilon: float | None = None) -> Source:
    """The layers of a model of any of these frameworks.

    Raises `UnusableInputError` for what none of them is, and as their readers do.
    """
    from layoutbridge.darknet.returning.keras_files import ENDINGS
    from layoutbridge.darknet.returning.torch_states import PICKLES, SAFETENSORS

    if isinstance(model, str | os.PathLike):
        ending = Path(model).suffix.lower()
        if ending == ".onnx":
            check_epsilon(epsilon)
            return onnx_source(model)
        if ending in ENDINGS:
            return keras_source(network, model, epsilon)
        if ending in (SAFETENSORS, *PICKLES):
            return torch_source(network, model, epsilon)
        raise UnusableInputError(
            f"'{os.fspath(model)}' is no model by its ending: .onnx, {', '.join((*ENDINGS, SAFETENSORS, *PICKLES))} "
            "are read"
        )
    kind = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "torch" in kind or isinstance(model, Mapping):
        return torch_source(network, model, epsilon)  # type: ignore[arg-type]
    if "onnx" in kind:
        return onnx_source(model)  # type: ignore[arg-type]
    if not hasattr(model, "layers"):
        raise UnusableInputError(f"{type(model).__name__} is no model of Keras, PyTorch or ONNX, and no state dict")
    return keras_source(network, model, epsilon)  # type: ignore[arg-type]
