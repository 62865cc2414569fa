"""`plot`: the figure of an operation by name, pattern or expression, or of a rearrangement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ParameterError, PatternError, shown
from layoutbridge.operations.comparison import parameters_for
from layoutbridge.operations.expressions import ChooseParameters, Expression, read_expression
from layoutbridge.report.figures.colours import checked_theme
from layoutbridge.report.figures.figure import Figure
from layoutbridge.report.figures.lanes import crossings_of, lanes_scene
from layoutbridge.report.figures.panels import Stage, picture_of, small_shape
from layoutbridge.report.figures.scene import picture_scene

_THEN = " then "


@dataclass(frozen=True, slots=True)
class Subject:
    """What is drawn: its title, the rearrangement, and the steps that it was written as, titles in front."""

    title: str
    op: Rearrangement
    steps: tuple[tuple[str, Rearrangement], ...]


def plot(
    op: Rearrangement | str,
    /,
    shape: Sequence[int] | None = None,
    compare: Rearrangement | str | None = None,
    *,
    steps: bool = False,
    digits: bool = False,
    animate: bool = False,
    theme: str = "auto",
    title: str | None = None,
    **parameters: ParameterValue,
) -> Figure:
    """Draw where `op` puts each element of an input of `shape`: numbered, coloured cells in planes.

    `op` is a `Rearrangement`, or text as `prove` takes it, whose entries take those of the `parameters` that they have.
    Without a `shape` it is [4, 4, 4], or another small one where the operation does not take that. `compare` draws
    another result and marks the cells that differ; `steps` draws the result of each step of an expression, `digits` the
    digits as lanes that cross; `animate` lets cells move from their places in the input, in .html and .gif files. A
    tensor of more than 1,024 elements is drawn in part, and the figure says which. `theme` is light, dark, or auto: as
    the reader's screen is.

    Raises `UnknownNameError`, `PatternError`, `ParameterError`, and `ShapeError` for a shape that does not fit.

    >>> figure = plot("darknet_reorg", (4, 4, 4), compare="space_to_depth", stride=2)
    >>> print(figure)
    darknet_reorg (stride 2) and space_to_depth (stride 2): [4, 4, 4] -> [16, 2, 2] -> [16, 2, 2]
    >>> figure.svg.count("data-differs")
    32
    """
    given = [op] if compare is None else [op, compare]
    choose = parameters_for("plot", given, parameters)
    subjects = [_subject(each, choose) for each in given]
    return figure_of(subjects, shape, steps=steps, digits=digits, animate=animate, theme=theme, title=title)


def figure_of(
    subjects: Sequence[Subject],
    shape: Sequence[int] | None = None,
    *,
    steps: bool = False,
    digits: bool = False,
    animate: bool = False,
    theme: str = "auto",
    title: str | None = None,
) -> Figure:
    """The figure of one subject, or of two that are compared: the rest as `plot` has it."""
    chosen = checked_theme(theme)
    if title is not None and not isinstance(title, str):
        raise ParameterError(f"title must be text, not {shown(title)}")
    compares = len(subjects) > 1
    if steps and (compares or digits):
        raise ParameterError("steps are drawn of one operation, as cells: leave compare and digits out")
    if digits and animate:
        raise ParameterError("the lanes of digits do not move: leave animate out, or digits")
    if shape is None:
        shape = small_shape([subject.op for subject in subjects])
    told = title or " and ".join(subject.title for subject in subjects)
    if digits:
        crossings = tuple(each for own in subjects for each in crossings_of(own.title, own.op, shape))
        return Figure(told, lanes_scene(told, crossings), chosen, crossings=crossings)
    if steps:
        stages = [Stage(name, op, of_stage_before=number > 0) for number, (name, op) in enumerate(subjects[0].steps)]
    else:
        stages = [Stage(subject.title if compares else "output", subject.op) for subject in subjects]
    picture = picture_of(told, shape, stages, compares=compares)
    return Figure(told, picture_scene(picture), chosen, animate, picture)


def subject_of(expression: Expression, choose: ChooseParameters) -> Subject:
    """What an expression asks to be drawn."""
    op = expression.build(choose)
    return Subject(expression.title(op), op, expression.steps(choose))


def _subject(given: Rearrangement | str, choose: ChooseParameters) -> Subject:
    if isinstance(given, str):
        return subject_of(read_expression(given), choose)
    if not isinstance(given, Rearrangement):
        raise PatternError(f"a figure is drawn of a name, a pattern or a Rearrangement, not of {shown(given)}")
    pieces = given.pattern.split(_THEN)
    if len(pieces) == 1:
        return Subject(given.label, given, ((given.label, given),))
    return Subject(given.label, given, tuple((f"'{piece}'", Rearrangement(piece)) for piece in pieces))
