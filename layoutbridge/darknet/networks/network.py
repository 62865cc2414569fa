"""`DarknetNetwork`: a cfg with its weights, to run, save and describe; and `load`, which makes one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from numpy.typing import NDArray

from layoutbridge.darknet.networks.flavors import FlavorDifference, flavor_differences, other_flavor
from layoutbridge.darknet.networks.summary import SummaryRow, summary_row
from layoutbridge.darknet.ports.port import checked_input, checked_sequence
from layoutbridge.darknet.ports.table import runner
from layoutbridge.darknet.reading.cfg import check_flavor, read_cfg
from layoutbridge.darknet.reading.fitting import Blueprint
from layoutbridge.darknet.reading.weights import Arrays, Weights, read_weights, write_weights
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.noted import Warnings
from layoutbridge.errors import LayoutBridgeError, WeightsError, counted
from layoutbridge.files import Progress, refuse_overwriting
from layoutbridge.inputs import is_regular_file, read_file

if TYPE_CHECKING:
    import keras
    import torch
    from onnx import ModelProto

    from layoutbridge.darknet.ports.ncnn import NcnnExport
    from layoutbridge.darknet.ports.onnx import OnnxExport, OnnxOptions
    from layoutbridge.darknet.ports.port import Port
    from layoutbridge.darknet.ports.torch_module import DarknetModule
    from layoutbridge.darknet.returning.returned import Returned
    from layoutbridge.darknet.returning.source import Source


class DarknetNetwork:
    """A Darknet network: its structure (`network`) and, where a weights file was given, its parameters.

    `warnings` are one line each: what Darknet would have read differently, options that nothing uses, floats left over.
    """

    def __init__(
        self,
        network: Network,
        weights: Weights | None = None,
        sources: Mapping[str, str | os.PathLike[str]] | None = None,
        blueprint: Blueprint | None = None,
        returned: Returned | None = None,
    ) -> None:
        self.network = network
        self.weights = weights
        self.returned = returned  # where its weights are from, of those that another framework's model had
        self.blueprint = blueprint  # what it was built from, to build it with other settings
        self.sources = dict(sources or {})  # "cfg" and "weights": the files it was read from

    def __repr__(self) -> str:
        missing = "" if self.weights is not None else ", no weights"
        return f"<DarknetNetwork {self.network.source}: {counted(len(self.network.layers), 'layer')}{missing}>"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return self.network.layers

    @property
    def warnings(self) -> Warnings:
        """What was noticed while reading, one line each: the first thousand, and in `left_out` how many more."""
        return self.network.warnings + (self.weights.warnings if self.weights is not None else ())

    @property
    def parameters(self) -> Arrays:
        """(layer index, name) to float32 array, read-only; `WeightsError` where no weights were given."""
        return self._given_weights().arrays

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write a .weights file: byte for byte what was read, the header with it."""
        write_weights(self._given_weights(), path)

    @overload
    def run(self, x: NDArray[Any], framework: str = ..., every_layer: Literal[False] = ...) -> NDArray[Any]: ...

    @overload
    def run(self, x: NDArray[Any], framework: str = ..., *, every_layer: Literal[True]) -> list[NDArray[Any]]: ...

    @overload
    def run(self, x: NDArray[Any], framework: str, every_layer: bool) -> NDArray[Any] | list[NDArray[Any]]: ...

    def run(
        self, x: NDArray[Any], framework: str = "reference", every_layer: bool = False
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """The output for `x` [N, C, H, W]: [N, C, H, W], or [N, K] where Darknet's layer is flat.

        With `every_layer` a list, one array a layer. `framework` is a target of `ports.table`, run in float32 ("onnx"
        is the exported model in onnxruntime, "torch" the module of `to_torch`, "keras" the model of `to_keras`, others
        their exported files), one of its forms, as "onnx-half", or "reference", which computes in float64 and returns
        float64. Raises `ShapeError` for an `x` that does not fit, `UnknownNameError` for a framework that is not known,
        `MissingFrameworkError`, and `UnsupportedError` for what it cannot express. Of a recurrent network it is one
        step, from states of zeros.
        """
        run = runner(framework).run
        outputs = run(self.network, self.parameters, checked_input(self.network, x), every_layer)
        return outputs if every_layer else outputs[-1]

    @overload
    def run_sequence(
        self, x: NDArray[Any], framework: str = ..., every_layer: Literal[False] = ...
    ) -> NDArray[Any]: ...

    @overload
    def run_sequence(
        self, x: NDArray[Any], framework: str = ..., *, every_layer: Literal[True]
    ) -> list[NDArray[Any]]: ...

    @overload
    def run_sequence(self, x: NDArray[Any], framework: str, every_layer: bool) -> NDArray[Any] | list[NDArray[Any]]: ...

    def run_sequence(
        self, x: NDArray[Any], framework: str = "reference", every_layer: bool = False
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """The output [T, N, ...] for the T steps of N sequences, x [T, N, C, H, W] (or [T, N, K]).

        The states of recurrent layers are zeros before the first step and are carried from step to step, as Darknet
        does it outside training, a step each call. Without such layers the steps are a batch. The rest is as for `run`.
        """
        given, runs = checked_sequence(self.network, x), runner(framework)
        if self.network.states:
            outputs = runs.run_sequence(self.network, self.parameters, given, every_layer)
        else:
            flat = runs.run(self.network, self.parameters, given.reshape(-1, *given.shape[2:]), every_layer)
            outputs = [output.reshape(*given.shape[:2], *output.shape[1:]) for output in flat]
        return outputs if every_layer else outputs[-1]

    def to_onnx(self, path: str | os.PathLike[str], **options: Unpack[OnnxOptions]) -> OnnxExport:
        """Write the network as an ONNX model, whole or not at all; `options` are those of `ports.onnx.write_onnx`:
        head, opset, batch, dynamic_size, keep_batch_norm, half, winograd, runtime, max_rank, without, external_data,
        names, every_layer, nms, threshold, overlap, nms_kind, steps, progress.

        Raises as `write_onnx` does, `WeightsError` without weights, and `UnusableInputError` rather than overwrite what
        the network was read from.
        """
        from layoutbridge.darknet.ports.onnx import PORT, write_onnx

        self.refuse_overwriting(path, PORT)
        return write_onnx(self.network, self.parameters, path, sources=self.sources, **options)

    def to_ncnn(
        self,
        path: str | os.PathLike[str],
        *,
        head: str = "darknet",
        every_layer: bool = False,
        progress: Progress | None = None,
    ) -> NcnnExport:
        """Write the network in ncnn's two files, `path` (.param) and the .bin beside it, whole or not at all; the
        options are those of `ports.ncnn.write_ncnn`.

        Raises as `write_ncnn` does, and as `to_onnx`.
        """
        from layoutbridge.darknet.ports.ncnn import PORT, write_ncnn

        self.refuse_overwriting(path, PORT)
        return write_ncnn(self.network, self.parameters, path, head=head, every_layer=every_layer, progress=progress)

    def to_torch(
        self, head: str | None = None, *, steps: int | None = None, for_inference: bool = False
    ) -> DarknetModule:
        """The network as a trainable `nn.Module` with copies of the weights: see `ports.torch_module.DarknetModule`.

        It returns the last layer's output; with a `head` ("darknet", "raw", "boxes", "yolov5", "yolov8") what that
        consists of, as `to_onnx` does: several are a tuple. Of a recurrent network it is one step, or with `steps`
        whole sequences of so many. `for_inference` gives the same outputs faster, and no gradients: batch norms are
        folded and weights packed for the processor. Raises `WeightsError` without weights, `UnknownNameError` for a
        head, `ParameterError`, `UnsupportedError`, `MissingFrameworkError`.
        """
        from layoutbridge.darknet.ports.torch import to_module

        return to_module(self.network, self._given_weights(), head, steps=steps, for_inference=for_inference)

    def to_keras(
        self,
        data_format: str = "channels_last",
        head: str = "darknet",
        every_layer: bool = False,
        *,
        steps: int | None = None,
    ) -> keras.Model:
        """The network as a trainable, functional Keras model with copies of the weights: see `ports.keras.to_model`.

        Raises as `to_model` does, and `WeightsError` without weights.
        """
        from layoutbridge.darknet.ports.keras import to_model

        return to_model(
            self.network,
            self.parameters,
            data_format=data_format,
            head=head,
            every_layer=every_layer,
            steps=steps,
        )

    def from_torch(
        self, model: torch.nn.Module | Mapping[str, Any] | str | os.PathLike[str], *, epsilon: float | None = None
    ) -> DarknetNetwork:
        """The same network with copies of the weights of `model`: what `to_torch` made, another module, a state dict.

        A path is that of a state dict (.safetensors, .pth, .pt), and nothing in it runs; a module of somebody else's is
        run once. Layers are found by the names of our exports, by the cfg's numbers in their names, or by order and
        shapes, and `returned` of what is given says which: `comparing.returning.back_to_darknet` proves it. `epsilon`
        is that of batch norms in a state dict, which does not hold it: PyTorch's by default. The header stays, without
        weights it is today's of the flavor.

        Raises `WeightsError` where something is missing, left over or of another shape, and for what is no finite
        number, `UnusableInputError` for a file that cannot be read or holds code, and `ParameterError`.
        """
        from layoutbridge.darknet.ports.torch import own_module, weights_of
        from layoutbridge.darknet.returning.opening import torch_source

        own = None if isinstance(model, str | os.PathLike | Mapping) else own_module(model)
        if own is not None and own.header is not None:
            sources = {kind: path for kind, path in self.sources.items() if kind != "weights"}
            return DarknetNetwork(self.network, weights_of(self.network, own), sources, self.blueprint)
        return self.with_weights_of(torch_source(self.network, model, epsilon))

    def from_keras(
        self, model: keras.Model | str | os.PathLike[str], *, epsilon: float | None = None
    ) -> DarknetNetwork:
        """The same network with copies of the weights of a Keras model: of `to_keras`, of somebody else's, in a file.

        Files are .keras and .h5, weights alone in the latter too; no layer is made of them, and nothing in them runs.
        The rest is as for `from_torch`; Keras' own `epsilon` is 0.001.
        """
        from layoutbridge.darknet.returning.opening import keras_source

        return self.with_weights_of(keras_source(self.network, model, epsilon))

    def from_onnx(self, model: ModelProto | str | os.PathLike[str]) -> DarknetNetwork:
        """The same network with the weights of an ONNX model: of `to_onnx`, or of somebody else's export.

        Of a batch norm that was folded into the weights Darknet gets one that changes nothing. The rest is as for
        `from_torch`.
        """
        from layoutbridge.darknet.returning.opening import onnx_source

        return self.with_weights_of(onnx_source(model))

    def with_weights_of(self, source: Source) -> DarknetNetwork:
        """The same network with the weights of what was read of a model; raises as `returning.returned.returned`."""
        from layoutbridge.darknet.returning.returned import returned

        return self.with_returned(returned(self.network, source, self.weights))

    def with_returned(self, found: Returned) -> DarknetNetwork:
        """The same network with weights that were found."""
        sources = {kind: path for kind, path in self.sources.items() if kind != "weights"}
        return DarknetNetwork(self.network, found.weights, sources, self.blueprint, found)

    def refuse_overwriting(self, path: str | os.PathLike[str], port: Port) -> None:
        """Raise `UnusableInputError` where writing `path` for `port` would replace what the network was read from."""
        refuse_overwriting(path, self.sources.values())
        for written in port.beside(Path(path)):
            refuse_overwriting(written, self.sources.values())

    def refuse_weights_at(self, path: str | os.PathLike[str], *others: str | os.PathLike[str] | None) -> None:
        """Raise `UnusableInputError` where a weights file at `path` would replace what was read, or one of `others`."""
        refuse_overwriting(path, [*self.sources.values(), *(other for other in others if other is not None)])

    def flavor_differences(self) -> tuple[FlavorDifference, ...]:
        """Where the other flavour would make something else of the same files: see `flavors`. Empty where it is alike,
        or cannot read the cfg at all.
        """
        return () if self.blueprint is None else flavor_differences(self.blueprint, self.network, self.weights)

    def in_other_flavor(self) -> DarknetNetwork | None:
        """The same files read by the other flavour's rules; None where it cannot, or no files were read."""
        blueprint = None if self.blueprint is None else self.blueprint.in_flavor(other_flavor(self.network.flavor))
        if blueprint is None:
            return None
        try:
            network = blueprint.build()
            path = self.sources.get("weights")
            weights = None if path is None else read_weights(network, path, strict=True, blueprint=blueprint)
        except LayoutBridgeError:
            return None
        return DarknetNetwork(network, weights, self.sources, blueprint)

    def summary(self) -> tuple[SummaryRow, ...]:
        """One row a layer, for Darknet's familiar table."""
        return tuple(summary_row(layer) for layer in self.network.layers)

    def _given_weights(self) -> Weights:
        if self.weights is None:
            raise WeightsError(f"{self.network.source} was loaded without weights: give load its weights file too")
        return self.weights


def load(
    cfg: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    flavor: str = "alexey",
    size: tuple[int, int] | None = None,
    upto: int | None = None,
    strict: bool = False,
    activations: Mapping[str, str] | None = None,
    allow_paths: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
) -> DarknetNetwork:
    """The network of a cfg file and its weights file.

    `flavor` is "alexey" (Darknet's main fork) or "pjreddie" (the original); `size` (width, height) overrides
    the input's; `upto` keeps the first so many layers, for backbone files; `strict` makes weights that are too long an
    error; `activations` says what names mean that Darknet does not know, as in {"silu": "swish"}. A file that the cfg
    names (`tree=`) must lie in the current folder, the cfg's own (or, where that is called `cfg`, the one above it) or
    one of `allow_paths`. `progress(done, total)` hears of floats read.

    Raises `CfgError`, `WeightsError` and `ParameterError`.
    """
    checked = check_flavor(flavor)
    sources: dict[str, str | os.PathLike[str]] = {"cfg": read_file(cfg)} if is_regular_file(cfg) else {}
    sections, warnings = read_cfg(cfg, flavor=checked)
    folder = str(Path(cfg).parent) if sources else None  # what lies beside a pipe is none of the cfg's
    allowed = tuple(os.fspath(path) for path in allow_paths)
    blueprint = Blueprint(sections, checked, size, upto, folder, activations, allowed)
    network = blueprint.build(warnings)
    if weights is None:
        return DarknetNetwork(network, sources=sources, blueprint=blueprint)
    sources["weights"] = read_file(weights)
    arrays = read_weights(network, weights, strict=strict, blueprint=blueprint, progress=progress)
    return DarknetNetwork(network, arrays, sources, blueprint)
