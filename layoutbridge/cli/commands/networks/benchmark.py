"""`benchmark`: a network in every format, or models as they are, measured on this machine."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, Flavor, Size, listed, loaded_network
from layoutbridge.cli.shared.kinds import whole_number, words_of
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, progress_console
from layoutbridge.darknet.ports.table import TARGETS
from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.darknet.benchmarking.formats import Benchmark


@app.command()
def benchmark(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="NET.cfg NET.weights | MODEL...",
            help="A network, which is written in every format, or models: .onnx, .xml, .param, .tflite, .keras, .pt2.",
        ),
    ],
    targets: Annotated[
        str | None,
        typer.Option(
            help=f"Of a network some of {','.join(TARGETS)}. (default: what is installed)",
            show_default=False,
            **words_of(TARGETS, "<target,...>"),
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="The float16 and bfloat16 forms of a network, too.")] = False,
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            "--picture",
            metavar="<file>",
            help="Count the boxes in it that are not the reference's; of models the first one's. Repeatable.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Of each runtime. (default: as each of them chooses)", show_default=False, **whole_number("--threads")
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each has its turn.", **whole_number("--rounds"))] = 9,
    flavor: Flavor = "alexey",
    size: Size = None,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Size, load, time, memory and deviation of a network in every format that runs here, or of models.

    layoutbridge benchmark yolov4-tiny.cfg yolov4-tiny.weights --picture dog.jpg
    """
    from layoutbridge.darknet.benchmarking.formats import benchmark as measure
    from layoutbridge.report.darknet.benchmarks import show_benchmark
    from layoutbridge.report.progress import step_progress

    named = listed(targets, "--targets")
    is_network = models[0].lower().endswith(".cfg")
    if is_network and len(models) != 2:
        raise ParameterError(f"a network is two files: layoutbridge benchmark {models[0]} FILE.weights")
    if not is_network and (named or half or size):
        option = "--targets" if named else "--half" if half else "--size"
        raise ParameterError(f"{option} is for a network, a .cfg with its .weights: a model file is what it is")
    inputs = [*models, *(pictures or ())]
    ask_for_page(html, inputs, force=force)
    forms = ("winograd", "half") if half else ("winograd",)
    with step_progress(progress_console(), "measuring") as progress:
        given = loaded_network(models[0], models[1], flavor=flavor, size=size, upto=None) if is_network else models
        found = measure(
            given,
            targets=named,
            forms=forms,
            pictures=pictures or (),
            threads=threads,
            rounds=rounds,
            progress=progress,
        )
    if as_json:
        print_json(json.loads(found.to_json()))
    else:
        show_benchmark(console(), found)
    if html is not None:
        from layoutbridge.report.html.benchmarks import benchmark_page

        write_page(html, context, inputs, partial(benchmark_page, found), _packages(models, found))


def _packages(models: list[str], found: Benchmark) -> list[str]:
    """What ran in the processes that were measured."""
    from layoutbridge.darknet.ports.table import ports

    ran = {row.framework for row in found.rows if row.seconds is not None}
    endings = {Path(model).suffix for model in models}
    runners = [each.runner for each in ports() if each.name in ran or not endings.isdisjoint(each.endings)]
    return [runner.package for runner in runners if runner is not None]
