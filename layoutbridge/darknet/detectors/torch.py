"""Exported programs of PyTorch, .pt2, and networks as modules for inference, without a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.metadata import output_names, read_within
from layoutbridge.darknet.detectors.opened import Opened, Outputs, picture_shape
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.provenance import about
from layoutbridge.darknet.ports.records.halves import half_in
from layoutbridge.darknet.ports.records.tuned import Settings, as_tuned
from layoutbridge.errors import UnsupportedError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.torch.emission import EXTRA, to_numpy
from layoutbridge.inputs import file_size

if TYPE_CHECKING:
    from layoutbridge.darknet.ports.torch_module import DarknetProgram

FRAMEWORK = "torch"


def open_model(path: str | os.PathLike[str], threads: int = 0, *, settings: Settings | None = None) -> Opened:
    """The program at `path`, its convolutions packed; PyTorch chooses the `threads` of the process.

    Of `settings` there is "precision", "bfloat16": convolutions compute in it.

    Loading it may run code that it holds: take only those that you trust. Raises `UnusableInputError` for what PyTorch
    cannot load, `UnsupportedError` where its input is no picture, and `MissingFrameworkError`.
    """
    torch = require("torch", "PyTorch", EXTRA)
    source = os.fspath(path)
    file_size(path)
    try:
        program = torch.export.load(source)
    except Exception as error:  # its readers fail in many ways on files that are none of theirs
        raise UnusableInputError(f"PyTorch cannot load '{source}': {first_line(error)}") from None
    module, metadata = program.module(), read_within(path)
    _, used = as_tuned(metadata, FRAMEWORK, threads, settings)
    from layoutbridge.frameworks.torch.packed_programs import pack

    pack(module, bfloat16=bool(half_in(FRAMEWORK, used)))
    shapes = [
        tuple(length if isinstance(length, int) else None for length in node.meta["val"].shape)
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    return _opened(source, module, shapes, metadata)


def open_network(net: DarknetNetwork, head: str) -> Opened:
    """The network as the module of `to_torch(head, for_inference=True)`, which runs faster than a program of a file.

    Raises as `to_torch` does, and `UnsupportedError` where its input is no picture.
    """
    module = cast("DarknetProgram", net.to_torch(head, for_inference=True))
    shapes = [(None, *net.network.in_shape), *((None, *shape) for shape in module.state_shapes.values())]
    told = {**about(net.network, head), "outputs": json.dumps([*module.output_shapes])}
    return _opened(net.network.source, module, shapes, told)


def _opened(source: str, module: Any, shapes: Sequence[tuple[int | None, ...]], metadata: Mapping[str, str]) -> Opened:
    """A module that takes tensors of these `shapes`."""
    if len(shapes) != 1:
        raise UnsupportedError(f"'{source}' takes {len(shapes)} inputs: one picture is wanted")
    import torch

    def run(x: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            results = module(torch.from_numpy(np.ascontiguousarray(x)))
        tensors = results if isinstance(results, list | tuple) else [results]
        names = output_names(metadata, len(tensors), source)
        return {name: to_numpy(value) for name, value in zip(names, tensors, strict=True)}

    return Opened(source, FRAMEWORK, run, picture_shape(shapes[0], source), shapes[0][0], metadata=metadata)
