"""A Darknet network as an ONNX model: written to a file as a stream, or run in onnxruntime.

The model takes `input`, float32 [N, C, H, W] of RGB in 0..1 (or [N, K] where the network takes a vector). Layers bear
Darknet's numbers, as in `27_reorg`, nodes their layer's name and the operator's, as in `27_reorg/SpaceToDepth`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.detection.suppression import distance_exponent
from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.meaning.boxes import Suppression
from layoutbridge.darknet.ports.onnx_model import build_model, in_whole_numbers
from layoutbridge.darknet.ports.outputs import last_is_output
from layoutbridge.darknet.ports.port import (
    FLOAT16,
    FLOAT32,
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
from layoutbridge.darknet.ports.provenance import about, file_sha256
from layoutbridge.darknet.ports.readers import deepstream
from layoutbridge.darknet.ports.records.tuned import Tuned
from layoutbridge.darknet.ports.records.winograd import WinogradUse
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError
from layoutbridge.files import Progress, whole_files
from layoutbridge.frameworks.onnx.limits import read_limits
from layoutbridge.frameworks.onnx.programs.forms import RUNTIMES
from layoutbridge.frameworks.onnx.programs.table import PROFILES, profile_of
from layoutbridge.frameworks.onnx.sessions import feeding, open_session, refusals_of
from layoutbridge.frameworks.winograd import Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExport(Export):
    """What was written: the model, and the file of its weights where they lie apart.

    `winograd` says what that form costs where it was asked for; `others` are what the runtime reads beside the model.
    """

    data_path: Path | None
    opset: int
    ir_version: int
    winograd: WinogradUse | None = None
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The model, its weights where they lie apart, and what the runtime reads beside it."""
        return (self.path, *(() if self.data_path is None else (self.data_path,)), *self.others)

    @property
    def contents(self) -> str:
        """The opset."""
        return f"opset {self.opset}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where Winograd's form stands, and what it costs."""
        return () if self.winograd is None else (self.winograd.told,)


class OnnxOptions(TypedDict, total=False):
    """What may be chosen of a model: see `write_onnx`."""

    head: str | None
    opset: int | None
    batch: int | None
    dynamic_size: bool
    keep_batch_norm: bool
    half: bool
    int8: Int8 | None
    winograd: bool | Mapping[int, Tile]
    store_winograd: bool
    runtime: str | None
    max_rank: int | None
    without: Sequence[str]
    external_data: bool
    names: Sequence[str] | None
    every_layer: bool
    nms: bool
    threshold: float | None
    overlap: float | None
    nms_kind: str | None
    steps: int | None
    progress: Progress | None


class RunOptions(TypedDict, total=False):
    """Those of them that keep the outputs' meaning."""

    opset: int | None
    keep_batch_norm: bool
    half: bool
    winograd: bool | Mapping[int, Tile]
    store_winograd: bool
    runtime: str | None
    max_rank: int | None
    without: Sequence[str]
    external_data: bool


def write_onnx(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str | None = None,
    opset: int | None = None,
    batch: int | None = None,
    dynamic_size: bool = False,
    keep_batch_norm: bool = False,
    half: bool = False,
    int8: Int8 | None = None,
    winograd: bool | Mapping[int, Tile] = False,
    store_winograd: bool = False,
    runtime: str | None = None,
    max_rank: int | None = None,
    without: Sequence[str] = (),
    external_data: bool = False,
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
) -> OnnxExport:
    """Write `network` with `parameters` ((layer index, name) to float32 array) to `path`; whole or not at all.

    `head`: "darknet" gives what each detection layer (else the last layer) outputs, "raw" its input, "boxes", "yolov5"
    and "yolov8" one tensor of boxes (`meaning.boxes`); None is what the `runtime` expects, else "darknet". To boxes
    `nms` adds which of them Darknet's suppression keeps, int64 [kept, 3] of picture, class and box: of scores over
    `threshold` (0.25), no two of a class with an overlap over `overlap` (0.45), which `nms_kind` measures (as the cfg
    says, else `heads.NMS_KINDS`). Where that counts distances, the input `picture_share` tells of letterboxed pictures
    (`OnnxTarget.non_max_suppression`). `opset` goes from 9 on. `batch` None leaves it open, but for some runtimes;
    `dynamic_size` leaves height and width open, where no layer needs them as numbers. `keep_batch_norm` keeps it as
    nodes instead of folding it. `half` computes in float16 with weights rounded once (outputs beyond 65504 become
    infinite), but for inputs, outputs, detection layers, classifiers' endings, normalisations (lrn, l2norm, batch norm
    by itself, normalize_channels) and averages, which stay float32 (`Settings.in_float32`), as do layers whose weights
    float16 cannot hold: the export's `warnings` name these.
    `int8` rounds weights and what goes through the layers to whole numbers of 8 bits, over ranges measured in
    onnxruntime, as pairs of QuantizeLinear and DequantizeLinear; what stays float32 with `half` does here, too. Not
    with `half`, `winograd` or a `runtime` with limits of its own.
    `winograd` writes 3×3 convolutions in Winograd's form where that is faster (`frameworks.winograd`), at the cost of
    memory and time to load (the export's `winograd` has the bytes) and of a last digit; or those of its keys, indices
    of layers, in tiles of so many rows and columns of outputs, 2 to 6; not with `half` or `dynamic_size`.
    `store_winograd` stores their weights as they are multiplied: a larger file, in two, that loads quickly;
    a layer's are then held whole, in float64, while they are written. `runtime`
    chooses the forms that are fastest there ("onnxruntime", "openvino", "opencv":
    `frameworks.onnx.programs.forms`), or that keep its limits ("opencv45", "rknn" and others:
    `frameworks.onnx.programs.table`); for "deepstream" its configuration and a file of the names are written beside the
    model (`readers.deepstream`). With `max_rank` no tensor has more axes, with `without` none of these ONNX
    operators stands anywhere. Of a recurrent network the model is one step: beside `input` it takes its states, as
    `state_0_lstm_cell`, and gives those behind the step, as `state_0_lstm_cell_next`. With `steps` T it takes a whole
    sequence [T, N, ...] instead, from states of zeros, and gives [T, N, ...]; not with `dynamic_size`.
    `external_data` puts the weights into `<path>.data`, as is always done over 2 GB. `names` are the classes' names;
    `every_layer` adds all layers' outputs, in order, behind the head's. `sources` maps "cfg" and "weights" to files
    whose SHA-256 the metadata shall hold, and `tuned` is the record of a measured choice for them. `progress` gets the
    bytes of weights written and in all.

    Peak memory is that of the weights and some megabytes. Raises `UnsupportedError` for what cannot be
    expressed, with the cfg's line; `ParameterError`, `UnknownNameError` and `UnusableInputError` for what was given;
    `MissingFrameworkError` without onnx.
    """
    profile = profile_of(runtime)
    profile.refuse({"external_data": external_data})
    head = profile.head_of(head, nms=nms)
    suppression = _suppression(nms, threshold=threshold, overlap=overlap, kind=nms_kind)
    batch = profile.batch if batch is None else batch
    told = about(network, head, names, nms_kind=nms_kind, batch=batch, tuned=tuned)
    if int8 is not None:
        int8.check(network)
        others = {"half": half, "winograd": bool(winograd), "keep_batch_norm": keep_batch_norm}
        refused = next((name for name, given in others.items() if given), None)
        if refused is not None:
            raise ParameterError(f"int8 folds and rounds the weights by itself: leave out {refused}")
        if runtime in PROFILES:
            raise ParameterError(
                f"int8 is for onnxruntime, OpenVINO and what else reads QuantizeLinear, not for {runtime}: leave out "
                "int8, and give the pictures to its own quantizer"
            )
    with ThreadPoolExecutor(1) as pool:  # hashing shares no lock with the rest: two threads, both at full speed
        metadata: dict[str, str | Future[str]] = {**told, **_hashes(pool, sources or {})}
        built = build_model(
            network,
            parameters,
            head=head,
            opset=opset,
            batch=batch,
            dynamic_size=dynamic_size,
            keep_batch_norm=keep_batch_norm,
            half=half,
            winograd=winograd,
            store_winograd=store_winograd,
            runtime=runtime,
            limits=read_limits(max_rank, without),
            every_layer=every_layer,
            nms=suppression,
            steps=steps,
        )
        from layoutbridge.frameworks.onnx.writer import write_model

        if int8 is not None:
            built = in_whole_numbers(built, network, int8, behind_products=runtime != "openvino")
        if suppression is not None:
            metadata |= {"nms_threshold": str(float(suppression.threshold))}
            metadata |= {"nms_overlap": str(float(suppression.overlap))}
            metadata["nms_kind"] = suppression.kind or head_rules(network).nms_kind
        if steps is not None:
            metadata |= {"steps": str(steps), "input_layout": f"TN{'CHW' if len(network.in_shape) == 3 else 'K'}"}
        elif network.states:
            metadata["states"] = json.dumps(list(state_shapes(network)))
        data_path = write_model(
            built.model,
            built.initializers,
            path,
            external_data=external_data or store_winograd,  # within the model they would be copied while it loads
            metadata=metadata,
            progress=progress,
        )
    beside = {}
    if runtime == head == deepstream.RUNTIME:
        beside = deepstream.texts_beside(Path(path), head_rules(network), names, batch, network.channels)
        with whole_files(tuple(beside)) as temporaries:
            for temporary, text in zip(temporaries, beside.values(), strict=True):
                temporary.write_text(text, encoding="utf-8", newline="\n")
    return OnnxExport(
        path=Path(path),
        outputs=built.outputs,
        batch=built.batch,
        warnings=built.warnings,
        unbatched=built.unbatched,
        states=built.states,
        steps=steps,
        data_path=data_path,
        opset=built.model.opset_import[0].version,
        ir_version=built.model.ir_version,
        winograd=built.winograd,
        others=tuple(beside),
        head=head,
    )


def run_onnx(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, **options: Unpack[RunOptions]
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in onnxruntime; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. `options` are those of `write_onnx`
    that keep the outputs' meaning. A recurrent network runs one step, from states of zeros. Raises as `write_onnx`
    does, and `MissingFrameworkError` without onnxruntime.
    """
    if network.states:
        return first_step(_running_sequence(**options), network, parameters, x, every_layer)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "model.onnx"
        all_named = every_layer or not last_is_output(network)
        write_onnx(network, parameters, path, every_layer=all_named, **options)
        wanted = [layer.name for layer in network.layers] if every_layer else [network.layers[-1].name]
        return run_model(path, x, wanted)


def run_onnx_sequence(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, **options: Unpack[RunOptions]
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in onnxruntime, step after step from zeros.

    The rest is as for `run_onnx`.
    """
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "model.onnx"
        all_named = every_layer or not last_is_output(network)
        write_onnx(network, parameters, path, every_layer=all_named, **options)
        wanted = [layer.name for layer in network.layers] if every_layer else [network.layers[-1].name]
        states = list(state_shapes(network))
        with refusals_of(path, "run"):
            session = open_session(path)

            def step(given: NDArray[Any], before: States) -> tuple[list[NDArray[Any]], States]:
                fed = {"input": np.ascontiguousarray(given, np.float32), **before}
                results = session.run([*wanted, *map(next_state, states)], fed)
                return results[: len(wanted)], dict(zip(states, results[len(wanted) :], strict=True))

            return over_steps(network, x, step)


def run_model(
    path: str | os.PathLike[str], x: NDArray[Any], outputs: Sequence[str] | None = None
) -> list[NDArray[np.float32]]:
    """The named outputs (all, in order, without names) of the model at `path` for x, in onnxruntime on the CPU.

    States of recurrent layers are zeros. Raises `UnusableInputError` where the model leaves their size open, and with
    onnxruntime's own words where that does not load or run the model.
    """
    with refusals_of(path, "run"):
        session = open_session(path)
        wanted = None if outputs is None else list(outputs)
        results = session.run(wanted, feeding(session)(x))
    return [np.asarray(result) for result in results]


def _suppression(nms: bool, *, threshold: float | None, overlap: float | None, kind: str | None) -> Suppression | None:
    """What `nms` asks for, Darknet's own numbers where None is given; raises `ParameterError` for what does not fit."""
    given = {key: value for key, value in (("threshold", threshold), ("overlap", overlap)) if value is not None}
    if nms:
        if kind is not None:
            distance_exponent(kind, 0.0)
        return Suppression(**given, kind=kind)
    if given or kind is not None:
        unasked = next(iter(given), "nms_kind")
        raise ParameterError(f"{unasked} is for the suppression in the graph: ask for nms, too")
    return None


def _hashes(pool: ThreadPoolExecutor, sources: Mapping[str, str | os.PathLike[str]]) -> dict[str, str | Future[str]]:
    return {f"{kind}_sha256": pool.submit(file_sha256, path) for kind, path in sources.items()}


# ---------------------------------------------------------------------- the record


def _running(**options: Unpack[RunOptions]) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        return list(run_onnx(network, parameters, x, every_layer, **options))

    return run


def _running_sequence(**options: Unpack[RunOptions]) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        return list(run_onnx_sequence(network, parameters, x, every_layer, **options))

    return run


def _runner(tolerance: float, heading: str = "", **options: Unpack[RunOptions]) -> Runner:
    return Runner(_running(**options), _running_sequence(**options), "onnxruntime", tolerance, heading)


PORT = Port(
    "onnx",
    "ONNX",
    (".onnx",),
    write_onnx,
    _runner(FLOAT32),
    {"half": _runner(FLOAT16, "half", half=True), "winograd": _runner(WINOGRAD, "wino", winograd=True)},
    beside=lambda path: (path.with_name(f"{path.name}.data"), *deepstream.files_beside(path)),
    any_ending=True,
    runtimes=(*RUNTIMES, *PROFILES),
)
