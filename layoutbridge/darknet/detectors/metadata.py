"""What a model file says of itself, wherever its format has room for that: one JSON object of texts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.base import ABOUT
from layoutbridge.inputs import exists, is_regular_file, read_bytes, read_json

_OTHERS = "metadata.json"
_LONGEST = 8 << 20  # bytes: names of 100,000 classes and more


def read_beside(path: Path) -> Mapping[str, str]:
    """Those in the file `path`; none where there is no such file."""
    if not exists(path) or not is_regular_file(path):
        return {}
    return told_in(read_bytes(path, "metadata file", most=_LONGEST), path)


def read_within(path: str | os.PathLike[str]) -> Mapping[str, str]:
    """Those of the member `layoutbridge.json` of a zip archive, or of one behind other content; none without it.

    In whatever folder of the archive the member lies; `metadata.json`, Ultralytics' own, where there is none of ours.
    Raises `UnusableInputError` where it holds no such object.
    """
    try:
        with ZipFile(path) as archive:
            members = {Path(one.filename).name: one for one in reversed(archive.infolist())}
            found = members.get(ABOUT, members.get(_OTHERS))
            if found is None or found.file_size > _LONGEST:
                return {}
            with archive.open(found) as member:
                content = member.read(_LONGEST)
    except (OSError, BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError):
        return {}
    return told_in(content, path)


def told_in(content: bytes | None, path: str | os.PathLike[str]) -> Mapping[str, str]:
    """Those that `content` of the file `path` holds; none where that is None."""
    if content is None:
        return {}
    try:
        told = read_json(content.decode("utf-8"), longest=_LONGEST)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise UnusableInputError(f"'{os.fspath(path)}': its metadata are no JSON object")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


def output_names(metadata: Mapping[str, str], count: int, source: str) -> list[str]:
    """The names of a model's outputs, where it gives `count` in an order: those in its metadata, else numbers.

    Raises `UnusableInputError` where these are names of others.
    """
    if "outputs" not in metadata:
        return [f"output {number}" for number in range(count)]
    names = read_json(metadata["outputs"])
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise UnusableInputError(f"'{source}': its metadata tell other outputs than the {count} that it has")
    return names
