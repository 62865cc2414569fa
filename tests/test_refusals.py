"""Hostile files of every kind, given to the command line: one line, exit 2, little memory and little time.

A case is a line of `CASES`: what is built in an empty folder, the arguments, and what the line says. Each runs in a
process of its own, whose memory and processor time the system tells. To add one, write the smallest function that
builds the file, and a line.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
NET = ROOT / "fixtures/nets/alexey/yolo_head"
MOST_MEGABYTES, MOST_SECONDS = 500, 5.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what each process took")


@dataclass(frozen=True)
class Case:
    """`make(folder)` writes the files; `arguments` are those of the command line, run in that folder."""

    make: Callable[[Path], object]
    arguments: str
    said: str
    needs: tuple[str, ...] = ()
    slow: bool = False


# ---------------------------------------------------------------------- what is built


def nothing(folder: Path) -> None:
    pass


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def cfg(layers: str, width: int = 4, height: int = 4, channels: int = 3) -> Callable[[Path], object]:
    head = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n"

    def make(folder: Path) -> None:
        (folder / "a.cfg").write_text(head + layers)
        (folder / "a.weights").write_bytes(struct.pack("<3iQ", 0, 2, 5, 0) + bytes(40_000))

    return make


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).symlink_to(target)


def pipe(name: str) -> Callable[[Path], object]:
    return lambda folder: os.mkfifo(folder / name)


def sparse(name: str, size: int, content: bytes = b"") -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(content)
            file.truncate(size)

    return make


def both(*makes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [make(folder) for make in makes]


def detector(change: Callable[[Any], object]) -> Callable[[Path], object]:
    """A detector's model, changed, as a.onnx, and a picture, a.png."""

    def make(folder: Path) -> None:
        import onnx
        from PIL import Image

        from layoutbridge.darknet import load

        load(NET / "net.cfg", NET / "net.weights").to_onnx(folder / "a.onnx", head="boxes")
        model = onnx.load(folder / "a.onnx")
        change(model)
        onnx.save(model, folder / "a.onnx")
        Image.new("RGB", (8, 8)).save(folder / "a.png")

    return make


def metadata(key: str, value: str) -> Callable[[Path], object]:
    def change(model: Any) -> None:
        import onnx

        onnx.helper.set_model_props(model, {e.key: e.value for e in model.metadata_props} | {key: value})

    return detector(change)


def input_of(*shape: int) -> Callable[[Path], object]:
    def change(model: Any) -> None:
        import onnx

        name = model.graph.input[0].name
        model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))

    return detector(change)


SIDES: tuple[tuple[str, list[int] | None], ...] = (("x", [1, 4]), ("y", None))


def graph(*nodes: tuple[Any, ...], **constants: Any) -> Callable[[Path], object]:
    """A model from x to y as a.onnx: nodes are (operator, inputs, outputs, attributes)."""

    def make(folder: Path) -> None:
        from onnx import TensorProto, helper, numpy_helper

        made = [
            helper.make_node(operator, [*taken], [*given], **(more[0] if more else {}))
            for operator, taken, given, *more in nodes
        ]
        sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in SIDES]
        held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
        whole = helper.make_graph(made, "g", sides[:1], sides[1:], held)
        model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (folder / "a.onnx").write_bytes(model.SerializeToString())

    return make


def loop(*inner: tuple[str, str, str]) -> Callable[[Path], object]:
    """A Loop of 2^62 rounds over v, that gives w."""

    def make(folder: Path) -> None:
        from onnx import TensorProto, helper

        shapes: dict[str, tuple[int, Any]] = {"i": (TensorProto.INT64, [])}
        shapes |= dict.fromkeys("cd", (TensorProto.BOOL, []))
        values = {name: helper.make_tensor_value_info(name, *shapes.get(name, (1, None))) for name in "icdvw"}
        nodes = [helper.make_node("Identity", ["c"], ["d"])]
        for operator, taken, given in inner:
            attributes: dict[str, Any] = {"axis": 0} if operator == "Concat" else {}
            nodes.append(helper.make_node(operator, [*taken], [*given], **attributes))
        body = helper.make_graph(nodes, "b", [values[name] for name in "icv"], [values[name] for name in "dw"])
        graph(("Loop", "ntx", "y", {"body": body}), n=2**62, t=True)(folder)

    return make


def external(location: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from onnx import TensorProto

        tensor = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        graph(("Constant", "", "w", {"value": tensor}), ("Add", "xw", "y"))(folder)

    return make


def nested(depth: int) -> bytes:
    """A graph in a node in a graph, as protobuf writes it: field 7 of a model, 1 of a graph, 5 of a node, 6 in it."""

    def field(number: int, content: bytes) -> bytes:
        length, digits = len(content), b""
        while length > 127:
            digits, length = digits + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + digits + bytes([length]) + content

    inner = b""
    for _ in range(depth):
        inner = field(1, field(5, field(6, inner)))
    return b"\x08\x08" + field(8, b"\x10\x11") + field(7, inner)


def many_nodes(folder: Path) -> None:
    node = b"\x0a\x0b" + b"\x0a\x01x" + b"\x12\x01y" + b"\x22\x03Abs"
    body = node * 1_000_000
    length, digits = len(body), b""
    while length > 127:
        digits, length = digits + bytes([length & 127 | 128]), length >> 7
    (folder / "a.onnx").write_bytes(b"\x08\x08\x42\x02\x10\x11\x3a" + digits + bytes([length]) + body)


def npz(**members: bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)

    return make


def bomb(folder: Path) -> None:
    """Recorded outputs of 3 MB that unpack to 3 GB: one packed megabyte, under many names."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(60):
            with archive.open(f"layer{index:02d}.npy", "w") as member:
                for _ in range(8):
                    member.write(bytes(1 << 20))
        archive.writestr("input.npy", bytes(1 << 20))
    content = bytearray((folder / "a.npz").read_bytes())
    at = content.find(b"PK\1\2")
    while at >= 0:
        content[at + 24 : at + 28] = struct.pack("<I", 100_000_000)  # as if each had a hundred
        at = content.find(b"PK\1\2", at + 1)
    (folder / "a.npz").write_bytes(content)


def png(width: int, height: int, color: int = 2, bits: int = 8) -> Callable[[Path], object]:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    content = b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")
    return both(detector(lambda model: None), text("b.png", content))


DETECT, NEEDED = "detect a.onnx a.png", ("onnx", "onnxruntime", "PIL")
IDENTIFY = "identify a.onnx --shape 1,4"
CHECK = f"check {NET}/net.cfg {NET}/net.weights --targets onnx --against a.npz"
ONNX, RUN = ("onnx",), ("onnx", "onnxruntime")

CASES: dict[str, Case] = {
    # cfg files, and what they name
    "cfg: a device": Case(link("a.cfg", "/dev/zero"), "summary a.cfg", "more than 4,194,304 bytes"),
    "cfg: large": Case(sparse("a.cfg", 1 << 40), "summary a.cfg", "and a cfg file at most 4,194,304"),
    "cfg: wide": Case(cfg("[max]\n", width=10**9, height=10**9), "summary a.cfg", "the input would have 3,000,000"),
    "cfg: size": Case(cfg("[max]\n"), "summary a.cfg --size 1000000x1000000", "the input would have 3,000,000"),
    "cfg: filters": Case(cfg("[conv]\nfilters=2147483647\n"), "summary a.cfg", "values, over 2,147,483,647"),
    "cfg: upsample": Case(cfg("[upsample]\nstride=100000\n"), "summary a.cfg", "values, over 2,147,483,647"),
    "cfg: many digits": Case(cfg(f"[conv]\nfilters={'9' * 100_000}\n"), "summary a.cfg", "must be a whole number"),
    "cfg: layers of gigabytes": Case(
        cfg("[conv]\nfilters=1\nsize=1\n", width=20_000, height=20_000),
        "check a.cfg a.weights --targets onnx",
        "all layers of a.cfg would take 12,800 MB of memory to run",
    ),
    "cfg: a tree elsewhere": Case(cfg("[softmax]\ntree=/etc/passwd\n"), "summary a.cfg", "--allow-path"),
    "cfg: a tree of text": Case(
        both(cfg("[softmax]\ntree=t\n"), text("t", "root:secret:0\n")), "summary a.cfg", "no class with a parent"
    ),
    "cfg: a tree that is a device": Case(
        both(cfg("[softmax]\ntree=t\n"), link("t", "/dev/zero")), "summary a.cfg", "is not found here nor beside"
    ),
    "cfg: a large tree": Case(
        both(cfg("[softmax]\ntree=t\n"), sparse("t", 1 << 40)), "summary a.cfg", "a tree at most"
    ),
    # recorded outputs
    "npz: a device": Case(link("a.npz", "/dev/zero"), CHECK, "a pipe or a device"),
    "npz: a pipe": Case(pipe("a.npz"), CHECK, "a pipe or a device"),
    "npz: unpacks to gigabytes": Case(bomb, CHECK, "MB of memory when it is unpacked"),
    "npz: no zip": Case(text("a.npz", b"PK" + bytes(100)), CHECK, "is no whole npz"),
    "npz: a header that lies": Case(
        npz(input=b"\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
        CHECK,
        "has no array 'layer00'",
    ),
    # names and pictures
    "names: a device": Case(
        both(detector(lambda model: None), link("n", "/dev/zero")), f"{DETECT} --names n", "more than 4,194,304", NEEDED
    ),
    "names: large": Case(
        both(detector(lambda model: None), sparse("n", 1 << 40)), f"{DETECT} --names n", "at most 4,194,304", NEEDED
    ),
    "picture: a device": Case(
        both(detector(lambda model: None), link("b.png", "/dev/zero")), "detect a.onnx b.png", "more than 104", NEEDED
    ),
    "picture: 98 million pixels": Case(png(9900, 9900), "detect a.onnx b.png", "would take 392 MB of memory", NEEDED),
    "picture: 16 bits": Case(png(9900, 9900, 0, 16), "detect a.onnx b.png", "cannot read|MB of memory", NEEDED),
    "picture: too many pixels": Case(png(60_000, 60_000), "detect a.onnx b.png", "pixels", NEEDED),
    # ONNX: what is declared
    "model: a device": Case(link("a.onnx", "/dev/zero"), IDENTIFY, "a pipe or a device"),
    "model: a pipe": Case(pipe("a.onnx"), IDENTIFY, "a pipe or a device"),
    "model: over 2 GB": Case(sparse("a.onnx", 3 << 30), IDENTIFY, "a model at most 2,147,483,647"),
    "model: deep": Case(text("a.onnx", nested(20_000)), IDENTIFY, "is no ONNX model", ONNX),
    "model: many nodes": Case(many_nodes, IDENTIFY, "more than 100,000 nodes", ONNX),
    "model: data in a pipe": Case(both(external("p"), pipe("p")), IDENTIFY, "no regular file", ONNX),
    "model: data in a device": Case(external("/dev/zero"), IDENTIFY, "an absolute path", ONNX),
    "detector: a pipe": Case(both(text("a.png", b""), pipe("a.onnx")), DETECT, "a pipe or a device", NEEDED),
    "detector: rules": Case(metadata("head_rules", "[" * 10**5), DETECT, "head_rules cannot be read", NEEDED),
    "detector: classes": Case(
        metadata("head_rules", '{"flavor":"alexey","classes":100000}'), DETECT, "not .boxes, 5 . 100000", NEEDED
    ),
    "detector: names": Case(metadata("names", "[" * 10**6), DETECT, "no list of names", NEEDED),
    "detector: a large input": Case(input_of(1, 3, 10**6, 10**6), DETECT, "MB of memory to fill", NEEDED),
    "detector: a large batch": Case(input_of(2**40, 3, 32, 32), DETECT, "petabyte of memory to fill", NEEDED),
    # ONNX: what it does
    "model: a cycle": Case(graph(("Add", "xb", "a"), ("Abs", "a", "b"), ("Abs", "b", "y")), IDENTIFY, "a.onnx", RUN),
    "model: 10^9 zeros": Case(
        graph(("ConstantOfShape", "s", "c"), ("ReduceMax", "c", "d"), ("Add", "xd", "y"), s=[10**9]),
        IDENTIFY, "takes more than 300 MB of memory to run", RUN,
    ),
    "model: 10^12 copies": Case(graph(("Tile", "xs", "y"), s=[10**12, 1]), IDENTIFY, "a.onnx", RUN),
    "model: an expansion": Case(graph(("Expand", "xs", "y"), s=[10**9, 1]), IDENTIFY, "MB of memory", RUN),
    "model: grows in a loop": Case(loop(("Concat", "vv", "w")), IDENTIFY, "takes more than 300 MB", RUN),
    "model: turns for ever": Case(loop(("Identity", "v", "w")), IDENTIFY, "ran for 3 seconds", RUN, True),
}  # fmt: skip


# ---------------------------------------------------------------------- the processes

SERVER = """
import atexit, json, os, sys, time, warnings
warnings.filterwarnings("ignore", module="PIL")  # as `layoutbridge.cli.program` has it
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads does not fork well
import layoutbridge.cli, layoutbridge.darknet.networks.network
for line in sys.stdin:
    told = json.loads(line)
    begun = time.monotonic()
    process = os.fork()
    if not process:
        os.chdir(told["folder"])
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(os.path.join(told["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = 99
        try:
            code = layoutbridge.cli.main(told["arguments"])
            atexit._run_exitfuncs()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status, used = os.wait4(process, 0)
    print(json.dumps({
        "code": os.waitstatus_to_exitcode(status), "megabytes": used.ru_maxrss / 1000,
        "seconds": used.ru_utime + used.ru_stime, "clock": time.monotonic() - begun,
    }), flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """Starts commands and says what each took: a process as large as the tests' own would count as theirs."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    yield process
    process.communicate()


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=[pytest.mark.slow] * case.slow) for name, case in CASES.items()]
)
def test_it_is_refused_in_one_line_with_little_memory_and_time(
    case: Case, server: subprocess.Popen[str], tmp_path: Path
) -> None:
    missing = [module for module in case.needs if find_spec(module) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    case.make(tmp_path)
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps({"folder": str(tmp_path), "arguments": case.arguments.split()}) + "\n")
    server.stdin.flush()
    took = json.loads(server.stdout.readline())
    told, printed = (tmp_path / "stderr").read_text(), (tmp_path / "stdout").read_text()
    assert (took["code"], printed) == (2, ""), told
    (line,) = [each for each in told.splitlines() if not each.startswith("layoutbridge: warning: ")]
    assert line.startswith("layoutbridge: ")
    assert len(line) < 600
    assert re.search(case.said, line), line
    assert took["megabytes"] < MOST_MEGABYTES
    assert took["seconds"] < MOST_SECONDS
    print(f"{took['megabytes']:5.0f} MB {took['seconds']:5.2f} s {line}")  # pytest -rP shows it
