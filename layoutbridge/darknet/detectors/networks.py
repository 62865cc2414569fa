"""A network of a cfg with its weights, opened in the runtime that runs it fastest: mostly through an exported file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors import torch
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.detectors.opened import Opened, Outputs, Size
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.ports.records.halves import Settings
from layoutbridge.darknet.ports.table import REFERENCE, port, runner
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import (
    LayoutBridgeError,
    MissingFrameworkError,
    ParameterError,
    UnsupportedError,
    counted,
    shown,
)
from layoutbridge.frameworks.base import installed_version, to_install

_FASTEST = ("ncnn", "openvino", "onnx", "tflite", "torch", "keras")  # the first, as docs/runtimes.md has them


def read_model(
    model: str | os.PathLike[str] | DarknetNetwork,
    weights: str | os.PathLike[str] | None,
    *,
    cfg: str | os.PathLike[str] | None,
    flavor: str,
    size: Size | None = None,
) -> tuple[str | os.PathLike[str] | DarknetNetwork, Network | None]:
    """What `Detector` and `Classifier` are given: a network, or the path of a model's file, with the network of `cfg`.

    `size` is (width, height) of pictures where the model leaves them open.
    Raises `ParameterError` for what does not go together, else as `load` does.
    """
    if not isinstance(model, DarknetNetwork) and Path(model).suffix == ".cfg":
        if weights is None:
            raise ParameterError(
                f"'{os.fspath(model)}' needs its weights: give both, or what load(cfg, weights) makes of them"
            )
        model, weights = load(model, weights, flavor=flavor), None
    elif weights is not None:
        raise ParameterError(f"weights go with a .cfg, not with '{model}'")
    if isinstance(model, DarknetNetwork):
        if size is not None:
            raise ParameterError("size is for model files: give load(cfg, weights, size=(width, height))")
        if cfg is not None:
            raise ParameterError("cfg is for model files: this one is a network already")
        return model, model.network
    return model, None if cfg is None else load(cfg, flavor=flavor, size=size).network


def open_model(
    model: str | os.PathLike[str] | DarknetNetwork,
    framework: str | None,
    threads: int,
    *,
    head: str,
    settings: Settings | None = None,
    size: Size | None = None,
) -> Opened:
    """A network as `open_network` opens it, or a file, which runs in one framework alone (`ParameterError`).

    `settings` are those of that one's runtime: with a network they need its name (`ParameterError`). `size` is (width,
    height), for files that leave it open.
    """
    if isinstance(model, DarknetNetwork):
        return open_network(model, framework, threads, head=head, settings=settings)
    opened = open_file(model, threads, settings=settings, size=size)
    if framework not in (None, opened.framework):
        raise ParameterError(f"'{opened.source}' runs in {opened.framework}, not in {shown(framework)}")
    return opened


def open_network(
    net: DarknetNetwork, framework: str | None, threads: int, *, head: str, settings: Settings | None = None
) -> Opened:
    """The network as a model with the `head`, run in `framework`, a target of `ports.table` or "reference".

    Where that is None, in the first target that is installed and has all that the network needs, the fastest first.
    Raises `UnknownNameError` for another framework, `MissingFrameworkError` where none is installed, `WeightsError`
    without weights, and `UnsupportedError` for a network without detection layers, or where no target can express it.
    """
    if settings and framework in (None, REFERENCE):
        raise ParameterError("settings are a runtime's own: name the framework that they are for")
    if framework == REFERENCE:
        return _in_reference(net)
    if framework is not None:
        return _exported(net, port(framework).name, threads, head, settings)
    reasons: list[LayoutBridgeError] = []
    for name in _FASTEST:
        if installed_version(runner(name).package) is not None:
            try:
                return _exported(net, name, threads, head)
            except (UnsupportedError, MissingFrameworkError) as error:  # what writes the file may not be there
                reasons.append(error)
    if not reasons:
        raise MissingFrameworkError(
            f"no runtime is installed that runs a network quickly: {to_install('onnx')}, or take "
            "framework='reference', which is slow"
        )
    raise reasons[-1]


def _exported(net: DarknetNetwork, name: str, threads: int, head: str, settings: Settings | None = None) -> Opened:
    if name == torch.FRAMEWORK:
        if settings:
            raise ParameterError("settings for PyTorch are for a .pt2: export the network as one")
        return torch.open_network(net, head)
    folder = tempfile.TemporaryDirectory(prefix="layoutbridge-")
    target = port(name)
    path = Path(folder.name) / f"net{target.endings[0]}"
    target.write(net.network, net.parameters, path, head=head)
    # runtimes may read from the file for as long as they run it
    return replace(open_file(path, threads, vouched=True, settings=settings), source=net.network.source, keeps=folder)


def _in_reference(net: DarknetNetwork) -> Opened:
    network = net.network
    if len(network.in_shape) != 3:
        raise UnsupportedError(f"{network.source} takes {counted(network.channels, 'number')}, no picture")

    def run(x: NDArray[np.float32]) -> Outputs:
        return {layer.name: output for layer, output in zip(network.layers, net.run(x, REFERENCE, True), strict=True)}

    channels, height, width = network.in_shape
    return Opened(network.source, REFERENCE, run, (channels, height, width))
