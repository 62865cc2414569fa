"""Ports with faults, written by hand in PyTorch: the first layer apart, and the cause."""

import shlex
import warnings

import numpy as np
import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch")


from tests.command_line import run  # noqa: E402
from tests.comparing.ports import Port  # noqa: E402

PASSTHROUGH = ("pjreddie", "passthrough")
ALEXEY = ("alexey", "passthrough")
YOLO = ("alexey", "yolo_scaled")


def network(fork, name):
    folder = f"fixtures/nets/{fork}/{name}"
    return lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights", flavor=fork)


# A network, a fault of its port, the layer and the cause that are to be told, and a word of what was found.
FAULTS = {
    "space_to_depth": (PASSTHROUGH, {"reorg": "space_to_depth"}, "4_reorg", "rearrangement", "space_to_depth"),
    "pixel_unshuffle": (PASSTHROUGH, {"reorg": "pixel_unshuffle"}, "4_reorg", "rearrangement", "pixel_unshuffle"),
    "focus": (ALEXEY, {"reorg": "focus"}, "reorg", "rearrangement", "focus"),
    "concat": (PASSTHROUGH, {"concat": True}, "5_route", "concat_order", "input 2, input 1"),
    "keras_epsilon": (PASSTHROUGH, {"epsilon": 1e-3}, "0_convolutional", "batch_norm", "0.001"),
    "no_batch_norm": (ALEXEY, {"no_batch_norm": True}, "0_convolutional", "batch_norm", "no batch norm"),
    "no_scales": (PASSTHROUGH, {"no_scales": {3: True}}, "3_convolutional", "batch_norm", "no scales"),
    "slope": (PASSTHROUGH, {"slope": 0.2}, "0_convolutional", "activation", "0.2"),
    "relu": (ALEXEY, {"activation": {1: torch.relu}}, "1_convolutional", "activation", "relu"),
    "no_activation": (PASSTHROUGH, {"activation": {3: lambda y: y}}, "3_convolutional", "activation", "linear"),
    "bgr": (PASSTHROUGH, {"bgr": True}, "0_convolutional", "channel_order", "BGR"),
    "range": (PASSTHROUGH, {"range": 255}, "0_convolutional", "input_range", "0 to 255"),
    "mean": (ALEXEY, {"mean": 0.5}, "0_convolutional", "input_range", "-0.5 to 0.5"),
    "same": (PASSTHROUGH, {"padding": (0, 1, 0, 1)}, "0_convolutional", "padding", "SAME"),
    "left": (PASSTHROUGH, {"padding": {1: (2, 0, 2, 0)}}, "1_convolutional", "padding", "above and on the left"),
    "turned": (PASSTHROUGH, {"weights": {1: lambda w: w.flip(2, 3)}}, "1_convolutional", "weight_layout", "half turn"),
    "hwio": (
        PASSTHROUGH,
        {"weights": {1: lambda w: w.reshape(3, 3, *w.shape[1::-1]).permute(3, 2, 0, 1)}},
        "1_convolutional", "weight_layout", "HWIO",
    ),
    "no_bias": (PASSTHROUGH, {"no_bias": {7: True}}, "7_convolutional", "weight_layout", "no biases"),
    "bilinear": (("alexey", "upsample"), {"upsample": {"mode": "bilinear"}}, "upsample", "upsampling", "half pixels"),
    "corners": (
        ("pjreddie", "upsample"),
        {"upsample": {"mode": "bilinear", "align_corners": True}}, "upsample", "upsampling", "corners",
    ),
    "raw_head": (YOLO, {"all_logistic": True}, "yolo", "head", "all entries"),
    "no_spread": (YOLO, {"no_spread": True}, "yolo", "head", "scale_x_y"),
    "region_logistic": (PASSTHROUGH, {"all_logistic": True}, "8_region", "head", "logistic over all"),
    "flatten": (("pjreddie", "connected"), {"flatten": True}, "connected", "flatten_order", "H, W, C"),
    "rows": (("alexey", "connected"), {"rows": True}, "connected", "weight_layout", "rows and columns"),
}  # fmt: skip


@pytest.mark.sample(2, slow=3)
@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name):
    which, faults, at, cause, words = FAULTS[name]
    net = network(*which)
    found = lb.compare(net, Port(net, **faults).eval())
    assert not found.equal
    assert found.first.reference.endswith(at)
    assert [each.cause for each in found.causes] == [cause], found.causes
    (told,) = found.causes
    assert told.at == found.first.reference
    assert words in told.found
    assert told.deviation_after < 1e-5 <= told.deviation_before


@pytest.mark.parametrize("which", [PASSTHROUGH, ALEXEY, YOLO, ("alexey", "upsample"), ("pjreddie", "connected")])
def test_a_right_port(which):
    net = network(*which)
    found = lb.compare(net, Port(net).eval())
    assert found.equal, found.first
    assert found.causes == ()
    assert found.first is None


TWO = {
    "of one layer": ({"epsilon": 1e-3, "slope": 0.3}, ["batch_norm", "activation"]),
    "of two layers": ({"slope": 0.2, "reorg": "pixel_unshuffle"}, ["activation", "rearrangement"]),
    "at the input and later": ({"bgr": True, "concat": True}, ["channel_order", "concat_order"]),
    "three": (
        {"bgr": True, "reorg": "space_to_depth", "all_logistic": True},
        ["channel_order", "rearrangement", "head"],
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", TWO)
def test_faults_at_once(name):
    faults, causes = TWO[name]
    net = network(*PASSTHROUGH)
    found = lb.compare(net, Port(net, **faults).eval())
    assert [each.cause for each in found.causes] == causes


def test_onnx_beside_onnx(tmp_path):
    net = network(*PASSTHROUGH)
    x = torch.rand(1, *net.network.in_shape)
    paths = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, faults in {"right": {}, "concat": {"concat": True}, "bgr": {"bgr": True}}.items():
            paths[name] = str(tmp_path / f"{name}.onnx")
            torch.onnx.export(Port(net, **faults).eval(), (x,), paths[name], dynamo=False, opset_version=13)
    ours = str(tmp_path / "ours.onnx")
    net.to_onnx(ours)
    for reference in (paths["right"], ours):
        assert lb.compare(reference, paths["right"]).equal
        for name, cause in (("concat", "concat_order"), ("bgr", "channel_order")):
            found = lb.compare(reference, paths[name])
            assert [each.cause for each in found.causes] == [cause]


def test_the_input_may_be_given():
    net = network(*PASSTHROUGH)
    x = np.random.default_rng(3).random((1, *net.network.in_shape), np.float32)
    assert lb.compare(net, Port(net).eval(), x).equal


@pytest.mark.parametrize("wrong", ["space_to_depth", "pixel_unshuffle", "focus"])
def test_the_command_that_is_told_repairs_an_onnx_port(wrong, tmp_path, capfd):
    pytest.importorskip("onnx_ir")
    net = network(*PASSTHROUGH)
    path = tmp_path / "port of mine.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.rand(1, *net.network.in_shape)
        torch.onnx.export(Port(net, reorg=wrong).eval(), (x,), str(path), dynamo=False, opset_version=13)
    (cause,) = lb.compare(net, str(path)).causes
    _, _, command = cause.fix.partition("; or ")
    program, *arguments = shlex.split(command)
    assert program == "layoutbridge"
    assert run(capfd, *arguments)[0] == 0
    assert lb.compare(net, str(tmp_path / "port of mine.fixed.onnx")).equal
