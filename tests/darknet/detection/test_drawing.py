"""Drawing by its pixels: boxes, their colours, their labels."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet.detection import drawing

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def mark(*box: float, label: str = "dog 90%", color: int = 1) -> drawing.Mark:
    left, top, width, height = box
    return drawing.Mark(left, top, width, height, label, color)


def drawn(size: tuple[int, int], *marks: drawing.Mark) -> Any:
    return np.asarray(drawing.draw_marks(Image.new("RGB", size, (90, 90, 90)), marks))


def test_a_box_is_drawn_where_it_is_in_the_color_of_its_class() -> None:
    picture = drawn((640, 480), mark(100, 200, 300, 150))
    color = drawing.class_color(1)
    for row, column in ((200, 250), (350, 250), (280, 100), (280, 400)):  # the middles of the four sides
        assert tuple(picture[row, column]) == color
    assert tuple(picture[275, 250]) == tuple(picture[100, 250]) == (90, 90, 90)
    assert (picture[180:200, 100:170] != 90).any()  # the label above it
    assert picture.shape == (480, 640, 3)


def test_classes_differ_in_color() -> None:
    colors = {drawing.class_color(number) for number in range(80)}
    assert len(colors) == 80


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 2), (30, 20), (239, 10), (240, 240), (3000, 100)])
@pytest.mark.parametrize(
    "box",
    [(0, 0, 1, 1), (-50, -50, 5000, 5000), (900, 900, 5, 5), (0, 0, 0, 0), (-inf, 0, inf, 9), (nan, nan, nan, nan)],
)
def test_any_box_on_any_picture(size: tuple[int, int], box: tuple[float, ...]) -> None:
    picture = drawn(
        size, mark(*box), mark(*box, label="a name " * 40), mark(*box, label=""), mark(*box, label="猫\n\0é")
    )
    longer = max(size)
    factor = 1 if longer >= 240 else -(-240 // longer)
    assert picture.shape == (size[1] * factor, size[0] * factor, 3)
    assert (picture != 90).any()


def test_labels_stand_apart() -> None:
    apart = drawn((400, 400), mark(50, 100, 200, 200, color=1), mark(50, 100, 190, 190, color=2))
    counts = [(apart == drawing.class_color(number)).all(axis=2).sum() for number in (1, 2)]
    alone = [
        (drawn((400, 400), mark(50, 100, side, side, color=number)) == drawing.class_color(number)).all(axis=2).sum()
        for side, number in ((200, 1), (190, 2))
    ]
    assert counts[1] > 0.9 * alone[1]  # the smaller box is in front, its label on nothing else's
    assert counts[0] > 0.5 * alone[0]


def test_a_crowd_is_drawn_in_no_time() -> None:
    generator = np.random.default_rng(0)
    marks = [mark(*generator.uniform(0, 300, 4).tolist(), color=number) for number in range(1500)]
    assert drawn((400, 300), *marks).shape == (300, 400, 3)
