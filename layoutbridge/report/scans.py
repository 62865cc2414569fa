"""The places of a model that move elements, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from layoutbridge.report.checkpoints import size_told
from layoutbridge.scanning.graphs.sizes import shape_text
from layoutbridge.scanning.models import Scan
from layoutbridge.scanning.whole_models import ModelIdentification

_SHOWN = 4  # nodes of a place


def show_model(console: Console, target: str, found: ModelIdentification) -> None:
    """Why a model as a whole has no name, and the places inside of it."""
    inside = "these are the places inside" if found.scan.places else "no place inside moves elements"
    console.print(f"{escape(target)}: [bold red]{escape(found.reason)}[/]; {inside}", highlight=False)
    show_scan(console, found.scan)


def show_scan(console: Console, found: Scan) -> None:
    """A paragraph for each place: its nodes, what it is, what may be done about it; then how many there are."""
    for place in found.places:
        named = ", ".join(place.names) if place.kind == "moves" and place.names else place.kind
        values = ", ".join(f"{name} {value}" for name, value in place.parameters.items() if place.kind == "moves")
        around = f", {place.wrapping}" if place.wrapping and place.kind == "moves" else ""
        told = escape(f"{named}{f' ({values})' if values else ''}{around}")
        console.print(f"[bold]{escape(_nodes(place.nodes))}[/]  {told}", highlight=False)
        shapes = f"{shape_text(place.in_shapes[0])} to {shape_text(place.out_shape)}, {size_told(place.bytes)}"
        lines = [f"{', '.join(place.inputs)} to {place.output}, {shapes}", place.pattern or place.reason, place.advice]
        for line in filter(None, lines):
            console.print(f"  {escape(line)}", highlight=False)
    moving, count = sum(place.kind != "view" for place in found.places), len(found.places)
    console.print(
        f"{escape(found.model)}: {found.nodes} nodes ({found.format}), {count} {'place' if count == 1 else 'places'}, "
        f"{moving} of which {'moves' if moving == 1 else 'move'} elements",
        highlight=False,
    )


def _nodes(names: Sequence[str]) -> str:
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: _SHOWN - 1])}, … {names[-1]} ({len(names)} nodes)"
