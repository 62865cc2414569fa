"""`compare`: two models on one input, aligned."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from typing import Annotated, Any

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, Flavor, input_shapes
from layoutbridge.cli.shared.kinds import share, whole_number
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, progress_console, remark
from layoutbridge.errors import ParameterError


@app.command()
def compare(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE CANDIDATE",
            help="Two models: net.cfg net.weights (both together are one), .onnx, .pt2, .keras, .h5, a SavedModel "
            "folder, .tflite, .param, .xml, file.py:Module, or recorded outputs (.npz).",
        ),
    ],
    weights: Annotated[
        str | None, typer.Option(help="Weights for a module: a .safetensors file with its state dict.")
    ] = None,
    x: Annotated[str | None, typer.Option("--input", help="A .npy file or a picture. (default: random)")] = None,
    shape: Annotated[
        list[str] | None, typer.Option(help="The reference's input, 1,3,H,W; of several inputs name=..., once each.")
    ] = None,
    flavor: Flavor = "alexey",
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="What is equal, as a share of the largest value. (default: 5e-05 in float32)",
            **share("--tolerance", most=None),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random input.", **whole_number("--seed", least=0))] = 0,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Where does a port part from its original, why, and what is to be changed?

    file.py:Module RUNS THAT FILE: give only code that you trust. Exit code 0 where the two are equal, 1 where not.

    layoutbridge compare yolov2.cfg yolov2.weights port.onnx
    """
    from layoutbridge.comparing.comparison import compare as run
    from layoutbridge.comparing.named import named_input, named_models
    from layoutbridge.report.comparisons import show_comparison
    from layoutbridge.report.progress import step_progress

    inputs = [*models, weights, x]
    ask_for_page(html, inputs, force=force)
    with redirect_stdout(sys.stderr):  # what somebody else's code prints is no part of the answer
        reference, candidate = named_models(models, weights, flavor)
        given: Any = None if x is None else named_input(x, reference)
        if given is not None and shape:
            raise ParameterError("--shape is of a random input, and --input has its own: give one of the two")
        with step_progress(progress_console(), "comparing") as progress:
            found = run(
                reference, candidate, given, flavor=flavor, shape=input_shapes(shape),
                tolerance=tolerance, seed=seed, progress=progress,
            )  # fmt: skip
    if as_json:
        print_json(found.as_json())
    else:
        show_comparison(console(), found)
    for note in found.notes:
        remark(note)
    if html is not None:
        from layoutbridge.report.html.comparisons import comparison_page

        write_page(html, context, inputs, partial(comparison_page, found))
    if not found.equal:
        raise typer.Exit(1)
