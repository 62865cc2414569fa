"""`rewrite`: other ops in the places of a whole model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, complete_place, input_shapes, listed
from layoutbridge.cli.shared.kinds import one_of, whole_number
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, remark
from layoutbridge.errors import ParameterError

_PLACE_TOLD = "PLACE is a number of scan's list, or the name of a node or a tensor there. Repeatable."


def _profiles() -> Iterable[str]:
    from layoutbridge.frameworks.onnx.programs.table import PROFILES

    return PROFILES


@app.command()
def rewrite(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An .onnx or .pt2 file.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE=NAME",
            help=f"Put the entry NAME there. {_PLACE_TOLD}",
            show_default=False,
            autocompletion=complete_place,
        ),
    ] = None,
    fix_weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE=NAME",
            help="Keep the op, and permute the weights behind it as if NAME stood there. Repeatable.",
            show_default=False,
            autocompletion=complete_place,
        ),
    ] = None,
    native: Annotated[bool, typer.Option("--native", help="Write what moves elements as shortly as can be.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Let permutations of axes meet, cancel and fold into weights.")
    ] = False,
    nchw: Annotated[
        bool, typer.Option("--nchw", help="The same, and pictures go in and come out with their channels first.")
    ] = False,
    nhwc: Annotated[bool, typer.Option("--nhwc", help="The same, and with their channels last.")] = False,
    max_rank: Annotated[
        int | None,
        typer.Option(help="Let no tensor have more axes than this.", show_default=False, **whole_number("--max-rank")),
    ] = None,
    without: Annotated[
        str | None, typer.Option(help="ONNX operators that may not be there, with commas.", show_default=False)
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="Keep the limits of a runtime: qnn, rknn, opencv45, ...",
            show_default=False,
            **one_of(_profiles, shown="<runtime>"),
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="As for scan: the input's shape, of several inputs name=1,3,224,224.", show_default=False),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and write nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Do not run both models on one random input.", show_default=False)
    ] = True,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Put the right op in a place of a model, permute the weights behind it, or write all shorter: proven, and tried.

    The places are those that scan lists; docs/rewrite.md tells all.

    layoutbridge rewrite port.onnx -o fixed.onnx --fix 2=darknet_reorg
    """
    from layoutbridge.report.rewrites import show_rewrite
    from layoutbridge.rewriting.opening import refuse_output
    from layoutbridge.rewriting.rewrites import rewrite as rewritten

    fixes, weights = _wishes(fix, "--fix"), _wishes(fix_weights, "--fix-weights")
    if not plan:
        if output is None:
            raise ParameterError("say where to write it, -o fixed.onnx, or give --plan to see what would be done")
        refuse_output(model, output)
    ask_for_page(html, [model], force=force, beside=[] if plan else [output])
    done = rewritten(
        model, fix=fixes, fix_weights=weights, native=native, cancel=cancel, layout=_layout(nchw=nchw, nhwc=nhwc),
        max_rank=max_rank, without=listed(without, "--without") or (), runtime=runtime,
        shape=input_shapes(shape), check=check,
    )  # fmt: skip
    if not plan and output is not None:
        done.save(output)
    if as_json:
        print_json(done.as_json())
    else:
        show_rewrite(console(), done)
    if not plan:
        remark(f"wrote {output}")
    written = None if plan else output
    if html is not None:
        from layoutbridge.report.html.rewrites import rewrite_page

        write_page(html, context, [model], lambda origin: rewrite_page(done, model, written, origin))


def _layout(*, nchw: bool, nhwc: bool) -> str | None:
    if nchw and nhwc:
        raise ParameterError("--nchw and --nhwc are two layouts: a model has one")
    return "nchw" if nchw else "nhwc" if nhwc else None


def _wishes(texts: Sequence[str] | None, option: str) -> dict[str | int, str]:
    """`2=darknet_reorg` and the like as a mapping."""
    wishes: dict[str | int, str] = {}
    for text in texts or ():
        place, equals, name = (part.strip() for part in text.partition("="))
        if not (place and equals and name):
            raise ParameterError(f"{option} is PLACE=NAME, such as 2=darknet_reorg, not '{text[:80]}'")
        if place in wishes:
            told = f"{wishes[place][:80]} and {name[:80]}"
            raise ParameterError(f"{option}: place {place[:80]} is asked for twice, as {told}")
        wishes[place] = name
    return wishes
