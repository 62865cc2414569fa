"""`explore`: the explorer's page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import NAME_TOLD, complete_name, whole_shape
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.parameters import Parameters, WithParameters, given_parameters, operations_asked
from layoutbridge.cli.shared.printing import remark
from layoutbridge.errors import ParameterError, UnusableInputError


@app.command(cls=WithParameters)
def explore(
    name: Annotated[
        str | None, typer.Argument(help=f"What it begins with. {NAME_TOLD}", autocompletion=complete_name)
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="A second operation beside it.", autocompletion=complete_name)
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="The input's shape, [N,]C,H,W: 4,4,4. (default: a small one)")
    ] = None,
    parameters: Parameters = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write it, an .html file.")] = "explorer.html",
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = False,
    force: Force = False,
) -> None:
    """Write the explorer: one HTML page to see where operations put elements, and to make permutations of your own.

    layoutbridge explore darknet_reorg --compare space_to_depth -o reorg.html
    """
    from layoutbridge.report.explorer.writing import explore as write
    from layoutbridge.report.explorer.writing import refuse_other_ending

    refuse_other_ending(output)
    asked = {"--compare": compare, "--shape": shape, **{f"--{each}": each for each in given_parameters(parameters)}}
    given = [option for option, value in asked.items() if value is not None]
    if name is None and given:
        raise ParameterError(f"{given[0]} is of an operation: name one, as in explore focus {given[0]} ...")
    names = [each for each in (name, compare) if each is not None]
    made = [operation for _, operation in operations_asked(names, parameters)] if names else []
    first, second = [*made, None, None][:2]
    lengths = None if shape is None else whole_shape(shape)
    ask_before_overwriting([output], force=force)
    write(output, first, compare=second, shape=lengths)
    remark(f"wrote {output}")
    if show:
        _open(Path(output))


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise UnusableInputError(f"no browser could be opened here: open '{page}' in one by hand")
