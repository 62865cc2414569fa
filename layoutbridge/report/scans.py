"""The places of a model that move elements, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape

from layoutbridge.errors import counted, visible
from layoutbridge.report.numbers import size_told
from layoutbridge.scanning.graphs.sizes import shape_text
from layoutbridge.scanning.models import Scan
from layoutbridge.scanning.places import Place
from layoutbridge.scanning.whole_models import ModelIdentification

_SHOWN = 4  # nodes of a place, and tensors that go in
_SHOWN_NAMES = 6  # of what a place is not


def show_model(console: Console, target: str, found: ModelIdentification) -> None:
    """Why a model as a whole has no name, and the places inside of it."""
    inside = "these are the places inside" if found.scan.places else "no place inside moves elements"
    console.print(f"{escape(target)}: [bold red]{escape(found.reason)}[/]; {inside}", highlight=False)
    show_scan(console, found.scan)


def show_scan(console: Console, found: Scan, remedies: Mapping[int, str] = MappingProxyType({})) -> None:
    """A paragraph for each place: its number and nodes, what it is, what may be done about it; then how many there are.

    `remedies` are commands to paste, by the places' numbers.
    """
    for number, place in enumerate(found.places):
        title = f"{escape(f'[{number}]')} [bold]{escape(visible(_listed(place.nodes, 'nodes')))}[/]"
        console.print(f"{title}  {escape(named_place(place))}", highlight=False)
        tensors = f"{_listed(place.inputs, 'tensors')} to {place.output}"
        shapes = f"{_shapes(place.in_shapes)} to {shape_text(place.out_shape)}, {size_told(place.bytes)}"
        others = (
            f"not {', '.join(place.is_not[:_SHOWN_NAMES])}: the same shapes, other elements" if place.is_not else ""
        )
        lines = [f"{tensors}, {shapes}", place.pattern or place.reason, others, place.advice]
        for line in filter(None, lines):
            console.print(f"  {escape(visible(line))}", highlight=False)
        if number in remedies:
            console.print(f"  {escape(remedies[number])}", highlight=False, soft_wrap=True)
    moving, count = sum(place.kind != "view" for place in found.places), len(found.places)
    console.print(
        f"{escape(found.model)}: {counted(found.nodes, 'node')} ({found.format}), {counted(count, 'place')}, "
        f"{moving} of which {'moves' if moving == 1 else 'move'} elements",
        highlight=False,
    )


def named_place(place: Place) -> str:
    """What it is in the catalogue's names; of a join, what its inputs are once they are stacked."""
    if place.kind not in ("moves", "joins") or not place.names:
        return place.kind
    values = ", ".join(f"{name} {value}" for name, value in place.parameters.items())
    told = f"{', '.join(place.names)}{f' ({values})' if values else ''}"
    told = f"{told}, {place.wrapping}" if place.wrapping else told
    return f"joins; stacked along a new first axis: {told}" if place.kind == "joins" else told


def _listed(names: Sequence[str], what: str) -> str:
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: _SHOWN - 1])}, … {names[-1]} ({len(names)} {what})"


def _shapes(shapes: Sequence[Sequence[int | str | None]]) -> str:
    told = [shape_text(shape) for shape in shapes]
    return f"each {told[0]}" if len(told) > 1 and len(set(told)) == 1 else _listed(told, "shapes")
