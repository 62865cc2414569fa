"""An export made ready to write, then written again and again by children that may be killed. Not a test itself.

`python -m tests.interrupted_exports FORM VARIANT FOLDER WORK` builds everything in this one process, up to the door
where the first file is opened. There it says "ready", and for each line "go" forks a child that walks through and
writes into FOLDER: it tells the child's process number, and its exit status when it has ended. So a write costs
milliseconds, whatever the framework took to get there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from tests.checkpoint_files import write as write_safetensors

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("first", "second")
_CFG = """[net]
width=16
height=16
channels=3
[convolutional]
filters=16
size=3
pad=1
batch_normalize=1
activation=leaky
[convolutional]
filters=8
size=1
activation=linear
"""
_MORE = {"first": "", "second": "[convolutional]\nfilters=5\nsize=1\nactivation=linear\n"}
_LAYER = b"2_convolutional"  # only the second has it

# The files of each form, the one that the others belong to first, and what has to be installed.
FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "onnx": (("net.onnx",), ("onnx",)),
    "onnx-external": (("net.onnx", "net.onnx.data"), ("onnx",)),
    "ncnn": (("net.param", "net.bin", "net.json"), ()),
    "openvino": (("net.xml", "net.bin"), ("onnx", "openvino")),
    "torch": (("net.pt2", "net.safetensors"), ("torch", "safetensors")),
    "keras": (("net.keras",), ("tensorflow", "h5py")),
    "saved-model": (("net",), ("tensorflow",)),
    "tflite": (("net.tflite",), ("tensorflow",)),
    "jax": (("net.jax",), ("jax",)),
    "npy": (("net.npy",), ()),
    "csv": (("net.csv",), ()),
    "json": (("net.json",), ()),
    "c": (("net.c",), ()),
    "picture": (("net.png",), ("PIL",)),
    "weights": (("net.weights",), ()),
    "checkpoint": (("moved.safetensors",), ()),
    "shards": (("moved",), ()),
}


def write(form: str, variant: str, folder: Path, work: Path) -> None:
    """Write the `variant` of `form` into `folder`, what it is made of into `work`."""
    target = folder / FORMS[form][0][0]
    if form == "jax":
        from layoutbridge.frameworks.jax.files import save
        from layoutbridge.operations.catalog import op

        save(op("space_to_depth", stride=1 + len(variant) % 5), target, shape=(1, 4, 12, 12))
    elif form in ("npy", "csv", "json", "c"):
        from layoutbridge import cli

        size = 24 if variant == "first" else 48
        assert cli.main(["table", "focus", "--shape", f"3,{size},{size}", "-o", str(target)]) == 0
    elif form in ("checkpoint", "shards"):
        _write_checkpoint(target, 1 + VARIANTS.index(variant), work, in_shards=form == "shards")
    elif form == "picture":
        from PIL import Image

        from layoutbridge.darknet.detection.drawing import draw

        draw(Image.new("RGB", (300, 300), "red" if variant == "first" else "blue"), [], target)
    else:
        _write_network(form, _network(variant, work), target)


def _write_checkpoint(target: Path, value: int, work: Path, *, in_shards: bool) -> None:
    """Tensors of some megabytes, most of them moved."""
    from layoutbridge.checkpoints.rearranging import rearrange_checkpoint

    rows, columns = (64, 1 << 15) if not in_shards else (64, 1 << 13)
    content = bytes([value]) * (rows * columns)
    source = work / "in"
    source.mkdir(exist_ok=True)
    owners: dict[str, str] = {}
    for number in range(2):
        names = [f"layer{number}.{name}" for name in ("q", "k", "bias")]
        tensors = dict.fromkeys(names, ("U8", (rows, columns), content))
        owners |= dict.fromkeys(names, f"m-{number}.safetensors")
        first = write_safetensors(source / f"m-{number}.safetensors", tensors)
    (source / "m.safetensors.index.json").write_text(json.dumps({"weight_map": owners}))
    rules = [{"tensors": "*.q", "apply": "transpose"}, {"tensors": "*.k", "pattern": "(e r:2) d -> (r e) d"}]
    rearrange_checkpoint(source if in_shards else first, target, rules)


def _write_network(form: str, net: Any, target: Path) -> None:
    from layoutbridge.darknet.ports.table import port

    if form == "weights":
        net.save_weights(target)
        return
    name = {"onnx-external": "onnx", "saved-model": "keras"}.get(form, form)
    options = {"external_data": True} if form == "onnx-external" else {}
    port(name).write(net.network, net.parameters, target, **options)


def _network(variant: str, work: Path) -> Any:
    from layoutbridge.darknet import load
    from tests.darknet_files import built, random_weights

    cfg, weights = work / f"{variant}.cfg", work / f"{variant}.weights"
    cfg.write_text(_CFG + _MORE[variant])
    weights.write_bytes(random_weights(built(cfg.read_text()), VARIANTS.index(variant)))
    return load(cfg, weights, strict=True)


# ---------------------------------------------------------------------- which variant a file is


def variant_of(path: Path, references: dict[str, Path]) -> str | None:
    """The variant that wrote the file or folder at `path`, of those in the folders `references`; None for a part."""
    for variant, folder in references.items():
        if _alike(path, folder / path.name):
            return variant
    return None


def _alike(path: Path, reference: Path) -> bool:
    if path.name == "moved":
        return {p.name: p.read_bytes() for p in path.iterdir()} == {p.name: p.read_bytes() for p in reference.iterdir()}
    if path.is_dir():
        sizes = [{p.relative_to(f): p.stat().st_size for p in f.rglob("*") if p.is_file()} for f in (path, reference)]
        return sizes[0].keys() == sizes[1].keys() and all(
            _has_layer(path / name) == _has_layer(reference / name) for name in sizes[0]
        )
    if path.name == "net.safetensors":  # its header is in another order each time
        both = [file.read_bytes() for file in (path, reference)]
        return len(both[0]) == len(both[1]) and (b"first.cfg" in both[0]) == (b"first.cfg" in both[1])
    if path.suffix == ".keras":  # it bears its time
        try:
            with ZipFile(path) as one, ZipFile(reference) as other:
                return one.testzip() is None and one.read("config.json") == other.read("config.json")
        except (BadZipFile, KeyError):
            return False
    return path.read_bytes() == reference.read_bytes()


def _has_layer(file: Path) -> bool:
    return _LAYER in file.read_bytes()


# ---------------------------------------------------------------------- the program, and who drives it


class Writer:
    """The program for one variant, ready at the door."""

    def __init__(self, form: str, variant: str, folder: Path, work: Path) -> None:
        work.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interrupted_exports", form, variant, str(folder), str(work)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT,
        )  # fmt: skip

    def wait_ready(self) -> None:
        """Until it stands at the door."""
        assert self._answer() == "ready"

    def start(self) -> int:
        """Let a child write; returns its process number."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        return int(self._answer())

    def ended(self) -> int:
        """Wait for the child; its exit status, negative for a signal."""
        return int(self._answer())

    def stop(self) -> None:
        """End the program."""
        self.process.kill()
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("> "):
                return line[2:].strip()
        raise AssertionError(f"the writer ended with {self.process.wait()}")


@contextmanager
def writers(form: str, folder: Path, work: Path) -> Iterator[list[Writer]]:
    """Both variants' programs, ready."""
    made = [Writer(form, variant, folder, work / variant) for variant in VARIANTS]
    try:
        for writer in made:
            writer.wait_ready()
        yield made
    finally:
        for writer in made:
            writer.stop()


def _say(text: str) -> None:
    os.write(1, f"> {text}\n".encode())


def _children_at_the_door() -> None:
    """In the parent forever; returns in each child."""
    _say("ready")
    for _ in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            return
        _say(str(child))
        _say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    os._exit(0)


def _main(form: str, variant: str, folder: str, work: str) -> None:
    from layoutbridge import files

    name = "whole_files" if hasattr(files, "whole_files") else "whole_file"
    real: Callable[..., Any] = getattr(files, name)
    entered: list[bool] = []

    def door(*given: Any, **options: Any) -> Any:
        if not entered:
            entered.append(True)
            _children_at_the_door()
        return real(*given, **options)

    setattr(files, name, door)
    try:
        write(form, variant, Path(folder), Path(work))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
