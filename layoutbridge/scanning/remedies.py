"""The command line that puts another op in a place of a model, for people to paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from layoutbridge.operations.catalog import catalog, entry
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.recognition.wrapping import PLAIN
from layoutbridge.scanning.places import Place

ANY_NAME = "NAME"  # where nothing says which op is meant
_FAMILIES = ("space and depth", "Darknet")
# What stands where another one was meant, most often: ports take the one for the other, whose shapes are the same.
_CONFUSED: Mapping[str, str] = MappingProxyType(
    {
        "space_to_depth": "darknet_reorg",
        "darknet_reorg": "space_to_depth",
        "pixel_unshuffle": "space_to_depth",
        "focus": "space_to_depth",
        "depth_to_space": "pixel_shuffle",
        "pixel_shuffle": "depth_to_space",
        "darknet_reorg3d_reverse": "depth_to_space",
        "darknet_flatten": "darknet_unflatten",
        "darknet_unflatten": "darknet_flatten",
    }
)


def rewrite_command(model: str, number: int, name: str) -> str:
    """The command that makes the place of that number of a file the op called `name`, in a new file.

    >>> rewrite_command("my port.onnx", 2, "darknet_reorg")
    "layoutbridge rewrite 'my port.onnx' -o 'my port.fixed.onnx' --fix 2=darknet_reorg"
    """
    output = Path(model).with_suffix(f".fixed{Path(model).suffix}")
    return shlex.join(["layoutbridge", "rewrite", model, "-o", str(output), "--fix", f"{number}={name}"])


def likely_remedy(place: Place) -> str | None:
    """What may have been meant in a place that puts blocks into channels or back, or looks so; None in others.

    It is what the op there is most often taken for, or `ANY_NAME`.
    """
    around = place.seen.wrapping
    if place.kind != "moves" or (around != PLAIN and not around.keeps_the_name):  # such as blocks seen as another shape
        return None
    if place.names:
        if catalog()[place.names[0]].family not in _FAMILIES:
            return None
        return next((_CONFUSED[name] for name in place.names if name in _CONFUSED), ANY_NAME)
    forms = (form for name in ("space_to_depth", "depth_to_space") for form in entry(name).forms)
    seen = place.seen
    fits = any(next(fitting_parameters(form, seen.in_shape, seen.out_shape), None) is not None for form in forms)
    return ANY_NAME if fits else None
