"""Core ML's packages: what stands in them, computed by an interpreter of their own, is what the real Darknet gave."""

import ast
import re

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load
from layoutbridge.darknet.ports.coreml import output_name, write_coreml
from layoutbridge.darknet.ports.onnx import run_model
from layoutbridge.darknet.reference import forward
from layoutbridge.errors import (
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
)
from tests.command_line import refused, run
from tests.darknet_files import GOLDEN, NETS, RECURRENT, SEQUENCES, made, read
from tests.drawn_networks import SHARES, buildable, share_of

NAMES = ["собака", 'a "bird", or: #two', "it's", "汽车 \U0001f600"]
TOLERANCE = 5e-5
SOME = ("alexey/passthrough", "alexey/maxpools", "alexey/local", "alexey/lrn", "pjreddie/deconv_bn", "pjreddie/crop")


pytest.importorskip("coremltools", reason="coremltools is not installed")
pytest.importorskip("torch", reason="PyTorch, which computes what the files say, is not installed")

from tests.mil_interpreter import Package  # noqa: E402


def written(net, folder, **options):
    made_here = write_coreml(net.network, net.parameters, folder / "net.mlpackage", **options)
    package = Package(made_here.path)
    assert {*package.outputs} >= {*made_here.outputs}
    return made_here, package


def assert_near(found, wanted, tolerance=TOLERANCE):
    assert found.dtype == np.float32
    assert np.abs(found.reshape(wanted.shape) - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.sample(slow=24, first=SOME)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name, tmp_path):
    net, x, recorded = read(name)
    made_here, package = written(net, tmp_path, every_layer=True)
    found = package.run(input=x[None])
    for layer, wanted in zip(net.layers, recorded, strict=True):
        if layer.kind != "cost":
            assert_near(found[output_name(layer.name)][0], wanted)
    assert all(found[name].shape == (1, *shape) for name, shape in made_here.outputs.items())


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8", "raw"])
@pytest.mark.parametrize("name", ["alexey/yolo_head", "alexey/gaussian_yolo", "pjreddie/region_logistic"])
def test_heads_are_those_of_onnx(name, head, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    net, x, _ = read(name)
    try:
        made_here, package = written(net, tmp_path, head=head, batch=2)
    except UnsupportedError:
        pytest.skip("no such head of this network")
    both = np.stack([x, x[:, ::-1].copy()])
    found = package.run(input=both)
    net.to_onnx(tmp_path / "net.onnx", head=head)
    for name_of, wanted in zip(made_here.outputs, run_model(tmp_path / "net.onnx", both), strict=True):
        assert_near(found[name_of], wanted)


@pytest.mark.thorough
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_drawn_networks(flavor, share, tmp_path):
    tried = 0
    for number, (text, network) in share_of(buildable(flavor, 40), share):
        net, folder = made(text, tmp_path, flavor), tmp_path / str(number)
        folder.mkdir()
        x = np.random.default_rng(number).random((1 + number % 2, *network.in_shape), np.float32)
        wanted = forward(net.network, net.parameters, x, every_layer=True)
        if net.network.states or any(not np.isfinite(each).all() for each in wanted):
            continue
        _, package = written(net, folder, every_layer=True, batch=len(x))
        found = package.run(input=x)
        rounded = forward(net.network, net.parameters, x, every_layer=True, dtype=np.float32)
        for layer, each, nearly in zip(net.layers, wanted, rounded, strict=True):
            rounding = np.abs(nearly - each).max() / max(np.abs(each).max(), 1e-30)
            assert_near(found[output_name(layer.name)], each, max(TOLERANCE, 5 * rounding))
        tried += 1
    assert tried > 3


@pytest.mark.sample(slow=5)
@pytest.mark.parametrize("name", [SEQUENCES[0], *(pytest.param(one, marks=pytest.mark.slow) for one in SEQUENCES[1:])])
def test_a_step_of_a_recurrent_network(name, tmp_path):
    net = load(RECURRENT / name / "net.cfg", RECURRENT / name / "net.weights", flavor=name.split("/")[0])
    made_here, package = written(net, tmp_path)
    assert list(package.inputs) == ["input", *made_here.states]
    x = np.random.default_rng(1).random((3, 1, *net.network.in_shape), np.float32)
    states = {name: np.zeros((1, *shape), np.float32) for name, shape in made_here.states.items()}
    wanted = net.run_sequence(x, "reference")
    for step, expected in zip(x, wanted, strict=True):
        found = package.run(input=step, **states)
        assert_near(found[next(iter(made_here.outputs))], expected)
        states = {name: found[f"{name}_next"] for name in states}


def test_what_it_tells_of_itself(tmp_path):
    net, _, _ = read("alexey/yolo_head")
    _, package = written(net, tmp_path, head="boxes", names=NAMES, sources=net.sources)
    told = package.metadata
    assert ast.literal_eval(told["names"]) == dict(enumerate(NAMES))
    assert (told["task"], told["imgsz"], told["stride"], told["head"]) == ("detect", "[16, 16]", "2", "boxes")
    assert len(told["cfg_sha256"]) == 64
    assert package.spec.specificationVersion == 6  # of iOS 15


def test_float16_is_in_the_weights_and_between_inputs_and_outputs(tmp_path):
    net, x, recorded = read("alexey/residual")
    whole = written(net, tmp_path)[1]
    (tmp_path / "half").mkdir()
    half = written(net, tmp_path / "half", half=True)[1]
    assert len(half.weights) < 0.7 * len(whole.weights)
    assert "cast" in half.kinds and "cast" not in whole.kinds
    (found,) = half.run(input=x[None]).values()
    assert 1e-5 < np.abs(found[0].reshape(recorded[-1].shape) - recorded[-1]).max() / np.abs(recorded[-1]).max() < 2e-2


def test_what_is_refused(tmp_path):
    net, _, _ = read("alexey/residual")
    path = tmp_path / "net.mlpackage"
    for wrong, error, told in [
        ({"path": tmp_path / "net.mlmodel"}, ParameterError, r"must end in \.mlpackage"),
        ({"head": "yolo"}, UnknownNameError, "darknet, raw, boxes"),
        ({"head": "boxes"}, UnsupportedError, "no detection layer"),
        ({"batch": 0}, ParameterError, "batch"),
        ({"path": tmp_path / "none/net.mlpackage"}, UnusableInputError, "cannot write"),
    ]:
        options = {"path": path, **wrong}
        with pytest.raises(error, match=told):
            write_coreml(net.network, net.parameters, **options)
    assert [*tmp_path.iterdir()] == []


def test_the_command_line(capfd, tmp_path, monkeypatch):
    cfg, weights = (str(NETS / "alexey/yolo_head" / name) for name in ("net.cfg", "net.weights"))
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, "export", cfg, weights, "-o", "net.mlpackage", "--head", "boxes", "--half")
    assert (code, out) == (0, "") and "boxes [1, 192, 9]" in err and "macOS" in err
    assert "not checked: Core ML runs elsewhere alone" in err
    for more in ([], ["--force"]):
        assert "is there, and a folder is not overwritten" in refused(
            capfd, "export", cfg, weights, "-o", "net.mlpackage", *more
        )
    assert "must end in .mlpackage" in refused(capfd, "export", cfg, weights, "-o", "a.onnx", "--to", "coreml")
    assert "--opset is for --to onnx" in refused(capfd, "export", cfg, weights, "-o", "b.mlpackage", "--opset", "17")
    assert re.search(r"Core ML's packages run on Apple's machines", refused(capfd, "detect", "net.mlpackage", "a.png"))
    with pytest.raises(UnsupportedError, match="Apple's machines"):
        Detector("net.mlpackage")
