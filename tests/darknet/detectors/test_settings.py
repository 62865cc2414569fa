"""Settings of runtimes: what is none is refused, not passed over or ended in an error of Python's."""

import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.ports.table import port
from layoutbridge.errors import ParameterError

YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
LEVEL = "graph_optimization_level"
MODULES = {"tflite": ("ai_edge_litert", "tensorflow"), "onnx": ("onnxruntime",)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = {}

    def of(target):
        for module in MODULES.get(target, (target,)):
            pytest.importorskip(module)
        if target not in made:
            net, record = lb.darknet.load(*YOLO), port(target)
            made[target] = tmp_path_factory.mktemp(target) / f"net{record.endings[0]}"
            record.write(net.network, net.parameters, made[target], head="boxes")
        return made[target]

    return of


@pytest.mark.parametrize("settings", [{"nope": 1}, {1: "1"}, "x", 5])
@pytest.mark.parametrize("target", ["onnx", "openvino", "ncnn", "torch", "tflite"])
def test_settings_are_texts(model, target, settings):
    with pytest.raises(ParameterError, match="settings are texts by the names of the runtime, not"):
        open_file(model(target), settings=settings)


@pytest.mark.parametrize(
    ("target", "settings", "told"),
    [
        ("onnx", {LEVEL: "nope"}, f"the setting {LEVEL} of onnx is all or extended, not 'nope'"),
        ("torch", {"precision": "int3"}, "the setting precision of torch is bfloat16, not 'int3'"),
        ("torch", {"nope": "1"}, "torch has the settings precision here, not 'nope'"),
        ("tflite", {"nope": "1"}, "tflite has the settings none here, not 'nope'"),
        ("ncnn", {"nope": "1"}, "0 or 1: nope=1 is none"),
        ("ncnn", {"__class__": "1"}, "0 or 1: __class__=1 is none"),
        ("ncnn", {"use_winograd_convolution": "x"}, "0 or 1: use_winograd_convolution=x is none"),
        ("ncnn", {"num_threads": "3"}, "0 or 1: num_threads=3 is none"),
    ],
)
def test_settings_that_a_runtime_has_not(model, target, settings, told):
    with pytest.raises(ParameterError, match=told):
        open_file(model(target), settings=settings)


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("onnx", {LEVEL: "extended", "session.intra_op.allow_spinning": "0"}),
        ("ncnn", {"use_winograd_convolution": "0", "use_bf16_storage": "1"}),
        ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}),
        ("tflite", {}),
    ],
)
def test_settings_that_it_has(model, target, settings):
    opened = open_file(model(target), settings=settings)
    assert opened.metadata["head"] == "boxes"


def test_keras_has_none(tmp_path):
    pytest.importorskip("tensorflow")
    path = tmp_path / "net.keras"
    net = lb.darknet.load(*YOLO)
    port("keras").write(net.network, net.parameters, path)
    with pytest.raises(ParameterError, match="Keras has none here"):
        open_file(path, settings={"nope": "1"})
