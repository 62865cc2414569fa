"""`atlas` and `port`: what runtimes' layout ops really do, and what to write in one for an op of another."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, complete_name
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, print_json, print_json_text, progress_console, remark
from layoutbridge.errors import UnusableInputError


def _complete_subject(incomplete: str) -> list[str]:
    from layoutbridge.atlas.table import SUBJECTS

    return [name for name in SUBJECTS if name.startswith(incomplete)]


@app.command()
def atlas(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Runtimes, importers, converters. (default: all)", autocompletion=_complete_subject),
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Where to write it, a .json file.")] = None,
    page: Annotated[str | None, typer.Option(help="Where to write it for people, a .md file.")] = None,
    badge: Annotated[str | None, typer.Option(help="Where to write its summary, an .svg file.")] = None,
    environments: Annotated[
        str | None, typer.Option(help="A folder with the environments of what cannot be installed beside layoutbridge.")
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Set those environments up there, with pip.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run the layout ops of runtimes, importers and converters, and say which map each is.

    What was measured is kept in the folder of --environments, and not measured again while nothing changes.

    layoutbridge atlas torch openvino -o mine.json
    """
    from layoutbridge.atlas.surveys import survey
    from layoutbridge.files import whole_file
    from layoutbridge.report.atlas import atlas_page, show_atlas
    from layoutbridge.report.atlas import badge as drawn
    from layoutbridge.report.progress import named_progress

    paths = [path for path in (output, page, badge) if path is not None]
    ask_before_overwriting(paths, force=force)
    with named_progress(progress_console(), "measuring") as progress:
        found = survey(names or None, environments=environments, install=install, progress=progress)
    if names and found.missing:
        raise UnusableInputError("; ".join(f"{name}: {reason}" for name, reason in found.missing.items()))
    for path, text in ((output, found.to_json()), (page, atlas_page(found)), (badge, drawn(found))):
        if path is not None:
            with whole_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            remark(f"wrote {path}")
    if as_json:
        print_json_text(found.to_json())
    else:
        show_atlas(console(), found)


@app.command()
def port(
    target: Annotated[
        str,
        typer.Option("--to", help="A runtime of the atlas, such as onnxruntime.", autocompletion=_complete_subject),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            help="A catalogue name, or another runtime's op: ncnn:Reorg:1 is runtime, op, mode.",
            autocompletion=complete_name,
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Another runtime's op, which has to be the map of the name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What to write in a runtime to get the map of a catalogue name, or of another runtime's op: as it was measured.

    layoutbridge port ncnn:Reorg:1 --to onnxruntime
    """
    from layoutbridge.atlas.porting import port as ported
    from layoutbridge.report.atlas import show_ported

    if source is None and name is not None and ":" in name:
        name, source = None, name
    found = ported(name, source, target)
    if as_json:
        print_json(asdict(found))
    else:
        show_ported(console(), found)
    if not found.answers and not found.code:
        raise typer.Exit(1)
