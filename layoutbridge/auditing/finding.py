"""The models in folders, archives and places on the network, as fsspec reaches them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from layoutbridge.errors import UnusableInputError, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import exists, file_size, is_folder, is_regular_file
from layoutbridge.scanning.models import can_be_scanned

EXTRA = "audit"
_SAVED = "saved_model.pb"
_ARCHIVES = (".zip", ".whl")  # a package's models lie in its wheel
# Models that no reader knows: told in the report, where files of other endings are none of its business.
_UNREAD = frozenset(
    (".caffemodel", ".ckpt", ".dlc", ".engine", ".gguf", ".hef", ".mlmodel", ".mnn", ".nb", ".ort", ".pb", ".pdmodel",
     ".plan", ".pt", ".pte", ".pth", ".rknn", ".tnnmodel", ".torchscript", ".trt", ".uff")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model to be looked at: `name` is what the report calls it, `source` what a worker opens, from anywhere.

    `content` is the file that is read of it, the protobuf of a SavedModel folder, and `size` its bytes. `stamp` changes
    when the file does, as far as where it lies can tell.
    """

    name: str
    source: str
    content: str
    size: int
    stamp: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The models found, each once, by their names; `others` counts files that are none, `unreadable` names folders."""

    models: tuple[ModelFile, ...]
    others: Mapping[str, int]
    unreadable: tuple[str, ...]


def find_models(targets: Iterable[str]) -> Findings:
    """All models in `targets`: folders, files, zip archives, and addresses that fsspec knows (`s3://`, `hf://`, ...).

    A file that is named itself is taken whatever its ending; in a folder those with an ending of models. Raises
    `UnusableInputError` for what is not there or cannot be reached, `MissingFrameworkError` without fsspec.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.onnx").write_bytes(b"1234"), (folder / "b.txt").write_text("no model")
    >>> found = find_models([str(folder)])
    >>> [(Path(model.name).name, model.size) for model in found.models], dict(found.others)
    ([('a.onnx', 4)], {'.txt': 1})
    """
    require("fsspec", "fsspec", EXTRA)
    models: dict[str, ModelFile] = {}
    others: Counter[str] = Counter()
    unreadable: list[str] = []
    for target in targets:
        for found in _within(target, others, unreadable):
            models.setdefault(found.source, found)
    return Findings(tuple(models[name] for name in sorted(models)), others, tuple(unreadable))


def is_address(target: str) -> bool:
    """Whether `target` is what fsspec reads as an address, not the path of a file.

    >>> is_address("s3://bucket/models"), is_address("zip://::models.zip"), is_address("models/a.onnx")
    (True, True, False)
    """
    return "://" in target or "::" in target


def _within(target: str, others: Counter[str], unreadable: list[str]) -> Iterator[ModelFile]:
    if not is_address(target):
        if not target or not exists(target):
            raise UnusableInputError(f"'{target}' is not there: name a folder, a file or an address such as s3://...")
        if Path(target).suffix.lower() in _ARCHIVES and not is_folder(target):
            target = f"zip://::{os.path.abspath(target)}"
        elif not is_folder(target):
            file_size(target)  # which refuses a pipe or a device
    try:
        yield from _listed(target, others, unreadable)
    except UnusableInputError:
        raise
    except Exception as error:  # of any file system, and of the libraries that reach it
        raise UnusableInputError(f"cannot read '{target}': {first_line(error)}") from None


def _listed(target: str, others: Counter[str], unreadable: list[str]) -> Iterator[ModelFile]:
    from fsspec.core import url_to_fs

    files, root = url_to_fs(target)
    if files.isfile(root):
        info = files.info(root)
        yield _model(target, target if is_address(target) else os.path.abspath(target), "", info)
        return
    is_local = not is_address(target)
    more = {"on_error": lambda error: unreadable.append(str(getattr(error, "filename", error)))} if is_local else {}
    for path, info in files.find(root, detail=True, **more).items():
        if info.get("type") == "directory":
            continue
        if is_local and exists(path) and not is_regular_file(path):  # reading it may never end
            others["pipe or device"] += 1
            continue
        relative = path[len(root) :].lstrip("/") if path.startswith(root) else path
        pure = PurePosixPath(relative)
        is_saved = pure.name == _SAVED
        ending = pure.suffix.lower()
        if not (is_saved or can_be_scanned(relative) or ending in _UNREAD):
            others[ending or "no ending"] += 1
            continue
        inside = str(pure.parent) if is_saved else relative
        name, source = _names(target, files, path, inside, is_saved)
        yield _model(name, source, f"/{_SAVED}" if is_saved else "", info)


def _names(target: str, files: Any, path: str, inside: str, is_saved: bool) -> tuple[str, str]:
    """What the report calls a model below `target`, and what opens it."""
    if not is_address(target):
        name = target if inside == "." else os.path.join(target, inside)
        return name, os.path.abspath(name)
    folder = str(PurePosixPath(path).parent) if is_saved else path
    first, chained, rest = target.partition("::")
    address = (
        f"{first.partition('://')[0]}://{folder.lstrip('/')}::{rest}" if chained else files.unstrip_protocol(folder)
    )
    return address, address


def _model(name: str, source: str, below: str, info: Mapping[str, Any]) -> ModelFile:
    first, chained, rest = source.partition("::")
    content = first + below + chained + rest
    stamps = (info.get(key) for key in ("mtime", "LastModified", "ETag", "etag", "checksum", "date_time", "CRC"))
    stamp = " ".join(str(each) for each in stamps if each is not None)
    return ModelFile(name, source, content, int(info.get("size") or 0), stamp)


def same_sized(models: Sequence[ModelFile]) -> list[ModelFile]:
    """Those that have as many bytes as another: only they can be a file that is there twice."""
    counts = Counter(model.size for model in models)
    return [model for model in models if counts[model.size] > 1]
