"""Where everything of a figure lies: boxes, labels and curves in pixels, which all renderers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from textwrap import wrap

from layoutbridge.algebra.table import unravel
from layoutbridge.report.figures.colours import colour, ink
from layoutbridge.report.figures.panels import Cell, Panel, Picture, Plane

Place = tuple[float, float]

NUMBER_SIZE = 11.0
DIGIT_WIDTH = 7.0  # of a number's size
LABEL_SIZE, TITLE_SIZE = 12.0, 15.0
_LETTER = 0.53  # the mean width of a letter, in its size
MARGIN = 18.0
MARK_INSET = 3.0  # of a mark's frame, within its cell
_CELL_HEIGHT = 24.0
_GAP = 18.0
LINE = 19.0  # from a line of text to the next
_WIDEST = 900.0  # of planes side by side
_NARROWEST = 480.0  # that notes are not broken in many lines


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with words in it; of a cell with its flat positions, in its tensor and in the input.

    `start` is whence it moves.
    """

    at: Place
    size: Place
    fill: str
    words: str
    told: str = ""
    position: int | None = None
    source: int | None = None
    is_result: bool = False
    differs: bool = False
    start: Place | None = None

    @property
    def ink(self) -> str:
        """The colour of the words."""
        return ink(self.fill)


@dataclass(frozen=True, slots=True)
class Label:
    """Words whose first letter, or whose middle or end, stands on a base line at `at`."""

    at: Place
    words: str
    size: float = LABEL_SIZE
    anchor: str = "start"
    is_bold: bool = False
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve from one place to another, level at both ends; straight and in the words' colour where it `is_thin`."""

    start: Place
    end: Place
    stroke: str
    is_thin: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A figure on paper: its size, what it is, what is drawn in order."""

    size: Place
    title: str
    description: str
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]
    curves: tuple[Curve, ...] = ()


def picture_scene(picture: Picture) -> Scene:
    """A picture's panels one below another, each as lines of planes.

    >>> from layoutbridge.operations.catalog import op
    >>> from layoutbridge.report.figures.panels import Stage, picture_of
    >>> scene = picture_scene(picture_of("focus", (1, 2, 2), [Stage("focus", op("focus"))]))
    >>> [box.words for box in scene.boxes if box.is_result]
    ['0', '2', '1', '3']
    """
    largest = max(cell.source for panel in picture.panels for cell in panel.cells)
    cell_width = 12 + DIGIT_WIDTH * max(2, len(str(largest)))
    labels = [title_label(picture.title)]
    boxes: list[Box] = []
    places: list[dict[int, Place]] = []  # by panel, where the element of each of the input's positions is
    bottom, width = MARGIN + TITLE_SIZE, _NARROWEST
    for panel in picture.panels:
        heading = f"{shortened(panel.title)} {list(panel.shape)}"
        labels.append(Label((MARGIN, bottom + 2 * LINE), heading, is_bold=True))
        bottom += 2 * LINE
        if panel.part:
            bottom += LINE
            labels.append(Label((MARGIN, bottom), panel.part))
        own: dict[int, Place] = {}
        for plane, at in _plane_places(panel, cell_width, bottom + 6):
            name = plane.name
            labels += [Label((at[0], at[1] - 5), name, NUMBER_SIZE, is_code=True)] if name else []
            for row, cells in enumerate(plane.rows):
                for column, cell in enumerate(cells):
                    place = (at[0] + column * cell_width, at[1] + row * _CELL_HEIGHT)
                    own[cell.source] = place
                    start = places[panel.origin].get(cell.source) if places else None
                    boxes.append(_box(cell, place, cell_width, picture, panel, start))
        places.append(own)
        bottom = max(at[1] for at in own.values()) + _CELL_HEIGHT
        width = max(width, max(at[0] for at in own.values()) + cell_width)
    width = max(width, *(label.at[0] + text_width(label) for label in labels))
    notes, bottom = note_lines(picture.notes, width, bottom)
    return Scene((width + MARGIN, bottom + MARGIN), picture.title, described(picture), tuple(boxes), (*labels, *notes))


def _box(cell: Cell, place: Place, width: float, picture: Picture, panel: Panel, start: Place | None) -> Box:
    is_result = panel is not picture.panels[0]
    source = picture.panels[0]
    told = f"input {list(unravel(cell.source, source.shape))}"
    if is_result:
        told = f"output {list(unravel(cell.position, panel.shape))} = {told}"
    return Box(
        place,
        (width, _CELL_HEIGHT),
        colour(cell.colour, picture.colours),
        str(cell.source),
        told,
        cell.position,
        cell.source,
        is_result,
        cell.differs,
        start,
    )


def _plane_places(panel: Panel, cell_width: float, top: float) -> Iterator[tuple[Plane, Place]]:
    """The corner of each plane: so many a line that lines are alike, and begin where an outer axis does."""
    rows = panel.planes[0].rows
    widest = max(text_width(Label((0, 0), plane.name, NUMBER_SIZE, is_code=True)) for plane in panel.planes)
    width, height = max(len(rows[0]) * cell_width, widest) + _GAP, len(rows) * _CELL_HEIGHT + _GAP
    each = a_line(int((_WIDEST + _GAP) / width), panel)
    for number, plane in enumerate(panel.planes):
        line, column = divmod(number, each)
        yield plane, (MARGIN + column * width, top + (_GAP if plane.outer else 0) + line * height)


def a_line(fitting: int, panel: Panel) -> int:
    """How many of a panel's planes go on a line on which so many fit: all those of its last outer axes, if it can."""
    count = len(panel.planes)
    wholes = [prod(panel.shape[start:-2]) for start in range(len(panel.shape) - 2)]
    groups = [whole for whole in wholes if count % whole == 0] or [count]
    return next((whole for whole in groups if whole <= fitting), even(fitting, groups[-1]))


def even(fitting: int, count: int) -> int:
    """How many of `count` planes to put on a line on which so many fit, for lines to be alike.

    >>> even(12, 16), even(3, 4), even(3, 7)
    (8, 2, 3)
    """
    most = max(1, min(fitting, count))
    each = max(divisor for divisor in range(1, most + 1) if count % divisor == 0)
    return most if 2 * each <= most else each  # a prime number of planes, say


def described(picture: Picture) -> str:
    """The figure in words, for those who do not see it."""
    shapes = [f"{panel.title} {list(panel.shape)}" for panel in picture.panels]
    parts = [f"{panel.title}: {panel.part}." for panel in picture.panels if panel.part]
    return " ".join([f"{'; '.join(shapes)}.", *parts, *picture.notes])


def title_label(title: str) -> Label:
    """The title, where it stands in every figure."""
    return Label((MARGIN, MARGIN + TITLE_SIZE), shortened(title), TITLE_SIZE, is_bold=True)


def shortened(words: str, most: int = 100) -> str:
    """Words as there is room for them.

    >>> shortened("c (h p) (w q) -> (p q c) h w", 16)
    'c (h p) (w q) -…'
    """
    return words if len(words) <= most else f"{words[: most - 1]}…"


def text_width(label: Label) -> float:
    """About how wide a label is."""
    return len(label.words) * label.size * (_LETTER + 0.06 * label.is_bold + 0.08 * label.is_code)


def note_lines(notes: Sequence[str], width: float, bottom: float) -> tuple[list[Label], float]:
    """Sentences below everything, in lines of `width`; and where they end."""
    letters = int((width - MARGIN) / (LABEL_SIZE * _LETTER))
    bottom += 0.4 * LINE
    labels = []
    for line in (line for note in notes for line in wrap(note, letters)):
        bottom += LINE
        labels.append(Label((MARGIN, bottom), line))
    return labels, bottom
