"""What was found, in the forms that other programs take."""

import io
import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from layoutbridge.darknet.detection.detections import Detections
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.errors import MissingFrameworkError, UnusableInputError
from layoutbridge.report.consoles import PlainConsole
from layoutbridge.report.darknet import networks

FOUND = [Detection("dog", 1, 0.9, 10, 20, 30, 40), Detection("cat", 0, 0.5, -5, 0, 20, 10.5)]


def detections(**options):
    return Detections(FOUND, (100, 80), "a.png", **options)


def test_arrays():
    found = detections()
    assert found.xyxy.tolist() == [[10, 20, 40, 60], [-5, 0, 15, 10.5]]
    assert found.xywh.tolist() == [[25, 40, 30, 40], [5, 5.25, 20, 10.5]]
    assert np.allclose(found.xywhn, [[0.25, 0.5, 0.3, 0.5], [0.05, 0.065625, 0.2, 0.13125]])
    assert found.scores.tolist() == [np.float32(0.9), 0.5] and found.classes.tolist() == [1, 0]
    assert found.labels == ["dog", "cat"]
    assert (found.xyxy.dtype, found.classes.dtype) == (np.float32, np.int64)
    empty = Detections([], (100, 80))
    assert empty.xyxy.shape == empty.xywhn.shape == (0, 4) and empty.scores.shape == empty.classes.shape == (0,)
    assert empty.to_yolo() == "" and empty.to_coco() == [] and str(empty) == "a picture of 100 x 80: nothing found"


def test_a_slice_is_what_it_was():
    found = detections(frame=7)
    first = found[:1]
    assert isinstance(first, Detections) and (first.picture, first.picture_size, first.frame) == ("a.png", (100, 80), 7)
    assert first.xyxy.tolist() == [[10, 20, 40, 60]] and found[1] is FOUND[1]
    assert str(found) == "a.png, frame 7: 1 dog, 1 cat"


def test_texts():
    found = detections()
    assert found.to_yolo(scores=False).splitlines() == [
        "1 0.250000 0.500000 0.300000 0.500000",
        "0 0.050000 0.065625 0.200000 0.131250",
    ]
    assert found.to_coco(3)[1] == {"image_id": 3, "category_id": 0, "bbox": [-5, 0, 20, 10.5], "score": 0.5}
    told = json.loads(detections(frame=2, left_out=4).to_json())
    assert (told["picture"], told["width"], told["frame"], told["left_out"]) == ("a.png", 100, 2, 4)
    assert told["detections"][0]["label"] == "dog"
    columns = found.to_columns()
    assert columns["right"] == [40.0, 15.0] and columns["label"] == ["dog", "cat"]
    assert Detections([], (1, 1)).to_columns() == {name: [] for name in columns}


LIBRARIES = {"to_df": ("pandas", "polars"), "to_supervision": ("supervision",)}


@pytest.mark.parametrize("method", LIBRARIES)
def test_other_libraries_are_asked_for(method):
    found, packages = detections(), LIBRARIES[method]
    if any(map(find_spec, packages)):
        assert len(getattr(found, method)()) == 2
    else:
        with pytest.raises(MissingFrameworkError, match=f"pip install {packages[0]}"):
            getattr(found, method)()


def test_drawings(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = np.zeros((300, 400, 3), np.uint8)
    found = Detections(FOUND, (400, 300), image=picture)
    assert np.asarray(found.plot()).any()
    found.save(tmp_path / "a.png")
    assert image.open(tmp_path / "a.png").size == (400, 300)
    with pytest.raises(UnusableInputError, match="the picture is not kept"):
        Detections(FOUND, (400, 300)).plot()
    assert Detections(FOUND, (400, 300)).plot(picture).size == (400, 300)


def test_very_many_are_told_in_the_same_columns(monkeypatch):
    names = ["dog", "猫", "a traffic light", "[bold]"]
    many = [Detection(names[k % 4], k % 4, 1 - k / 60, 9 - 3 * k, k * k, k, k / 3) for k in range(50)]
    found, told = Detections(many, (100, 80), left_out=7), []
    for most in (1000, 10):
        monkeypatch.setattr(networks, "_MOST_IN_TABLE", most)
        file = io.StringIO()
        networks.show_detections(Console(file=file, width=100), found)
        told.append([line.rstrip() for line in file.getvalue().splitlines()])
    assert told[0] == told[1] and len(told[0]) == 52 and told[0][-1].startswith("and 7 more")


@pytest.mark.parametrize(
    "labels", [["dog", "class 7"], ["日本語 の犬", "été", "[bold]x[/]"], ["a\nb", "dog"], [" x", "a:b:"], [""]]
)
@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("colors", [None, "standard", "truecolor"])
def test_tables_that_need_no_folding_look_like_richs(
    labels: list[str], width: int, colors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(width)
    objects = [
        Detection(
            labels[number % len(labels)], 0, random.random(), *random.uniform(-50, 10 ** random.integers(1, 9), 4)
        )
        for number in range(30)
    ]
    shown = []
    for patched in (False, True):
        file = io.StringIO()
        console = PlainConsole(
            file=file, width=width, color_system=colors, force_terminal=colors is not None, emoji=False
        )
        if patched:
            monkeypatch.setattr(networks._Straight, "fits", lambda *_: False)
        networks.show_detections(console, Detections(objects, (640, 480)))
        shown.append(file.getvalue())
    assert shown[0] == shown[1]


def test_three_hundred_detections_are_told_without_richs_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(networks, "Table")
    objects = [Detection("dog", 0, number / 300, 1, 2, 3, 4) for number in range(300)]
    file = io.StringIO()
    networks.show_detections(PlainConsole(file=file, width=80), Detections(objects, (640, 480)))
    assert file.getvalue().count("\n") == 301


def test_an_empty_array_of_places_chooses_nothing() -> None:
    found = Detections([Detection("dog", 1, 0.75, 0.0, 0.0, 9.0, 9.0)], (100, 200), "a.png")
    for places in (np.array([]), np.array([], np.intp), np.array([False])):
        chosen = found[places]
        assert isinstance(chosen, Detections) and len(chosen) == 0 and chosen.picture == "a.png"
