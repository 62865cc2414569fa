"""Exports for each minor version of OpenCV in that very version, against what Darknet computed: `make opencvs`."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection.boxes import decode, head_layers
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.errors import UnsupportedError
from tests.constructed_layers import JOINED, LAYERS, NET, SIGNS
from tests.darknet_files import GOLDEN, RECURRENT, ROOT, SEQUENCES, SHARED, made, read
from tests.onnx_runtimes import NEEDS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import write_onnx  # noqa: E402
from layoutbridge.frameworks.onnx.programs.table import PROFILES  # noqa: E402

FOLDER = Path(os.environ.get("LAYOUTBRIDGE_OPENCVS", ROOT / ".opencv"))
TOLERANCE = 1e-5  # of an output's largest value
VERSIONS = {name: PROFILES[name].title.partition(" ")[2] for name in PROFILES if name.startswith("opencv")}
pytestmark = pytest.mark.slow


class Running:
    """A version of OpenCV in a process of its own; one that crashes is started again."""

    def __init__(self, runtime, folder):
        self.folder, self.process = folder, None
        version = VERSIONS[runtime]
        self.places = []
        if version != "5":
            self.places = [*FOLDER.glob("numpy"), *FOLDER.glob(f"{version}.*")]
            if len(self.places) < 2:
                pytest.skip(
                    f"OpenCV {version} is not in {FOLDER}: make opencvs, or name their folder in LAYOUTBRIDGE_OPENCVS"
                )

    def __call__(self, path, inputs):
        if self.process is None or self.process.poll() is not None:
            self.start()
        names = [value.name for value in onnx.load(path, load_external_data=False).graph.output]
        np.savez(self.folder / "inputs.npz", **inputs)
        job = {"model": path, "inputs": self.folder / "inputs.npz", "results": self.folder / "results.npz"}
        self.process.stdin.write(
            json.dumps({**{key: str(value) for key, value in job.items()}, "outputs": names}) + "\n"
        )
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the process ended with {self.process.wait()}"
        assert "error" not in json.loads(answer), (path, answer)
        with np.load(self.folder / "results.npz") as results:
            return [results[name] for name in names]

    def start(self):
        environment = os.environ | {"OPENCV_LOG_LEVEL": "SILENT", "PYTHONPATH": os.pathsep.join(map(str, self.places))}
        command = [sys.executable, str(ROOT / "tests" / "opencv_worker.py")]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert "version" in json.loads(self.process.stdout.readline())


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=NEEDS["opencv"] if name == "opencv5" else ()) for name in VERSIONS],
)
def opencv(request, tmp_path_factory):
    running = Running(request.param, tmp_path_factory.mktemp("opencv"))
    running.runtime = request.param
    yield running
    if running.process is not None:
        running.process.kill()
        running.process.wait()


def assert_near(found, wanted, name):
    assert found.size == wanted.size, name
    assert np.abs(found.reshape(wanted.shape) - wanted).max() <= TOLERANCE * np.abs(wanted).max(), name


@cache
def decoded(name):
    net, _, recorded = read(name)
    return decode(net.network, {layer.index: recorded[layer.index][None] for layer in head_layers(net.network)})


def test_every_network_and_head(opencv, tmp_path):
    path = tmp_path / "net.onnx"
    for name in GOLDEN:
        net, x, recorded = read(name)
        write_onnx(net.network, net.parameters, path, runtime=opencv.runtime)
        heads = [layer.index for layer in net.layers if isinstance(layer.settings, Head)] or [len(net.layers) - 1]
        for output, index in zip(opencv(path, {"input": x[None]}), heads, strict=True):
            assert_near(output, recorded[index], name)
        if not isinstance(net.layers[-1].settings, Head):
            continue
        for head in ("raw", *HEAD_LAYOUTS):
            write_onnx(net.network, net.parameters, path, runtime=opencv.runtime, head=head)
            outputs = opencv(path, {"input": x[None]})
            if head == "boxes":
                assert_near(outputs[0], decoded(name), f"{name} {head}")
                continue
            write_onnx(net.network, net.parameters, path, head=head)
            for output, wanted in zip(outputs, in_onnxruntime(path, {"input": x[None]}), strict=True):
                assert_near(output, wanted, f"{name} {head}")


@pytest.mark.parametrize("head", ["darknet", "boxes"])
def test_trained_networks(head, opencv, tmp_path):
    folders = sorted(path.parent for path in (SHARED / "real").glob("*/net.cfg"))
    if not folders:
        pytest.skip(f"trained networks are not at {SHARED / 'real'}")
    path = tmp_path / "net.onnx"
    for folder in folders:
        net = load(folder / "net.cfg", folder / "net.weights")
        x = {"input": np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)}
        write_onnx(net.network, net.parameters, path, runtime=opencv.runtime, head=head)
        outputs = opencv(path, x)
        write_onnx(net.network, net.parameters, path, head=head)
        for output, wanted in zip(outputs, in_onnxruntime(path, x), strict=True):
            assert_near(output, wanted, folder.name)


def test_layers_that_no_recording_has_and_options(opencv, tmp_path):
    path, rng = tmp_path / "net.onnx", np.random.default_rng(0)
    texts = [(text, "pjreddie" if where == "pjreddie" else "alexey") for text, where in LAYERS.values() if where]
    texts += [
        (f"[convolutional]\nfilters=6\ngroups=6\nsize=3\npad=1\n{more}\n", "alexey")
        for more in ("stride=2", "dilation=2")
    ]
    texts += [
        (f"[activation]\nactivation={name}\n", "alexey")
        for name in ("hardtan", "plse", "normalize_channels_softmax_maxval")
    ]
    texts += [(text, "alexey") for text in (JOINED, SIGNS)]
    for text, flavor in texts:
        net = made(NET + text, tmp_path, flavor)
        for options in ({}, {"every_layer": True}, {"batch": 2}, {"half": True}, {"dynamic_size": True}):
            try:
                write_onnx(net.network, net.parameters, path, runtime=opencv.runtime, **options)
            except UnsupportedError as error:
                assert "\n" not in str(error)
                continue
            x = rng.uniform(-1, 1, (options.get("batch", 1), *net.network.in_shape)).astype(np.float32)
            outputs = opencv(path, {"input": x})
            write_onnx(net.network, net.parameters, path, every_layer="every_layer" in options)
            wanted = in_onnxruntime(path, {"input": x})
            for output, plain in zip(outputs, wanted, strict=True):
                largest = np.abs(plain).max()
                near = 5e-3 if "half" in options else TOLERANCE
                assert np.abs(output.reshape(plain.shape) - plain).max() <= near * largest, (text, options)


def test_states_and_sequences(opencv, tmp_path):
    path, rng = tmp_path / "net.onnx", np.random.default_rng(0)
    for name in SEQUENCES:
        folder = RECURRENT / name
        net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/", maxsplit=1)[0])
        for steps in (None, 3):
            try:
                write_onnx(net.network, net.parameters, path, runtime=opencv.runtime, steps=steps, batch=1)
            except UnsupportedError as error:
                assert "steps" in str(error)
                continue
            shapes = {
                value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
                for value in onnx.load(path).graph.input
            }
            inputs = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
            outputs = opencv(path, inputs)
            write_onnx(net.network, net.parameters, path, steps=steps, batch=1)
            for output, wanted in zip(outputs, in_onnxruntime(path, inputs), strict=True):
                assert_near(output, wanted, f"{name} {steps}")


def in_onnxruntime(path, inputs):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
