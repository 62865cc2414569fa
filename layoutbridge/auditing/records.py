"""What an audit found out about one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from layoutbridge.scanning.graphs.sizes import shape_text

Status = Literal["scanned", "unusable", "crashed", "timed out", "duplicate", "no model"]


@dataclass(frozen=True, slots=True)
class Record:
    """One file: its bytes, their SHA-256, and what came of it.

    `status` is "scanned" with the `places` that `scan` tells as JSON, each with a `suspicion` where there is one;
    "unusable", "crashed" or "timed out" with a `message`; "duplicate" of the file `same_as`; "no model" for a file that
    has a model's ending and is something else.
    """

    file: str
    size: int
    stamp: str
    status: Status
    sha256: str = ""
    message: str = ""
    same_as: str = ""
    format: str = ""
    nodes: int = 0
    places: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The record on one line."""
        return json.dumps({field: getattr(self, field) for field in self.__slots__})

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record that `to_json` wrote; raises `ValueError` or `TypeError` for another line.

        >>> Record.from_json(Record("a.onnx", 3, "", "unusable", message="empty").to_json()).message
        'empty'
        """
        held = json.loads(line)
        record = cls(**held)
        return cls(**{**held, "places": tuple(record.places), "notes": tuple(record.notes)})

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the report: one for each place, or a single one without a place; none for what is no model."""
        if self.status == "no model":
            return
        about = {
            "file": self.file, "size": self.size, "sha256": self.sha256, "status": self.status,
            "message": self.message, "same_as": self.same_as, "format": self.format, "nodes": self.nodes,
            "notes": list(self.notes),
        }  # fmt: skip
        for number, place in enumerate(self.places):
            yield about | {
                "place": number, "node_names": place["nodes"], "inputs": place["inputs"], "output": place["output"],
                "in_shapes": [shape_text(shape) for shape in place["in_shapes"]],
                "out_shape": shape_text(place["out_shape"]), "kind": place["kind"], "names": place["names"],
                "parameters": json.dumps(place["parameters"]), "pattern": place["pattern"], "layout": place["layout"],
                "wrapping": place["wrapping"], "bytes": place["bytes"], "advice": place["advice"],
                "reason": place["reason"], "suspicion": place["suspicion"],
            }  # fmt: skip
        if not self.places:
            yield about
