"""`audit`: very many models scanned, and a report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson
from layoutbridge.cli.shared.kinds import share, whole_number
from layoutbridge.cli.shared.overwriting import Force
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.printing import console, print_json, progress_console, remark


@app.command()
def audit(
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET...", help="Folders, model files, .zip archives, s3://..., hf://..., zip://..."),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A .parquet file with a row for each place.")
    ] = None,
    html: Html = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes on this machine. (default: one a core)", show_default=False, **whole_number("--jobs")
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--timeout", help="Seconds that one file may take.", **share("--timeout", most=None))
    ] = 300.0,
    scheduler: Annotated[
        str | None, typer.Option(help="The address of a Dask scheduler, tcp://host:8786, whose workers do the work.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Scan very many models: which operations, how often, which of them look like a mistake?

    A file that crashes or takes too long costs itself alone. Interrupted, the same command goes on where it was. Exit
    code 1 where a place is suspicious, 2 where no file could be scanned.

    layoutbridge audit models/ -o places.parquet
    """
    from layoutbridge.auditing.processes import prepared

    if scheduler is None:
        prepared()  # beside what is imported here
    from layoutbridge.auditing.audits import audit as audit_all
    from layoutbridge.files import refuse_overwriting
    from layoutbridge.report.audits import show_audit
    from layoutbridge.report.progress import count_progress

    if output is not None:
        refuse_overwriting(output, [target for target in targets if Path(target).exists()])
    ask_for_page(html, targets, force=force, beside=[output])
    with count_progress(progress_console(), "scanning") as progress:
        found = audit_all(targets, output, jobs=jobs, seconds=seconds, scheduler=scheduler, progress=progress)
    if as_json:
        print_json(found.as_json())
    else:
        show_audit(console(), found)
    if output is not None:
        remark(f"wrote {output}")
    if html is not None:
        from layoutbridge.report.html.audits import audit_page

        write_page(
            html, context, [target for target in targets if Path(target).is_file()], partial(audit_page, found, targets)
        )
    if not found.files.get("scanned"):
        raise typer.Exit(2)
    if found.suspicious:
        raise typer.Exit(1)
