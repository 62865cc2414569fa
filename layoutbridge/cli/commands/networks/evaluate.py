"""`map`: how much of what is in labelled pictures a model finds."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    AsJson,
    AtOnce,
    Flavor,
    HeadCfg,
    ModelFile,
    RunsIn,
    Size,
    loaded_network,
    picture_size,
)
from layoutbridge.cli.shared.kinds import one_of, share
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json_text, progress_console, remark
from layoutbridge.errors import ParameterError

_COUNTS = ("darknet", "coco", "both")
_POINTS = ("0", "11", "101")
_TOLD = 5  # lines of a kind


@app.command(name="map")
def evaluate(
    context: typer.Context,
    model: ModelFile,
    weights: Annotated[str | None, typer.Argument(help="Of a .cfg its .weights.", show_default=False)] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Darknet's .data file: valid=, names=, classes=, difficult=.", show_default=False),
    ] = None,
    coco: Annotated[
        str | None, typer.Option(help="COCO's annotations, a .json, in place of --data.", show_default=False)
    ] = None,
    pictures: Annotated[
        str | None, typer.Option(help="The folder of their pictures. (default: beside them)", show_default=False)
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(
            help="Whose count. (default: darknet for --data, both for --coco)", show_default=False, **one_of(_COUNTS)
        ),
    ] = None,
    iou: Annotated[float, typer.Option(help="Overlap over which a box is found.", **share("--iou"))] = 0.5,
    points: Annotated[
        str, typer.Option(help="Of the curve: 0 all of it, 11 as Pascal VOC 2007, 101 as COCO.", **one_of(_POINTS))
    ] = "0",
    threshold: Annotated[
        float, typer.Option(help="Least score in the table of classes.", **share("--threshold"))
    ] = 0.25,
    nms: Annotated[
        float | None,
        typer.Option(
            help="Overlap of the suppression. (default: 0.45, for COCO's count 0.6)",
            show_default=False,
            **share("--nms"),
        ),
    ] = None,
    letterbox: Annotated[
        bool | None,
        typer.Option("--letterbox/--stretch", help="How pictures are fitted. (default: as the network says)"),
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="The classes' names. (default: those in --data)", show_default=False)
    ] = None,
    framework: RunsIn = None,
    cfg: HeadCfg = None,
    flavor: Flavor = "alexey",
    size: Size = None,
    batch: AtOnce = 1,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Count what a model finds in labelled pictures, as Darknet's `detector map` and COCO's program count it.

    layoutbridge map yolov4.cfg yolov4.weights --data coco.data

    layoutbridge map yolov4.tflite --coco val2017.json --pictures val2017/
    """
    from layoutbridge.darknet.detectors.detector import Detector
    from layoutbridge.darknet.evaluation.datasets import data_options, data_path
    from layoutbridge.darknet.evaluation.evaluations import evaluate as evaluated
    from layoutbridge.report.darknet.evaluation import show_evaluation
    from layoutbridge.report.progress import count_progress

    labelled = _one_of(data, coco)
    if data is not None and names is None and "names" in (options := data_options(data)):
        names = data_path(data, options, "names")
    inputs = [model, weights, labelled, names, cfg]
    ask_for_page(html, inputs, force=force)
    net: Any = model
    if weights is not None:
        net = loaded_network(model, weights, flavor=flavor, size=size, upto=None)
    open_size = None if size is None or weights is not None else picture_size(size)
    detector = Detector(net, cfg=cfg, names=names, flavor=flavor, framework=framework, size=open_size)
    chosen: Any = count
    with count_progress(progress_console(), "looking") as advance:
        result = evaluated(
            detector,
            labelled,
            pictures=pictures,
            count=chosen,
            iou=iou,
            points=_points(points),
            threshold=threshold,
            nms=nms,
            letterbox=letterbox,
            batch=batch,
            progress=advance,
        )
    for note in result.notes:
        remark(note)
    _tell(result.unreadable, "counted as a black picture: ")
    _tell(result.without_labels, "has no file of labels, and counts as empty: ")
    if as_json:
        print_json_text(result.to_json(indent=2))
    else:
        show_evaluation(console(), result)
    if html is not None:
        from layoutbridge.report.html.evaluations import evaluation_page

        write_page(html, context, inputs, partial(evaluation_page, result, detector.names))


def _one_of(data: str | None, coco: str | None) -> str:
    if (data is None) == (coco is None):
        raise ParameterError("give either --data, Darknet's .data file, or --coco, a .json of annotations")
    if data is not None and data.lower().endswith(".json"):
        raise ParameterError(f"'{data}' looks like COCO's annotations: give it as --coco")
    if coco is not None and not coco.lower().endswith(".json"):
        raise ParameterError(f"--coco takes a .json of annotations, not '{coco}'")
    return data or coco or ""


def _points(text: str) -> int:
    if text not in _POINTS:
        raise ParameterError(f"--points must be one of {', '.join(_POINTS)}, not '{text[:80]}'")
    return int(text)


def _tell(lines: tuple[str, ...], start: str) -> None:
    for line in lines[:_TOLD]:
        remark(f"{start}{line}")
    if len(lines) > _TOLD:
        remark(f"{start}{len(lines) - _TOLD:,} more")
