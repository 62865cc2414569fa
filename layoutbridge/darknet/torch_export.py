"""A Darknet network in PyTorch: as an `nn.Module` to train or to run, and as an exported program in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays, check_kinds
from layoutbridge.darknet.model import Network
from layoutbridge.darknet.weights import Weights
from layoutbridge.errors import ParameterError, UnusableInputError, WeightsError
from layoutbridge.files import whole_file
from layoutbridge.frameworks import torch as framework
from layoutbridge.frameworks.base import missing

if TYPE_CHECKING:
    import torch

    from layoutbridge.darknet.torch_network import DarknetModule

METADATA = "layoutbridge.json"  # inside a .pt2: where it comes from
_WRAPPERS = ("_orig_mod", "module")  # where torch.compile and the parallel wrappers keep what they wrap


def to_module(network: Network, weights: Weights) -> DarknetModule:
    """`network` with copies of its weights as an `nn.Module`: see `torch_network.DarknetModule`.

    Raises `UnsupportedError` for a layer that cannot be expressed, with the cfg's line, and `MissingFrameworkError`.
    """
    return _module(network, weights.arrays, weights)


def run_torch(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in PyTorch; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. Raises as `to_module` does.
    """
    module = _module(network, parameters)
    import torch

    with torch.inference_mode():
        taken = framework.to_tensor(np.ascontiguousarray(x, np.float32))
        outputs = module(taken, every_layer=True) if every_layer else [module(taken)]
    return [framework.to_numpy(output) for output in outputs]


def write_torch(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    every_layer: bool = False,
) -> None:
    """Write `network` to `path` as an exported program (.pt2), whole or not at all; `torch.export.load` reads it.

    The program takes `x`, float32 [N, C, H, W] of RGB in 0..1 (or [N, K]), and returns the last layer's output, or with
    `every_layer` a list of all. `batch` None leaves N open. The file `layoutbridge.json` inside tells version, source
    and flavor. Raises as `to_module` does, `ParameterError` for an unusable batch or another ending, and
    `UnusableInputError` where the folder cannot be written.
    """
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise ParameterError(f"the batch is a number of at least 1, or None to leave it open, not {batch!r}")
    if Path(path).suffix != ".pt2":
        raise ParameterError(f"'{os.fspath(path)}' must end in .pt2, the ending of exported programs")
    module = _module(network, parameters)
    import torch

    example = torch.zeros(batch or 2, *network.in_shape)  # the exporter takes an open length of 1 for a constant
    axes: dict[int, Any] = {} if batch is not None else {0: torch.export.Dim("batch")}
    shapes: dict[str, Any] = {"x": axes} | ({"every_layer": None} if every_layer else {})
    given = {"every_layer": True} if every_layer else {}
    with framework.every_length_alike():
        program = torch.export.export(module, (example,), given, dynamic_shapes=shapes, strict=False)
    try:
        with whole_file(path) as temporary:
            torch.export.save(program, temporary, extra_files={METADATA: json.dumps(_metadata(network))})
    except (OSError, RuntimeError) as error:  # PyTorch's own writer raises RuntimeError for a full disk
        raise UnusableInputError(f"cannot write '{os.fspath(path)}': {error}") from None


def weights_of(network: Network, module: torch.nn.Module) -> Weights:
    """The parameters of `module`, which `to_module` made of `network` or of one with the same parameters.

    It may be wrapped by `torch.compile` or `DistributedDataParallel`. Raises `ParameterError` for another
    kind of module, and `WeightsError` where a layer's parameters have other shapes, or as `DarknetModule.to_weights`.
    """
    _require()
    from layoutbridge.darknet.torch_network import DarknetModule

    while not isinstance(module, DarknetModule):
        inner = next((getattr(module, name) for name in _WRAPPERS if hasattr(module, name)), None)
        if inner is None:
            raise ParameterError(f"a module that to_torch made is needed, not {type(module).__name__}")
        module = inner
    held = [layer.in_file for layer in module.layers]
    if len(held) != len(network.layers):
        raise WeightsError(f"the module has {len(held)} layers, and {network.source} {len(network.layers)}")
    for layer, parameters in zip(network.layers, held, strict=True):
        if layer.parameters != parameters:
            raise WeightsError(
                f"{network.source}, line {layer.line}: the parameters of {layer.name} are not those of the module"
            )
    return module.to_weights()


def _module(network: Network, parameters: Arrays, weights: Weights | None = None) -> DarknetModule:
    check_kinds(network.layers, network.source)
    _require()
    from layoutbridge.darknet.torch_network import DarknetModule

    if weights is None:
        return DarknetModule(network, parameters)
    return DarknetModule(network, parameters, weights.header, weights.trailing)


def _require() -> None:
    if framework.installed() is None:
        raise missing("PyTorch", framework.EXTRA)


def _metadata(network: Network) -> dict[str, str]:
    from layoutbridge import __version__

    return {"layoutbridge_version": __version__, "source": network.source, "flavor": network.flavor}
