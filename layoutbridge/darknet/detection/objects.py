"""One object that was found in a picture."""

from __future__ import annotations

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
