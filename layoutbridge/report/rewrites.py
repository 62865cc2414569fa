"""What a rewriting did, for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from layoutbridge.errors import counted
from layoutbridge.report.numbers import size_told
from layoutbridge.rewriting.rewrites import Rewrite


def show_rewrite(console: Console, done: Rewrite) -> None:
    """A paragraph for each pass and its places, then the nodes, bytes and outputs before and after."""
    for each in done.passes:
        places = f"place {', '.join(map(str, each.places))}, " if each.places else ""
        moved = f"{size_told(each.bytes_before)} moved before, {size_told(each.bytes_after)} after"
        console.print(f"[bold]{escape(each.name)}[/] {places}{moved}", highlight=False)
        console.print(f"  {escape(each.proof)}", highlight=False)
    if not done.changed:
        console.print("nothing to do: every place is as asked for", highlight=False)
    tried = "not run" if done.deviation is None else f"outputs differ by {done.deviation:.3g} of the largest value"
    console.print(
        f"{counted(done.nodes_before, 'node')} before, {done.nodes_after} after; "
        f"{size_told(done.bytes_moved_before)} moved before, {size_told(done.bytes_moved_after)} after; {tried}",
        highlight=False,
    )
