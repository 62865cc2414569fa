"""Drawing by its pixels: boxes, their colours, their labels."""

from math import inf, nan
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet.detection import drawing
from layoutbridge.darknet.detection.objects import Detection

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ImageDraw = pytest.importorskip("PIL.ImageDraw", reason="Pillow is not installed")


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


def test_of_very_many_the_surest_are_drawn_and_the_rest_is_told() -> None:
    found = [Detection("dog", number, number / 3000, number / 10, 50, 40, 30) for number in range(3000)]
    picture = drawing.draw(Image.new("RGB", (400, 300)), found)
    surest = np.asarray(drawing.draw(Image.new("RGB", (400, 300)), found[:999:-1]))  # the surest first
    line = (np.asarray(picture) != surest).any(axis=2)
    rows, columns = np.nonzero(line)
    assert rows.min() > 270 and columns.min() == 0 and 60 < columns.max() < 200
    assert line.sum() > 1000 and (np.asarray(picture)[line] == 255).any()  # light letters on a dark ground


def test_letters_are_pillows_own() -> None:
    font, texts = drawing._font(14), ["dog 90%", "j,|Wf", "猫 é", "  ", "…"]
    for text in texts:
        ours, theirs = (Image.new("RGB", (200, 40), (255, 64, 64)) for _ in range(2))
        letters, (left, top) = drawing._letters(text, font)
        if letters is not None:
            ours.paste((16, 16, 16), (5 + left, 4 + top), letters)
        ImageDraw.Draw(theirs).text((5, 4), text, fill=(16, 16, 16), font=font)
        assert ours == theirs


def test_a_font_in_the_current_folder_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path, tmp_path / "fonts", tmp_path / ".fonts"):
        place.mkdir(exist_ok=True)
        (place / "DejaVuSans.ttf").write_bytes(b"planted")
    monkeypatch.chdir(tmp_path)
    for name, value in (("XDG_DATA_DIRS", ":."), ("XDG_DATA_HOME", "."), ("HOME", ".")):
        monkeypatch.setenv(name, value)
    drawing._font_files.cache_clear()
    opened: list[object] = []
    font_of = pytest.importorskip("PIL.ImageFont").FreeTypeFont

    class Watched(font_of):  # type: ignore[misc,valid-type]
        def __init__(self, font: Any = None, *others: Any, **named: Any) -> None:
            opened.append(font)
            super().__init__(font, *others, **named)

    monkeypatch.setattr("PIL.ImageFont.FreeTypeFont", Watched)
    drawn((300, 300), mark(10, 50, 100, 100))
    drawing._font_files.cache_clear()
    assert opened and not any(isinstance(path, str) and not Path(path).is_absolute() for path in opened)
    assert not any(str(path).startswith(str(tmp_path)) for path in opened)


def test_a_label_of_a_megabyte_takes_no_time() -> None:
    long = "a dog " * 200_000
    found = [Detection(long, 3, 0.9, 10, 50, 100, 100)] * 1000
    start = perf_counter()
    picture = drawing.draw(Image.new("RGB", (640, 480)), found)
    assert perf_counter() - start < 1
    label, length = drawing._shortened(long, drawing._font(12), 600)
    assert label.endswith("…") and drawing._font(12).getlength(label) == length <= 600
    assert drawing._font(12).getlength(f"{label[:-1]}a d…") > 600
    assert picture.size == (640, 480)


@pytest.mark.parametrize("most", [0, 3, 11, 40, 300])
def test_a_label_is_cut_where_it_no_longer_fits(most: int) -> None:
    font = drawing._font(12)
    for text in ("", "i", "a dog and a cat", "猫\n\0é" * 9):
        made, length = drawing._shortened(text, font, most)
        assert length == font.getlength(made)
        whole = "猫 \\x00é" * 9 if "猫" in text else text
        cuts = [whole, *(whole[:length] + "…" for length in range(len(whole) - 1, 0, -1)), ""]
        assert made == next(cut for cut in cuts if font.getlength(cut) <= most)
