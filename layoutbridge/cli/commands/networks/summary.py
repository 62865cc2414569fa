"""Commands on whole Darknet networks: summary, check."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    Activations,
    AllowPath,
    AsJson,
    Flavor,
    Size,
    Strict,
    Upto,
    listed,
    loaded_network,
)
from layoutbridge.cli.shared.kinds import share, words_of
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, progress_console
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
    """Darknet's familiar table of a network: layers, shapes, parameters, FLOPs.

    layoutbridge summary yolov4.cfg
    """
    from dataclasses import asdict

    from layoutbridge.report.darknet.networks import show_flavors, show_summary

    net = loaded_network(cfg, None, flavor=flavor, size=size, upto=upto, activations=activation, allow_paths=allow_path)
    if as_json:
        print_json([asdict(row) for row in net.summary()])
    else:
        show_summary(console(), net)
        show_flavors(console(), net, net.flavor_differences())


@app.command()
def check(
    context: typer.Context,
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
            help=f"Some of {','.join(TARGETS)}. (default: those that are installed)",
            show_default=False,
            **words_of(TARGETS, "<target,...>"),
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option("--half", help="Check the float16 forms, too."),
    ] = False,
    winograd: Annotated[bool, typer.Option("--winograd", help="Check Winograd's forms, too.")] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Allowed share of a layer's largest value. (default: 5e-5; Winograd 1e-4, half 2e-2)",
            show_default=False,
            **share("--tolerance", most=None),
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Outputs that a real Darknet recorded: an .npz of input, layer00, ...", show_default=False),
    ] = None,
    every_layer: Annotated[
        bool, typer.Option("--every-layer/--brief", help="Print every layer, or the first 10 over the tolerance.")
    ] = True,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare the network in every target with a float64 reference, layer by layer, on one random input.

    With --against all of them, the reference too, are compared with recorded outputs, on their input.

    layoutbridge check yolov4.cfg yolov4.weights --targets onnx,torch
    """
    import json
    from dataclasses import asdict

    from layoutbridge.darknet.networks.flavors import told_differences
    from layoutbridge.darknet.ports.check import check_network
    from layoutbridge.darknet.reference.recorded import read_recorded
    from layoutbridge.report.darknet.networks import show_check, show_flavors
    from layoutbridge.report.progress import step_progress

    inputs = [cfg, weights, against]
    ask_for_page(html, inputs, force=force)
    named = listed(targets, "--targets")
    forms = [*(["half"] if half else []), *(["winograd"] if winograd else [])]
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
    with step_progress(progress_console(), "checking") as progress:
        result = check_network(
            net.network,
            net.parameters,
            named,
            forms=forms,
            tolerance=tolerance,
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
    told = told_differences(net.network, differences)
    if html is not None:
        from layoutbridge.report.html.checks import check_page

        write_page(html, context, inputs, lambda origin: check_page(result, net.network, told, origin))
    if not result.ok:
        raise typer.Exit(1)
