"""A Darknet network for ncnn: written to its two files as a stream, or run by its Python package.

The network takes the blob `input`: one picture, float32 (C, H, W) of RGB in 0..1, or a vector. What a layer outputs
bears its name, as in `31_region`, and ncnn's layers that name and their kind, as in `27_reorg/Reorg`. Batch norm is
folded into the weights in float64. ncnn itself is needed to run the files, not to write them.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays, Memory, write_layers
from layoutbridge.darknet.ports.outputs import check_head, head_outputs, last_is_output
from layoutbridge.darknet.ports.port import (
    WINOGRAD,
    Export,
    Port,
    Runner,
    States,
    first_step,
    next_state,
    over_steps,
    state_name,
    state_shapes,
)
from layoutbridge.darknet.ports.provenance import about
from layoutbridge.darknet.ports.readers import ultralytics
from layoutbridge.darknet.ports.records.tuned import Settings, Tuned
from layoutbridge.darknet.rounding.ncnn import int8_layers
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ShapeError, UnusableInputError, first_line
from layoutbridge.files import Progress
from layoutbridge.frameworks.base import check_count, require
from layoutbridge.frameworks.ncnn.graph import INPUT_NAME
from layoutbridge.frameworks.ncnn.target import NcnnTarget
from layoutbridge.frameworks.ncnn.writer import bin_beside, input_shape, write_files
from layoutbridge.inputs import file_size

THREADS = 2
# Each would let ncnn store or compute with fewer bits than float32 has, where the machine can.
_SHORTER = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NcnnExport(Export):
    """What was written: the layers, their weights, and the results' blobs as outputs."""

    bin_path: Path
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The layers, the weights, what is told of both, and what `others` read."""
        return self.path, self.bin_path, about_beside(self.path), *self.others

    @property
    def remarks(self) -> tuple[str, ...]:
        """How to have ncnn compute in float32."""
        switches = "use_fp16_packed, use_fp16_storage and use_fp16_arithmetic"
        return (f"for float32 switch net.opt.{switches} off before loading it",)


def write_ncnn(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    every_layer: bool = False,
    int8: Int8 | None = None,
    names: Sequence[str] | None = None,
    tuned: Tuned | None = None,
    progress: Progress | None = None,
) -> NcnnExport:
    """Write `network` with `parameters` ((layer index, name) to float32 array) to `path`; whole or not at all.

    `path` ends in .param; the weights, float32, go into the .bin beside it. `head` is as for ONNX (`ports.outputs`);
    `every_layer` adds all layers' outputs; `names` are the classes', `tuned` the record of a measured choice. `int8`
    rounds convolutions' weights and what they read to whole numbers of 8 bits, over ranges measured in ncnn itself
    (`rounding.ncnn`). Where it comes from and how its outputs are read stands in the .json beside it, and in a folder
    called `*_ncnn_model`, which Ultralytics opens, in `metadata.yaml`, too. Of a recurrent network it is one step:
    beside `input` it takes its states, as `state_0_lstm_cell`, and gives those behind the step, as
    `state_0_lstm_cell_next`. `progress` gets the bytes of weights written and in all.

    Peak memory is that of the weights and some megabytes. Raises `UnsupportedError` for what ncnn cannot
    express, with the cfg's line; `ParameterError` for another ending, `UnknownNameError` for a head and
    `UnusableInputError` where the folder cannot be written.
    """
    bin_beside(path)
    check_head(head)
    told = about(network, head, names, batch=1, tuned=tuned)
    target = NcnnTarget(network.in_shape)
    before = {(layer.index, s.name): target.state(state_name(layer, s), s.shape) for layer, s in network.states}
    memory = Memory(before=before)
    values = write_layers(target, network, parameters, target.input, memory=memory)
    outputs = {output.name: output.value for output in head_outputs(target, network, target.input, values, head)}
    if every_layer:
        outputs |= {layer.name: value for layer, value in zip(network.layers, values, strict=True)}
    shapes = {name: value.shape for name, value in outputs.items()}
    outputs |= {next_state(state_name(layer, s)): memory.after[layer.index, s.name] for layer, s in network.states}
    # Of layers that share a blob, as a dropout and what is before it, the first gives it its name.
    labels = {value.name: layer.name for layer, value in reversed(list(zip(network.layers, values, strict=True)))}
    layers = target.graph.finished({name: value.name for name, value in outputs.items()}, labels)
    if int8 is not None:
        layers = int8_layers(network, layers, int8, lambda x: run_ncnn(network, parameters, x, True))
    beside = {about_beside(Path(path)): json.dumps(told, ensure_ascii=False)}
    others = ultralytics.yaml_beside(Path(path), "ncnn")
    beside |= {other: ultralytics.as_yaml(told) for other in others}
    bin_path = write_files(layers, path, beside=beside, progress=progress)
    return NcnnExport(
        path=Path(path), outputs=shapes, batch=1, states=state_shapes(network), bin_path=bin_path, others=others
    )


def about_beside(path: Path) -> Path:
    """The file beside a .param that says where it comes from and how its outputs are read; within is no room."""
    return path.with_suffix(".json")


def run_ncnn(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, threads: int = THREADS
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in ncnn; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. Raises as `write_ncnn` and
    `run_ncnn_files` do.
    """
    if network.states:
        return first_step(partial(run_ncnn_sequence, threads=threads), network, parameters, x, every_layer)
    _require()
    layers = network.layers if every_layer else network.layers[-1:]
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        all_named = every_layer or not last_is_output(network)
        written = write_ncnn(network, parameters, Path(folder) / "net.param", every_layer=all_named)
        names = [layer.name for layer in layers]
        return run_ncnn_files(written.path, written.bin_path, x, names, threads)


def run_ncnn_sequence(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, threads: int = THREADS
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in ncnn, step after step from zeros.

    The rest is as for `run_ncnn`.
    """
    ncnn = _require()
    layers = network.layers if every_layer else network.layers[-1:]
    wanted, states = [layer.name for layer in layers], list(state_shapes(network))
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        all_named = every_layer or not last_is_output(network)
        written = write_ncnn(network, parameters, Path(folder) / "net.param", every_layer=all_named)
        net = loaded(ncnn, written.path, written.bin_path, threads)

        def step(given: NDArray[Any], before: States) -> tuple[list[NDArray[Any]], States]:
            fed = {INPUT_NAME: np.ascontiguousarray(given, np.float32), **before}
            made = [
                extracted(
                    ncnn,
                    net,
                    written.path,
                    {name: x[k] for name, x in fed.items()},
                    [*wanted, *map(next_state, states)],
                )
                for k in range(len(given))
            ]
            results = [np.stack(found) for found in zip(*made, strict=True)]
            return results[: len(wanted)], dict(zip(states, results[len(wanted) :], strict=True))

        return over_steps(network, x, step)


def run_ncnn_files(
    param_path: str | os.PathLike[str],
    bin_path: str | os.PathLike[str],
    x: NDArray[Any],
    outputs: Sequence[str],
    threads: int = THREADS,
) -> list[NDArray[np.float32]]:
    """The blobs `outputs` of a network in ncnn's files for x [N, ...], each float32 [N, ...]; picture after picture.

    The files are those of `write_ncnn`: ncnn checks little of what a .param says, and others may end the process.
    All is computed in float32, by Winograd's form of convolutions where ncnn finds that faster. Raises `ShapeError`
    for an `x` that is not what the file's input tells, `ParameterError` for an unusable number of threads,
    `UnusableInputError` where ncnn cannot read the files or has no such blob, and `MissingFrameworkError` without ncnn.
    """
    ncnn = _require()
    check_count("threads", threads)
    pictures = np.ascontiguousarray(x, np.float32)
    shape = input_shape(param_path)
    net = loaded(ncnn, param_path, bin_path, threads)
    if pictures.ndim < 2 or len(pictures) < 1 or (shape and pictures.shape[1:] != shape):
        wanted = ", ".join(map(str, shape)) or "C, H, W"
        raise ShapeError(f"the input must be [N, {wanted}] with N of at least 1, not {list(pictures.shape)}")
    results = [extracted(ncnn, net, param_path, {INPUT_NAME: picture}, outputs) for picture in pictures]
    return [np.stack(found) for found in zip(*results, strict=True)]


def extracted(
    ncnn: Any,
    net: Any,
    param_path: str | os.PathLike[str],
    inputs: Mapping[str, NDArray[np.float32]],
    outputs: Sequence[str],
) -> list[NDArray[np.float32]]:
    """The blobs `outputs` for one picture, or one step."""
    found = []
    with net.create_extractor() as extractor:
        for name, values in inputs.items():
            held = np.ascontiguousarray(values, np.float32)  # a Mat does not keep the memory that it is made of
            extractor.input(name, ncnn.Mat(held).clone())  # a copy, with its channels aligned
        for name in outputs:
            status, blob = extractor.extract(name)
            if status != 0:
                raise UnusableInputError(f"ncnn cannot compute {name!r} of '{os.fspath(param_path)}' ({status})")
            try:
                found.append(np.array(blob, np.float32))
            except ValueError as error:  # a blob of no size that can be
                raise UnusableInputError(
                    f"ncnn gives no array as {name!r} of '{os.fspath(param_path)}': {first_line(error)}"
                ) from None
    return found


def loaded(
    ncnn: Any,
    param_path: str | os.PathLike[str],
    bin_path: str | os.PathLike[str],
    threads: int,
    settings: Settings = MappingProxyType({}),
) -> Any:
    """The network in these files, in float32; raises `UnusableInputError` where ncnn cannot read them.

    `settings` are switches of its options, 0 or 1.
    """
    for path in (param_path, bin_path):
        file_size(path)
    net = ncnn.Net()
    for name in _SHORTER:
        if hasattr(net.opt, name):  # older versions have fewer
            setattr(net.opt, name, False)
    for name, value in settings.items():
        setattr(net.opt, name, value == "1")
    net.opt.num_threads = threads
    if net.load_param(os.fspath(param_path)) != 0:
        raise UnusableInputError(f"ncnn cannot read '{os.fspath(param_path)}': it is no .param, or has unknown layers")
    if net.load_model(os.fspath(bin_path)) != 0:
        raise UnusableInputError(f"ncnn cannot read '{os.fspath(bin_path)}': its weights are not those of the .param")
    return net


def _require() -> Any:
    return require("ncnn", "ncnn", "ncnn")


# ---------------------------------------------------------------------- the record

PORT = Port(
    "ncnn",
    "ncnn",
    (".param",),
    write_ncnn,
    Runner(run_ncnn, run_ncnn_sequence, "ncnn", WINOGRAD),  # which takes Winograd's form by itself
    beside=lambda path: (path.with_suffix(".bin"), about_beside(path), *ultralytics.yaml_beside(path, "ncnn")),
)
