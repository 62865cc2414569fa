"""What a picture was found to show: the surest classes, in the forms that other programs take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN = 5  # classes that are told in a line


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class and how sure, from 0 to 1; `parent` is the class above it in a tree, None at its root or without one."""

    label: str
    class_index: int
    score: float
    parent: str | None = None


class Classification(list[ClassScore]):
    """The surest classes of one picture, in order.

    `picture` is the file's name, `frame` the number of a film's picture, from 0 on; `probabilities` has every class.

    >>> shown = Classification([ClassScore("dog", 1, 0.75)], np.float32([0.25, 0.75]), "a.png")
    >>> print(shown)
    a.png: dog 75.00%
    >>> shown.labels, shown.scores.tolist(), shown.classes.tolist()
    (['dog'], [0.75], [1])
    """

    def __init__(
        self,
        found: Iterable[ClassScore],
        probabilities: NDArray[np.float32],
        picture: str | None = None,
        *,
        frame: int | None = None,
    ) -> None:
        super().__init__(found)
        self.probabilities = probabilities
        self.picture = picture
        self.frame = frame

    def __str__(self) -> str:
        where = self.picture or "a picture"
        where += "" if self.frame is None else f", frame {self.frame}"
        return f"{where}: {', '.join(f'{one.label} {one.score:.2%}' for one in self[:_SHOWN])}"

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

    def to_json(self, indent: int | None = None) -> str:
        """One JSON object: the picture's name, and the classes."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        document: dict[str, Any] = {"picture": self.picture}
        document |= {} if self.frame is None else {"frame": self.frame}
        return document | {"classes": [asdict(one) for one in self]}

    def to_columns(self) -> dict[str, list[Any]]:
        """A table as lists by column: label, class_index, score, parent. Any data frame takes it."""
        return {name: [getattr(one, name) for one in self] for name in ClassScore.__dataclass_fields__}


class Classified(list[Classification]):
    """Those of several pictures, in their order; `unreadable` has a line for each that could not be read."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: list[str] = []
