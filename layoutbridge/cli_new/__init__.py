"""The command line: parses, calls, prints. What the commands do lives elsewhere, and is imported when it is used."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutbridge.errors import LayoutBridgeError, ParameterError

if TYPE_CHECKING:
    from rich.console import Console

    from layoutbridge.algebra.rearrangement import Rearrangement

app = typer.Typer(
    name="layoutbridge",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What reorg, space-to-depth, pixel-unshuffle and Focus really do, in every framework.",
    epilog="Exit codes: 0 all holds, 1 a finding, 2 the call or its input is unusable.",
)


class TableFormat(StrEnum):
    """How a table is written."""

    npy = "npy"
    csv = "csv"
    json = "json"
    c = "c"


class Target(StrEnum):
    """What `export` writes."""

    onnx = "onnx"
    torch = "torch"
    keras = "keras"


def _complete_name(incomplete: str) -> list[str]:
    from layoutbridge.operations import catalog

    return [name for name in catalog() if name.startswith(incomplete)]


def _complete_list(values: tuple[str, ...], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + value for value in values if value.startswith(last)]


def _complete_names(incomplete: str) -> list[str]:
    from layoutbridge.operations import catalog

    return _complete_list(tuple(catalog()), incomplete)


def _complete_frameworks(incomplete: str) -> list[str]:
    return _complete_list(("numpy", "torch", "tensorflow", "onnx"), incomplete)


Name = Annotated[str, typer.Argument(help="A catalogue name, or a pattern in quotes.", autocompletion=_complete_name)]
Stride = Annotated[str | None, typer.Option(help="Stride, or block size. [default: 2]", show_default=False)]
Groups = Annotated[str | None, typer.Option(help="Groups of channel_shuffle. [default: 2]", show_default=False)]
Shape = Annotated[str, typer.Option(help="The input's shape, [N,]C,H,W: 1,64,26,26")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def verify(
    frameworks: Annotated[
        str | None,
        typer.Option(
            help="Some of numpy,torch,tensorflow,onnx. [default: all]",
            autocompletion=_complete_frameworks,
            show_default=False,
        ),
    ] = None,
    ops: Annotated[
        str | None,
        typer.Option(
            help="Catalogue names, with commas. [default: all]", autocompletion=_complete_names, show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run every framework's ops and every emitted graph, and say which catalogue names each matches."""
    from layoutbridge.report.progress import framework_progress
    from layoutbridge.report.terminal import show_verification
    from layoutbridge.verification import verify as run_verification

    with framework_progress(_errors_console()) as progress:
        result = run_verification(_listed(frameworks), _listed(ops), progress=progress)
    if as_json:
        _print_text(result.to_json())
    else:
        show_verification(_console(), result)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def table(
    name: Name,
    shape: Shape,
    stride: Stride = None,
    groups: Groups = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help="[default: by the file's ending]", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print or write a gather table: which input position each place of the result reads."""
    from layoutbridge.files import whole_file
    from layoutbridge.report.tables import format_of, table_bytes
    from layoutbridge.report.terminal import show_table

    operation, lengths = _operation(name, stride, groups), _whole_shape(shape)
    chosen = form.value if form else "json" if as_json else format_of(output) if output else None
    if output is None and chosen is None:
        show_table(_console(), operation, lengths)
        return
    if chosen is None:
        raise ParameterError(f"'{output}' tells no format: end it in .npy, .csv, .json or .c, or give --format")
    content = table_bytes(operation, lengths, chosen)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    with whole_file(output) as temporary:
        temporary.write_bytes(content)


@app.command()
def prove(
    first: Name,
    second: Name,
    stride: Stride = None,
    groups: Groups = None,
    as_json: AsJson = False,
) -> None:
    """Are two operations the same map for all sizes? If not, the smallest example that differs."""
    from dataclasses import asdict

    from layoutbridge.algebra.proof import prove as settle
    from layoutbridge.report.terminal import show_proof

    names = (first, second)
    _refuse_unused({"stride": stride, "groups": groups}, names)
    operations = [_operation(name, stride, groups, strict=False) for name in names]
    verdict = settle(*operations)
    if as_json:
        example = asdict(verdict.counterexample) if verdict.counterexample else None
        _print_json(
            {"first": operations[0].label, "second": operations[1].label, "equal": verdict.equal,
             "for_all_sizes": verdict.for_all_sizes, "counterexample": example, "argument": verdict.argument}
        )  # fmt: skip
    else:
        show_proof(_console(), (operations[0].label, operations[1].label), verdict)
    if not verdict.equal:
        raise typer.Exit(1)


@app.command()
def identify(
    target: Annotated[
        str,
        typer.Argument(
            help="A table (.npy, .csv, .json), an ONNX model, module:callable or file.py:callable, "
            "with plain arguments where a class wants them: 'ports.py:Reorg(2)'."
        ),
    ],
    shape: Annotated[str | None, typer.Option(help="The input's shape, [N,]C,H,W; not needed for a table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Name the permutation behind a callable, a model or a table.

    module:callable imports that module and file.py:callable RUNS THAT FILE: give only code that you trust.
    """
    from layoutbridge.identification import identify as name_it
    from layoutbridge.report.terminal import show_identification

    found = name_it(target, None if shape is None else _whole_shape(shape))
    if as_json:
        _print_json(
            {"target": target, "names": found.names, "parameters": dict(found.parameters), "pattern": found.pattern,
             "is_permutation": found.is_permutation, "kind": found.kind, "layout": found.layout,
             "in_shape": found.in_shape, "out_shape": found.out_shape, "explanation": found.explain()}
        )  # fmt: skip
    else:
        show_identification(_console(), target, found)
    if not found.names:
        raise typer.Exit(1)


@app.command()
def export(
    name: Name,
    to: Annotated[Target, typer.Option("--to", help="onnx (.onnx), torch (.pt2), keras (.keras or a folder).")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write it, whole or not at all.")],
    shape: Annotated[str | None, typer.Option(help="The input's shape; a name leaves that axis open: N,64,H,W")] = None,
    stride: Stride = None,
    groups: Groups = None,
    opset: Annotated[
        str | None, typer.Option(help="For onnx. [default: a widely loaded one]", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option(help="The input's dtype.")] = "float32",
    data_format: Annotated[
        str | None, typer.Option(help="For keras. [default: channels_last]", show_default=False)
    ] = None,
) -> None:
    """Write an operation as a model of another framework."""
    from layoutbridge.frameworks import export as write

    operation = _operation(name, stride, groups)
    options: dict[str, Any] = {"dtype": dtype}
    if opset is not None:
        _refuse_option("--opset", to, Target.onnx)
        options["opset"] = _whole(opset, "--opset")
    if data_format is not None:
        _refuse_option("--data-format", to, Target.keras)
        options["data_format"] = data_format
    lengths = None if shape is None else _open_shape(shape)
    write(operation, to.value, output, shape=lengths, **options)
    _errors_console().print(f"wrote {output}: {operation.label} for {to.value}", highlight=False, markup=False)


@app.command("list")
def list_operations(
    name: Annotated[str | None, typer.Argument(help="All about one entry.", autocompletion=_complete_name)] = None,
    as_json: AsJson = False,
) -> None:
    """The catalogue: every operation, its pattern, what it equals and where its definition comes from."""
    from layoutbridge.operations import catalog, entry
    from layoutbridge.report.terminal import show_catalog, show_entry

    entries = list(catalog().values()) if name is None else [entry(name)]
    if as_json:
        _print_json(
            [
                {"name": e.name, "pattern": e.pattern, "parameters": dict(e.parameters), "summary": e.summary,
                 "provenance": e.provenance, "also_known_as": e.also_known_as, "equals": e.equals}
                for e in entries
            ]
        )  # fmt: skip
    elif name is None:
        show_catalog(_console(), entries)
    else:
        show_entry(_console(), entries[0])


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from layoutbridge import __version__

        _print_text(f"layoutbridge {__version__}")
        raise typer.Exit()


# ---------------------------------------------------------------------- reading arguments


def _operation(name: str, stride: str | None, groups: str | None, *, strict: bool = True) -> Rearrangement:
    """The catalogue entry or pattern called `name`; without `strict`, parameters that it does not take are left out."""
    from layoutbridge.algebra.rearrangement import Rearrangement
    from layoutbridge.operations import entry, op

    given = {key: _whole(value, f"--{key}") for key, value in (("stride", stride), ("groups", groups)) if value}
    if "->" in name or " " in name.strip():
        if given and strict:
            raise ParameterError(f"a pattern takes no --{next(iter(given))}: write lengths behind it, as in '..., s=2'")
        return Rearrangement(name)
    if not strict:
        given = {key: value for key, value in given.items() if key in entry(name).parameters}
    return op(name, **given)


def _refuse_unused(values: dict[str, str | None], names: tuple[str, ...]) -> None:
    from layoutbridge.operations import entry

    for key, value in values.items():
        if value is not None and not any("->" not in name and key in entry(name).parameters for name in names):
            raise ParameterError(f"neither {names[0]} nor {names[1]} takes --{key}")


def _refuse_option(option: str, to: Target, wanted: Target) -> None:
    if to != wanted:
        raise ParameterError(f"{option} is for --to {wanted.value}, not --to {to.value}")


def _whole(text: str, what: str) -> int:
    from layoutbridge.algebra.pattern import LARGEST

    try:
        number = int(text.strip()) if len(text) < 64 else LARGEST + 1
    except ValueError:
        raise ParameterError(f"{what} must be a whole number, not '{text[:80]}'") from None
    if not 1 <= number <= LARGEST:
        raise ParameterError(f"{what} must be between 1 and 2^63 - 1, not {text[:80]}")
    return number


def _whole_shape(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, f"every length in --shape {text[:80]}") for part in text.replace("x", ",").split(","))


def _open_shape(text: str) -> tuple[int | None, ...]:
    """A shape in which a name or a question mark leaves an axis open (None)."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(
        None if part.isidentifier() or part == "?" else _whole(part, f"every length in --shape {text[:80]}")
        for part in parts
    )


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


# ---------------------------------------------------------------------- printing


def _console() -> Console:
    from rich.console import Console

    # a pipe has no width: leave lines whole instead of folding them at a guess
    return Console() if sys.stdout.isatty() else Console(width=200)


def _errors_console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _print_text(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_json(value: object) -> None:
    _print_text(json.dumps(value, indent=2, ensure_ascii=False))


def _fail(message: str) -> int:
    sys.stderr.write(f"layoutbridge: {' '.join(message.split())}\n")
    return 2


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Unusable input becomes one line on stderr and code 2."""
    with suppress(ValueError):  # only the main thread may say what a signal does
        signal.signal(signal.SIGTERM, _terminated)  # so that half-written files are taken away
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except LayoutBridgeError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(str(error) + "\n")
            return 0
        return _fail(f"{error.format_message()} (layoutbridge --help tells more)")
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    except BrokenPipeError:
        # the reader of a pipe left: nothing to tell, and nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0
