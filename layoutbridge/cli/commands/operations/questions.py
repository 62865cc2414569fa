"""Commands on operations: verify, table, code, prove, identify, list."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    AsJson,
    Name,
    Shape,
    complete_name,
    complete_names,
    listed,
    whole_shape,
)
from layoutbridge.cli.shared.kinds import one_of, words_of
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.pages import Html, ask_for_page, write_page
from layoutbridge.cli.shared.parameters import (
    Parameters,
    WithParameters,
    expressions_asked,
    given_parameters,
    operation_asked,
    operations_asked,
    parameters_option,
)
from layoutbridge.cli.shared.printing import console, print_json, print_json_text, print_text, progress_console, remark
from layoutbridge.errors import ParameterError, UnknownNameError, UnusableInputError
from layoutbridge.frameworks.table import FRAMEWORKS, WRITTEN, code_writer

if TYPE_CHECKING:
    from layoutbridge.operations.entry import CatalogEntry


class TableFormat(StrEnum):
    """How a table is written."""

    npy = "npy"
    csv = "csv"
    json = "json"
    c = "c"


@app.command()
def verify(
    context: typer.Context,
    frameworks: Annotated[
        str | None,
        typer.Option(
            help=f"Some of {','.join(FRAMEWORKS)}. (default: all)",
            show_default=False,
            **words_of(FRAMEWORKS, "<framework,...>"),
        ),
    ] = None,
    ops: Annotated[
        str | None,
        typer.Option(
            help="Catalogue names, with commas. (default: all)", autocompletion=complete_names, show_default=False
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="An atlas: say what of it is not so any more, and nothing else.")
    ] = None,
    environments: Annotated[
        str | None, typer.Option(help="With --against: the folder with the atlas's own environments.")
    ] = None,
    html: Html = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run every framework's ops and every emitted graph, and say which catalogue names each matches.

    layoutbridge verify --frameworks torch,onnx --ops focus
    """
    if against is not None:
        if frameworks is not None or ops is not None:
            raise ParameterError("--against measures what the atlas has: leave --frameworks and --ops out")
        if html is not None:
            raise ParameterError(
                "--html is a page of the whole matrix, and --against tells changes alone: leave one out"
            )
        _verify_against(against, environments, as_json)
        return
    if environments is not None:
        raise ParameterError("--environments goes with --against")

    from layoutbridge.recognition.verification import verify as run_verification
    from layoutbridge.report.progress import framework_progress
    from layoutbridge.report.terminal import show_verification

    ask_for_page(html, (), force=force)
    with framework_progress(progress_console()) as progress:
        result = run_verification(listed(frameworks, "--frameworks"), listed(ops, "--ops"), progress=progress)
    if as_json:
        print_json_text(result.to_json())
    else:
        show_verification(console(), result)
    if html is not None:
        from layoutbridge.report.html.verifications import verification_page

        write_page(html, context, (), partial(verification_page, result))
    if not result.ok:
        raise typer.Exit(1)


def _verify_against(path: str, environments: str | None, as_json: bool) -> None:
    from layoutbridge.atlas.answers import read_atlas
    from layoutbridge.atlas.changes import changes
    from layoutbridge.atlas.surveys import survey
    from layoutbridge.atlas.table import SUBJECTS
    from layoutbridge.report.atlas import show_changes
    from layoutbridge.report.progress import named_progress

    before = read_atlas(path)
    names = [name for name in dict.fromkeys(each.subject for each in before.answers) if name in SUBJECTS]
    with named_progress(progress_console(), "measuring") as progress:
        after = survey(names, environments=environments, progress=progress)
    found = changes(before, after)
    for name, reason in after.missing.items():
        remark(f"{name} is not measured: {reason}")
    if not after.answers:
        raise UnusableInputError(f"nothing of '{path}' can be measured here: --environments names the folder of others")
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        show_changes(console(), found)
    if found:
        raise typer.Exit(1)


@app.command(cls=WithParameters)
def table(
    name: Name,
    shape: Shape,
    parameters: Parameters = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help="(default: by the file's ending)", show_default=False)
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Print or write a gather table: which input position each place of the result reads.

    layoutbridge table darknet_reorg --shape 64,26,26 --stride 2 -o table.npy
    """
    from layoutbridge.files import whole_file
    from layoutbridge.report.tables import format_of, write_table
    from layoutbridge.report.terminal import show_table

    (title, operation), lengths = operation_asked(name, parameters), whole_shape(shape)
    if as_json and (form is not None or output is not None):
        raise ParameterError("--json prints; to write a file, name it .json or give --format json")
    chosen = form.value if form else "json" if as_json else format_of(output) if output else None
    if output is None and chosen is None:
        show_table(console(), title, operation, lengths)
        return
    if chosen is None:
        raise ParameterError(f"'{output}' tells no format: end it in .npy, .csv, .json or .c, or give --format")
    if output is None or output == "-":
        write_table(sys.stdout.buffer, operation, lengths, chosen)
        return
    ask_before_overwriting([output], force=force)
    with whole_file(output) as temporary, temporary.open("wb") as file:
        write_table(file, operation, lengths, chosen)


@app.command(cls=WithParameters)
def code(
    name: Name,
    *,
    to: Annotated[
        str,
        typer.Option(
            help=f"For which: {', '.join(WRITTEN)}.", show_default=False, **one_of(WRITTEN, shown="<framework>")
        ),
    ],
    batch: Annotated[
        bool | None,
        typer.Option(
            "--batch/--no-batch",
            help="With a batch axis in front of the pattern's. (default: as the entry has it)",
            show_default=False,
        ),
    ] = None,
    data_format: Annotated[
        str | None,
        typer.Option(
            help="For tensorflow: channels_last (default) or channels_first.",
            show_default=False,
            **one_of(("channels_last", "channels_first"), shown="<layout>"),
        ),
    ] = None,
    parameters: Parameters = None,
) -> None:
    """Print a function that does it and needs nothing but that framework: code to paste.

    layoutbridge code darknet_reorg --to torch
    """
    from layoutbridge.frameworks import code as source
    from layoutbridge.frameworks.framework import options_of

    _, operation = operation_asked(name, parameters)
    options = {} if data_format is None else {"data_format": data_format}
    if options and "data_format" not in options_of(code_writer(to)):
        fitting = [each for each in WRITTEN if "data_format" in options_of(code_writer(each))]
        raise ParameterError(f"--data-format is for --to {' or '.join(fitting)}, not --to {to[:80]}")
    for line in source(operation, to, batch=batch, **options).splitlines():
        print_text(line)


@app.command(cls=WithParameters)
def prove(
    first: Name,
    second: Name,
    parameters: Parameters = None,
    as_json: AsJson = False,
) -> None:
    """Are two operations the same map for all sizes? If not, the smallest example that differs.

    layoutbridge prove darknet_reorg space_to_depth --stride 2

    layoutbridge prove 'c (h p:2) (w q:2) -> (q p c) h w' focus
    """
    from dataclasses import asdict

    from layoutbridge.algebra.proof import prove as settle
    from layoutbridge.report.terminal import show_proof

    (one, left), (other, right) = operations_asked((first, second), parameters)
    verdict = settle(left, right)
    if as_json:
        example = asdict(verdict.counterexample) if verdict.counterexample else None
        print_json(
            {"first": one, "second": other, "equal": verdict.equal,
             "for_all_sizes": verdict.for_all_sizes, "counterexample": example, "argument": verdict.argument}
        )  # fmt: skip
    else:
        show_proof(console(), (one, other), verdict)
    if not verdict.equal:
        raise typer.Exit(1)


@app.command(cls=WithParameters)
def identify(
    target: Annotated[
        str,
        typer.Argument(
            help="A table (.npy, .csv, .json), a model as for scan, module:callable or file.py:callable, "
            "with plain arguments where a class wants them: 'ports.py:Reorg(2)'."
        ),
    ],
    shape: Annotated[
        str | None,
        typer.Option(help="The input's shape, [N,]C,H,W; not needed for a table, nor a model's file that tells it."),
    ] = None,
    second_shape: Annotated[
        str | None, typer.Option(help="Another shape at which a callable is run. (default: a small one)")
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            help="What it should be, a name or an expression: exit code 0 where it is, else 1. "
            "Of a whole model a name: 0 where a place inside is it, and none of such shapes is another map.",
            autocompletion=complete_name,
        ),
    ] = None,
    parameters: Annotated[list[str] | None, parameters_option(of="the entry to --expect")] = None,
    as_json: AsJson = False,
) -> None:
    """Name the permutation behind a callable, a model or a table; of a whole model, the places inside, as scan does.

    module:callable imports that module and file.py:callable RUNS THAT FILE: give only code that you trust.

    layoutbridge identify ports.py:Reorg --shape 1,64,26,26
    """
    from layoutbridge.report.scans import show_model
    from layoutbridge.report.terminal import show_expectation, show_identification
    from layoutbridge.scanning.expecting import check_identified
    from layoutbridge.scanning.whole_models import ModelIdentification, identify_named, loader

    if parameters and expect is None:
        raise ParameterError(f"--{next(iter(given_parameters(parameters)))} is of the entry to --expect: name one")
    asked = None if expect is None else expressions_asked((expect,), parameters)
    if asked is not None:
        asked[0][0].build(asked[1])  # what cannot be is refused before anybody's code runs
    lengths = None if shape is None else whole_shape(shape)
    others = None if second_shape is None else whole_shape(second_shape, "--second-shape")
    with redirect_stdout(sys.stderr):  # what somebody else's code prints is no part of the answer
        load = loader(target)
        found = identify_named(target, load, lengths, others)
        expected = None if asked is None else check_identified(load, found, asked[0][0], asked[1])
    scanned = found.scan if isinstance(found, ModelIdentification) else None
    if as_json:
        told = {} if expected is None else {"expected": expected.as_json()}
        told |= {} if scanned is None else {"scan": scanned.as_json()}
        print_json(
            {"target": target, "names": found.names, "parameters": dict(found.parameters), "pattern": found.pattern,
             "is_permutation": found.is_permutation, "kind": found.kind, "layout": found.layout,
             "in_shape": found.in_shape, "out_shape": found.out_shape, "explanation": found.explain(),
             **told}
        )  # fmt: skip
    else:
        if expected is not None:
            show_expectation(console(), expected)
        if isinstance(found, ModelIdentification) and found.scan.whole is None:
            show_model(console(), target, found)
        else:
            show_identification(console(), target, found)
    for note in scanned.notes if scanned is not None else ():
        remark(note)
    if not (found.names if expected is None else expected.holds):
        raise typer.Exit(1)


def _complete_family(incomplete: str) -> list[str]:
    from layoutbridge.operations.catalog import catalog

    families = dict.fromkeys(entry.family for entry in catalog().values())
    return [family for family in families if family.startswith(incomplete)]


@app.command("list")
def list_operations(
    name: Annotated[str | None, typer.Argument(help="All about one entry.", autocompletion=complete_name)] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="Only the families with this word: weights, windows.",
            autocompletion=_complete_family,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The catalogue: every operation by family, or all about one: its patterns, parameters, where it is defined.

    layoutbridge list darknet_reorg
    """
    from layoutbridge.operations.catalog import catalog, entry
    from layoutbridge.report.catalogue import entry_record, show_catalog, show_entry

    if name is not None and family is not None:
        raise ParameterError("--family lists many, and NAME one: give one of the two")
    found = [entry(name)] if name is not None else list(catalog().values())
    if family is not None:
        found = _of_family(found, family)
    if as_json:
        print_json([entry_record(each) for each in found])
    elif name is None:
        show_catalog(console(), found)
    else:
        show_entry(console(), found[0])


def _of_family(entries: list[CatalogEntry], word: str) -> list[CatalogEntry]:
    chosen = [entry for entry in entries if word.strip() and word.strip().lower() in entry.family.lower()]
    if not chosen:
        families = ", ".join(dict.fromkeys(entry.family for entry in entries))
        raise UnknownNameError(f"no family has '{word[:80]}' in its name: there are {families}")
    return chosen
