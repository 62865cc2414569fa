"""What was found in a picture: the objects, with their boxes in its pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: its class, how sure, and its box in pixels of the picture, which may reach beyond the picture."""

    label: str
    class_index: int
    score: float
    left: float
    top: float
    width: float
    height: float

    @property
    def center_x(self) -> float:
        """The box's middle, in pixels from the left."""
        return self.left + self.width / 2

    @property
    def center_y(self) -> float:
        """The box's middle, in pixels from the top."""
        return self.top + self.height / 2

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, the box by its corner and by its centre."""
        return {
            "label": self.label,
            "class_index": self.class_index,
            "score": self.score,
            "box": {"left": self.left, "top": self.top, "width": self.width, "height": self.height},
            "center": {"x": self.center_x, "y": self.center_y},
        }


class Detections(list[Detection]):
    """The detections of one picture, the surest first; `picture_size` is (width, height)."""

    def __init__(self, found: Iterable[Detection], picture_size: tuple[int, int], picture: str | None = None) -> None:
        super().__init__(found)
        self.picture_size = picture_size
        self.picture = picture

    def to_json(self, indent: int | None = None) -> str:
        """One JSON object: the picture's name and size, and the detections."""
        width, height = self.picture_size
        document = {
            "picture": self.picture,
            "width": width,
            "height": height,
            "detections": [d.to_dict() for d in self],
        }
        return json.dumps(document, ensure_ascii=False, indent=indent)
