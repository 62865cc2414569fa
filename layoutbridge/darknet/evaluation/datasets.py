"""Labelled pictures, as Darknet's .data files name them or as COCO's annotations do.

A .data file has `name = value` a line: `valid` (a list of pictures), `names`, `classes`, and `difficult`, a list of
pictures as long, whose labels are boxes that need not be found. Paths are seen from here, as in Darknet, else from the
file's folder or the one above it. Definitions: read_data_cfg in option_list.c of both forks; data format of
cocodataset.org.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layoutbridge.darknet.detectors.sources import listed_files
from layoutbridge.darknet.evaluation.labels import NOTHING, Truth, find_labels, label_path, read_labels
from layoutbridge.errors import UnusableInputError, named, shown
from layoutbridge.inputs import exists, is_folder, read_bytes, read_json

_LARGEST_DATA, _LARGEST_ANNOTATIONS = 1 << 20, 2 << 30  # bytes
_LARGEST_NUMBER = 1e9  # pixels
_TOLD = 5  # names in a message


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture with what is in it; `difficult` are boxes that may be found or not. `number` is its id in COCO's."""

    picture: str
    truth: Truth
    difficult: Truth = NOTHING
    number: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled pictures, read and checked. `annotations` are COCO's, where they come from there.

    `categories` gives each class its number in COCO's. `without_labels` are the pictures that no file of labels was
    found for, which count as empty; `notes` is what else is to be told of how the classes were understood.
    """

    source: str
    pictures: tuple[Labelled, ...]
    categories: tuple[int | None, ...]
    annotations: Mapping[str, Any] | None = None
    without_labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------------- Darknet's


def data_options(path: str | os.PathLike[str]) -> dict[str, str]:
    """The options in a .data file, the first of each name; raises `UnusableInputError` for what is none."""
    content = read_bytes(path, "file of data", most=_LARGEST_DATA)
    options: dict[str, str] = {}
    for line in content.decode("utf-8-sig", errors="surrogateescape").splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and name and not name.startswith(("#", ";", "[")):
            options.setdefault(name, value)
    if "valid" not in options:
        raise UnusableInputError(f"'{os.fspath(path)}' has no 'valid = list of pictures' in it")
    return options


def data_path(path: str | os.PathLike[str], options: Mapping[str, str], name: str) -> str:
    """The path that the option `name` of a .data file has, as one from here; raises `UnusableInputError` without it."""
    folder, value = Path(path).absolute().parent, options[name]
    places = (value, str(folder / value), str(folder.parent / value))
    found = next((place for place in places if exists(place)), None)
    if found is None:
        raise UnusableInputError(f"'{os.fspath(path)}' says {name} = '{named(value)}', and nothing is there")
    return found


def read_data(path: str | os.PathLike[str], options: Mapping[str, str], classes: int) -> Dataset:
    """The labelled pictures of a .data file for a model of so many `classes`.

    Raises `UnusableInputError` for lists that are not there, have not as many pictures, for labels that are damaged,
    and where no picture has any.
    """
    told = options.get("classes")
    if told is not None and told != str(classes):
        raise UnusableInputError(f"'{os.fspath(path)}' says classes={shown(told)}, and the model has {classes}")
    pictures = listed_files(data_path(path, options, "valid"))
    difficult: list[str] | None = None
    if "difficult" in options:
        difficult = listed_files(data_path(path, options, "difficult"))
        if len(difficult) != len(pictures):
            raise UnusableInputError(
                f"'{named(options['difficult'])}' lists {len(difficult)} pictures, and '{named(options['valid'])}' "
                f"{len(pictures)}: each line is the same picture"
            )
    if not pictures:
        raise UnusableInputError(f"'{named(options['valid'])}' names no pictures")
    files = [find_labels(picture) for picture in pictures]
    if not any(files):
        raise UnusableInputError(
            f"none of the {len(pictures)} pictures of '{named(options['valid'])}' has a file of labels: that of "
            f"'{named(pictures[0])}' would be '{named(label_path(pictures[0]))}'"
        )
    others = [None] * len(pictures) if difficult is None else [find_labels(one) for one in difficult]
    labelled = tuple(
        Labelled(picture, _labels(file, classes), _labels(other, classes), number)
        for number, (picture, file, other) in enumerate(zip(pictures, files, others, strict=True))
    )
    without = tuple(picture for picture, file in zip(pictures, files, strict=True) if file is None)
    return Dataset(os.fspath(path), labelled, tuple(range(1, classes + 1)), without_labels=without)


def _labels(path: str | None, classes: int) -> Truth:
    return NOTHING if path is None else read_labels(path, classes)


# ---------------------------------------------------------------------- COCO's


def read_coco(path: str | os.PathLike[str], pictures: str | os.PathLike[str] | None, names: Sequence[str]) -> Dataset:
    """The labelled pictures of COCO's `annotations.json`, in the folder `pictures` or in the file's own.

    `names` are the model's classes. A category is the class of its name; where some have none, and there are as many
    categories as classes, they are taken in order. Boxes of crowds may be found or not. Raises `UnusableInputError` for
    a file that is no such thing, for classes that do not fit, and for boxes of two categories that are one class.
    """
    source = os.fspath(path)
    content = read_bytes(path, "file of annotations", most=_LARGEST_ANNOTATIONS)
    read = read_json(content.decode("utf-8-sig", errors="replace"), longest=_LARGEST_ANNOTATIONS)
    images, annotations, categories = _parts(read, source)
    folder = Path(source).parent if pictures is None else Path(pictures)
    if not is_folder(folder):
        raise UnusableInputError(f"'{folder}' is no folder of pictures")
    classes, notes = _classes(categories, names, source)
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in images}
    for one in annotations:
        if one["image_id"] not in by_image:
            raise UnusableInputError(f"'{source}': a box is in picture {shown(one['image_id'])}, which is not listed")
        if one["category_id"] not in classes:
            raise UnusableInputError(f"'{source}': a box is of category {shown(one['category_id'])}, which is unknown")
        by_image[one["image_id"]].append(one)
    labelled = tuple(_labelled(folder, image, by_image[number], classes) for number, image in images.items())
    held = _numbers(classes, {one["category_id"] for one in annotations}, names, source)
    return Dataset(source, labelled, held, annotations=read, notes=notes)


def _parts(read: Any, source: str) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The images by their ids, the boxes, the categories; each checked for what is read of it."""
    wanted = {
        "images": {"id": int, "file_name": str, "width": int, "height": int},
        "annotations": {"image_id": int, "category_id": int, "bbox": list},
        "categories": {"id": int, "name": str},
    }
    if not isinstance(read, dict) or not all(isinstance(read.get(part), list) for part in wanted):
        raise UnusableInputError(f"'{source}' holds no annotations of COCO's: {', '.join(wanted)}")
    for part, entries in wanted.items():
        for number, one in enumerate(read[part]):
            if not isinstance(one, dict) or not all(isinstance(one.get(name), kind) for name, kind in entries.items()):
                raise UnusableInputError(f"'{source}': {part}[{number}] has not {', '.join(entries)}")
    for number, one in enumerate(read["annotations"]):
        if len(one["bbox"]) != 4 or not all(map(_is_number, one["bbox"])):
            raise UnusableInputError(f"'{source}': the bbox of annotations[{number}] is not left, top, width, height")
    if not all(0 < one[side] < _LARGEST_NUMBER for one in read["images"] for side in ("width", "height")):
        raise UnusableInputError(f"'{source}' has a picture without width or height")
    if not read["images"]:
        raise UnusableInputError(f"'{source}' names no pictures")
    return {one["id"]: one for one in read["images"]}, read["annotations"], read["categories"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER


def _classes(
    categories: list[dict[str, Any]], names: Sequence[str], source: str
) -> tuple[dict[int, int], tuple[str, ...]]:
    """The class of each category, by its id."""
    numbers = {name.casefold(): index for index, name in enumerate(names)}
    unknown = [one["name"] for one in categories if one["name"].casefold() not in numbers]
    if not unknown:
        return {one["id"]: numbers[one["name"].casefold()] for one in categories}, ()
    if len(categories) == len(names):
        ordered = sorted(one["id"] for one in categories)
        told = f"the {len(names)} categories are taken in order: {', '.join(_few(unknown))} are no names of the model's"
        return {number: index for index, number in enumerate(ordered)}, (told,)
    raise UnusableInputError(
        f"'{source}' has {len(categories)} categories, and the model {len(names)} classes: {', '.join(_few(unknown))} "
        f"are none of {', '.join(_few(list(names)))}: give it the names"
    )


def _numbers(classes: Mapping[int, int], used: set[int], names: Sequence[str], source: str) -> tuple[int | None, ...]:
    """The category of each class: of several that which has boxes, as detections count under one of them."""
    numbers: dict[int, int] = {}
    for category, index in classes.items():
        other = numbers.setdefault(index, category)
        if other != category and {other, category} <= used:
            raise UnusableInputError(
                f"'{source}' has boxes of the categories {other} and {category}, and both are class "
                f"{shown(names[index])}: give its boxes one of them"
            )
        if other not in used:
            numbers[index] = category
    return tuple(numbers.get(index) for index in range(len(names)))


def _few(names: list[str]) -> Iterator[str]:
    yield from (name[:40] for name in names[:_TOLD])
    if len(names) > _TOLD:
        yield f"{len(names) - _TOLD} more"


def _labelled(
    folder: Path, image: Mapping[str, Any], boxes: Sequence[Mapping[str, Any]], classes: Mapping[int, int]
) -> Labelled:
    plain = [_row(one, image, classes) for one in boxes if not one.get("iscrowd")]
    crowds = [_row(one, image, classes) for one in boxes if one.get("iscrowd")]
    return Labelled(str(folder / image["file_name"]), Truth.of(plain), Truth.of(crowds), image["id"])


def _row(
    one: Mapping[str, Any], image: Mapping[str, Any], classes: Mapping[int, int]
) -> tuple[int, float, float, float, float]:
    left, top, width, height = one["bbox"]
    across, down = image["width"], image["height"]
    middle = ((left + width / 2) / across, (top + height / 2) / down)
    return classes[one["category_id"]], *middle, width / across, height / down
