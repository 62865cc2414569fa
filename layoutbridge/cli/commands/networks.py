"""Commands on whole Darknet networks: summary, check, detect."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    NMS_KINDS_TOLD,
    Activations,
    AllowPath,
    AsJson,
    Flavor,
    Size,
    Strict,
    Upto,
    complete_targets,
    listed,
    loaded_network,
    share,
)
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, errors_console, print_json, print_json_text, remark
from layoutbridge.darknet.ports.table import TARGETS

Cfg = Annotated[str, typer.Argument(help="The network's .cfg file.")]


@app.command()
def summary(
    cfg: Cfg,
    flavor: Flavor = "alexey",
    size: Size = None,
    upto: Upto = None,
    activation: Activations = None,
    allow_path: AllowPath = None,
    as_json: AsJson = False,
) -> None:
    """Darknet's familiar table of a network: layers, shapes, parameters, FLOPs."""
    from dataclasses import asdict

    from layoutbridge.report.networks import show_flavors, show_summary

    net = loaded_network(cfg, None, flavor=flavor, size=size, upto=upto, activations=activation, allow_paths=allow_path)
    if as_json:
        print_json([asdict(row) for row in net.summary()])
    else:
        show_summary(console(), net)
        show_flavors(console(), net, net.flavor_differences())


@app.command()
def check(
    cfg: Cfg,
    weights: Annotated[str, typer.Argument(help="Its .weights file.")],
    flavor: Flavor = "alexey",
    size: Size = None,
    upto: Upto = None,
    strict: Strict = False,
    activation: Activations = None,
    allow_path: AllowPath = None,
    targets: Annotated[
        str | None,
        typer.Option(
            help=f"Comma list of {', '.join(TARGETS)}. (default: what is installed)",
            autocompletion=complete_targets,
            show_default=False,
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option("--half", help="Check the float16 forms, too."),
    ] = False,
    winograd: Annotated[bool, typer.Option("--winograd", help="Check Winograd's forms, too.")] = False,
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Allowed share of a layer's largest value. (default: 5e-5; Winograd 1e-4, half 2e-2)",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Outputs that a real Darknet recorded: an .npz of input, layer00, ...", show_default=False),
    ] = None,
    every_layer: Annotated[
        bool, typer.Option("--every-layer/--brief", help="Print every layer, or the first 10 over the tolerance.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Compare the network in every target with a float64 reference, layer by layer, on one random input.

    With --against all of them, the reference too, are compared with recorded outputs, on their input.
    """
    import json
    from dataclasses import asdict

    from layoutbridge.darknet.ports.check import check_network
    from layoutbridge.darknet.ports.recorded import read_recorded
    from layoutbridge.report.networks import show_check, show_flavors
    from layoutbridge.report.progress import step_progress

    named = listed(targets, "--targets")
    forms = [*(["half"] if half else []), *(["winograd"] if winograd else [])]
    allowed = None if tolerance is None else share(tolerance, "--tolerance", most=None)
    net = loaded_network(
        cfg,
        weights,
        flavor=flavor,
        size=size,
        upto=upto,
        strict=strict,
        activations=activation,
        allow_paths=allow_path,
    )
    recorded = None if against is None else read_recorded(against, net.network)
    other = net.in_other_flavor()
    with step_progress(errors_console(), "checking") as progress:
        result = check_network(
            net.network,
            net.parameters,
            named,
            forms=forms,
            tolerance=allowed,
            against=recorded,
            other=None if other is None else (other.network, other.parameters),
            progress=progress,
        )
    differences = net.flavor_differences()
    if as_json:
        print_json(json.loads(result.to_json()) | {"flavor_differences": [asdict(each) for each in differences]})
    else:
        show_check(console(), result, every_layer=every_layer)
        show_flavors(console(), net, differences)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def detect(
    model: Annotated[str, typer.Argument(help="An ONNX model exported with --head boxes.")],
    picture: Annotated[str, typer.Argument(help="A picture: PNG, JPEG, WebP, BMP, ...")],
    names: Annotated[str | None, typer.Option(help="The classes' names, a text file with one a line.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Where to save the drawing.")] = None,
    threshold: Annotated[str, typer.Option(help="Least score of a detection.")] = "0.25",
    nms: Annotated[str, typer.Option(help="Overlap from which the weaker box of a class is dropped.")] = "0.45",
    nms_kind: Annotated[
        str | None,
        typer.Option(help=f"{NMS_KINDS_TOLD}. (default: as the network says)", show_default=False),
    ] = None,
    letterbox: Annotated[
        bool | None,
        typer.Option("--letterbox/--stretch", help="How the picture is fitted. (default: as the network says)"),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Find objects in a picture with an exported network, and draw them."""
    from layoutbridge.darknet.detection.detector import detect as find
    from layoutbridge.darknet.detection.detector import read_names
    from layoutbridge.darknet.detection.drawing import draw
    from layoutbridge.darknet.detection.pictures import open_picture
    from layoutbridge.files import refuse_overwriting
    from layoutbridge.inputs import is_regular_file
    from layoutbridge.report.networks import show_detections

    if output is not None:
        refuse_overwriting(output, [model, picture, *([] if names is None else [names])])
        ask_before_overwriting([output], force=force)
    read_once = output is not None and not is_regular_file(picture)  # a pipe
    given = open_picture(picture) if read_once else picture
    found = find(
        model,
        given,
        names=None if names is None else read_names(names),
        threshold=share(threshold, "--threshold"),
        nms=share(nms, "--nms"),
        nms_kind=nms_kind,
        letterbox=letterbox,
    )
    if output is not None:
        draw(given, found, output)
        remark(f"wrote {output}: {len(found)} {'detection' if len(found) == 1 else 'detections'} drawn")
    if as_json:
        print_json_text(found.to_json(indent=2))
    else:
        show_detections(console(), found)
