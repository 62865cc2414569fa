"""`Figure`: what `plot` returns, to be shown or saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from layoutbridge.errors import ParameterError, visible
from layoutbridge.files import whole_file
from layoutbridge.report.figures.animation import page
from layoutbridge.report.figures.colours import Theme
from layoutbridge.report.figures.lanes import Crossing
from layoutbridge.report.figures.panels import Picture
from layoutbridge.report.figures.raster import write_gif, write_still
from layoutbridge.report.figures.scene import Scene
from layoutbridge.report.figures.svg import svg

_MOVING = (".html", ".gif")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: of cells, whose `picture` says what is in each, or of digits, whose lanes are `crossings`.

    A notebook shows it. `scene` is where everything lies; with `animate` it is one that moves, and is saved as such.

    >>> from layoutbridge.report.figures.plotting import plot
    >>> figure = plot("focus", (1, 2, 2))
    >>> figure.title, len(figure.picture.panels), figure.svg.count("data-output")
    ('focus (stride 2)', 2, 4)
    """

    title: str
    scene: Scene = field(repr=False)
    theme: Theme = "auto"
    animate: bool = False
    picture: Picture | None = field(default=None, repr=False)
    crossings: tuple[Crossing, ...] = field(default=(), repr=False)

    @property
    def svg(self) -> str:
        """The figure as the text of an SVG file."""
        return svg(self.scene, self.theme)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, whole or not at all, in the format that the file's ending says: SVG, PNG, PDF, HTML or GIF.

        PNG, PDF and GIF are drawn by matplotlib, of the extra `viz`. One that moves is HTML or GIF. Raises
        `ParameterError` for another ending, `MissingFrameworkError`, and `UnusableInputError` where the file cannot be
        written.
        """
        ending = Path(path).suffix.lower()
        if ending not in _WRITERS:
            *others, last = _WRITERS
            told = f"ends in no format of figures: name it {', '.join(others)} or {last}"
            raise ParameterError(f"'{os.fspath(path)}' {told}")
        if self.animate and ending not in _MOVING:
            raise ParameterError(f"'{os.fspath(path)}' cannot move: an animation ends in {' or '.join(_MOVING)}")
        if ending == ".gif" and self.picture is None:
            raise ParameterError(f"'{os.fspath(path)}' would be a film, and the lanes of digits do not move")
        with whole_file(path) as temporary:
            _WRITERS[ending](self, temporary)

    def __str__(self) -> str:
        if self.picture is None:
            return f"{visible(self.title)}: digits as lanes"
        shapes = " -> ".join(str(list(panel.shape)) for panel in self.picture.panels)
        return f"{visible(self.title)}: {shapes}"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        """The figure as HTML to stand in a page, in the page's own colours."""
        return svg(self.scene, self.theme, is_inline=self.theme == "auto")


def _write_text(text: Callable[[Figure], str]) -> Callable[[Figure, Path], None]:
    def write(figure: Figure, path: Path) -> None:
        path.write_text(text(figure), encoding="utf-8")

    return write


_WRITERS: Mapping[str, Callable[[Figure, Path], None]] = MappingProxyType(
    {
        ".svg": _write_text(lambda figure: figure.svg),
        ".png": lambda figure, path: write_still(figure.scene, path, figure.theme),
        ".pdf": lambda figure, path: write_still(figure.scene, path, figure.theme),
        ".html": _write_text(lambda figure: page(figure.scene, figure.theme, moves=figure.animate)),
        ".gif": lambda figure, path: write_gif(figure.scene, path, figure.theme),
    }
)
