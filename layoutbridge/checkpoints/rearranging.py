"""`rearrange_checkpoint`: a file of weights with some tensors rearranged, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layoutbridge.checkpoints.npz_files import ENDING as NPZ
from layoutbridge.checkpoints.npz_files import read_npz
from layoutbridge.checkpoints.planning import planned
from layoutbridge.checkpoints.rules import read_rules
from layoutbridge.checkpoints.safetensors_files import ENDING as SAFETENSORS
from layoutbridge.checkpoints.safetensors_files import read_safetensors
from layoutbridge.checkpoints.sharded import INDEX_ENDING, index_in, read_sharded
from layoutbridge.checkpoints.stored import Change, Checkpoint
from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.files import Progress, refuse_overwriting, whole_file
from layoutbridge.inputs import PathLike, exists, is_folder

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class RearrangedCheckpoint:
    """What was done, or would be: the tensors that change, and how many and how large all are."""

    source: str
    output: str | None
    changes: tuple[Change, ...]
    tensors: int
    size: int  # bytes of all tensors
    written: bool

    def __str__(self) -> str:
        told = f"{len(self.changes)} of {self.tensors} tensors of {self.source}"
        return f"{told} rearranged, in {self.output}" if self.written else f"{told} would change"


def rearrange_checkpoint(
    source: PathLike,
    output: PathLike | None,
    rules: PathLike | Sequence[Mapping[str, Any]],
    *,
    undo: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RearrangedCheckpoint:
    """Write the checkpoint at `source` to `output` with the tensors that `rules` name rearranged.

    `source` is a .safetensors or an .npz file, or a folder of shards (or its index, .safetensors.index.json); `output`
    is of the same kind, shards in a new folder. `rules` are a TOML file or mappings, as `read_rules` takes them. With
    `undo` their inverses are applied: a file written with the same rules becomes what it was, byte for byte where
    safetensors wrote it. With `dry_run` only headers are read, and nothing is written. `progress` is called with bytes
    done and bytes in all.

    Tensors of safetensors files go through memory in blocks, by several threads, those in .npz one by one; what no rule
    names is copied as it lies, with order and metadata, of any dtype.
    The file is written whole or not at all. Raises a `LayoutBridgeError` for rules that match nothing, a tensor twice,
    or what does not fit them, for input that is no whole checkpoint, for files with pickles, and for an `output` that
    is the input or cannot be written.

    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.savez(folder / "a.npz", q=np.arange(8).reshape(4, 2), v=np.zeros(3))
    >>> rules = [{"tensors": "q", "pattern": "(e r:2) d -> (r e) d"}]
    >>> done = rearrange_checkpoint(folder / "a.npz", folder / "b.npz", rules)
    >>> [change.name for change in done.changes], np.load(folder / "b.npz")["q"][:, 0].tolist()
    (['q'], [0, 4, 2, 6])
    """
    held = open_checkpoint(source)
    known = read_rules(rules)
    if output is None:
        if not dry_run:
            raise ParameterError("say where to write, or ask for a dry run")
    else:
        _check_output(held, output, [] if not isinstance(rules, str | os.PathLike) else [rules])
    changes = planned(held.tensors, known, undo=undo)
    if output is not None and not dry_run:
        with whole_file(output) as temporary:
            held.write(temporary, {change.name: change for change in changes}, progress or _nothing)
    size = sum(tensor.size for tensor in held.tensors)
    told = None if output is None else os.fspath(output)
    return RearrangedCheckpoint(
        os.fspath(source), told, changes, len(held.tensors), size, output is not None and not dry_run
    )


def open_checkpoint(path: PathLike) -> Checkpoint:
    """The checkpoint at `path`, of which headers alone are read; raises `UnusableInputError` for what is none."""
    text = os.fspath(path)
    if text.endswith(INDEX_ENDING):
        return read_sharded(path)
    if text.lower().endswith(_PICKLES):
        raise UnusableInputError(
            f"'{text}' may hold pickled objects, which run code when they are read: make a safetensors file of it, "
            "with safetensors.torch.save_file(torch.load(path, weights_only=True), new_path)"
        )
    if text.endswith(SAFETENSORS):
        return read_safetensors(path)
    if text.endswith(NPZ):
        return read_npz(path)
    index = index_in(path)
    if index is not None:
        return read_sharded(index)
    if not exists(path):
        raise UnusableInputError(f"there is no checkpoint '{text}'")
    if is_folder(path) and len(found := sorted(Path(path).glob(f"*{SAFETENSORS}"))) > 0:
        raise UnusableInputError(f"'{text}' has no *{INDEX_ENDING}: name a file in it, such as '{found[0]}'")
    raise UnusableInputError(
        f"'{text}' is no checkpoint that is read here: {SAFETENSORS}, {NPZ}, or a folder with *{INDEX_ENDING}"
    )


def _check_output(held: Checkpoint, output: PathLike, others: Sequence[PathLike]) -> None:
    """Raise where `output` would destroy an input or is of another kind, before work is done in vain."""
    refuse_overwriting(output, [*held.files, *others])
    suffix, told = Path(output).suffix, os.fspath(output)
    if held.ending and suffix != held.ending:
        raise ParameterError(f"'{told}' must end in {held.ending}, as the input does: formats are not changed")
    if not held.ending and (suffix in (SAFETENSORS, NPZ, ".json") or (exists(output) and not is_folder(output))):
        raise ParameterError(f"'{told}' must name a new folder: the input lies in shards")
    if not held.ending and is_folder(output) and os.listdir(output):
        raise UnusableInputError(f"the folder '{told}' is not empty: remove it, or name another")


def _nothing(_: int, __: int) -> None:
    """Nobody looks."""
