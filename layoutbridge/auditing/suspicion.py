"""Which places in a model look like a mistake, and why."""

from __future__ import annotations

from collections.abc import Iterator

from layoutbridge.operations.catalog import catalog
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.scanning.places import Place

_BLOCKS = ("space and depth", "Darknet")  # the families whose members give the same shapes and other elements
_SHOWN = 4


def suspicion_of(place: Place) -> str:
    """Why the place may be a mistake, in words; empty where nothing is odd.

    Suspicious is a map without a name whose shapes are those of a space-to-depth or its like: somebody may have meant
    one of these. So is one that has a name at some sizes and is another map at others.

    >>> import layoutbridge as lb
    >>> from layoutbridge.scanning.models import scan
    >>> blocks = lb.Rearrangement("c (h p:s) (w q:s) -> (q c p) h w", s=2)
    >>> suspicion_of(scan(lb.emit(blocks, "onnx", shape=(1, 4, 6, 8))).places[0])
    'the shapes of space_to_depth, pixel_unshuffle, focus, space_to_depth_crd, and none of them'
    """
    if place.kind != "moves":
        return ""
    if not place.names:
        if place.seen.matches and place.pattern is None:
            return f"it is {place.seen.matches[0]} at some sizes, and another map at others"
        if meant := list(dict.fromkeys(_of_such_shapes(place))):
            return f"the shapes of {', '.join(meant[:_SHOWN])}, and none of them"
    return ""


def _of_such_shapes(place: Place) -> Iterator[str]:
    seen = place.seen
    for entry in catalog().values():
        if entry.family in _BLOCKS and entry.parameters:
            for form in entry.forms:
                if next(fitting_parameters(form, seen.in_shape, seen.out_shape), None) is not None:
                    yield entry.name
