"""Whole networks within a target's limits: every node of them, heads' too, or refused before anything is written."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import ParameterError, UnknownNameError, UnsupportedError
from tests.darknet_files import GOLDEN, NETS, RECURRENT, SEQUENCES, built

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, write_onnx  # noqa: E402
from layoutbridge.frameworks.onnx.programs.table import PROFILES  # noqa: E402
from tests.limited_models import most_axes, operators  # noqa: E402

BLOCKS = ("SpaceToDepth", "DepthToSpace")
TOLERANCE = 1e-6  # of an output's largest value: the same arithmetic, on the same elements
LIMITS = [
    {"max_rank": 4},
    {"max_rank": 4, "without": (*BLOCKS, "Transpose")},
    {"without": ("Split", "Softplus")},
    {"without": ("Slice", "Selu", "Gather")},
]
REORG = "[net]\nwidth=6\nheight=6\nchannels=8\n[reorg]\nstride=2\n"
POOLED = "[net]\nwidth=8\nheight=8\nchannels=8\n[maxpool]\nmaxpool_depth=1\nout_channels=4\n"


def golden(name):
    net = load(NETS / name / "net.cfg", NETS / name / "net.weights", flavor=name.split("/", maxsplit=1)[0])
    return net, "boxes" if any("yolo" in layer.kind or layer.kind == "region" for layer in net.layers) else "darknet"


def assert_within(path, max_rank=99, without=()):
    model = onnx.load(path)
    assert most_axes(model) <= max_rank
    assert not operators(model) & set(without)


def assert_same(path, wanted, x):
    for made, plain in zip(run_model(path, x), wanted, strict=True):
        assert np.abs(made - plain).max() <= TOLERANCE * max(np.abs(plain).max(), 1e-9)


@pytest.mark.sample(12, slow=12)
@pytest.mark.parametrize("name", GOLDEN)
def test_outputs_are_those_of_the_export_without_limits(name, tmp_path):
    net, head = golden(name)
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    net.to_onnx(tmp_path / "plain.onnx", head=head)
    wanted = run_model(tmp_path / "plain.onnx", x)
    for limits in LIMITS:
        path = tmp_path / "limited.onnx"
        path.unlink(missing_ok=True)
        try:
            net.to_onnx(path, head=head, **limits)
        except UnsupportedError as error:
            layer = next(layer.name for layer in net.layers if f"{layer.name}" in str(error))
            assert "net.cfg, line " in str(error) and layer and not path.exists(), error
            continue
        assert_within(path, **limits)
        assert_same(path, wanted, x)


@pytest.mark.sample(3, slow=2)
@pytest.mark.parametrize("name", PROFILES)
def test_networks_for_a_program(name, tmp_path):
    profile = PROFILES[name]
    limits = profile.network_limits
    for network in (name for name in GOLDEN if "yolo" in name or "region" in name):
        net, head = golden(network)
        head = "raw" if name == "hailo" else head  # which takes no head of boxes
        x = np.random.default_rng(0).random((profile.batch or 2, *net.network.in_shape), np.float32)
        net.to_onnx(tmp_path / "plain.onnx", head=head)
        export = net.to_onnx(tmp_path / "limited.onnx", head=head, runtime=name)
        assert (export.opset, export.batch) == (profile.opset or min(17, limits.max_opset or 17), profile.batch)
        assert_within(tmp_path / "limited.onnx", limits.max_rank or 99, limits.without)
        assert_same(tmp_path / "limited.onnx", run_model(tmp_path / "plain.onnx", x), x)


@pytest.mark.parametrize("name", SEQUENCES[:2])
def test_sequences_lie_on_five_axes(name, tmp_path):
    folder = RECURRENT / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/", maxsplit=1)[0])
    path = tmp_path / "net.onnx"
    most = 2 + len(net.network.in_shape)
    net.to_onnx(path, steps=2, max_rank=max(most, 4))
    assert_within(path, max(most, 4))
    with pytest.raises(UnsupportedError, match=f"max_rank is {most - 1}|at most {most - 1} axes"):
        net.to_onnx(tmp_path / "none.onnx", steps=2, max_rank=most - 1)
    assert not (tmp_path / "none.onnx").exists()


@pytest.mark.parametrize(
    ("cfg", "options", "told"),
    [
        (REORG, {"max_rank": 3}, "max_rank is 3, and the input"),
        (REORG, {"max_rank": 4, "without": [*BLOCKS, "Reshape"]}, r"net\.cfg, line 5: 0_reorg: darknet_reorg"),
        (REORG, {"without": ["Reshape"]}, "it would need Reshape"),
        (POOLED, {"max_rank": 4}, r"net\.cfg, line 5: 0_maxpool has a tensor of 5 axes \(Reshape\)"),
        (
            POOLED,
            {"without": ["ReduceMax", "MaxPool"]},
            r"0_maxpool needs MaxPool, and has no other form within the limits",
        ),
    ],
)
def test_what_no_form_keeps_is_refused_with_its_layer(cfg, options, told, tmp_path):
    with pytest.raises(UnsupportedError, match=told) as raised:
        write_onnx(built(cfg), {}, tmp_path / "net.onnx", **options)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_suppression_and_halves_are_looked_at_too(tmp_path):
    name = next(name for name in GOLDEN if "yolo" in name)
    net, head = golden(name)
    for options, told in (
        ({"nms": True, "without": ["NonMaxSuppression", "Loop"]}, "nms needs (NonMaxSuppression|Loop)"),
        ({"half": True, "without": ["Cast"]}, "needs Cast"),
        ({"nms": True, "nms_kind": "diounms", "runtime": "rknn"}, "has no NonMaxSuppression"),
    ):
        with pytest.raises(UnsupportedError, match=told):
            net.to_onnx(tmp_path / "net.onnx", head=head, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"max_rank": 0}, ParameterError, "max_rank is a number of at least 1"),
        ({"without": ["Splt"]}, UnknownNameError, "did you mean Split"),
        ({"runtime": "opset11", "opset": 12}, ParameterError, "from 9 to 11"),
        ({"runtime": "rknn", "opset": 20}, ParameterError, "from 9 to 19"),
    ],
)
def test_limits_that_are_none(options, error, told, tmp_path):
    with pytest.raises(error, match=told):
        write_onnx(built(REORG), {}, tmp_path / "net.onnx", **options)
    assert list(tmp_path.iterdir()) == []
