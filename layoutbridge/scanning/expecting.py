"""Whether the places of a model are what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.errors import ParameterError, shown
from layoutbridge.operations.catalog import entry
from layoutbridge.operations.expressions import ChooseParameters, Expression
from layoutbridge.operations.parameters import NOTHING
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.differences import Difference
from layoutbridge.recognition.expectation import Expectation, check_expectation, shapes_inside
from layoutbridge.recognition.naming import Match
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.scanning.models import Scan
from layoutbridge.scanning.places import Place
from layoutbridge.scanning.remedies import rewrite_command
from layoutbridge.scanning.whole_models import Load, ModelIdentification


def other_than(found: Scan, name: str, parameters: Mapping[str, ParameterValue] = NOTHING) -> list[Place]:
    """The places that the catalogue's `name` could be by their shapes, and that are another map.

    Where `parameters` are given, it is those that it would be at. Raises `UnknownNameError`.

    >>> import os, tempfile, layoutbridge as lb
    >>> from layoutbridge.scanning.models import scan
    >>> path = os.path.join(tempfile.mkdtemp(), "focus.onnx")
    >>> lb.export(lb.op("focus"), "onnx", path, shape=(1, 3, 8, 8))
    >>> [place.names for place in other_than(scan(path), "space_to_depth")], other_than(scan(path), "focus")
    ([('focus',)], [])
    """
    return [
        place
        for place in found.places
        if place.kind == "moves" and not _is_one(place, name, parameters) and _may_be(place, name, parameters)
    ]


def check_identified(load: Load, found: Identification, expected: Expression, choose: ChooseParameters) -> Expectation:
    """`check_model` of what was found to be a model, `check_expectation` of anything else, which `load` gives."""
    if isinstance(found, ModelIdentification):
        return check_model(found, expected, choose)
    return check_expectation(load(), found, expected, choose)


def check_model(found: ModelIdentification, expected: Expression, choose: ChooseParameters) -> Expectation:
    """`check_expectation` of a model by its scan.

    A model of more than one movement is what is `expected` where one place inside at least is, and none of such shapes
    is another map. `choose` says at which parameters, where any are asked for. Raises `ParameterError` where that is
    not one name.
    """
    if found.scan.whole is not None and found.table is not None:
        return check_expectation(None, found, expected, choose)
    term = expected.terms[0]
    if term.entry is None or len(expected.terms) > 1:
        raise ParameterError(
            f"in a whole model a name of the catalogue is expected, such as darknet_reorg, not {shown(expected.text)}"
        )
    name, parameters = term.entry.name, {**choose(term.entry), **term.parameters}
    title, others = str(Match(name, parameters)), other_than(found.scan, name, parameters)
    alike = [place for place in found.scan.places if _is_one(place, name, parameters)]
    if others:
        more = f", and {len(others) - 1} more are another map" if len(others) > 1 else ""
        return Expectation(title, name, parameters, Difference(f"{others[0].title}{more}"))
    if not alike:
        return Expectation(title, name, parameters, Difference("no place in it is that"))
    where = f"{', '.join(alike[0].nodes)}{f', and {len(alike) - 1} more' if len(alike) > 1 else ''}"
    return Expectation(f"{title} at {where}", name, parameters, None)


def remedies_for(found: Scan, others: Sequence[Place], name: str) -> dict[int, str]:
    """For places of a file that `rewrite` takes that are other than `name`, what makes them that, by their numbers."""
    if not found.is_rewritable_file:
        return {}
    return {
        number: rewrite_command(found.model, number, name)
        for number, place in enumerate(found.places)
        if any(place is other for other in others)
    }


def _is_one(place: Place, name: str, parameters: Mapping[str, ParameterValue]) -> bool:
    found = (*place.seen.matches, *place.seen.also)
    at_these = any(match.name == name and parameters.items() <= match.parameters.items() for match in found)
    return name in place.names and (at_these or not parameters)


def _may_be(place: Place, name: str, parameters: Mapping[str, ParameterValue]) -> bool:
    """Whether the shapes suit the entry, those within a wrapping such as channels last among them."""
    plain = place.seen.in_shape, place.seen.out_shape
    return any(
        parameters.items() <= fitting.items()
        for form in entry(name).forms
        for shapes in (plain, shapes_inside(place.seen))
        for fitting in fitting_parameters(form, *shapes)
    )
