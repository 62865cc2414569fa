"""What was found in a picture: the objects, with their boxes in its pixels, in the forms that other programs take."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.drawing import draw
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.errors import MissingFrameworkError, UnusableInputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from layoutbridge.darknet.detection.pictures import Picture

_SHOWN = 5  # classes that are told in a line


class Detections(list[Detection]):
    """The detections of one picture, the surest first; a slice of them is one, too.

    `picture_size` is (width, height), `picture` the file's name, `frame` the number of a film's picture, from 0 on.
    `image` is what was given where that was no file: an array, a film's picture, one that came through a pipe.
    `left_out` says how many more there were than were asked for.

    >>> found = Detections([Detection("dog", 1, 0.75, 10.0, 20.0, 30.0, 40.0)], (100, 200), "a.png")
    >>> found.xyxy.tolist(), found.xywhn.tolist()
    ([[10.0, 20.0, 40.0, 60.0]], [[0.25, 0.20000000298023224, 0.30000001192092896, 0.20000000298023224]])
    >>> print(found)
    a.png: 1 dog
    >>> print(found.to_yolo())
    1 0.250000 0.200000 0.300000 0.200000 0.750000
    """

    def __init__(
        self,
        found: Iterable[Detection],
        picture_size: tuple[int, int],
        picture: str | None = None,
        *,
        frame: int | None = None,
        image: Picture | None = None,
        left_out: int = 0,
    ) -> None:
        super().__init__(found)
        self.picture_size = picture_size
        self.picture = picture
        self.frame = frame
        self.image = image
        self.left_out = left_out

    @overload
    def __getitem__(self, index: SupportsIndex) -> Detection: ...  # type: ignore[overload-overlap]

    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.integer[Any]]) -> Detections: ...

    def __getitem__(
        self, index: SupportsIndex | slice | NDArray[np.bool_] | NDArray[np.integer[Any]]
    ) -> Detection | Detections:
        """The detection at a place; the detections of a slice, of the places in an array, or where one of bool is true.

        Raises `IndexError` for a place that is not there, and an array of bool of another length.

        >>> two = Detections([Detection("dog", 1, s, 0.0, 0.0, 9.0, 9.0) for s in (0.75, 0.5)], (100, 200))
        >>> len(two[two.scores > 0.6]), two[np.array([1, 0])].scores.tolist()
        (1, [0.5, 0.75])
        """
        chosen: list[Detection]
        if isinstance(index, slice):
            chosen = super().__getitem__(index)
        elif isinstance(index, np.ndarray) and index.ndim == 1 and (index.dtype.kind in "biu" or not index.size):
            if index.dtype.kind == "b" and len(index) != len(self):
                raise IndexError(f"an array of {len(index)} bool chooses none of {len(self)} detections")
            places = np.flatnonzero(index) if index.dtype.kind == "b" else index
            chosen = [super(Detections, self).__getitem__(place) for place in places.tolist()]
        else:
            return super().__getitem__(index)  # type: ignore[index]
        return Detections(chosen, self.picture_size, self.picture, frame=self.frame, image=self.image)

    def __str__(self) -> str:
        named = Counter(one.label for one in self)
        told = [f"{count} {label}" for label, count in named.most_common(_SHOWN)]
        told += [f"{len(named) - _SHOWN} more classes"] if len(named) > _SHOWN else []
        told += [f"{self.left_out} more"] if self.left_out else []
        where = self.picture or "a picture of {} x {}".format(*self.picture_size)
        where += "" if self.frame is None else f", frame {self.frame}"
        return f"{where}: {', '.join(told) or 'nothing found'}"

    # ------------------------------------------------------------------ arrays

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """Left, top, right, bottom in pixels of the picture: float32 [n, 4]."""
        rows = [(one.left, one.top, one.left + one.width, one.top + one.height) for one in self]
        return np.array(rows, np.float32).reshape(-1, 4)

    @property
    def xywh(self) -> NDArray[np.float32]:
        """The centre, width and height in pixels of the picture: float32 [n, 4]."""
        rows = [(one.center_x, one.center_y, one.width, one.height) for one in self]
        return np.array(rows, np.float32).reshape(-1, 4)

    @property
    def xywhn(self) -> NDArray[np.float32]:
        """The same as shares of the picture's width and height: float32 [n, 4]."""
        shares: NDArray[np.float32] = np.divide(self.xywh, np.array(self.picture_size * 2, np.float32))
        return shares

    @property
    def scores(self) -> NDArray[np.float32]:
        """How sure, from 0 to 1: float32 [n]."""
        return np.array([one.score for one in self], np.float32)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes' numbers: int64 [n]."""
        return np.array([one.class_index for one in self], np.int64)

    @property
    def labels(self) -> list[str]:
        """The classes' names."""
        return [one.label for one in self]

    # ------------------------------------------------------------------ pictures

    def plot(self, picture: Picture | None = None) -> Image:
        """The picture with the boxes drawn on it, as `drawing.draw` does: the one given, else that which was looked at.

        Raises `UnusableInputError` where there is none, and as `draw` does.
        """
        return draw(self._looked_at(picture), self)

    def save(self, path: str | os.PathLike[str], picture: Picture | None = None) -> None:
        """Save that drawing to `path`, whose ending says the format. Raises as `plot` and `draw` do."""
        draw(self._looked_at(picture), self, path)

    def _looked_at(self, picture: Picture | None) -> Picture:
        source = next((one for one in (picture, self.image, self.picture) if one is not None), None)
        if source is None:
            raise UnusableInputError("the picture is not kept: give it to plot or save")
        return source

    # ------------------------------------------------------------------ other programs' forms

    def to_json(self, indent: int | None = None) -> str:
        """One JSON object: the picture's name and size, and the detections."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        width, height = self.picture_size
        document: dict[str, Any] = {"picture": self.picture, "width": width, "height": height}
        document |= {} if self.frame is None else {"frame": self.frame}
        document |= {"left_out": self.left_out} if self.left_out else {}
        return document | {"detections": [one.to_dict() for one in self]}

    def to_yolo(self, *, scores: bool = True) -> str:
        """A line for each: the class's number, x and y of the centre, width and height as shares, and the score.

        Without `scores` it is the text of labels that YOLO trains with.
        """
        rows = zip(self.classes, self.xywhn.astype(np.float64), self.scores.astype(np.float64), strict=True)
        return "\n".join(
            " ".join([str(index), *(f"{number:.6f}" for number in (*box, *((score,) if scores else ())))])
            for index, box, score in rows
        )

    def to_coco(self, image_id: int | str = 0) -> list[dict[str, Any]]:
        """The entries of COCO's list of results: image_id, category_id (the class's number), bbox and score."""
        return [
            {
                "image_id": image_id,
                "category_id": one.class_index,
                "bbox": [one.left, one.top, one.width, one.height],
                "score": one.score,
            }
            for one in self
        ]

    def to_columns(self) -> dict[str, list[Any]]:
        """A table as lists by column: label, class_index, score, left, top, right, bottom. Any data frame takes it."""
        names = ("left", "top", "right", "bottom")
        corners = self.xyxy.astype(float).T.tolist() if self else [[]] * len(names)
        return {
            "label": self.labels,
            "class_index": self.classes.tolist(),
            "score": [one.score for one in self],
            **dict(zip(names, corners, strict=True)),
        }

    def to_df(self) -> Any:
        """That table as a data frame of pandas, or of polars where there is no pandas.

        Raises `MissingFrameworkError` without both; any other library takes `to_columns`.
        """
        library = next((name for name in ("pandas", "polars") if find_spec(name)), "pandas")
        return _required(library).DataFrame(self.to_columns())

    def to_supervision(self) -> Any:
        """They as `supervision.Detections`, the names under "class_name"; raises `MissingFrameworkError` without it."""
        return _required("supervision").Detections(
            xyxy=self.xyxy,
            confidence=self.scores,
            class_id=self.classes,
            data={"class_name": np.array(self.labels)},
        )


def _required(package: str) -> Any:
    """A library that only those use who have it already."""
    if find_spec(package) is None:
        raise MissingFrameworkError(f"{package} is not installed: pip install {package}")
    return import_module(package)
