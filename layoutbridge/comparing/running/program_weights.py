"""The weights in the file of an exported program of PyTorch. Nothing that could run code is unpickled."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from layoutbridge.archives import checked_zip
from layoutbridge.errors import UnusableInputError, class_and_first_line
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.readers.torch.archive import DTYPES

if TYPE_CHECKING:
    import torch

_CONFIGS = ("weights_config.json", "constants_config.json")
_OLD = ("serialized_state_dict.pt", "serialized_constants.pt")  # what PyTorch wrote before 2.8


def read_weights(path: PathLike) -> dict[str, torch.Tensor]:
    """The parameters, buffers and constants in the .pt2 file at `path`, by the names that its signature has.

    Objects that are no tensors are left out, and so are tensors of classes of others. Raises `UnusableInputError` for a
    file that is not whole.
    """
    members = {member.filename for member in checked_zip(path, ".pt2 file")}
    held: dict[str, torch.Tensor] = {}
    try:
        with ZipFile(path) as archive:
            for name in sorted(members):
                if name.endswith(_CONFIGS):
                    held.update(_laid_out(archive, members, name))
                elif name.rpartition("/")[2] in _OLD:
                    held.update(_pickled(archive.read(name)))
    except Exception as error:  # whatever reading a broken file runs into
        raise UnusableInputError(
            f"the weights in '{path}' are not whole ({class_and_first_line(error)}): write it again"
        ) from None
    return held


def _laid_out(archive: ZipFile, members: set[str], config: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors whose bytes lie in members of their own."""
    folder = config.rpartition("/")[0]
    for key, told in json.loads(archive.read(config))["config"].items():
        member = f"{folder}/{told['path_name']}"
        if told.get("tensor_meta") and member in members and not told.get("use_pickle"):
            yield key, _tensor(bytearray(archive.read(member)), told["tensor_meta"])


def _tensor(content: bytearray, meta: Mapping[str, Any]) -> torch.Tensor:
    import torch

    dtype = getattr(torch, DTYPES[meta["dtype"]])
    sizes, strides = ([each["as_int"] for each in meta[key]] for key in ("sizes", "strides"))
    if 0 in sizes:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).as_strided(sizes, strides, meta["storage_offset"]["as_int"])


def _pickled(content: bytes) -> dict[str, torch.Tensor]:
    import torch

    held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True) if content else {}
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}
