"""`python -m tests.fuzzing.seeds`: makes the small valid files in `fixtures/fuzz/` that the hunt changes.

Finds lie beside them under names of their own, and stay. Not a test itself.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import layoutbridge as lb
from layoutbridge.darknet import load
from tests.darknet_files import built, random_weights
from tests.fuzzing.surface import CORPORA

_SMALL = "[net]\nwidth=4\nheight=4\nchannels=3\n[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=leaky\n"
_BOXES = (
    "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nclasses=2\nnum=2\nmask=0,1\nanchors=4,4,6,6\n"
)
_PORTS_PY = """class Reorg:
    def __init__(self, stride):
        self.stride = stride

    def __call__(self, x):
        return x
"""


def _folder(name: str) -> Path:
    folder = CORPORA / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _network(text: str, folder: Path):  # type: ignore[no-untyped-def]
    (folder / "net.cfg").write_text(text)
    (folder / "net.weights").write_bytes(random_weights(built(text)))
    return load(folder / "net.cfg", folder / "net.weights")


def _models(folder: Path) -> None:
    reorg, shuffle = lb.op("darknet_reorg"), lb.op("channel_shuffle")
    for name, made, options in (
        ("reorg", reorg, {}), ("open", reorg, {"shape": (None, 4, None, None)}), ("ints", shuffle, {"dtype": "int64"}),
    ):  # fmt: skip
        lb.export(made, "onnx", _folder("onnx") / f"{name}.onnx", **options)
    lb.export(reorg, "tensorflow", _folder("keras") / "reorg.keras", shape=(1, 4, 4, 4))
    lb.export(reorg, "jax", _folder("jax") / "reorg.jax", shape=(1, 4, 4, 4))
    net = _network(_SMALL, folder)
    net.to_onnx(_folder("onnx") / "net.onnx")
    net.to_ncnn(_folder("ncnn") / "net.param")
    _write(net, "openvino", _folder("openvino") / "net.xml")
    _write(net, "tflite", _folder("tflite") / "net.tflite")
    for name in ("ncnn", "openvino"):
        (CORPORA / name / "net.bin").replace(_folder(f"{name}.beside") / "net.bin")
    boxes = _network(_BOXES, folder)
    boxes.to_onnx(_folder("detector") / "boxes.onnx", head="boxes")
    boxes.to_onnx(_folder("detector") / "batch.onnx", head="boxes", batch=2, half=True)


def _write(net, target: str, path: Path) -> None:  # type: ignore[no-untyped-def]
    from layoutbridge.darknet.ports.table import port

    port(target).write(net.network, net.parameters, path)


def _command_line(folder: Path) -> None:
    from PIL import Image

    here = _folder("command_line.beside")
    net = _network(_SMALL, folder)
    for name in ("net.cfg", "net.weights"):
        (here / name).write_bytes((folder / name).read_bytes())
    outputs = net.run(np.zeros((1, 3, 4, 4), np.float32), every_layer=True)
    np.savez_compressed(
        here / "outputs.npz", input=np.zeros((3, 4, 4), np.float32), layer00=outputs[0].astype(np.float32)
    )
    (here / "short.weights").write_bytes((folder / "net.weights").read_bytes()[:100])
    (here / "bad.cfg").write_text("[net]\nwidth=x\n[convolutional]\nfilters=-1\n[nothing]\n[route]\nlayers=9\n")
    (here / "boxes.onnx").write_bytes((CORPORA / "detector" / "boxes.onnx").read_bytes())
    (here / "op.onnx").write_bytes((CORPORA / "onnx" / "reorg.onnx").read_bytes())
    (here / "ports.py").write_text(_PORTS_PY)
    (here / "x.names").write_text("cat\ndog\n")
    Image.new("RGB", (7, 5), (200, 30, 30)).save(here / "a.png")
    table = lb.op("darknet_reorg").table((4, 4, 4))
    np.save(here / "t.npy", table)
    (here / "t.csv").write_text("\n".join(map(str, table)))
    (here / "t.json").write_text(json.dumps(table.tolist()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        _models(Path(made))
        _command_line(Path(made))
