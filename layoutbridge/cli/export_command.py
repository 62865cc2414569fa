"""`export`: an operation, or a whole network, as a model of another framework."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from layoutbridge.cli.application import app
from layoutbridge.cli.arguments import (
    Groups,
    Name,
    Stride,
    open_shape,
    operation_named,
    whole,
)
from layoutbridge.cli.printing import errors_console
from layoutbridge.errors import ParameterError


class Target(StrEnum):
    """What `export` writes."""

    onnx = "onnx"
    torch = "torch"
    keras = "keras"


@app.command()
def export(
    name: Name,
    to: Annotated[Target, typer.Option("--to", help="onnx (.onnx), torch (.pt2), keras (.keras or a folder).")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write it, whole or not at all.")],
    shape: Annotated[str | None, typer.Option(help="The input's shape; a name leaves that axis open: N,64,H,W")] = None,
    stride: Stride = None,
    groups: Groups = None,
    opset: Annotated[
        str | None, typer.Option(help="For onnx. [default: a widely loaded one]", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option(help="The input's dtype.")] = "float32",
    data_format: Annotated[
        str | None, typer.Option(help="For keras. [default: channels_last]", show_default=False)
    ] = None,
) -> None:
    """Write an operation as a model of another framework."""
    from layoutbridge.frameworks import export as write

    operation = operation_named(name, stride, groups)
    options: dict[str, Any] = {"dtype": dtype}
    if opset is not None:
        _refuse_option("--opset", to, Target.onnx)
        options["opset"] = whole(opset, "--opset")
    if data_format is not None:
        _refuse_option("--data-format", to, Target.keras)
        options["data_format"] = data_format
    lengths = None if shape is None else open_shape(shape)
    write(operation, to.value, output, shape=lengths, **options)
    errors_console().print(f"wrote {output}: {operation.label} for {to.value}", highlight=False, markup=False)


def _refuse_option(option: str, to: Target, wanted: Target) -> None:
    if to != wanted:
        raise ParameterError(f"{option} is for --to {wanted.value}, not --to {to.value}")
