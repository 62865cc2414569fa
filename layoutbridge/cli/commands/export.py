"""`export`: an operation, or a whole network, as a model of another framework."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer

from layoutbridge.cli.commands.network_export import export_network, runtimes
from layoutbridge.cli.commands.operation_export import OPERATION_TARGETS, export_operation, with_batch_told
from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import NMS_KINDS_TOLD, complete_name, listed, share, whole
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.parameters import WithParameters, given_parameters, parameters_option, refuse_undeclared
from layoutbridge.cli.shared.printing import remark
from layoutbridge.darknet.ports.table import TARGETS
from layoutbridge.errors import ParameterError

_LOADED_EVERYWHERE = 21  # opsets that every onnxruntime we allow loads
_BATCH_TOLD = "Pictures at a time. (default: any, where a file can) For an operation, alone: see --no-batch"
_NO_BATCH_TOLD = (
    "No batch axis in front of the pattern's; --batch: one. (default: none where an entry names every axis)"
)
_OPERATION, _NETWORK, _SOME = "For an operation", "For a network", "For a network, in some targets"


_ALL_TARGETS = tuple(dict.fromkeys([*OPERATION_TARGETS, *TARGETS]))


def _complete_target(incomplete: str) -> list[str]:
    return [target for target in _ALL_TARGETS if target.startswith(incomplete)]


def _complete_runtime(incomplete: str) -> list[str]:
    return [runtime for runtime in runtimes() if runtime.startswith(incomplete)]


def _option(help_text: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, show_default=False)


class _Export(WithParameters):
    """The command whose `--batch` has a number behind it for a network, and none for an operation."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_batch_told(args))


@app.command(cls=_Export)
def export(
    name: Annotated[
        str,
        typer.Argument(
            help="A catalogue name, a pattern in quotes, several with 'then' between them, or a network's .cfg",
            autocompletion=complete_name,
        ),
    ],
    weights: Annotated[str | None, typer.Argument(help="The network's .weights.")] = None,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(_ALL_TARGETS)}. (default: by the ending)",
            autocompletion=_complete_target,
            show_default=False,
        ),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write it, whole or not at all.")],
    force: Force = False,
    opset: Annotated[str | None, _option("ONNX opset, 11 on; networks 13 on. (default: 17)", "For onnx")] = None,
    max_rank: Annotated[str | None, _option("The most axes that any tensor has", "For onnx")] = None,
    without: Annotated[str | None, _option("Operators that must not stand: Gather,Einsum", "For onnx")] = None,
    data_format: Annotated[str | None, _option("channels_last (default) or channels_first", "For keras")] = None,
    shape: Annotated[str | None, _option("The input's; a name leaves that axis open: N,64,H,W", _OPERATION)] = None,
    parameters: Annotated[list[str] | None, parameters_option(_OPERATION)] = None,
    dtype: Annotated[str | None, _option("The input's dtype. (default: float32)", _OPERATION)] = None,
    no_batch: Annotated[bool, _option(_NO_BATCH_TOLD, _OPERATION, "--no-batch")] = False,
    flavor: Annotated[str | None, _option("alexey (the fork, default) or pjreddie (the original)", _NETWORK)] = None,
    head: Annotated[str | None, _option("darknet (default), raw, boxes, yolov5 or yolov8", _NETWORK)] = None,
    size: Annotated[str | None, _option("Override the input size: WIDTHxHEIGHT", _NETWORK)] = None,
    batch: Annotated[str | None, _option(_BATCH_TOLD, _NETWORK)] = None,
    upto: Annotated[str | None, _option("Keep the first so many layers", _NETWORK)] = None,
    every_layer: Annotated[bool, _option("Every layer's output too", _NETWORK, "--every-layer")] = False,
    strict: Annotated[bool, _option("Weights that are too long are an error", _NETWORK, "--strict")] = False,
    activation: Annotated[
        list[str] | None, _option("What an unknown activation means: silu=swish. Repeatable", _NETWORK)
    ] = None,
    allow_path: Annotated[
        list[str] | None, _option("Another folder where files that the cfg names may lie. Repeatable", _NETWORK)
    ] = None,
    half: Annotated[bool, _option("float16; heads in float32", _NETWORK, "--half")] = False,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="The program that will run it: the form that is fastest there, or within its limits",
            autocompletion=_complete_runtime,
            show_default=False,
        ),
    ] = None,
    winograd: Annotated[bool, _option("Winograd F(4, 3), where it pays", _SOME, "--winograd")] = False,
    nms: Annotated[bool, _option("Add Darknet's suppression behind the boxes", _SOME, "--nms")] = False,
    threshold: Annotated[str | None, _option("With --nms: least score. (default: 0.25)", _SOME)] = None,
    overlap: Annotated[str | None, _option("With --nms: most overlap in a class. (default: 0.45)", _SOME)] = None,
    nms_kind: Annotated[str | None, _option(f"With --nms: {NMS_KINDS_TOLD}. (default: the cfg's)", _SOME)] = None,
    steps: Annotated[
        str | None, _option("Of a recurrent network whole sequences of so many. (default: one, with its states)", _SOME)
    ] = None,
    names: Annotated[str | None, _option("The classes' names, a text file, for the metadata", _SOME)] = None,
    dynamic_size: Annotated[bool, _option("Leave height and width open", _SOME, "--dynamic-size")] = False,
    keep_batch_norm: Annotated[bool, _option("Do not fold batch norm", _SOME, "--keep-batch-norm")] = False,
    external_data: Annotated[bool, _option("Weights in a file of their own", _SOME, "--external-data")] = False,
) -> None:
    """Write an operation, or a whole Darknet network, as a model of another framework."""
    for_operations = {"--shape": shape, "--dtype": dtype, "--no-batch": no_batch}
    for_reading = {
        "--flavor": flavor, "--size": size, "--upto": upto, "--strict": strict,
        "--activation": activation or None, "--allow-path": allow_path or None, "WEIGHTS": weights,
    }  # fmt: skip
    for_networks = {
        "--head": head, "--every-layer": every_layer, "--half": half,
        "--winograd": winograd, "--nms": nms, "--threshold": threshold, "--overlap": overlap,
        "--nms-kind": nms_kind, "--names": names, "--dynamic-size": dynamic_size,
        "--keep-batch-norm": keep_batch_norm, "--external-data": external_data, "--steps": steps,
    }  # fmt: skip
    opset_number = None if opset is None else whole(opset, "--opset")
    most_axes = None if max_rank is None else whole(max_rank, "--max-rank")
    operators = listed(without, "--without")
    if (weights or "").lower().endswith(".cfg") and not name.lower().endswith(".cfg"):
        raise ParameterError(f"the cfg comes first: layoutbridge export {weights} {name} ...")
    if not name.lower().endswith(".cfg"):
        why = f"is for a network, and {name!r} is none (its name must end in .cfg)"
        _refuse_given(for_reading | for_networks, why)
        chosen = for_operations | {
            "--batch": batch, "--opset": opset_number, "--data-format": data_format,
            "--max-rank": most_axes, "--without": operators, "--for": runtime,
        }  # fmt: skip
        export_operation(name, parameters, to, output, chosen, force=force)
        _warn_of_opset(opset_number)
        return
    asked = given_parameters(parameters)
    refuse_undeclared(asked)
    _refuse_given(
        {f"--{key}": value for key, value in asked.items()} | for_operations, "is for an operation, not for a network"
    )
    if weights is None:
        raise ParameterError(f"the network '{name}' needs its weights: layoutbridge export {name} FILE.weights ...")
    options = {
        "head": head, "batch": None if batch is None else whole(batch, "--batch"), "every_layer": every_layer,
        "half": half, "runtime": runtime, "max_rank": most_axes, "without": operators,
        "winograd": winograd, "nms": nms, "names": names,
        "threshold": None if threshold is None else share(threshold, "--threshold"),
        "overlap": None if overlap is None else share(overlap, "--overlap"), "nms_kind": nms_kind,
        "dynamic_size": dynamic_size, "keep_batch_norm": keep_batch_norm, "external_data": external_data,
        "opset": opset_number, "data_format": data_format, "steps": None if steps is None else whole(steps, "--steps"),
    }  # fmt: skip
    reading = {
        "flavor": flavor or "alexey", "size": size, "upto": upto, "strict": strict, "activations": activation,
        "allow_paths": allow_path,
    }  # fmt: skip
    export_network(
        name,
        weights,
        output,
        to=to,
        read=reading,
        options={key: value for key, value in options.items() if value not in (None, False)},
        force=force,
    )
    _warn_of_opset(opset_number)


def _warn_of_opset(opset: int | None) -> None:
    """Say where the installed onnxruntime would not load the model; other runtimes may."""
    from importlib.metadata import PackageNotFoundError, version

    if opset is None or opset <= _LOADED_EVERYWHERE:
        return
    from layoutbridge.frameworks.onnx.sessions import highest_loadable_opset

    with suppress(ImportError, PackageNotFoundError):
        installed, highest = version("onnxruntime"), highest_loadable_opset()
        if opset > highest:
            remark(f"warning: onnxruntime {installed} loads at most opset {highest}, and this model has {opset}")


def _refuse_given(options: dict[str, Any], reason: str) -> None:
    given = [option for option, value in options.items() if value not in (None, False)]
    if given:
        raise ParameterError(f"{given[0]} {reason}")
