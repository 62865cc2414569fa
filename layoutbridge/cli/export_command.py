"""`export`: an operation, or a whole network, as a model of another framework."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from layoutbridge.cli.application import app
from layoutbridge.cli.arguments import (
    complete_name,
    loaded_network,
    open_shape,
    operation_named,
    whole,
)
from layoutbridge.cli.printing import errors_console, remark
from layoutbridge.errors import ParameterError, UnsupportedError

_LOADED_EVERYWHERE = 21  # opsets that every onnxruntime we allow loads
_OPERATION, _NETWORK = "For an operation", "For a network"


class Target(StrEnum):
    """What `export` writes."""

    onnx = "onnx"
    torch = "torch"
    keras = "keras"


def _option(help_text: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, show_default=False)


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(help="A catalogue name, a pattern in quotes, or a network's .cfg", autocompletion=complete_name),
    ],
    weights: Annotated[str | None, typer.Argument(help="The network's .weights.")] = None,
    *,
    to: Annotated[Target, typer.Option("--to", help="onnx (.onnx), torch (.pt2), keras (.keras or a folder).")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write it, whole or not at all.")],
    opset: Annotated[str | None, _option("ONNX opset, 11 on; networks 13 on. (default: 17)", "For onnx")] = None,
    shape: Annotated[str | None, _option("The input's; a name leaves that axis open: N,64,H,W", _OPERATION)] = None,
    stride: Annotated[str | None, _option("Stride, or block size. (default: 2)", _OPERATION)] = None,
    groups: Annotated[str | None, _option("Groups of channel_shuffle. (default: 2)", _OPERATION)] = None,
    dtype: Annotated[str | None, _option("The input's dtype. (default: float32)", _OPERATION)] = None,
    data_format: Annotated[str | None, _option("For keras. (default: channels_last)", _OPERATION)] = None,
    flavor: Annotated[str | None, _option("alexey (the fork, default) or pjreddie (the original)", _NETWORK)] = None,
    head: Annotated[str | None, _option("darknet (default), raw, boxes, yolov5 or yolov8", _NETWORK)] = None,
    nms: Annotated[bool, _option("Add ONNX's own suppression behind the boxes", _NETWORK, "--nms")] = False,
    names: Annotated[str | None, _option("The classes' names, a text file, for the metadata", _NETWORK)] = None,
    size: Annotated[str | None, _option("Override the input size: WIDTHxHEIGHT", _NETWORK)] = None,
    batch: Annotated[str | None, _option("Pictures at a time. (default: open)", _NETWORK)] = None,
    dynamic_size: Annotated[bool, _option("Leave height and width open", _NETWORK, "--dynamic-size")] = False,
    upto: Annotated[str | None, _option("Keep the first so many layers", _NETWORK)] = None,
    keep_batch_norm: Annotated[bool, _option("Do not fold batch norm", _NETWORK, "--keep-batch-norm")] = False,
    external_data: Annotated[bool, _option("Weights in a file of their own", _NETWORK, "--external-data")] = False,
    every_layer: Annotated[bool, _option("Every layer's output too", _NETWORK, "--every-layer")] = False,
    strict: Annotated[bool, _option("Weights that are too long are an error", _NETWORK, "--strict")] = False,
) -> None:
    """Write an operation, or a whole Darknet network, as a model of another framework."""
    for_operations = {
        "--shape": shape, "--stride": stride, "--groups": groups, "--dtype": dtype, "--data-format": data_format,
    }  # fmt: skip
    for_networks = {
        "--flavor": flavor, "--head": head, "--nms": nms, "--names": names, "--size": size, "--batch": batch,
        "--dynamic-size": dynamic_size, "--upto": upto, "--keep-batch-norm": keep_batch_norm,
        "--external-data": external_data, "--every-layer": every_layer, "--strict": strict, "WEIGHTS": weights,
    }  # fmt: skip
    opset_number = None if opset is None else whole(opset, "--opset")
    if opset_number is not None and to != Target.onnx:
        raise ParameterError(f"--opset is for --to onnx, not --to {to.value}")
    _warn_of_opset(opset_number)
    if not name.lower().endswith(".cfg"):
        _refuse_given(for_networks, f"is for a network, and {name!r} is none (its name must end in .cfg)")
        _export_operation(name, to, output, opset_number, for_operations)
        return
    _refuse_given(for_operations, "is for an operation, not for a network")
    if to != Target.onnx:
        raise UnsupportedError(f"whole networks are written as ONNX, not as {to.value}: give --to onnx")
    from layoutbridge.files import refuse_overwriting

    if weights is None:
        raise ParameterError(f"the network '{name}' needs its weights: layoutbridge export {name} FILE.weights ...")
    refuse_overwriting(output, [name, weights])
    net = loaded_network(name, weights, flavor=flavor or "alexey", size=size, upto=upto, strict=strict)
    _export_network(
        net,
        output,
        names,
        head=head or "darknet",
        nms=nms,
        batch=None if batch is None else whole(batch, "--batch"),
        dynamic_size=dynamic_size,
        keep_batch_norm=keep_batch_norm,
        external_data=external_data,
        every_layer=every_layer,
        **({} if opset_number is None else {"opset": opset_number}),
    )


def _warn_of_opset(opset: int | None) -> None:
    """Say where the installed onnxruntime would not load the model; other runtimes may."""
    from importlib.metadata import PackageNotFoundError, version

    if opset is None or opset <= _LOADED_EVERYWHERE:
        return
    from layoutbridge.frameworks.onnx_sessions import highest_loadable_opset

    with suppress(ImportError, PackageNotFoundError):
        installed, highest = version("onnxruntime"), highest_loadable_opset()
        if opset > highest:
            remark(f"warning: onnxruntime {installed} loads at most opset {highest}, and this model has {opset}")


def _refuse_given(options: dict[str, Any], reason: str) -> None:
    given = [option for option, value in options.items() if value not in (None, False)]
    if given:
        raise ParameterError(f"{given[0]} {reason}")


def _export_operation(name: str, to: Target, output: str, opset: int | None, given: dict[str, str | None]) -> None:
    from layoutbridge.frameworks import export as write

    operation = operation_named(name, given["--stride"], given["--groups"])
    options: dict[str, Any] = {"dtype": given["--dtype"] or "float32"}
    if opset is not None:
        options["opset"] = opset
    if given["--data-format"] is not None:
        if to != Target.keras:
            raise ParameterError(f"--data-format is for --to keras, not --to {to.value}")
        options["data_format"] = given["--data-format"]
    shape = given["--shape"]
    write(operation, to.value, output, shape=None if shape is None else open_shape(shape), **options)
    remark(f"wrote {output}: {operation.label} for {to.value}")


def _export_network(net: Any, output: str, names: str | None, **options: Any) -> None:
    from layoutbridge.darknet.detection import read_names
    from layoutbridge.files import refuse_overwriting
    from layoutbridge.report.progress import byte_progress

    if names is not None:
        refuse_overwriting(output, [names])
        options["names"] = read_names(names)
    with byte_progress(errors_console(), "writing") as progress:
        made = net.to_onnx(output, progress=progress, **options)
    outputs = ", ".join(
        f"{name} [N, {', '.join('?' if length is None else str(length) for length in shape)}]"
        for name, shape in list(made.outputs.items())[:4]
    )
    beside = "" if made.data_path is None else f" and {made.data_path}"
    more = f", and {len(made.outputs) - 4} more" if len(made.outputs) > 4 else ""
    remark(f"wrote {output}{beside}: opset {made.opset}, outputs {outputs}{more}")
