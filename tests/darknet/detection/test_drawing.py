"""Drawing by its pixels: boxes, their colours, their labels."""

from math import inf, nan
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet.detection import drawing, fonts
from layoutbridge.darknet.detection.fonts import usual_font
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
    font, texts = usual_font(14), ["dog 90%", "j,|Wf", "猫 é", "  ", "…"]
    for text in texts:
        ours, theirs = (Image.new("RGB", (200, 40), (255, 64, 64)) for _ in range(2))
        letters, (left, top) = drawing._letters(text, font)
        if letters is not None:
            ours.paste((16, 16, 16), (5 + left, 4 + top), letters)
        ImageDraw.Draw(theirs).text((5, 4), text, fill=(16, 16, 16), font=font)
        assert ours == theirs


def forget_fonts() -> None:
    for known in (fonts._all_files, fonts._usual_files, fonts._other_files, fonts.usual_font, fonts._best_font):
        known.cache_clear()


def test_a_font_in_the_current_folder_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path, tmp_path / "fonts", tmp_path / ".fonts"):
        place.mkdir(exist_ok=True)
        (place / "DejaVuSans.ttf").write_bytes(b"planted")
    monkeypatch.chdir(tmp_path)
    for name, value in (("XDG_DATA_DIRS", ":."), ("XDG_DATA_HOME", "."), ("HOME", ".")):
        monkeypatch.setenv(name, value)
    forget_fonts()
    opened: list[object] = []
    font_of = pytest.importorskip("PIL.ImageFont").FreeTypeFont

    class Watched(font_of):  # type: ignore[misc,valid-type]
        def __init__(self, font: Any = None, *others: Any, **named: Any) -> None:
            opened.append(font)
            super().__init__(font, *others, **named)

    monkeypatch.setattr("PIL.ImageFont.FreeTypeFont", Watched)
    drawn((300, 300), mark(10, 50, 100, 100))
    forget_fonts()
    assert opened and not any(isinstance(path, str) and not Path(path).is_absolute() for path in opened)
    assert not any(str(path).startswith(str(tmp_path)) for path in opened)


def made_font(path: Path, letters: str) -> None:
    """A font with a square for each letter, but for those that it lacks."""
    builder = pytest.importorskip("fontTools.fontBuilder", reason="fontTools is not installed").FontBuilder(1000)
    pen = pytest.importorskip("fontTools.pens.ttGlyphPen").TTGlyphPen(None)
    for corners in (((100, 0), (100, 700), (800, 700), (800, 0)),):
        pen.moveTo(corners[0])
        for corner in corners[1:]:
            pen.lineTo(corner)
        pen.closePath()
    square, empty = pen.glyph(), pytest.importorskip("fontTools.pens.ttGlyphPen").TTGlyphPen(None).glyph()
    names = [".notdef", *(f"g{number}" for number in range(len(letters)))]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf({name: square if number else empty for number, name in enumerate(names)})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_letters_of_any_script_are_drawn_or_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".fonts").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    known = "собака σκύλος naïve"
    try:
        forget_fonts()
        usual = usual_font(14)
        has_alphabets = not fonts._lacking(usual, frozenset("соσκ"))
        if has_alphabets:
            assert fonts.font_and_text(known, 14) == (usual, known)
        if fonts.font_and_text("人", 14)[1] != "人":
            assert fonts.font_and_text("dog 人 80%", 14) == (usual, "dog \\u4eba 80%")
            made_font(tmp_path / ".fonts/Squares-Regular.ttf", "ab人狗")
            forget_fonts()
            font, text = fonts.font_and_text("人", 14)
            assert text == "人" and font.getname() == ("Squares", "Regular")
            font, text = fonts.font_and_text("人狗猫", 14)
            assert text == "人狗\\u732b" and font.getname() == ("Squares", "Regular")
            made_font(tmp_path / ".fonts/NotoSansCJK-Regular.ttf", "ab人狗猫")
            forget_fonts()
            assert fonts.font_and_text("人狗猫", 14)[1] == "人狗猫"
        (tmp_path / ".fonts/broken.otf").write_bytes(b"no font")
        forget_fonts()
        assert fonts.font_and_text("\U0001f9ff", 14)[1] in ("\U0001f9ff", "\\U0001f9ff")
        assert fonts.font_and_text("a\x1b\udc80", 14)[1] == "a\\x1b\\udc80"
        image = drawing.draw(Image.new("RGB", (300, 300)), [Detection("人 и 猫", 0, 0.8, 20, 90, 200, 100)])
        assert image.size == (300, 300)
    finally:
        monkeypatch.undo()
        forget_fonts()


def test_a_label_of_a_megabyte_takes_no_time() -> None:
    long = "a dog " * 200_000
    found = [Detection(long, 3, 0.9, 10, 50, 100, 100)] * 1000
    start = perf_counter()
    picture = drawing.draw(Image.new("RGB", (640, 480)), found)
    assert perf_counter() - start < 1
    label, length = drawing._shortened(long, usual_font(12), 600)
    assert label.endswith("…") and usual_font(12).getlength(label) == length <= 600
    assert usual_font(12).getlength(f"{label[:-1]}a d…") > 600
    assert picture.size == (640, 480)


@pytest.mark.parametrize("most", [0, 3, 11, 40, 300])
def test_a_label_is_cut_where_it_no_longer_fits(most: int) -> None:
    font = usual_font(12)
    for text in ("", "i", "a dog and a cat", "猫\n\0é" * 9):
        made, length = drawing._shortened(text, font, most)
        assert length == font.getlength(made)
        whole = "猫 \\x00é" * 9 if "猫" in text else text
        cuts = [whole, *(whole[:length] + "…" for length in range(len(whole) - 1, 0, -1)), ""]
        assert made == next(cut for cut in cuts if font.getlength(cut) <= most)
