"""What Ultralytics' programs read of a file: task, stride, batch, size, channels, and the classes' names.

They are texts by name in a file's own metadata; `metadata.json` in the archive behind a .tflite; and `metadata.yaml` in
the folders that these programs know by their names, as `yolov4_ncnn_model`. Definition: `apply_metadata` and
`read_export_metadata` of `ultralytics/nn/backends/base.py`.
"""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from layoutbridge.darknet.structure.heads import DetectionHead, Head
from layoutbridge.darknet.structure.model import Network

YAML = "metadata.yaml"
JSON = "metadata.json"
NAMES = "names"
LONGEST_LITERAL = 1 << 20  # characters of names as Python writes a dict; more are a list, which is read faster
_KEYS = ("task", "stride", "batch", "imgsz", "channels", NAMES)


def told(network: Network, names: Sequence[str] | None, batch: int | None, *, classifies: bool) -> dict[str, str]:
    """The texts for a network of pictures; none for one that is no detector, and no classifier either.

    `batch` None is one that is open.
    """
    heads = [layer for layer in network.layers if isinstance(layer.settings, Head)]
    if len(network.in_shape) != 3 or not (heads or classifies):
        return {}
    rows = [
        layer.settings.side if isinstance(layer.settings, DetectionHead) else layer.out_shape[-2] for layer in heads
    ]
    numbers = {
        "task": "detect" if heads else "classify",
        "stride": str(max((network.height // max(count, 1) for count in rows), default=1) or 1),
        "batch": str(batch or 1),
        "imgsz": str([network.height, network.width]),
        "channels": str(network.channels),
    }
    return numbers if names is None else numbers | {NAMES: names_told(names)}


def names_told(names: Sequence[str]) -> str:
    """The classes' names by their numbers, as Python writes a dict.

    >>> names_told(["cat", "it's"])
    '{0: \\'cat\\', 1: "it\\'s"}'
    """
    text = repr(dict(enumerate(names)))
    return text if len(text) <= LONGEST_LITERAL else json.dumps(list(names), ensure_ascii=False)


def as_json(metadata: Mapping[str, str]) -> str:
    """Those of `metadata` that Ultralytics reads, as one JSON object; names by their numbers.

    >>> as_json({"task": "detect", "imgsz": "[32, 64]", "names": "{0: 'cat'}", "head": "boxes"})
    '{"task": "detect", "imgsz": [32, 64], "names": {"0": "cat"}}'
    """
    return json.dumps(_values(metadata), ensure_ascii=False)


def as_yaml(metadata: Mapping[str, str]) -> str:
    """The same in YAML, whose texts are written as in JSON.

    >>> print(as_yaml({"task": "detect", "imgsz": "[32, 64]", "names": "{0: 'cat', 1: 'a: b'}"}), end="")
    task: "detect"
    imgsz: [32, 64]
    names:
      0: "cat"
      1: "a: b"
    """
    return "".join(f"{line}\n" for line in _lines(_values(metadata)))


def yaml_beside(path: Path, program: str) -> tuple[Path, ...]:
    """The `metadata.yaml` beside a file, where its folder is called as Ultralytics calls those of a `program`.

    >>> yaml_beside(Path("yolov4_ncnn_model/net.param"), "ncnn")[0].name, yaml_beside(Path("net.param"), "ncnn")
    ('metadata.yaml', ())
    """
    return (path.with_name(YAML),) if path.absolute().parent.name.endswith(f"_{program}_model") else ()


def _values(metadata: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {key: metadata[key] for key in _KEYS if key in metadata}
    values |= {key: int(values[key]) for key in ("stride", "batch", "channels") if key in values}
    values |= {key: literal_eval(values[key]) for key in ("imgsz", NAMES) if key in values}
    if isinstance(values.get(NAMES), list):
        values[NAMES] = dict(enumerate(values[NAMES]))
    return values


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{key}:"
            yield from (f"  {number}: {_scalar(name)}" for number, name in value.items())
        else:
            yield f"{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """As in JSON, what YAML cannot hold as it is by its number."""
    written = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}" for char in written)
