"""Whether the places of a model are what they should be."""

from __future__ import annotations

from layoutbridge.operations.catalog import entry
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.scanning.models import Scan
from layoutbridge.scanning.places import Place


def other_than(found: Scan, name: str) -> list[Place]:
    """The places that the catalogue's `name` could be by their shapes, and that are another map.

    Raises `UnknownNameError`.

    >>> import os, tempfile, layoutbridge as lb
    >>> from layoutbridge.scanning.models import scan
    >>> path = os.path.join(tempfile.mkdtemp(), "focus.onnx")
    >>> lb.export(lb.op("focus"), "onnx", path, shape=(1, 3, 8, 8))
    >>> [place.names for place in other_than(scan(path), "space_to_depth")], other_than(scan(path), "focus")
    ([('focus',)], [])
    """
    wanted = entry(name)
    return [
        place
        for place in found.places
        if place.kind == "moves"
        and name not in place.names
        and any(
            next(fitting_parameters(form, place.seen.in_shape, place.seen.out_shape), None) is not None
            for form in wanted.forms
        )
    ]
