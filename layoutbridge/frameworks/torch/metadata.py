"""What a .pt2 of ours tells beside its program, read without PyTorch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from layoutbridge.frameworks.base import ABOUT

BESIDE = "state_dict"  # there the name of the file with the parameters that was written with it
_STATE_DICT = ".safetensors"
_LONGEST = 1 << 20  # bytes


def state_dict_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The file beside the .pt2 at `path` that it names as written with it; none where there is no such .pt2 or file."""
    beside = Path(path).with_suffix(_STATE_DICT)
    if not os.path.isfile(beside):  # which knows of names that are too long
        return ()
    try:
        with ZipFile(path) as archive:
            found = next(held for held in archive.infolist() if held.filename.endswith(f"/extra/{ABOUT}"))
            told = json.loads(archive.read(found)) if found.file_size <= _LONGEST else {}
    except (OSError, BadZipFile, StopIteration, ValueError, NotImplementedError, RuntimeError):
        return ()
    return (beside,) if isinstance(told, dict) and told.get(BESIDE) == beside.name else ()
