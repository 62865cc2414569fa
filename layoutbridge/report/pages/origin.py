"""Where a page comes from: the command, the files with their hashes, the versions and the machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from layoutbridge.darknet.ports.table import ports
from layoutbridge.frameworks.base import installed_version
from layoutbridge.frameworks.table import FRAMEWORKS
from layoutbridge.inputs import is_folder, is_regular_file, sha256_of
from layoutbridge.machine import this_machine
from layoutbridge.report.pages.frame import Section
from layoutbridge.report.pages.parts import code, paragraphs, size, table, text, without_passwords
from layoutbridge.version import __version__

_OTHERS = {  # beside frameworks and runtimes: the module that is imported, and what its distributions are called
    "PIL": ("pillow",),
    "cv2": ("opencv-python", "opencv-python-headless"),
    "einops": ("einops",),
    "faster_coco_eval": ("faster-coco-eval",),
    "keras": ("keras",),
    "mlx": ("mlx",),
    "onnx_ir": ("onnx-ir",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "safetensors": ("safetensors",),
}
_BESIDE = {".param": (".bin",), ".xml": (".bin",), ".onnx": (".onnx.data", ".data", ".onnx_data")}
_MOST_FILES = 60


@dataclass(frozen=True)
class Origin:
    """The words of the command line behind the program's name, the files that went in, other packages that ran."""

    words: Sequence[str]
    files: Sequence[str | os.PathLike[str]] = ()
    packages: Sequence[str] = ()

    @property
    def command(self) -> str:
        """The command line, to be pasted; without names and passwords in addresses.

        >>> Origin(["scan", "my net.onnx"]).command
        "layoutbridge scan 'my net.onnx'"
        """
        return without_passwords(shlex.join(["layoutbridge", *self.words]))


def sections(origin: Origin) -> list[Section]:
    """How to do it again, and with what it was done."""
    rows = list(_file_rows(origin.files))
    again = ["<p>In the folder in which it ran:</p>", f"<pre>{text(origin.command)}</pre>"]
    if rows:
        shown = rows[:_MOST_FILES]
        again += table(("file", "size", "SHA-256"), shown, caption="The files that went in", numbers=("size",))
        again += paragraphs([f"and {len(rows) - _MOST_FILES:,} more"] if len(rows) > _MOST_FILES else [])
    held = ((text(name), text(version)) for name, version in versions(origin.packages).items())
    return [Section("How to reproduce", again), Section("Versions", table(("what", "version"), held))]


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Versions of layoutbridge, of what was imported so far, and of `packages`; the system and the processor."""
    found = {"layoutbridge": __version__, "Python": f"{platform.python_implementation()} {platform.python_version()}"}
    runtimes = (record.runner.package for record in ports() if record.runner is not None)
    known = {name.replace("-", "_"): (name,) for name in (*FRAMEWORKS, *runtimes)} | _OTHERS
    for module, distributions in known.items():
        if module in sys.modules and (version := installed_version(*distributions)) is not None:
            found[distributions[0]] = version
    for name in packages:
        if name not in found and (version := installed_version(name)) is not None:
            found[name] = version
    machine = this_machine()
    return found | {
        "system": platform.platform(),
        "processor": f"{machine.processor} ({machine.kind})",
        "cores": str(machine.cores),
    }


def _file_rows(paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[str, str, str]]:
    seen: set[str] = set()
    for path in (each for given in paths for each in _with_belongings(given)):
        if path in seen:
            continue
        seen.add(path)
        if len(seen) > _MOST_FILES:  # told by their number: hashing all of them may take minutes
            yield code(path), "", ""
            continue
        try:
            yield code(path), size(os.path.getsize(path)), code(sha256_of(path))
        except OSError:
            yield code(path), "", "not there any more"


def _with_belongings(given: str | os.PathLike[str]) -> Iterator[str]:
    """A file and those that belong to it; of a folder all files."""
    path = Path(given)
    if is_folder(path):
        yield from sorted(os.fspath(each) for each in path.rglob("*") if each.is_file())
    elif is_regular_file(path):
        yield os.fspath(given)
        for ending in _BESIDE.get(path.suffix.lower(), ()):
            if is_regular_file(beside := path.with_suffix(ending)):
                yield os.fspath(beside)
