"""Labelled pictures as Darknet's .data files and COCO's annotations name them; and what of them is damaged."""

import json
import os

import numpy as np
import pytest

from layoutbridge.darknet.evaluation.datasets import data_options, data_path, read_coco, read_data
from layoutbridge.darknet.evaluation.labels import find_labels, label_path, read_labels
from layoutbridge.errors import UnusableInputError


@pytest.mark.parametrize(
    ("picture", "labels"),
    [  # as replace_image_to_label of the main fork
        ("a/images/train2017/7.jpg", "a/labels/train2017/7.txt"),
        ("a/images/val2014/7.JPG", "a/labels/val2014/7.txt"),
        ("VOC/JPEGImages/7.png", "VOC/labels/7.txt"),
        ("data/obj/7.jpeg", "data/obj/7.txt"),
        ("a/images/7.bmp", "a/images/7.txt"),
        ("a.b/JPEGImages/7.1.tiff", "a.b/labels/7.1.txt"),
        ("/images/val2017/images/val2017/7.ppm", "/labels/val2017/images/val2017/7.txt"),
        ("a.b/7", "a.b/7.txt"),
    ],
)
def test_where_labels_lie(picture, labels):
    assert label_path(picture) == labels


def test_labels_of_other_folders_are_found(tmp_path):
    picture = tmp_path / "images/mine/7.jpg"
    assert find_labels(picture) is None
    for folder in ("labels/mine", "images/mine"):  # the second is where Darknet looks
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "7.txt").write_text("")
        assert find_labels(picture) == str(tmp_path / folder / "7.txt")


def test_labels(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1 0.5 0.25 1e-1 .5\n\n  0\t1 1 1 1 \r\n", encoding="utf-8-sig")
    truth = read_labels(path, 2)
    assert truth.classes.tolist() == [1, 0]
    assert np.array_equal(truth.boxes, np.float32([[0.5, 0.25, 0.1, 0.5], [1, 1, 1, 1]]))
    path.write_text("")
    assert len(read_labels(path, 2)) == 0
    for text, told in (
        ("0 1 1 1", r"a\.txt', line 1: a label is five numbers, class x y w h, not 4"),
        ("0 1 1 1 1\n0 1 1 1 1 1", "line 2: a label is five numbers, class x y w h, not 6: a polygon, or a score"),
        ("dog 1 1 1 1", "line 1: a label is five numbers"),
        ("2 1 1 1 1", "line 1: class 2 is none of the model's 2, 0 to 1"),
        ("-1 1 1 1 1", "class -1 is none"),
        ("0 1 nan 1 1", "line 1: a box of 1 nan 1 1 is none"),
        ("0 1 1 1 inf", "is none"),
        ("0 1 1 1 1e300", "is none"),
        ("\0", "five numbers"),
    ):
        path.write_text(text)
        with pytest.raises(UnusableInputError, match=told):
            read_labels(path, 2)


def a_set(folder, count=2):
    for number in range(count):
        (folder / f"{number}.png").touch()
        (folder / f"{number}.txt").write_text("0 .5 .5 .1 .1\n" * number)
    (folder / "valid.list").write_text("".join(f"{number}.png\n" for number in range(count)) + "\n")
    (folder / "my.data").write_text(
        "# mine\nclasses= 2\ntrain = none\nvalid = valid.list\n valid = other\nnames=my names\n"
    )
    return folder / "my.data"


def test_a_data_file(tmp_path):
    path = a_set(tmp_path)
    options = data_options(path)
    assert options == {"classes": "2", "train": "none", "valid": "valid.list", "names": "my names"}
    held = read_data(path, options, 2)
    assert [len(one.truth) for one in held.pictures] == [0, 1]
    assert [one.picture for one in held.pictures] == [str(tmp_path / "0.png"), str(tmp_path / "1.png")]
    (tmp_path / "1.txt").unlink()
    assert read_data(path, options, 2).without_labels == (str(tmp_path / "1.png"),)
    (tmp_path / "difficult").mkdir()
    (tmp_path / "difficult/0.txt").write_text("1 .5 .5 .1 .1")
    (tmp_path / "hard.txt").write_text("difficult/0.png\ndifficult/1.png\n")
    held = read_data(path, options | {"difficult": "hard.txt"}, 2)
    assert [one.difficult.classes.tolist() for one in held.pictures] == [[1], []]


def test_paths_of_a_data_file(tmp_path, monkeypatch):
    (tmp_path / "cfg").mkdir()
    (tmp_path / "data").mkdir()
    path = tmp_path / "cfg/coco.data"
    (tmp_path / "data/coco.names").touch()
    assert found(path, "data/coco.names") == str(tmp_path / "data/coco.names")
    (tmp_path / "cfg/own.names").touch()
    assert found(path, "own.names") == str(tmp_path / "cfg/own.names")
    monkeypatch.chdir(tmp_path)
    assert found(path, "data/coco.names") == "data/coco.names"
    assert found("cfg/coco.data", "own.names") == os.path.join(tmp_path, "cfg", "own.names")
    with pytest.raises(UnusableInputError, match=r"coco\.data' says names = 'nowhere', and nothing is there"):
        found(path, "nowhere")


def found(path, value):
    return data_path(path, {"names": value}, "names")


def test_data_that_are_unusable(tmp_path):
    path = a_set(tmp_path)
    options = data_options(path)
    for wrong, told in (
        ({"classes": "80"}, "says classes='80', and the model has 2"),
        ({"valid": "none.txt"}, r"my\.data' says valid = 'none\.txt', and nothing is there"),
        ({"valid": "9" * 999}, "says valid = '9+\\.\\.\\.', and nothing"),
        ({"difficult": "one.txt"}, "'one.txt' lists 1 pictures, and 'valid.list' 2"),
        ({"valid": "empty.txt"}, "'empty.txt' names no pictures"),
        ({"valid": "one.txt"}, "none of the 1 pictures of 'one.txt' has a file of labels: that of '.*7.png' would be"),
    ):
        (tmp_path / "one.txt").write_text("7.png")
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(UnusableInputError, match=told):
            read_data(path, options | wrong, 2)
    path.write_text("train = a")
    with pytest.raises(UnusableInputError, match="has no 'valid = list of pictures'"):
        data_options(path)


def annotations(**changes):
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 50}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [0, 0, 50, 50], "area": 2000, "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "Cat"}],
    } | changes


def read(tmp_path, document, names):
    path = tmp_path / "annotations.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return read_coco(path, None, names)


def test_annotations(tmp_path):
    held = read(tmp_path, annotations(), ["dog", "cat", "cow"])
    (one,) = held.pictures
    assert (one.picture, one.number, held.categories, held.notes) == (str(tmp_path / "a.png"), 7, (90, 3, None), ())
    assert one.truth.classes.tolist() == [1] and one.difficult.classes.tolist() == [0]
    assert np.array_equal(one.truth.boxes, np.float32([[0.2, 0.4, 0.2, 0.4]]))
    held = read(tmp_path, annotations(), ["chat", "chien"])
    assert held.categories == (3, 90) and "2 categories are taken in order: dog, Cat are no names" in held.notes[0]


def test_annotations_that_are_unusable(tmp_path):
    box, image = annotations()["annotations"][0], annotations()["images"][0]
    for document, told in (
        ("{", "holds no annotations of COCO's: images, annotations, categories"),
        ([], "holds no annotations"),
        (annotations(images=[]), "names no pictures"),
        (annotations(images=[{"id": 7}]), r"images\[0\] has not id, file_name, width, height"),
        (annotations(images=[image | {"height": 0}]), "without width or height"),
        (annotations(annotations=[box | {"bbox": [1, 2]}]), r"the bbox of annotations\[0\] is not left"),
        (annotations(annotations=[box | {"bbox": [1, 2, 3, "4"]}]), "is not left"),
        (json.dumps(annotations(annotations=[box | {"bbox": [1, 2, 3, 4]}])).replace("4]", "1e999]"), "is not left"),
        (annotations(annotations=[box | {"image_id": 8}]), "a box is in picture 8, which is not listed"),
        (annotations(annotations=[box | {"category_id": 8}]), "a box is of category 8, which is unknown"),
        (annotations(categories=[{"id": 3, "name": 5}]), r"categories\[0\] has not id, name"),
        (
            annotations(categories=[{"id": 3, "name": "horse"}]),
            "1 categories, and the model 2 classes: horse are none of",
        ),
    ):
        with pytest.raises(UnusableInputError, match=told):
            read(tmp_path, document, ["dog", "cat"])
    with pytest.raises(UnusableInputError, match="is no folder of pictures"):
        read_coco(tmp_path / "annotations.json", tmp_path / "none", ["dog", "cat"])


def test_categories_that_are_one_class(tmp_path):
    """As Roboflow writes a category of all of them, without boxes; COCO's count goes by one number for each class."""
    alike = [{"id": 90, "name": "dog"}, {"id": 3, "name": "Cat"}, {"id": 95, "name": "Dog"}, {"id": 1, "name": "cat"}]
    for categories in (alike, alike[::-1]):
        held = read(tmp_path, annotations(categories=categories), ["dog", "cat", "cow"])
        assert held.categories == (90, 3, None)
    box = annotations()["annotations"][0]
    both = annotations(categories=alike, annotations=[box | {"category_id": 90}, box | {"category_id": 95}])
    with pytest.raises(UnusableInputError, match="has boxes of the categories 90 and 95, and both are class 'dog'"):
        read(tmp_path, both, ["dog", "cat", "cow"])
