"""What a place is to be: an entry of the catalogue at the place's own parameters, in the place's own layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement, with_batch_axis
from layoutbridge.errors import LayoutBridgeError, ParameterError, ShapeError, UnsupportedError
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.expressions import Expression, read_expression
from layoutbridge.recognition.expectation import at_fitting_parameters
from layoutbridge.recognition.naming import Match, candidates
from layoutbridge.recognition.wrapping import PLAIN, Wrapping, wrappings
from layoutbridge.rewriting.places.locating import Located, Sides
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.tables import digits_through, table_of

_SHOWN = 8  # names that an error suggests


@dataclass(frozen=True)
class Wanted:
    """An operation, and the same on all axes of a tensor where something is done around it: channels last, say."""

    operation: Rearrangement
    on_all_axes: Rearrangement
    wrapping: Wrapping

    @property
    def label(self) -> str:
        """What reports call it."""
        words = self.wrapping.words
        return f"{self.operation.label}, {words}" if words else self.operation.label

    def channel_axis(self, rank: int) -> int:
        """Which axis of a result of `rank` axes has the channels that a layer behind it reads."""
        if self.wrapping.is_channels_last:
            return rank - 1
        return self.wrapping.leading or rank - len(self.operation.result_shape)


class Movable(Protocol):
    """What moves elements: what errors call it, its shapes, and what is known of it now."""

    @property
    def told(self) -> str:
        """What an error calls it."""

    @property
    def seen_at(self) -> Sequence[Sides]:
        """The shapes before and after, at each choice of sizes at which it was seen."""

    @property
    def wrapping(self) -> Wrapping:
        """What is done around the operation that is there."""

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Those of the operation that is there."""


@dataclass(frozen=True)
class Fix:
    """A place, and what it is to be."""

    located: Located
    wanted: Wanted


def wanted_at(located: Movable, name: str) -> Wanted:
    """What `name`, an entry or an expression as the command line takes it, is at a place.

    Numbers that it leaves out are those that suit the shapes at every size at which the model was seen, of several the
    place's own. Raises `ShapeError` with what would fit, and `UnknownNameError`, `PatternError`, `ParameterError`.
    """
    expression = read_expression(name)
    for entry in expression.entries:
        if entry.is_of_weights:
            raise UnsupportedError(f"{entry.name} is done to weights, and {located.told} moves what a network computes")
    expression.build(lambda _: {})  # which says what is wrong with it
    for wrapping in _likely_wrappings(located):
        fitting = list(dict.fromkeys(_fitting(expression, located, wrapping)))
        if fitting:
            chosen = _the_one(fitting, located)
            return Wanted(chosen, _on_all_axes(chosen, wrapping, len(located.seen_at[0][0])), wrapping)
    raise ShapeError(_misfit(located, name))


def refuse_unmovable(located: Located) -> None:
    """Raise `UnsupportedError` for a place that drops or repeats elements: no op of the catalogue does."""
    if located.place.kind == "joins":
        raise UnsupportedError(f"{located.told} joins several tensors, and every entry of the catalogue takes one")
    if located.place.kind not in ("moves", "view"):
        raise UnsupportedError(
            f"{located.told} {located.place.kind} elements, and every entry of the catalogue keeps each once: "
            "it is not replaced"
        )


def _likely_wrappings(located: Movable) -> Iterator[Wrapping]:
    """What may be done around an operation that keeps its name: first what is done around what is there."""
    own = located.wrapping
    if own.keeps_the_name:
        yield own
    yield PLAIN
    yield from (each for each in wrappings(*located.seen_at[0]) if each.keeps_the_name and each != own)


def _fitting(expression: Expression, located: Movable, wrapping: Wrapping) -> Iterator[Rearrangement]:
    usual = expression.build(lambda _: {})
    entry = expression.terms[0].entry if len(expression.terms) == 1 else None
    made = [usual]
    if entry is not None:
        shape, given = located.seen_at[0]
        inside = wrapping.inside(shape), wrapping.result_inside(given)
        made = at_fitting_parameters(entry, expression.terms[0].parameters, usual, inside)
    for each in made:
        if all(_takes(each, sides, wrapping) for sides in located.seen_at):
            yield each


def _takes(operation: Rearrangement, sides: Sides, wrapping: Wrapping) -> bool:
    shape, given = wrapping.inside(sides[0]), wrapping.result_inside(sides[1])
    if len(shape) - operation.rank not in (0, int(operation.has_batch)) or not operation.domain.accepts(
        shape[-operation.rank :]
    ):
        return False
    return operation.bind(shape).out_shape == given


def _the_one(fitting: list[Rearrangement], located: Movable) -> Rearrangement:
    """The only one, or the one with the parameters that are there now; raises `ParameterError` where neither is."""
    if len(fitting) == 1:
        return fitting[0]
    own = [each for each in fitting if dict(each.parameters) == dict(located.parameters)]
    if len(own) == 1:
        return own[0]
    told = ", ".join(
        f"{each.name}({', '.join(f'{key}={value}' for key, value in each.parameters)})" for each in fitting[:_SHOWN]
    )
    raise ParameterError(f"the shapes of {located.told} do not tell which it is: give one of {told}")


def _on_all_axes(operation: Rearrangement, wrapping: Wrapping, rank: int) -> Rearrangement:
    """The operation as it is emitted: plain ones leave the batch to the emission."""
    if wrapping == PLAIN:
        return operation
    return _named_as(wrapping.composed(operation, rank), operation)


def with_every_axis(operation: Rearrangement, rank: int) -> Rearrangement:
    """The operation with its batch axis, where a tensor of `rank` axes has one, named."""
    return _named_as(with_batch_axis(operation, rank), operation)


def _named_as(made: Rearrangement, operation: Rearrangement) -> Rearrangement:
    return made.named(operation.name, operation.parameters) if operation.name else made


def is_same_map(graph: Graph, region: Region, operation: Rearrangement) -> bool:
    """Whether a region of a graph is this operation, at the sizes of the graph: every element is looked at."""
    shape, given = graph.tensors[region.sources[0]].shape, graph.tensors[region.output].shape
    if not operation.domain.accepts(shape[-operation.rank :]):
        return False
    bound = operation.bind(shape)
    if bound.out_shape != given:
        return False
    digits = digits_through(graph, region)
    if digits is not None and bound.digits is not None:
        return digits == bound.digits
    return np.array_equal(table_of(graph, region).reshape(-1), operation.table(shape))


def present_at(located: Located) -> Rearrangement:
    """What a place is now, on all axes; raises `UnsupportedError` where nothing writes it down."""
    seen, rank = located.place.seen, len(located.sides[0])
    named = next((match for match in seen.matches if match.name in located.place.names), None)
    if named is not None:
        if seen.wrapping == PLAIN:
            return with_every_axis(named.op, rank)
        if not seen.wrapping.is_view:
            return _named_as(seen.wrapping.composed(named.op, rank), named.op)
    if located.place.pattern is None:
        raise UnsupportedError(f"what {located.told} moves has no pattern: {located.place.reason}")
    try:
        return with_every_axis(Rearrangement(located.place.pattern), rank)
    except LayoutBridgeError as error:
        raise UnsupportedError(f"what {located.told} moves has no pattern of its own: {error}") from None


def _misfit(located: Movable, name: str) -> str:
    shape, given = located.seen_at[0]
    told = f"{located.told} takes {list(shape)} to {list(given)}, which {name[:80]} does not"
    known = catalog()
    found = [
        match.name
        for wrapping in _likely_wrappings(located)
        for match in _candidates(wrapping, located.seen_at[0])
        if not known[match.name].is_of_weights
    ]
    names = list(dict.fromkeys(found))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{told}; these do: {', '.join(names[:_SHOWN])}{more}" if names else f"{told}, nor does any other entry"


def _candidates(wrapping: Wrapping, sides: Sides) -> Iterable[Match]:
    shape, given = wrapping.inside(sides[0]), wrapping.result_inside(sides[1])
    return (match for match in candidates(shape, given) if _takes(match.op, sides, wrapping))
