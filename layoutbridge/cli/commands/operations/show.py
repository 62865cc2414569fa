"""`show`: where an operation puts each element, as a figure."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, Name, complete_name, whole_shape
from layoutbridge.cli.shared.kinds import one_of
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.parameters import Parameters, WithParameters, expressions_asked
from layoutbridge.cli.shared.printing import console, print_json_text, remark
from layoutbridge.errors import ParameterError
from layoutbridge.report.figures.colours import THEMES


@app.command(cls=WithParameters)
def show(
    name: Name,
    shape: Annotated[
        str | None,
        typer.Option(help="The input's shape, [N,]C,H,W. (default: 4,4,4, or what fits)", show_default=False),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Where to write it: .svg, .png, .pdf, .html or .gif.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help="Another operation, whose result is marked where it differs.", autocompletion=complete_name),
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="The result of each step of 'one then another'.")] = False,
    digits: Annotated[bool, typer.Option("--digits", help="The digits as lanes that cross, not the cells.")] = False,
    animate: Annotated[bool, typer.Option("--animate", help="Let the cells move: .html or .gif.")] = False,
    theme: Annotated[
        str, typer.Option(help="auto is as the reader's screen is; or light, dark.", **one_of(THEMES))
    ] = "auto",
    title: Annotated[str | None, typer.Option(help="What stands above it. (default: the operation)")] = None,
    parameters: Parameters = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Draw where each element goes: numbered, coloured cells of input and output, to a file or on the terminal.

    layoutbridge show focus --shape 1,4,4

    layoutbridge show focus --compare space_to_depth --shape 1,4,4 -o focus.svg
    """
    from layoutbridge.report.figures.plotting import figure_of, subject_of
    from layoutbridge.report.figures.records import figure_record
    from layoutbridge.report.figures.terminal import show_figure

    if animate and output is None:
        raise ParameterError("--animate needs a file: -o reorg.html or -o reorg.gif")
    expressions, choose = expressions_asked([name] if compare is None else [name, compare], parameters)
    subjects = [subject_of(expression, choose) for expression in expressions]
    lengths = None if shape is None else whole_shape(shape)
    figure = figure_of(subjects, lengths, steps=steps, digits=digits, animate=animate, theme=theme, title=title)
    if output is not None:
        ask_before_overwriting([output], force=force)
        figure.save(output)
        remark(f"wrote {output}")
    if as_json:
        print_json_text(json.dumps(figure_record(figure), ensure_ascii=False))
    elif output is None:
        show_figure(console(), figure)
