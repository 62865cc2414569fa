"""Ports written node by node in ONNX: right in every style, and with one fault the layer and the cause."""

import numpy as np
import pytest

import layoutbridge as lb

pytest.importorskip("onnxruntime")

from tests.comparing.onnx_ports import REORGS, port

PASSTHROUGH = ("alexey", "passthrough")
ORIGINAL = ("pjreddie", "passthrough")


def network(fork, name):
    folder = f"fixtures/nets/{fork}/{name}"
    return lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights", flavor=fork)


STYLES = {
    **{f"reorg by {spelling}": (PASSTHROUGH, {"spelling": spelling}) for spelling in REORGS},
    **{f"kept, NHWC, reorg by {spelling}": (ORIGINAL, {"spelling": spelling, "kept": True, "nhwc": True})
       for spelling in REORGS},
    "raw head": (ORIGINAL, {"head": "raw", "nhwc": True}),
    "yolo": (("alexey", "yolo_scaled"), {"kept": True}),
    "raw yolo": (("alexey", "yolo_scaled"), {"head": "raw"}),
    "dense": (("alexey", "connected"), {}),
    "pools": (("alexey", "spp"), {"nhwc": True}),
    "residual": (("alexey", "residual"), {"kept": True}),
    "upsample": (("alexey", "upsample"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", STYLES)
def test_a_right_port(name):
    which, style = STYLES[name]
    net = network(*which)
    found = lb.compare(net, port(net, **style))
    assert found.equal, found.first
    assert found.causes == ()


# A network, a fault of its port, the layer and the cause that are to be told, and a word of what was found.
FAULTS = {
    "epsilon": (PASSTHROUGH, {"epsilon": 1e-3}, "0_convolutional", "batch_norm", "0.001"),
    "epsilon, kept": (PASSTHROUGH, {"epsilon": {3: 1e-3}, "kept": True}, "3_convolutional", "batch_norm", "0.001"),
    "pads": (PASSTHROUGH, {"pads": {1: [0, 0, 1, 1]}, "nhwc": True}, "1_convolutional", "padding", "SAME"),
    "pads elsewhere": (ORIGINAL, {"pads": {1: [2, 2, 0, 0]}}, "1_convolutional", "padding", "above and on the left"),
    "transposed": (
        PASSTHROUGH, {"weights": {6: lambda w: w.swapaxes(2, 3)}}, "6_convolutional", "weight_layout", "exchanged",
    ),
    "another order of outputs": (
        PASSTHROUGH, {"weights": {0: lambda w: w[::-1]}}, "0_convolutional", "weight_layout", "outputs",
    ),
    "slope": (PASSTHROUGH, {"slope": {1: 0.01}}, "1_convolutional", "activation", "0.01"),
    "elu": (PASSTHROUGH, {"activation": {1: "elu"}, "kept": True}, "1_convolutional", "activation", "elu"),
    "bgr": (ORIGINAL, {"bgr": True, "nhwc": True}, "0_convolutional", "channel_order", "BGR"),
    "range": (ORIGINAL, {"range": 1 / 255}, "0_convolutional", "input_range", "divided by 255"),
    "SpaceToDepth": (PASSTHROUGH, {"reorg": "SpaceToDepth"}, "4_reorg", "rearrangement", "depth"),
    "reshape": (ORIGINAL, {"reorg": "reshape"}, "4_reorg", "rearrangement", ""),
    "concat": (PASSTHROUGH, {"concat": {5: True}, "kept": True}, "5_route", "concat_order", "input 2, input 1"),
    "concat of spp": (("alexey", "spp"), {"concat": {6: True}}, "6_route", "concat_order", "input 4, input 3"),
    "flatten": (("alexey", "connected"), {"flatten": True}, "1_connected", "flatten_order", "H, W, C"),
    "rows": (("alexey", "connected"), {"rows": {3: True}}, "3_connected", "weight_layout", "rows and columns"),
    "pool": (("alexey", "maxpools"), {"pool": {3: [1, 1, 0, 0]}}, "3_maxpool", "pooling", "1 above, 0 below"),
    "mean": (("alexey", "maxpools"), {"mean": {1: True}}, "1_maxpool", "pooling", "mean"),
    "half pixels": (
        ("alexey", "upsample"), {"resize": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}},
        "2_upsample", "upsampling", "half pixels",
    ),
    "corners": (
        ("alexey", "upsample"), {"resize": {"mode": "linear", "coordinate_transformation_mode": "align_corners"}},
        "2_upsample", "upsampling", "corners",
    ),
    "rounded up": (
        ("pjreddie", "upsample"),
        {"resize": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}},
        "2_upsample", "upsampling", "rounded up",
    ),
    "product": (("alexey", "residual"), {"sum": {3: "Mul"}}, "3_shortcut", "sum", "product"),
    "no spread": (("alexey", "yolo_scaled"), {"no_spread": True}, "2_yolo", "head", "scale_x_y"),
    "softmax": (("alexey", "yolo_scaled"), {"head": "layer", "softmax": True}, "2_yolo", "head", "a softmax"),
    "no softmax": (ORIGINAL, {"no_softmax": True}, "8_region", "head", "instead of the softmax"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name):
    which, faults, at, cause, words = FAULTS[name]
    net = network(*which)
    found = lb.compare(net, port(net, **faults))
    assert not found.equal
    assert found.first.reference.endswith(at), found.first
    assert [each.cause for each in found.causes] == [cause], found.causes
    (told,) = found.causes
    assert told.at == found.first.reference
    assert words in told.found
    assert told.deviation_after < 1e-5 <= told.deviation_before


def test_an_input_of_whole_pictures_is_told():
    """A port that scales inside takes 0 to 255: given 0 to 1, it is apart at its first layer."""
    net = network(*ORIGINAL)
    x = np.random.default_rng(5).random((1, *net.network.in_shape), np.float32)
    found = lb.compare(net, port(net, range=1 / 255, nhwc=True), x)
    assert [each.cause for each in found.causes] == ["input_range"]
