"""What was measured here before: a small file for each processor, runtime, version of it and number of threads.

They lie in the user's folder for caches, are written whole or not at all, and may be deleted at any time. One that
cannot be read counts as empty, and is written anew; where none can be written, nothing is remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from layoutbridge.errors import LayoutBridgeError
from layoutbridge.files import whole_file
from layoutbridge.inputs import read_bytes, read_json
from layoutbridge.locks import alone_in
from layoutbridge.version import __version__

CONVOLUTIONS, TRIALS = "convolutions", "trials"  # the sections of a file
_PACKAGE = Path(__file__).resolve().parents[2]
_LONGEST = 16 << 20  # bytes
_MOST = 4000  # entries of a section: the oldest go


@dataclass(frozen=True, slots=True)
class Remembered:
    """The file at `path` for what was measured with all that is in `key`."""

    path: Path
    key: Mapping[str, str]

    def recall(self, section: str) -> dict[str, Any]:
        """The entries of a section; none where the file is not there, broken, or of something else."""
        found = self._read().get(section)
        return found if isinstance(found, dict) else {}

    def keep(self, section: str, entries: Mapping[str, Any]) -> None:
        """Add entries to a section, beside what others have added meanwhile."""
        lock = self.path.parent / "lock"
        try:
            lock.mkdir(parents=True, exist_ok=True)
            with alone_in([lock]):
                held = self._read()
                merged = held[section] if isinstance(held.get(section), dict) else {}
                merged = {name: value for name, value in merged.items() if name not in entries} | dict(entries)
                held[section] = dict(list(merged.items())[-_MOST:])
                with whole_file(self.path) as temporary:
                    temporary.write_text(json.dumps({"key": dict(self.key), **held}, indent=1), encoding="utf-8")
        except (OSError, LayoutBridgeError):  # without a place to remember it is measured again
            return

    def _read(self) -> dict[str, Any]:
        try:
            text = read_bytes(self.path, "file of timings", most=_LONGEST).decode("utf-8")
        except (OSError, UnicodeDecodeError, LayoutBridgeError):
            return {}
        told = read_json(text, longest=_LONGEST)
        if not isinstance(told, dict) or told.get("key") != dict(self.key):
            return {}
        return {name: value for name, value in told.items() if name != "key"}


def remembered(
    processor: str, runtime: str, version: str, threads: int, folder: str | os.PathLike[str] | None = None
) -> Remembered:
    """What was measured on this processor in this version of the runtime with so many threads, in `folder`.

    >>> remembered("AMD EPYC 9R14", "ncnn", "1.0", 2, "timings").path.name.rpartition("-")[0]
    'amd-epyc-9r14-ncnn-1.0-2-threads'
    """
    key = {"processor": processor, "runtime": runtime, "version": version, "threads": str(threads)}
    key["layoutbridge"] = f"{__version__} {sources_digest()}"  # whose forms these are
    told = re.sub(r"[^a-z0-9.]+", "-", f"{processor} {runtime} {version} {threads} threads".lower()).strip("-")
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    place = cache_folder() if folder is None else Path(folder)
    return Remembered(place / f"{told[:120]}-{digest}.json", key)


@cache
def sources_digest(package: Path = _PACKAGE) -> str:
    """What tells this layoutbridge from all others, also between releases: a digest of its modules."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")) or sorted(package.rglob("*.pyc")):  # some ship the second alone
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where what was measured lies: in `XDG_CACHE_HOME`, else in the platform's folder for caches."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(given).is_absolute():  # as the specification wants it
        given = os.environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else ""
    base = Path(given or os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache"))
    return base / "layoutbridge" / "tuning"
