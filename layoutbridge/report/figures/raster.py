"""A scene as PNG, PDF or GIF, by matplotlib: no display is needed, and nothing of the process's matplotlib is changed.

Numbers are drawn as outlines, all of one colour at once: as text, each would take as long as a hundred of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import visible
from layoutbridge.frameworks.base import require
from layoutbridge.report.figures.colours import BLACK, EDGE, GROUNDS, WHITE, Theme
from layoutbridge.report.figures.scene import MARK_INSET, NUMBER_SIZE, Box, Curve, Label, Scene

_DOTS, _MOST_STILL = 200.0, 4e6  # an inch, of which 100 pixels of a scene make one; fewer where a picture has more dots
_MOVING_DOTS, _MOST_MOVING = 100.0, 5e5
_POINTS = 0.72  # of a pixel
_FRAMES, _FEW_FRAMES, _MANY_CELLS = 16, 6, 512  # that move: few where so many cells do
_MOVE, _REST = 60, 1200  # milliseconds of one that moves, and of the first and the last, which rest
_FONTS = ["DejaVu Sans"]  # which comes with matplotlib
_DIGIT = 0.636 * NUMBER_SIZE  # from a digit to the next in that font
_CODE = ["DejaVu Sans Mono"]


def write_still(scene: Scene, path: Path, theme: Theme) -> None:
    """Write a picture in the format that the path's ending says; raises `MissingFrameworkError` without matplotlib."""
    figure, axes = _drawn(scene, theme)
    _draw_boxes(axes, scene.boxes)
    options = {"metadata": {"CreationDate": None}} if path.suffix.lower() == ".pdf" else {}
    figure.savefig(path, dpi=_dots(scene, _DOTS, _MOST_STILL), **options)


def write_gif(scene: Scene, path: Path, theme: Theme) -> None:
    """Write an animation: cells of results move from where their elements are before; raises as `write_still`."""
    canvases = require("matplotlib.backends.backend_agg", "matplotlib", "viz")
    figure, axes = _drawn(scene, theme)
    figure.set_dpi(_dots(scene, _MOVING_DOTS, _MOST_MOVING))
    canvas = canvases.FigureCanvasAgg(figure)
    _draw_boxes(axes, [box for box in scene.boxes if not box.is_result])
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)  # drawn once: what moves is drawn upon it in each frame
    moving = [box for box in scene.boxes if box.is_result]
    count = _FRAMES if len(moving) <= _MANY_CELLS else _FEW_FRAMES
    frames = []
    for frame in range(count + 1):
        canvas.restore_region(still)
        seen = [box for box in moving if box.start is not None or frame == count]  # of others the place is not drawn
        drawn = _draw_boxes(axes, [_moved(box, frame / count) for box in seen])
        for artist in drawn:
            axes.draw_artist(artist)
            artist.remove()
        frames.append(_image(canvas))
    palette = frames[-1].quantize(256)
    first, *others = [frame.quantize(palette=palette, dither=0) for frame in frames]
    lasting = [_REST, *[_MOVE] * (count - 1), _REST]
    first.save(path, save_all=True, append_images=others, duration=lasting, loop=0)


def _dots(scene: Scene, dots: float, most: float) -> float:
    """How many dots an inch has, for a picture of no more than `most`."""
    return min(dots, 100 * sqrt(most / (scene.size[0] * scene.size[1])))


def _image(canvas: Any) -> Any:
    """What is on a canvas, for Pillow, which comes with matplotlib."""
    return require("PIL.Image", "Pillow", "viz").fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


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
    glyphs = [_glyph(digit) for digit in words] if words.isdecimal() and words.isascii() else [_glyph(visible(words))]
    starts = (np.arange(len(glyphs)) - (len(glyphs) - 1) / 2) * _DIGIT
    vertices = np.concatenate([glyph[0] + (start, 0) for glyph, start in zip(glyphs, starts, strict=True)])
    return vertices, np.concatenate([glyph[1] for glyph in glyphs])


@cache
def _glyph(words: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The outline of a digit, or of words that are no number."""
    text = require("matplotlib.textpath", "matplotlib", "viz")
    fonts = require("matplotlib.font_manager", "matplotlib", "viz")
    font = fonts.FontProperties(family=_FONTS, size=NUMBER_SIZE)
    path = text.TextPath((0, 0), words, prop=font, usetex=False)
    vertices = np.asarray(path.vertices) * (1, -1)
    if len(vertices):
        vertices -= ((vertices[:, 0].min() + vertices[:, 0].max()) / 2, -NUMBER_SIZE * 0.36)
    return vertices, np.asarray(path.codes)
