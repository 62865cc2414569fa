"""One file of an audit: fetched, told by its hash, scanned. This runs in a process that nothing else depends on."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from layoutbridge.auditing.finding import ModelFile, is_address
from layoutbridge.auditing.records import Record
from layoutbridge.auditing.suspicion import suspicion_of
from layoutbridge.errors import LayoutBridgeError, class_and_first_line, first_line
from layoutbridge.frameworks.onnx.reading import data_files
from layoutbridge.inputs import sha256_of
from layoutbridge.scanning.models import scan

_HEAD = 1 << 16  # bytes that tell a model from another file of its ending
_BLOCK = 1 << 20
_SECTION = re.compile(rb"^\s*\[\s*([^\]\s]*)", re.MULTILINE)
_ELEMENT = re.compile(rb"<([A-Za-z_][^\s>/]*)")


def examined(model: ModelFile) -> Record:
    """What is in one file, whatever it holds: errors become records, too."""
    about = partial(Record, model.name, model.size, model.stamp)
    digest = ""
    try:
        with _at_hand(model) as path:
            content = path / "saved_model.pb" if path.is_dir() else path
            if _is_something_else(content):
                return about("no model")
            digest = sha256_of(content)
            try:
                found = scan(path)
            except LayoutBridgeError as error:
                message = " ".join(str(error).split("\n")).replace(os.fspath(path), model.name)
                return about("unusable", sha256=digest, message=message)
            places = tuple(place.as_json() | {"suspicion": suspicion_of(place)} for place in found.places)
    except OSError as error:
        return about("unusable", message=f"cannot be read: {error.strerror or first_line(error)}")
    except MemoryError:
        return about("unusable", sha256=digest, message="not enough memory")
    except Exception as error:  # of a file system on the network, or a fault of ours: the others go on
        return about("crashed", sha256=digest, message=class_and_first_line(error))
    return about("scanned", sha256=digest, format=found.format, nodes=found.nodes, places=places, notes=found.notes)


def content_hash(model: ModelFile) -> str:
    """The same of a model wherever it lies; empty where it cannot be read, which its scan will tell."""
    try:
        if not is_address(model.content):
            return sha256_of(model.content)
        import fsspec

        digest = hashlib.sha256()
        with fsspec.open(model.content, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    except Exception:  # of any file system
        return ""


@contextmanager
def _at_hand(model: ModelFile) -> Iterator[Path]:
    """The model as a path on this machine: where it lies, or a copy that goes with the block."""
    if not is_address(model.source):
        yield Path(model.source)
        return
    from fsspec.core import url_to_fs

    files, remote = url_to_fs(model.content)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        name = PurePosixPath(remote).name
        copy = Path(folder, name)
        files.get_file(remote, os.fspath(copy))
        ending = copy.suffix.lower()
        if ending == ".xml":  # OpenVINO's constants lie beside it
            weights = f"{remote.removesuffix(PurePosixPath(remote).suffix)}.bin"
            if files.isfile(weights):
                files.get_file(weights, os.fspath(copy.with_suffix(".bin")))
        elif ending == ".onnx":
            _stand_in(files, remote, copy)
        yield Path(folder) if model.content != model.source else copy


def _stand_in(files: Any, remote: str, copy: Path) -> None:
    """Beside a copied ONNX model empty files as large as those with its data: a scan wants them to be there, unread."""
    try:
        named = data_files(copy)
    except LayoutBridgeError:  # which the scan tells
        return
    for name in named:
        path = PurePosixPath(name)
        source = str(PurePosixPath(remote).parent / path)
        if path.is_absolute() or ".." in path.parts or not path.parts or not files.isfile(source):
            continue
        beside = copy.parent / path
        beside.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.truncate(int(files.info(source)["size"]))


def _is_something_else(path: Path) -> bool:
    """Whether it is a file of another kind under the ending of a model: settings in a .cfg, a feed in an .xml."""
    ending = path.suffix.lower()
    if ending not in (".cfg", ".xml"):
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if ending == ".cfg":
        first = _SECTION.search(head)
        return first is not None and b"\0" not in head and first.group(1).lower() not in (b"net", b"network")
    root = _ELEMENT.search(head)
    return root is not None and root.group(1) != b"net"
