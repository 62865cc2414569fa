"""A Darknet network in OpenVINO's own files: the graph as .xml, the weights in the .bin beside it.

The graph is that of the ONNX model, as OpenVINO reads it: inputs, outputs, heads and metadata are the same. The
metadata stand in the file's rt_info, under "framework".
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.onnx import write_onnx
from layoutbridge.darknet.ports.outputs import last_is_output
from layoutbridge.darknet.ports.port import (
    FLOAT16,
    WINOGRAD,
    Export,
    Port,
    Run,
    Runner,
    States,
    first_step,
    next_state,
    over_steps,
    state_shapes,
)
from layoutbridge.darknet.ports.provenance import about
from layoutbridge.darknet.ports.readers import ultralytics
from layoutbridge.darknet.ports.records.tuned import Tuned
from layoutbridge.darknet.ports.records.winograd import IN_HALF, WinogradUse
from layoutbridge.darknet.rounding.openvino import shorten, simplify
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError, counted, first_line
from layoutbridge.files import Progress, whole_files
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.winograd import Tile
from layoutbridge.inputs import file_size

ENDING = ".xml"
_TITLES = {"f32": "for float32", "bf16": "for bfloat16, as it was tuned,", "f16": "for float16, as it was tuned,"}
IN_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}  # by itself OpenVINO computes in fewer bits where the processor can


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenvinoExport(Export):
    """What was written: the graph, and the file of its weights."""

    bin_path: Path
    winograd: WinogradUse | None = None
    others: tuple[Path, ...] = ()
    precision: str = "f32"  # INFERENCE_PRECISION_HINT, where it was tuned

    @property
    def files(self) -> tuple[Path, ...]:
        """The graph, the weights, and what `others` read."""
        return self.path, self.bin_path, *self.others

    @property
    def remarks(self) -> tuple[str, ...]:
        """How to have OpenVINO compute in float32, where Winograd's form stands and what it costs."""
        told = (
            f"{_TITLES[self.precision]} compile it with INFERENCE_PRECISION_HINT {self.precision}: by itself OpenVINO "
            "takes bfloat16 on processors with AMX or AVX-512 BF16, which is off by a hundredth"
        )
        return (told, *(() if self.winograd is None else (self.winograd.told,)))


def write_openvino(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    batch: int | None = None,
    dynamic_size: bool = False,
    half: bool = False,
    int8: Int8 | None = None,
    winograd: bool | Mapping[int, Tile] = False,
    store_winograd: bool = False,
    names: Sequence[str] | None = None,
    every_layer: bool = False,
    nms: bool = False,
    threshold: float | None = None,
    overlap: float | None = None,
    nms_kind: str | None = None,
    steps: int | None = None,
    tuned: Tuned | None = None,
    sources: Mapping[str, str | os.PathLike[str]] | None = None,
    progress: Progress | None = None,
) -> OpenvinoExport:
    """Write `network` with `parameters` to `path`, which ends in .xml, and to the .bin beside it; whole or not at all.

    The options are those of `onnx.write_onnx`, but for `half`: it stores the weights in float16, and what is computed
    with them stays as it is. In a folder called `*_openvino_model`, which Ultralytics opens, `metadata.yaml` is written
    beside them. Raises as `write_onnx` does, `ParameterError` for another ending, `UnusableInputError`
    where OpenVINO cannot write the files, and `MissingFrameworkError` without OpenVINO or onnx.
    """
    target = Path(path)
    if int8 is not None and half:
        raise ParameterError("int8 rounds the weights by itself: leave out half")
    if winograd and half:
        raise ParameterError(IN_HALF)
    if target.suffix != ENDING:
        raise ParameterError(f"'{os.fspath(path)}' must end in {ENDING}: the weights go into the .bin beside it")
    openvino = require("openvino", "OpenVINO", "openvino")
    weights, others = _beside(target), ultralytics.yaml_beside(target, "openvino")
    with (
        whole_files((target, weights, *others)) as (temporary, temporary_weights, *beside),
        tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder,
    ):
        source = Path(folder) / "net.onnx"
        made = write_onnx(
            network,
            parameters,
            source,
            head=head,
            batch=batch,
            dynamic_size=dynamic_size,
            int8=int8,
            winograd=winograd,
            store_winograd=store_winograd,
            runtime="openvino" if int8 is not None or winograd else None,
            names=names,
            every_layer=every_layer,
            nms=nms,
            threshold=threshold,
            overlap=overlap,
            nms_kind=nms_kind,
            steps=steps,
            tuned=tuned,
            sources=sources,
            progress=progress,
        )
        model = read_files(openvino, source)
        with refusals_of(target, "write"):
            if int8 is not None:
                simplify(model)
            openvino.save_model(model, os.fspath(temporary), compress_to_fp16=half)
        if int8 is not None:
            shorten(temporary)
        if _beside(temporary) != temporary_weights:  # where one of them is a link into another folder
            shutil.move(_beside(temporary), temporary_weights)
        for other in beside:
            told = about(network, head, names, batch=batch, tuned=tuned)
            other.write_text(ultralytics.as_yaml(told), encoding="utf-8")
    return OpenvinoExport(
        path=target,
        outputs=made.outputs,
        batch=batch,
        warnings=made.warnings,
        unbatched=made.unbatched,
        states=made.states,
        steps=steps,
        bin_path=weights,
        winograd=made.winograd,
        others=others,
        precision=_precision(tuned),
    )


def run_openvino(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    *,
    half: bool = False,
    winograd: bool = False,
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in OpenVINO; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. Raises as `write_openvino` and
    `run_openvino_files` do.
    """
    if network.states:
        return first_step(
            partial(run_openvino_sequence, half=half, winograd=winograd), network, parameters, x, every_layer
        )
    layers = network.layers if every_layer else network.layers[-1:]
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        all_named = every_layer or not last_is_output(network)
        written = write_openvino(
            network, parameters, Path(folder) / "net.xml", every_layer=all_named, half=half, winograd=winograd
        )
        results = run_openvino_files(written.path, x)
    return [results[layer.name] for layer in layers]


def run_openvino_sequence(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    *,
    half: bool = False,
    winograd: bool = False,
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in OpenVINO, step after step from zeros.

    The rest is as for `run_openvino`.
    """
    layers = network.layers if every_layer else network.layers[-1:]
    states = list(state_shapes(network))
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        all_named = every_layer or not last_is_output(network)
        written = write_openvino(
            network, parameters, Path(folder) / "net.xml", every_layer=all_named, half=half, winograd=winograd
        )
        openvino = require("openvino", "OpenVINO", "openvino")
        model = read_files(openvino, written.path)
        with refusals_of(written.path, "run"):
            compiled = openvino.Core().compile_model(model, "CPU", IN_FLOAT32)

            def step(given: NDArray[Any], before: States) -> tuple[list[NDArray[Any]], States]:
                results = compiled({"input": np.ascontiguousarray(given, np.float32), **before})
                made = {name: np.array(results[output]) for output in compiled.outputs for name in output.names}
                return [made[layer.name] for layer in layers], {name: made[next_state(name)] for name in states}

            return over_steps(network, x, step)


def run_openvino_files(path: str | os.PathLike[str], x: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """The outputs by name of a file of `write_openvino` for x [N, C, H, W] (or [N, K]), on the CPU in float32.

    Raises `ShapeError` for an `x` that does not fit, `UnusableInputError` where OpenVINO does not read or run the file,
    and `MissingFrameworkError` without OpenVINO.
    """
    openvino = require("openvino", "OpenVINO", "openvino")
    model = read_files(openvino, path)
    pictures = np.ascontiguousarray(x, np.float32)
    taken, *states = model.inputs
    if states:
        raise ParameterError(
            f"'{os.fspath(path)}' takes {counted(len(states), 'input')} beside the first: run it by OpenVINO itself"
        )
    if not taken.partial_shape.compatible(openvino.PartialShape(list(pictures.shape))):
        raise ShapeError(f"the file takes {taken.partial_shape}, not {list(pictures.shape)}")
    with refusals_of(path, "run"):
        compiled = openvino.Core().compile_model(model, "CPU", IN_FLOAT32)
        results = compiled([pictures])
    return {name: np.array(results[output]) for output in compiled.outputs for name in output.names}


def _precision(tuned: Tuned | None) -> str:
    """What a file is to be computed in."""
    told = "" if tuned is None else tuned.settings.get("INFERENCE_PRECISION_HINT", "")
    return told if told in _TITLES else "f32"


def _beside(path: Path) -> Path:
    return path.with_suffix(".bin")


def read_files(openvino: Any, path: str | os.PathLike[str]) -> Any:
    """The model in a file that OpenVINO reads; raises `UnusableInputError` with its own words where it does not."""
    file_size(path)
    with refusals_of(path, "read"):
        return openvino.Core().read_model(os.fspath(path))


@contextmanager
def refusals_of(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """`UnusableInputError` with OpenVINO's own words for what it raises: RuntimeError, whatever the reason.

    It is a ValueError where the file is no text.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise UnusableInputError(f"OpenVINO cannot {doing} '{os.fspath(path)}': {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What is wrong, in a line: those in front of it are places and conditions in OpenVINO's own program.

    >>> _reason(RuntimeError("Exception from src/core.cpp:84:\\nCheck 'ok' failed at a.cpp:1:\\nno such layer"))
    'no such layer'
    """
    lines = str(error).splitlines()
    told = [line for line in lines if line.strip() and not line.startswith(("Exception from ", "Check '"))]
    return first_line(RuntimeError("\n".join(told or lines)))


# ---------------------------------------------------------------------- the record


def _running(*, half: bool = False, winograd: bool = False) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        return list(run_openvino(network, parameters, x, every_layer, half=half, winograd=winograd))

    return run


PORT = Port(
    "openvino",
    "OpenVINO",
    (ENDING,),
    write_openvino,
    Runner(run_openvino, run_openvino_sequence, "openvino", heading="ov"),
    {
        "half": Runner(_running(half=True), partial(run_openvino_sequence, half=True), "openvino", FLOAT16, "ovh"),
        "winograd": Runner(
            _running(winograd=True), partial(run_openvino_sequence, winograd=True), "openvino", WINOGRAD, "ovw"
        ),
    },
    beside=lambda path: (_beside(path), *ultralytics.yaml_beside(path, "openvino")),
)
