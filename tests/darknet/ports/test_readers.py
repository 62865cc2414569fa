"""What other programs read beside a model: Ultralytics' metadata, DeepStream's configuration, the names in each."""

import ast
import configparser
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load
from layoutbridge.darknet.detection.boxes import HeadRules
from layoutbridge.darknet.ports.outputs import is_classifier
from layoutbridge.darknet.ports.readers import deepstream, ultralytics
from layoutbridge.darknet.ports.table import port
from layoutbridge.darknet.ports.tflite import run_tflite
from tests.darknet_files import NETS, built, made

NAMES = ["собака", 'a "bird", or: #two', "it's\\n", "汽车 \U0001f600 \x7f"]
HEAD = "alexey/yolo_head"
YOLO = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nclasses=1\nnum=1\nmask=0\nanchors=2,3\n"


def net_of(name=HEAD):
    return load(NETS / name / "net.cfg", NETS / name / "net.weights")


def written(target, path, **options):
    net = net_of()
    path.parent.mkdir(exist_ok=True)
    return port(target).write(net.network, net.parameters, path, names=NAMES, **options)


def as_ultralytics_reads(metadata):
    """Texts become values as its `apply_metadata` makes them."""
    literal = ("imgsz", "names")
    whole = ("stride", "batch", "channels")
    return {
        key: ast.literal_eval(value) if key in literal and isinstance(value, str) else int(value)
        if key in whole else value
        for key, value in metadata.items()
        if key in (*literal, *whole, "task")
    }  # fmt: skip


WANTED = {
    "task": "detect", "stride": 2, "batch": 1, "imgsz": [16, 16], "channels": 3, "names": dict(enumerate(NAMES)),
}  # fmt: skip


def test_onnx(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    written("onnx", tmp_path / "net.onnx", head="yolov8", batch=1)
    held = {entry.key: entry.value for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert as_ultralytics_reads(held) == WANTED


@pytest.mark.parametrize(("target", "ending"), [("ncnn", "param"), ("openvino", "xml")])
def test_folders_that_ultralytics_knows_by_their_names(target, ending, tmp_path, monkeypatch):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    if target == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")
    made = written(target, tmp_path / f"net_{target}_model/net.{ending}", head="yolov8")
    told = tmp_path / f"net_{target}_model/metadata.yaml"
    assert told in made.files and told in port(target).beside(made.path)
    assert yaml.safe_load(told.read_text(encoding="utf-8")) == WANTED
    plain = written(target, tmp_path / f"plain/net.{ending}", head="yolov8")
    assert not (tmp_path / "plain/metadata.yaml").exists()
    assert [path.name for path in plain.files] == [path.name for path in made.files if path != told]
    monkeypatch.chdir(told.parent)
    told.unlink()
    written(target, Path(f"net.{ending}"))  # in the folder that one is in
    assert told.exists()


@pytest.mark.slow
def test_a_saved_model(tmp_path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    written("keras", tmp_path / "saved", head="yolov8")
    assert yaml.safe_load((tmp_path / "saved/metadata.yaml").read_text(encoding="utf-8")) == WANTED


@pytest.mark.slow
def test_litert(tmp_path):
    """What older programs take for the metadata is the first member; Android's library lists the associated files."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    written("tflite", tmp_path / "net.tflite", head="yolov8")
    with zipfile.ZipFile(tmp_path / "net.tflite") as archive:
        first, labels, _ = archive.namelist()
        text = archive.read(first).decode()
        assert (first, archive.getinfo(labels).compress_type) == ("metadata.json", zipfile.ZIP_STORED)
        held = {**json.loads(text), "names": {int(key): name for key, name in json.loads(text)["names"].items()}}
        assert held == WANTED and ast.literal_eval(text) == json.loads(text)
        assert archive.read("labels.txt").decode().splitlines() == [" ".join(name.split()) for name in NAMES]


@pytest.mark.parametrize(
    ("cfg", "told"),
    [
        ("[net]\nwidth=64\nheight=32\nchannels=1\n[avgpool]\n", {"task": "classify", "stride": "1", "channels": "1"}),
        ("[net]\ninputs=4\n[connected]\noutput=3\nactivation=linear\n", {}),
        ("[net]\nwidth=4\nheight=4\nchannels=3\n[maxpool]\nsize=2\nstride=2\n", {}),
    ],
)
def test_what_is_no_detector(cfg, told):
    network = built(cfg, "alexey")
    found = ultralytics.told(network, None, 3, classifies=is_classifier(network))
    assert found == (told | {"batch": "3", "imgsz": "[32, 64]"} if told else {})


def test_many_names_are_a_list():
    text = ultralytics.names_told([f"class number {number}" for number in range(100_000)])
    assert len(json.loads(text)) == 100_000


@pytest.mark.parametrize("named", [True, False])
def test_deepstream(named, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    net = net_of("alexey/yolo_head")
    names = NAMES if named else None
    export = net.to_onnx(tmp_path / "net.onnx", runtime="deepstream", names=names, batch=4)
    config = configparser.ConfigParser()
    config.read(tmp_path / "config_infer_primary_net.txt", encoding="utf-8")
    held = config["property"]
    assert (held["onnx-file"], held["batch-size"], held["num-detected-classes"]) == ("net.onnx", "4", "4")
    assert (held["parse-bbox-func-name"], held["cluster-mode"]) == ("NvDsInferParseYolo", "2")
    assert float(held["net-scale-factor"]) == pytest.approx(1 / 255)
    assert held.get("labelfile-path") == ("labels_net.txt" if named else None)
    assert [path.name for path in export.files][1:] == [
        "config_infer_primary_net.txt",
        *(["labels_net.txt"] if named else []),
    ]
    if named:
        labels = (tmp_path / "labels_net.txt").read_text(encoding="utf-8").splitlines()
        assert labels == [" ".join(name.split()) for name in names]
    net.to_onnx(tmp_path / "other.onnx", runtime="deepstream", head="boxes")
    assert not (tmp_path / "config_infer_primary_other.txt").exists()


@pytest.mark.parametrize(("channels", "told"), [(1, "2"), (3, "0")])
def test_deepstream_is_told_of_gray_pictures(channels, told, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    made(f"[net]\nwidth=16\nheight=8\nchannels={channels}\n{YOLO}", tmp_path).to_onnx(
        tmp_path / "net.onnx", runtime="deepstream"
    )
    config = configparser.ConfigParser()
    config.read(tmp_path / "config_infer_primary_net.txt", encoding="utf-8")
    assert config["property"]["model-color-format"] == told


def test_labels_of_deepstream_stay_a_line_each():
    """nvinfer passes over empty lines, and takes what stands before a semicolon."""
    rules = HeadRules("alexey", 4)
    texts = deepstream.texts_beside(Path("net.onnx"), rules, ["a;b", "", " ", '行人: "c", d'], None)
    assert texts[Path("labels_net.txt")] == 'a,b\n1\n2\n行人: "c", d\n'


def test_boxes_of_litert_are_shares(tmp_path):
    """Ultralytics multiplies what it reads of a .tflite by the input's sides."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    x = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    places = {}
    for head in ("boxes", "yolov8"):
        written("tflite", tmp_path / f"{head}.tflite", head=head)
        places[head] = run_tflite(tmp_path / f"{head}.tflite", x)[head]
    assert np.allclose(places["yolov8"][0, :4].T, places["boxes"][0, :, :4], atol=1e-6)
    assert Detector(tmp_path / "yolov8.tflite").rules.classes == 4
