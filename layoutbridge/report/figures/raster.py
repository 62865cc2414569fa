"""A scene as PNG, PDF or GIF, by matplotlib: no display is needed, and nothing of the process's matplotlib is changed.

Numbers are drawn as outlines, all of one colour at once: as text, each would take as long as a hundred of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import visible
from layoutbridge.frameworks.base import require
from layoutbridge.report.figures.colours import BLACK, EDGE, GROUNDS, WHITE, Theme
from layoutbridge.report.figures.scene import MARK_INSET, NUMBER_SIZE, Box, Curve, Label, Scene

_DOTS = 200  # an inch, and 100 pixels of a scene are an inch
_MOVING_DOTS = 100
_POINTS = 0.72  # of a pixel
_FRAMES, _REST = 24, 12  # that move, and that stand still before and after
_RATE = 20  # frames a second
_FONTS = ["DejaVu Sans"]  # which comes with matplotlib
_CODE = ["DejaVu Sans Mono"]


def write_still(scene: Scene, path: Path, theme: Theme) -> None:
    """Write a picture in the format that the path's ending says; raises `MissingFrameworkError` without matplotlib."""
    figure, axes = _drawn(scene, theme)
    _draw_boxes(axes, scene.boxes)
    figure.savefig(path, dpi=_DOTS, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)


def write_gif(scene: Scene, path: Path, theme: Theme) -> None:
    """Write an animation: cells of results move from where their elements are before; raises as `write_still`."""
    writer = require("matplotlib.animation", "matplotlib", "viz").PillowWriter(fps=_RATE)
    figure, axes = _drawn(scene, theme)
    still = [box for box in scene.boxes if not box.is_result]
    moving = [box for box in scene.boxes if box.is_result]
    _draw_boxes(axes, still)
    writer.setup(figure, path, dpi=_MOVING_DOTS)
    for frame in range(_FRAMES + 1):
        drawn = _draw_boxes(axes, [_moved(box, frame / _FRAMES) for box in moving])
        for _ in range(_REST if frame in (0, _FRAMES) else 1):
            writer.grab_frame()
        for artist in drawn:
            artist.remove()
    writer.finish()


def _moved(box: Box, share: float) -> Box:
    """A box on its way: slowly at first and at last."""
    (x, y), (from_x, from_y) = box.at, box.start or box.at
    eased = share * share * (3 - 2 * share)
    return replace(box, at=(from_x + (x - from_x) * eased, from_y + (y - from_y) * eased))


def _drawn(scene: Scene, theme: Theme) -> tuple[Any, Any]:
    """A figure without its boxes, and its axes, whose units are the scene's pixels."""
    width, height = scene.size
    ground = GROUNDS["dark" if theme == "dark" else "light"]
    figure = require("matplotlib.figure", "matplotlib", "viz").Figure(
        figsize=(width / 100, height / 100), facecolor=ground.page
    )
    axes = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for curve in scene.curves:
        _draw_curve(axes, curve, ground.words)
    for label in scene.labels:
        _draw_label(axes, label, ground.words)
    return figure, axes


def _draw_label(axes: Any, label: Label, words: str) -> None:
    axes.text(
        *label.at,
        visible(label.words),
        fontsize=label.size * _POINTS,
        color=words,
        ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
        va="baseline",
        fontweight="bold" if label.is_bold else "normal",
        fontfamily=_CODE if label.is_code else _FONTS,
        parse_math=False,
        usetex=False,
    )


def _draw_curve(axes: Any, curve: Curve, words: str) -> None:
    path, patches = require("matplotlib.path", "matplotlib", "viz"), require("matplotlib.patches", "matplotlib", "viz")
    middle = (curve.start[0] + curve.end[0]) / 2
    if curve.is_thin:
        lines = [(path.Path([curve.start, curve.end]), words, 1.0)]
    else:
        bends = [curve.start, (middle, curve.start[1]), (middle, curve.end[1]), curve.end]
        bent = path.Path(bends, [path.Path.MOVETO, *[path.Path.CURVE4] * 3])
        lines = [(bent, EDGE, 8.0), (bent, curve.stroke, 6.0)]
    for line, colour, width in lines:
        patch = patches.PathPatch(line, fill=False, edgecolor=colour, linewidth=width * _POINTS, capstyle="butt")
        axes.add_patch(patch)


def _draw_boxes(axes: Any, boxes: Sequence[Box]) -> list[Any]:
    """Rectangles, marks and numbers; what was made, for them to be taken away."""
    collections = require("matplotlib.collections", "matplotlib", "viz")
    made = [
        collections.PolyCollection(
            [_corners(box, 0) for box in boxes],
            facecolors=[box.fill for box in boxes],
            edgecolors=EDGE,
            linewidths=0.75 * _POINTS,
            zorder=2,
        )
    ]
    marked = [box for box in boxes if box.differs]
    inks = [box.ink for box in marked]
    frames = [_corners(box, MARK_INSET) for box in marked]
    made.append(
        collections.PolyCollection(frames, facecolors="none", edgecolors=inks, linewidths=1.5 * _POINTS, zorder=3)
    )
    made.append(collections.PolyCollection([_corner(box) for box in marked], facecolors=inks, linewidths=0, zorder=3))
    made += [_words(collections, [box for box in boxes if box.ink == ink], ink) for ink in (BLACK, WHITE)]
    for artist in made:
        axes.add_collection(artist, autolim=False)
    return made


def _corners(box: Box, inset: float) -> list[tuple[float, float]]:
    (x, y), (width, height) = box.at, box.size
    left, top, right, bottom = x + inset, y + inset, x + width - inset, y + height - inset
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _corner(box: Box) -> list[tuple[float, float]]:
    right, top = box.at[0] + box.size[0] - MARK_INSET, box.at[1] + MARK_INSET
    return [(right - 8, top), (right, top), (right, top + 8)]


def _words(collections: Any, boxes: Sequence[Box], ink: str) -> Any:
    """What stands in boxes, as one path."""
    paths = require("matplotlib.path", "matplotlib", "viz")
    outlines = {words: _outline(words) for words in {box.words for box in boxes}}
    placed, codes = [], []
    for box in boxes:
        vertices, own = outlines[box.words]
        placed.append(np.add(vertices, (box.at[0] + box.size[0] / 2, box.at[1] + box.size[1] / 2)))
        codes.append(own)
    whole = [paths.Path(np.concatenate(placed), np.concatenate(codes))] if placed else []
    return collections.PathCollection(whole, facecolors=ink, edgecolors="none", linewidths=0, zorder=4)


def _outline(words: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The outline of words around the origin, in pixels that go down, and its codes."""
    text = require("matplotlib.textpath", "matplotlib", "viz")
    fonts = require("matplotlib.font_manager", "matplotlib", "viz")
    font = fonts.FontProperties(family=_FONTS, size=NUMBER_SIZE)
    path = text.TextPath((0, 0), visible(words), prop=font, usetex=False)
    vertices = np.asarray(path.vertices) * (1, -1)
    if len(vertices):
        vertices -= ((vertices[:, 0].min() + vertices[:, 0].max()) / 2, -NUMBER_SIZE * 0.36)
    return vertices, np.asarray(path.codes)
