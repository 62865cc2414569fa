"""A Darknet network as an ONNX model: written to a file as a stream, or run in onnxruntime.

The model takes `input`, float32 [N, C, H, W] of RGB in 0..1 (or [N, K] where the network takes a vector). Layers bear
Darknet's numbers, as in `27_reorg`, nodes their layer's name and the operator's, as in `27_reorg/SpaceToDepth`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.meaning import Arrays, Variant, write_layers
from layoutbridge.darknet.meaning.boxes import HEAD_LAYOUTS, Suppression
from layoutbridge.darknet.ports.outputs import check_head, head_outputs, last_is_output
from layoutbridge.darknet.ports.port import FLOAT16, WINOGRAD, Export, Port, Run, Runner
from layoutbridge.darknet.ports.provenance import file_sha256, origin
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import ParameterError, UnsupportedError
from layoutbridge.files import Progress
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.forms import RUNTIMES, forms_for
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.frameworks.onnx.versions import DEFAULT_OPSET, EXTRA

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

    from layoutbridge.frameworks.onnx.network_graph import Initializer
    from layoutbridge.frameworks.onnx.target import OnnxTarget, OnnxValue

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # their sums are kept in float32 by the runtimes themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExport(Export):
    """What was written: the model, and the file of its weights where they lie apart.

    `winograd` says what that form costs where it was asked for.
    """

    data_path: Path | None
    opset: int
    ir_version: int
    winograd: WinogradUse | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The model, and its weights where they lie apart."""
        return (self.path,) if self.data_path is None else (self.path, self.data_path)

    @property
    def contents(self) -> str:
        """The opset."""
        return f"opset {self.opset}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where Winograd's form stands, and what it costs."""
        return () if self.winograd is None else (self.winograd.told,)


@dataclass(frozen=True, slots=True)
class WinogradUse:
    """How many of the network's `convolutions` are in Winograd's form, and what their weights take beyond the file's.

    `extra_bytes` are those of the transformed weights that a runtime makes when it loads the model, less the file's.
    """

    layers: int
    convolutions: int
    extra_bytes: int

    @property
    def told(self) -> str:
        """The same in a sentence."""
        cost = f"a session takes {self.extra_bytes / 1e6:.1f} MB more for their weights, and seconds longer to load"
        gain = cost if self.layers else "at these sizes it would gain nothing"
        return f"Winograd's form in {self.layers} of {self.convolutions} convolutions: {gain}"


@dataclass(frozen=True, slots=True)
class _Built:
    model: ModelProto
    initializers: list[Initializer]
    outputs: Mapping[str, tuple[int | None, ...]]
    unbatched: frozenset[str]
    warnings: tuple[str, ...]
    winograd: WinogradUse | None


class OnnxOptions(TypedDict, total=False):
    """What may be chosen of a model: see `write_onnx`."""

    head: str
    opset: int
    batch: int | None
    dynamic_size: bool
    keep_batch_norm: bool
    half: bool
    winograd: bool
    runtime: str | None
    external_data: bool
    names: Sequence[str] | None
    every_layer: bool
    nms: bool
    threshold: float | None
    overlap: float | None
    nms_kind: str | None
    progress: Progress | None


class RunOptions(TypedDict, total=False):
    """Those of them that keep the outputs' meaning."""

    opset: int
    keep_batch_norm: bool
    half: bool
    winograd: bool
    runtime: str | None
    external_data: bool


def write_onnx(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    dynamic_size: bool = False,
    keep_batch_norm: bool = False,
    half: bool = False,
    winograd: bool = False,
    runtime: str | None = None,
    external_data: bool = False,
    names: Sequence[str] | None = None,
    every_layer: bool = False,
    nms: bool = False,
    threshold: float | None = None,
    overlap: float | None = None,
    nms_kind: str | None = None,
    sources: Mapping[str, str | os.PathLike[str]] | None = None,
    progress: Progress | None = None,
) -> OnnxExport:
    """Write `network` with `parameters` ((layer index, name) to float32 array) to `path`; whole or not at all.

    `head`: "darknet" gives what each detection layer (else the last layer) outputs, "raw" its input, "boxes", "yolov5"
    and "yolov8" one tensor of boxes (`meaning.boxes`). To that `nms` adds which boxes Darknet's suppression keeps,
    int64 [kept, 3] of picture, class and box: of scores over `threshold` (0.25), no two of a class with an overlap over
    `overlap` (0.45), which `nms_kind` measures (as the cfg says, else `boxes.NMS_KINDS`). Where that counts distances,
    the input `picture_share` tells of letterboxed pictures (`OnnxTarget.non_max_suppression`). `opset` goes from 13 on.
    `batch` None leaves it open; `dynamic_size` leaves height and width open, where no layer needs them as numbers.
    `keep_batch_norm` keeps it as nodes instead of folding it. `half` computes in float16 with weights rounded once
    (outputs beyond 65504 become infinite), but for inputs, outputs, detection layers, classifiers' endings,
    normalisations (lrn, l2norm, batch norm by itself, normalize_channels) and averages, which stay float32
    (`Settings.in_float32`), as do layers whose weights float16 cannot hold: the export's `warnings` name these.
    `winograd` writes 3×3 convolutions as Winograd's F(4, 3) where that is faster (`onnx.winograd`), at the cost
    of memory and time to load (the export's `winograd` has the bytes) and of a last digit; not with `half` or
    `dynamic_size`. `runtime` ("onnxruntime", "openvino", "opencv") chooses the forms that are fastest there
    (`frameworks.onnx.forms`).
    `external_data` puts the weights into `<path>.data`, as is always done over 2 GB. `names` are the classes' names;
    `every_layer` adds all layers' outputs, in order, behind the head's. `sources` maps "cfg" and "weights" to files
    whose SHA-256 the metadata shall hold. `progress` gets the bytes of weights written and in all.

    Peak memory is that of the mapped weights and some megabytes. Raises `UnsupportedError` for what cannot be
    expressed, with the cfg's line; `ParameterError`, `UnknownNameError` and `UnusableInputError` for what was given;
    `MissingFrameworkError` without onnx.
    """
    _check_names(network, names)
    suppression = _suppression(nms, threshold=threshold, overlap=overlap, kind=nms_kind)
    built = _build(
        network,
        parameters,
        head=head,
        opset=opset,
        batch=batch,
        dynamic_size=dynamic_size,
        keep_batch_norm=keep_batch_norm,
        half=half,
        winograd=winograd,
        runtime=runtime,
        every_layer=every_layer,
        nms=suppression,
    )
    from layoutbridge.frameworks.onnx.writer import write_model

    with ThreadPoolExecutor(1) as pool:  # hashing and writing share no lock: two threads, both at full speed
        metadata = _metadata(network, head, names, suppression) | _hashes(pool, sources or {})
        data_path = write_model(
            built.model,
            built.initializers,
            path,
            external_data=external_data,
            metadata=metadata,
            progress=progress,
        )
    return OnnxExport(
        path=Path(path),
        outputs=built.outputs,
        batch=batch,
        warnings=built.warnings,
        unbatched=built.unbatched,
        data_path=data_path,
        opset=opset,
        ir_version=built.model.ir_version,
        winograd=built.winograd,
    )


def run_onnx(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, **options: Unpack[RunOptions]
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in onnxruntime; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. `options` are those of `write_onnx`
    that keep the outputs' meaning. Raises as
    `write_onnx` does, and `MissingFrameworkError` without onnxruntime.
    """
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "model.onnx"
        all_named = every_layer or not last_is_output(network)
        write_onnx(network, parameters, path, every_layer=all_named, **options)
        wanted = [layer.name for layer in network.layers] if every_layer else [network.layers[-1].name]
        return run_model(path, x, wanted)


def run_model(
    path: str | os.PathLike[str], x: NDArray[Any], outputs: Sequence[str] | None = None
) -> list[NDArray[np.float32]]:
    """The named outputs (all, in order, without names) of the model at `path` for x, in onnxruntime on the CPU.

    Raises `UnusableInputError` with onnxruntime's own words where it does not load or run the model.
    """
    with refusals_of(path, "run"):
        session = open_session(path)
        taken = session.get_inputs()[0].name
        wanted = None if outputs is None else list(outputs)
        results = session.run(wanted, {taken: np.ascontiguousarray(x, np.float32)})
    return [np.asarray(result) for result in results]


# ---------------------------------------------------------------------- the graph


def _build(
    network: Network,
    parameters: Arrays,
    *,
    head: str,
    opset: int,
    batch: int | None,
    dynamic_size: bool,
    keep_batch_norm: bool,
    half: bool,
    winograd: bool,
    runtime: str | None,
    every_layer: bool,
    nms: Suppression | None,
) -> _Built:
    check_head(head)
    forms = forms_for(runtime)
    if winograd and half:
        raise ParameterError("winograd needs float32: in float16 its sums lose too much; leave out half or winograd")
    if nms is not None and head not in HEAD_LAYOUTS:
        raise ParameterError(f"nms needs boxes: choose the head boxes, yolov5 or yolov8 instead of {head}")
    require("onnx", "onnx", EXTRA)
    from layoutbridge.frameworks.onnx.target import OnnxTarget

    target = OnnxTarget(
        network.in_shape, opset=opset, batch=batch, open_size=dynamic_size, forms=forms, winograd=winograd
    )
    written: dict[str, OnnxValue] = {}

    def finish(layer: Layer, value: OnnxValue) -> OnnxValue:
        if not every_layer and (not value.batched or target.has_name(value)):
            return value
        with target.scope(layer.name):
            written[layer.name] = named = target.named(value, layer.name)
        return named if value.batched else value

    variant = Variant(keep_batch_norm=keep_batch_norm, open_size=dynamic_size)
    values = write_layers(target, network, parameters, target.input, variant=variant, finish=finish)
    outputs = {
        output.name: written[output.name] if output.name in written else target.named(output.value, output.name)
        for output in head_outputs(target, network, target.input, values, head, nms=nms)
    }
    if every_layer:
        outputs |= written
    return _assemble(target, network, values, outputs, half)


def _assemble(
    target: OnnxTarget, network: Network, values: Sequence[OnnxValue], outputs: Mapping[str, OnnxValue], half: bool
) -> _Built:
    from onnx import TensorProto, helper

    from layoutbridge.frameworks.onnx.half import in_half
    from layoutbridge.version import __version__

    nodes, initializers = target.graph.needed_for(outputs)
    types: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    if half:
        converted = in_half(nodes, initializers, [target.input.name], outputs, _stays_in_float32(network))
        nodes, initializers, types = converted.nodes, converted.initializers, converted.types
        warnings = tuple(_unfit_warnings(network, converted.unfit))
    batch = "N" if target.batch is None else target.batch

    def describe(name: str, value: OnnxValue) -> ValueInfoProto:
        if value.integer:
            return helper.make_tensor_value_info(name, TensorProto.INT64, ["kept", *value.shape[1:]])
        words = {0: "height", 1: "width"}
        lengths = [
            (words[axis - 1] if name == "input" else None) if axis in value.open else length
            for axis, length in enumerate(value.shape)
        ]
        kind = TensorProto.FLOAT if name in outputs else types.get(name, TensorProto.FLOAT)
        return helper.make_tensor_value_info(name, kind, [batch, *lengths])

    held = {initializer.name for initializer in initializers}
    beside = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, lengths)
        for name, lengths in target.defaults.items()
        if name in held
    ]
    made = {name for node in nodes for name in node.output}
    inner = {target.name_of(value): value for value in values if value.batched}
    graph = helper.make_graph(
        nodes,
        Path(network.source).stem or "darknet",
        [describe("input", target.input), *beside],
        [describe(name, value) for name, value in outputs.items()],
        value_info=[describe(name, v) for name, v in inner.items() if name in made and name not in outputs],
    )
    opsets = [helper.make_opsetid("", target.graph.opset)]
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="layoutbridge",
        producer_version=__version__,
        doc_string=f"Darknet network {network.source}, flavor {network.flavor}",
    )
    shapes = {
        name: tuple(None if axis in value.open else length for axis, length in enumerate(value.shape))
        for name, value in outputs.items()
    }
    unbatched = frozenset(name for name, value in outputs.items() if value.integer)
    used = _winograd_use(target, network) if target.winograd else None
    return _Built(model, initializers, shapes, unbatched, warnings, used)


def _winograd_use(target: OnnxTarget, network: Network) -> WinogradUse:
    convolutions = sum(layer.kind == "convolutional" for layer in network.layers)
    held = {weights: extra for (_, weights), extra in target.in_winograd.items()}  # shared ones are held once
    return WinogradUse(len(target.in_winograd), convolutions, sum(held.values()))


def _stays_in_float32(network: Network) -> Callable[[NodeProto], bool]:
    """Whether a node of the network's graph is computed in float32 where the others are in float16."""
    from layoutbridge.frameworks.onnx.half import scope_of

    layers = {layer.name: layer for layer in network.layers}

    def stays(node: NodeProto) -> bool:
        layer = layers.get(scope_of(node))  # None for what decodes boxes, which stands behind the layers
        if layer is None or layer.settings.in_float32 or node.op_type == "BatchNormalization":
            return True
        return layer.settings.activation_in_float32 and node.op_type not in _PRODUCTS

    return stays


def _unfit_warnings(network: Network, unfit: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    for layer in network.layers:
        if layer.name in unfit:
            name, largest = unfit[layer.name]
            yield (
                f"{network.where(layer)}: {layer.name} stays in float32: '{name}' reaches {largest:.3g}, "
                "which float16 (6.1e-05 to 65504) cannot hold"
            )


# ---------------------------------------------------------------------- metadata


def _metadata(
    network: Network, head: str, names: Sequence[str] | None, nms: Suppression | None
) -> dict[str, str | Future[str]]:
    metadata: dict[str, str | Future[str]] = {**origin(network), "head": head, "input_range": "0..1"}
    if len(network.in_shape) == 3:
        metadata |= {"input_layout": "NCHW"} | ({"input_color_order": "RGB"} if network.channels == 3 else {})
    if names is not None:
        metadata["names"] = json.dumps(list(names), ensure_ascii=False)
    if any(isinstance(layer.settings, Head) for layer in network.layers):
        with suppress(UnsupportedError):  # heads that cannot be joined are still written one by one
            rules = head_rules(network)
            if nms is not None:
                rules = replace(rules, nms_kind=nms.kind or rules.nms_kind)
                metadata |= {"nms_threshold": str(float(nms.threshold)), "nms_overlap": str(float(nms.overlap))}
                metadata["nms_kind"] = rules.nms_kind
            metadata["head_rules"] = rules.to_json()
    return metadata


def _suppression(nms: bool, *, threshold: float | None, overlap: float | None, kind: str | None) -> Suppression | None:
    """What `nms` asks for, Darknet's own numbers where None is given; raises `ParameterError` for what does not fit."""
    given = {key: value for key, value in (("threshold", threshold), ("overlap", overlap)) if value is not None}
    if nms:
        return Suppression(**given, kind=kind)
    if given or kind is not None:
        unasked = next(iter(given), "nms_kind")
        raise ParameterError(f"{unasked} is for the suppression in the graph: ask for nms, too")
    return None


def _hashes(pool: ThreadPoolExecutor, sources: Mapping[str, str | os.PathLike[str]]) -> dict[str, str | Future[str]]:
    return {f"{kind}_sha256": pool.submit(file_sha256, path) for kind, path in sources.items()}


def _check_names(network: Network, names: Sequence[str] | None) -> None:
    """Raise `ParameterError` where there are fewer or more names than a detector has classes."""
    if names is None:
        return
    for layer in network.layers:
        if isinstance(layer.settings, Head) and len(names) != layer.settings.classes:
            raise ParameterError(
                f"{len(names)} names were given and {network.where(layer)}: [{layer.kind}] has "
                f"{layer.settings.classes} classes"
            )


# ---------------------------------------------------------------------- the record


def _running(**options: Unpack[RunOptions]) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        return list(run_onnx(network, parameters, x, every_layer, **options))

    return run


PORT = Port(
    "onnx",
    "ONNX",
    (".onnx",),
    write_onnx,
    Runner(_running(), "onnxruntime"),
    {
        "half": Runner(_running(half=True), "onnxruntime", FLOAT16, "half"),
        "winograd": Runner(_running(winograd=True), "onnxruntime", WINOGRAD, "wino"),
    },
    beside=lambda path: (path.with_name(f"{path.name}.data"),),
    any_ending=True,
    runtimes=tuple(RUNTIMES),
)
