"""The typer application that the commands join."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutbridge.cli.shared.printing import print_text

app = typer.Typer(
    name="layoutbridge",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What reorg, space-to-depth, pixel-unshuffle and Focus really do, in every framework.",
    epilog="Exit codes: 0 all holds, 1 a finding, 2 the call or its input is unusable, 3 a fault of layoutbridge.",
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    """Options that stand before any command."""
    if version:
        from layoutbridge.version import __version__

        print_text(f"layoutbridge {__version__}")
        raise typer.Exit()
