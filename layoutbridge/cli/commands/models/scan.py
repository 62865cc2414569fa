"""`scan`: the places in a whole model that move elements."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, Flavor, complete_name, input_shapes
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, remark


@app.command()
def scan(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="A model: .onnx, .pt2, .keras, .h5, .tflite, .param, .xml, .cfg, or a SavedModel folder."),
    ],
    shape: Annotated[
        list[str] | None,
        typer.Option(help="The input's shape, 1,3,H,W; of several inputs name=1,3,224,224, once each."),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            help="A name: exit code 1 where a place of such shapes is another map.", autocompletion=complete_name
        ),
    ] = None,
    flavor: Flavor = "alexey",
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Which places in a model move elements, and what is each of them?

    layoutbridge scan port.onnx --expect darknet_reorg
    """
    from layoutbridge.report.scans import show_scan
    from layoutbridge.scanning.expecting import other_than, remedies_for
    from layoutbridge.scanning.models import scan as find

    ask_for_page(html, [model], force=force)
    found = find(model, input_shapes(shape), flavor=flavor)
    others = [] if expect is None else other_than(found, expect)
    remedies = {} if expect is None else remedies_for(found, others, expect)
    if as_json:
        record = found.as_json()
        for number, command in remedies.items():
            record["places"][number]["rewrite"] = command
        print_json(record)
    else:
        show_scan(console(), found, remedies)
    for note in found.notes:
        remark(note)
    numbers = [number for number, place in enumerate(found.places) if any(place is other for other in others)]
    if html is not None:
        from layoutbridge.report.html.scans import scan_page

        write_page(html, context, [model], lambda origin: scan_page(found, expect, numbers, remedies, origin))
    for place in others:
        remark(f"{place.title}, not {expect}")
    if others:
        raise typer.Exit(1)
