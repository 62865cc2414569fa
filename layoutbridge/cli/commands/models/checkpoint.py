"""`checkpoint`: tensors of a file of weights, rearranged by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, print_json, progress_console, remark

if TYPE_CHECKING:
    from layoutbridge.checkpoints.rearranging import RearrangedCheckpoint


@app.command()
def checkpoint(
    source: Annotated[
        str, typer.Argument(help="A .safetensors or .npz file, or a folder with shards and their .index.json.")
    ],
    rules: Annotated[str, typer.Option(help="A TOML file: which tensors, and what is done to them.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Where to write it; for shards, a new folder.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Apply the inverses: what the rules wrote becomes what it was.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read headers only, and say what would change.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Rearrange tensors of a checkpoint by rules; all else is copied byte by byte.

    A rule says tensors = "layers.*.{q,k}_proj.weight", pattern = "(h e r:2) d -> (h r e) d" and h = 32, or apply = a
    name of the catalogue with its parameters. docs/weights.md tells all.

    layoutbridge checkpoint a.safetensors --rules rules.toml -o b.safetensors
    """
    from layoutbridge.checkpoints.rearranging import rearrange_checkpoint
    from layoutbridge.report.checkpoints import show_checkpoint
    from layoutbridge.report.progress import byte_progress

    if output is not None and not dry_run:
        ask_before_overwriting([output], force=force)
    with byte_progress(progress_console(), "writing") as progress:
        done = rearrange_checkpoint(source, output, rules, undo=undo, dry_run=dry_run, progress=progress)
    if as_json:
        print_json(_record(done, undo=undo))
    else:
        show_checkpoint(console(), done)
    if done.written:
        remark(f"wrote {output}")


def _record(done: RearrangedCheckpoint, *, undo: bool) -> dict[str, Any]:
    return {
        "source": done.source, "output": done.output, "undo": undo, "written": done.written, "tensors": done.tensors,
        "bytes": done.size,
        "changed": [
            {"name": change.name, "dtype": change.dtype, "from": change.shape, "to": change.result, "rule": change.rule,
             "operation": change.operation.label, "bytes": change.size}
            for change in done.changes
        ],
    }  # fmt: skip
