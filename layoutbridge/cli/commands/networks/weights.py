"""`weights`: a .weights file of a model of another framework."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    Activations,
    AllowPath,
    AsJson,
    Flavor,
    Size,
    Upto,
    loaded_network,
)
from layoutbridge.cli.shared.kinds import share, whole_number
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, print_json, progress_console, remark
from layoutbridge.darknet.ports.table import ports
from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.inputs import is_folder


@app.command()
def weights(
    cfg: Annotated[str, typer.Argument(help="The network's .cfg file.")],
    model: Annotated[
        str,
        typer.Argument(
            help="The model that has its weights: .keras, .h5, .onnx, a state dict (.safetensors, .pth, .pt), or "
            "file.py:Module."
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The .weights file to write; without, nothing is written.")
    ] = None,
    flavor: Flavor = "alexey",
    base: Annotated[
        str | None, typer.Option(help="A .weights file of the cfg, whose header is kept: version, pictures seen.")
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help="The state dict of file.py:Module.")] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            help="Batch norm's, where the model does not tell it. (default: 1e-5 of PyTorch, 1e-3 of Keras)",
            show_default=False,
            **share("--epsilon"),
        ),
    ] = None,
    size: Size = None,
    upto: Upto = None,
    activation: Activations = None,
    allow_path: AllowPath = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="What is equal, as a share of the largest value. (default: 5e-05 in float32)",
            show_default=False,
            **share("--tolerance", most=None),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random input.", **whole_number("--seed", least=0))] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a .weights file that Darknet reads, of a Keras, PyTorch or ONNX model, and prove it by running both.

    Weights alone cannot be run: the layers are found by names, or by order and shapes, and that is told. file.py:Module
    RUNS THAT FILE: give only code that you trust. Exit code 0 where nothing differs, 1 where something does.

    layoutbridge weights yolov3.cfg trained.keras -o trained.weights
    """
    from layoutbridge.comparing.named import named_source
    from layoutbridge.comparing.returning import back_to_darknet
    from layoutbridge.report.darknet.weights import show_brought_back
    from layoutbridge.report.progress import step_progress

    net = loaded_network(cfg, base, flavor=flavor, size=size, upto=upto, activations=activation, allow_paths=allow_path)
    if output is not None:
        net.refuse_weights_at(output, model, state)
        _check_place(output)
        ask_before_overwriting([output], force=force)
    with redirect_stdout(sys.stderr):  # what somebody else's code prints is no part of the answer
        source = named_source(model, state)
        with step_progress(progress_console(), "bringing back") as progress:
            done = back_to_darknet(net, source, epsilon=epsilon, tolerance=tolerance, seed=seed, progress=progress)
    if output is not None:
        done.network.save_weights(output)
    if as_json:
        print_json(done.as_json() | {"output": output})
    else:
        show_brought_back(console(), done)
    for note in done.notes:
        remark(note)
    if output is not None:
        remark(f"wrote {output}" + (", though the two differ" if done.proven is False else ""))
    if done.proven is False:
        raise typer.Exit(1)


def _check_place(output: str) -> None:
    """Raise for an ending or a folder that cannot be, before anything is read: backbones end as `net.conv.137`."""
    path = Path(output)
    if path.suffix and path.suffix in {ending for target in ports() for ending in target.endings}:
        raise ParameterError(
            f"'{output}' is to be a .weights file, and {path.suffix} is another format's ending: layoutbridge export "
            "writes these"
        )
    if not is_folder(path.parent):
        raise UnusableInputError(f"cannot write into '{path.parent}': there is no such folder")
    if is_folder(path):
        raise UnusableInputError(f"'{output}' is a folder: name a file")
