"""Checkpoints in shards: a folder with several safetensors files and an index that says which tensor lies where."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from layoutbridge.checkpoints.safetensors_files import ENDING, SafetensorsFile, read_safetensors
from layoutbridge.checkpoints.stored import Change, Stored
from layoutbridge.errors import UnusableInputError, shown
from layoutbridge.files import Progress
from layoutbridge.inputs import PathLike, is_folder, read_bytes, read_json

INDEX_ENDING = ".safetensors.index.json"
_LARGEST = 100_000_000  # bytes of an index
_MOST_SHARDS = 10_000
_LONGEST_NAME = 255  # characters: no file system has longer ones


@dataclass(frozen=True)
class ShardedCheckpoint:
    """An index and its shards."""

    index: Path
    content: bytes
    shards: tuple[SafetensorsFile, ...]

    @property
    def tensors(self) -> tuple[Stored, ...]:
        """Those of all shards, one shard after another."""
        return tuple(tensor for shard in self.shards for tensor in shard.tensors)

    @property
    def files(self) -> tuple[Path, ...]:
        """The index and the shards."""
        return (self.index, *(shard.path for shard in self.shards))

    @property
    def ending(self) -> str:
        """A copy is a folder."""
        return ""

    def write(self, target: Path, changes: Mapping[str, Change], progress: Progress) -> None:
        """Write index and shards into a new folder `target`, as `SafetensorsFile.write` writes each.

        The index is the same: it tells names, files and bytes, and none of these change.
        """
        total, done = sum(shard.size for shard in self.shards), 0
        target.mkdir()
        for shard in self.shards:
            own = {tensor.name: changes[tensor.name] for tensor in shard.tensors if tensor.name in changes}
            shard.write(target / shard.path.name, own, partial(_told, progress, done, total))
            done += shard.size
        (target / self.index.name).write_bytes(self.content)


def _told(progress: Progress, before: int, total: int, count: int, _: int) -> None:
    progress(before + count, total)


def index_in(folder: PathLike) -> Path | None:
    """The one index of shards in a folder; raises `UnusableInputError` where there are several."""
    try:
        found = sorted(Path(folder).glob(f"*{INDEX_ENDING}")) if is_folder(folder) else []
    except OSError as error:
        raise UnusableInputError(f"cannot read '{os.fspath(folder)}': {error.strerror}") from None
    if len(found) > 1:
        raise UnusableInputError(f"'{os.fspath(folder)}' has {len(found)} indexes of shards: name one of them")
    return found[0] if found else None


def read_sharded(index: PathLike) -> ShardedCheckpoint:
    """The checkpoint of which `index` tells the shards, which lie beside it; of them only the headers are read.

    Raises `UnusableInputError` for what is no index, names files elsewhere, or says other tensors than the shards have.
    """
    path = Path(index)
    content = read_bytes(path, "index of shards", most=_LARGEST)
    value = read_json(content.decode(errors="replace"), longest=_LARGEST)
    owners = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(owners, dict) or not owners or not all(isinstance(name, str) for name in owners.values()):
        raise UnusableInputError(f"'{path}' is no index of shards: it has no weight_map from tensors to files")
    names = list(dict.fromkeys(owners.values()))
    for name in names:
        if Path(name).name != name or "\\" in name or not name.endswith(ENDING) or len(name) > _LONGEST_NAME:
            raise UnusableInputError(f"'{path}' names {shown(name)}: a shard is a {ENDING} file in the same folder")
    if len(names) > _MOST_SHARDS:
        raise UnusableInputError(f"'{path}' names {len(names):,} shards, and may name {_MOST_SHARDS:,}")
    shards = tuple(read_safetensors(path.with_name(name)) for name in names)
    _check(path, owners, shards)
    return ShardedCheckpoint(path, content, shards)


def _check(path: Path, owners: Mapping[str, str], shards: tuple[SafetensorsFile, ...]) -> None:
    held: dict[str, str] = {}
    for shard in shards:
        for tensor in shard.tensors:
            if tensor.name in held:
                raise UnusableInputError(
                    f"tensor {shown(tensor.name)} lies in '{held[tensor.name]}' and in '{shard.path.name}'"
                )
            held[tensor.name] = shard.path.name
    for name, owner in owners.items():
        if held.get(name) != owner:
            raise UnusableInputError(f"'{path}' says that tensor {shown(name)} lies in '{owner}', and it does not")
