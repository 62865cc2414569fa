"""`export`: an operation, or a whole network, as a model of another framework."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer

from layoutbridge.cli.commands.exports.int8 import read_calibrate
from layoutbridge.cli.commands.exports.networks import export_network
from layoutbridge.cli.commands.exports.operations import OPERATION_TARGETS, export_operation, with_batch_told
from layoutbridge.cli.commands.exports.tuning import AUTO
from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import NMS_KINDS_TOLD, complete_name, listed, whole
from layoutbridge.cli.shared.kinds import one_of, share, whole_number
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.parameters import WithParameters, given_parameters, parameters_option, refuse_undeclared
from layoutbridge.cli.shared.printing import remark
from layoutbridge.darknet.ports.table import WRITTEN_FOR, runtimes
from layoutbridge.darknet.structure.choices import FLAVORS, HEADS, NMS_KINDS
from layoutbridge.errors import ParameterError

_LOADED_EVERYWHERE = 21  # opsets that every onnxruntime we allow loads
_BATCH_TOLD = "Pictures at a time. (default: any, where a file can) For an operation, alone: see --no-batch"
_NO_BATCH_TOLD = (
    "No batch axis in front of the pattern's; --batch: one. (default: none where an entry names every axis)"
)
_OPERATION, _NETWORK, _SOME = "For an operation", "For a network", "For a network, in some targets"


_ALL_TARGETS = tuple(dict.fromkeys([*OPERATION_TARGETS, *WRITTEN_FOR]))


def _option(help_text: str, panel: str, *names: str, kind: dict[str, Any] | None = None) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, show_default=False, **kind or {})


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
            help=f"What it is written for: {', '.join(_ALL_TARGETS)}. (default: by the ending)",
            show_default=False,
            **one_of(_ALL_TARGETS, shown="<target>"),
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="<file>", help="Where to write it, whole or not at all.")
    ],
    force: Force = False,
    opset: Annotated[
        int | None,
        _option("ONNX opset, 11 on; networks 9 on. (default: 17)", "For onnx", kind=whole_number("--opset")),
    ] = None,
    max_rank: Annotated[
        int | None, _option("The most axes that any tensor has", "For onnx", kind=whole_number("--max-rank"))
    ] = None,
    without: Annotated[
        str | None, _option("Operators that must not stand", "For onnx", kind={"metavar": "Gather,Einsum,..."})
    ] = None,
    data_format: Annotated[
        str | None,
        _option(
            "channels_last (default) or channels_first",
            "For keras",
            kind=one_of(("channels_last", "channels_first"), shown="<layout>"),
        ),
    ] = None,
    shape: Annotated[
        str | None, _option("The input's; a name leaves that axis open", _OPERATION, kind={"metavar": "N,64,H,W"})
    ] = None,
    parameters: Annotated[list[str] | None, parameters_option(_OPERATION)] = None,
    dtype: Annotated[str | None, _option("The input's dtype. (default: float32)", _OPERATION)] = None,
    no_batch: Annotated[bool, _option(_NO_BATCH_TOLD, _OPERATION, "--no-batch")] = False,
    flavor: Annotated[
        str | None,
        _option("Which Darknet: the main fork (default) or the original", _NETWORK, kind=one_of(FLAVORS)),
    ] = None,
    head: Annotated[
        str | None,
        _option(
            f"What comes out: {', '.join(HEADS)}. (default: darknet)",
            _NETWORK,
            kind=one_of(HEADS, shown="<head>"),
        ),
    ] = None,
    size: Annotated[str | None, _option("Override the input size", _NETWORK, kind={"metavar": "WIDTHxHEIGHT"})] = None,
    batch: Annotated[str | None, _option(_BATCH_TOLD, _NETWORK, kind={"metavar": "<int 1..>"})] = None,
    upto: Annotated[int | None, _option("Keep the first so many layers", _NETWORK, kind=whole_number("--upto"))] = None,
    every_layer: Annotated[bool, _option("Every layer's output too", _NETWORK, "--every-layer")] = False,
    strict: Annotated[bool, _option("Weights that are too long are an error", _NETWORK, "--strict")] = False,
    activation: Annotated[
        list[str] | None,
        _option("What an unknown activation means. Repeatable", _NETWORK, kind={"metavar": "silu=swish"}),
    ] = None,
    allow_path: Annotated[
        list[str] | None,
        _option(
            "Another folder where files that the cfg names may lie. Repeatable", _NETWORK, kind={"metavar": "<folder>"}
        ),
    ] = None,
    half: Annotated[bool, _option("float16; heads in float32", _NETWORK, "--half")] = False,
    int8: Annotated[bool, _option("Whole numbers of 8 bits; heads in float32", _SOME, "--int8")] = False,
    calibrate: Annotated[
        str | None,
        _option("With --int8: pictures to measure ranges over", _SOME, kind={"metavar": "<file, folder or pattern>"}),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="The program that will run it, for what is fast there, or within its limits: openvino, rknn, ...; "
            "auto: what is fastest on this machine, by trial",
            show_default=False,
            **one_of(lambda: (*runtimes(), AUTO), shown="<runtime>"),
        ),
    ] = None,
    winograd: Annotated[bool, _option("Winograd's form, where it pays", _SOME, "--winograd")] = False,
    store_winograd: Annotated[
        bool, _option("Its weights in the file: larger, quick to load", _SOME, "--store-winograd")
    ] = False,
    nms: Annotated[bool, _option("Add Darknet's suppression behind the boxes", _SOME, "--nms")] = False,
    threshold: Annotated[
        float | None, _option("With --nms: least score. (default: 0.25)", _SOME, kind=share("--threshold"))
    ] = None,
    overlap: Annotated[
        float | None, _option("With --nms: most overlap in a class. (default: 0.45)", _SOME, kind=share("--overlap"))
    ] = None,
    nms_kind: Annotated[
        str | None,
        _option(
            f"With --nms: {NMS_KINDS_TOLD}. (default: the cfg's)",
            _SOME,
            kind=one_of(NMS_KINDS, shown="<kind>"),
        ),
    ] = None,
    steps: Annotated[
        int | None,
        _option(
            "Of a recurrent network whole sequences of so many. (default: one, with its states)",
            _SOME,
            kind=whole_number("--steps"),
        ),
    ] = None,
    names: Annotated[
        str | None, _option("The classes' names, for the metadata", _SOME, kind={"metavar": "<file>"})
    ] = None,
    dynamic_size: Annotated[bool, _option("Leave height and width open", _SOME, "--dynamic-size")] = False,
    keep_batch_norm: Annotated[bool, _option("Do not fold batch norm", _SOME, "--keep-batch-norm")] = False,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Run what was written, beside the reference", rich_help_panel=_NETWORK),
    ] = True,
    as_json: Annotated[
        bool, _option("Print JSON for machines: files, size, outputs, deviation", _NETWORK, "--json")
    ] = False,
    external_data: Annotated[bool, _option("Weights in a file of their own", _SOME, "--external-data")] = False,
) -> None:
    """Write an operation, or a whole Darknet network, as a model of another framework.

    layoutbridge export yolov4.cfg yolov4.weights -o yolov4.onnx --head boxes

    layoutbridge export darknet_reorg --shape N,64,26,26 -o reorg.onnx
    """
    for_operations = {"--shape": shape, "--dtype": dtype, "--no-batch": no_batch}
    for_reading = {
        "--flavor": flavor, "--size": size, "--upto": upto, "--strict": strict,
        "--activation": activation or None, "--allow-path": allow_path or None, "WEIGHTS": weights,
    }  # fmt: skip
    for_networks = {
        "--head": head, "--every-layer": every_layer, "--half": half, "--int8": int8, "--calibrate": calibrate,
        "--winograd": winograd, "--store-winograd": store_winograd, "--nms": nms,
        "--threshold": threshold, "--overlap": overlap,
        "--nms-kind": nms_kind, "--names": names, "--dynamic-size": dynamic_size,
        "--keep-batch-norm": keep_batch_norm, "--external-data": external_data, "--steps": steps, "--json": as_json,
    }  # fmt: skip
    operators = listed(without, "--without")
    if (weights or "").lower().endswith(".cfg") and not name.lower().endswith(".cfg"):
        raise ParameterError(f"the cfg comes first: layoutbridge export {weights} {name} ...")
    if not name.lower().endswith(".cfg"):
        why = f"is for a network, and {name!r} is none (its name must end in .cfg)"
        _refuse_given(for_reading | for_networks | {f"--for {AUTO}": runtime == AUTO}, why)
        chosen = for_operations | {
            "--batch": batch, "--opset": opset, "--data-format": data_format,
            "--max-rank": max_rank, "--without": operators, "--for": runtime,
        }  # fmt: skip
        export_operation(name, parameters, to, output, chosen, force=force)
        _warn_of_opset(opset)
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
        "half": half, "runtime": runtime, "max_rank": max_rank, "without": operators,
        "winograd": winograd, "store_winograd": store_winograd, "nms": nms, "names": names,
        "threshold": threshold,
        "overlap": overlap, "nms_kind": nms_kind,
        "dynamic_size": dynamic_size, "keep_batch_norm": keep_batch_norm, "external_data": external_data,
        "opset": opset, "data_format": data_format, "steps": steps,
    }  # fmt: skip
    reading = {
        "flavor": flavor or "alexey", "size": size, "upto": upto, "strict": strict, "activations": activation,
        "allow_paths": allow_path,
    }  # fmt: skip
    right = export_network(
        name,
        weights,
        output,
        to=to,
        read=reading,
        options={key: value for key, value in options.items() if value not in (None, False)},
        force=force,
        check=check,
        as_json=as_json,
        calibrate=read_calibrate(int8, calibrate),
    )
    _warn_of_opset(opset)
    if not right:
        raise typer.Exit(1)


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
