"""Ports written by hand in Keras, channels last: right in every style, and with one fault the layer and the cause."""

import pytest

import layoutbridge as lb

pytest.importorskip("tensorflow")

import keras

from tests.comparing.keras_ports import REORGS, port

PASSTHROUGH = ("alexey", "passthrough")
ORIGINAL = ("pjreddie", "passthrough")


def network(fork, name):
    folder = f"fixtures/nets/{fork}/{name}"
    return lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights", flavor=fork)


STYLES = {
    **{f"reorg by {style}": (PASSTHROUGH, {"spelling": style}) for style in REORGS},
    **{f"the original's reorg by {style}": (ORIGINAL, {"spelling": style, "folded": True}) for style in REORGS},
    "batch norm folded": (PASSTHROUGH, {"folded": True}),
    "activations fused": (PASSTHROUGH, {"folded": True, "fused": True}),
    "raw head": (PASSTHROUGH, {"head": "raw"}),
    "raw head, folded": (("alexey", "yolo_scaled"), {"head": "raw", "folded": True, "fused": True}),
    "yolo": (("alexey", "yolo_scaled"), {}),
    "dense": (("alexey", "connected"), {}),
    "pools": (("alexey", "maxpools"), {}),
    "spp": (("alexey", "spp"), {"folded": True}),
    "residual": (("alexey", "residual"), {}),
    "upsample": (("alexey", "upsample"), {}),
    "pads": (("alexey", "pad_variants"), {"fused": True, "folded": True}),
}


@pytest.mark.sample(4, slow=4)
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
    "epsilon, folded": (PASSTHROUGH, {"epsilon": 1e-3, "folded": True}, "0_convolutional", "batch_norm", "0.001"),
    "no batch norm": (PASSTHROUGH, {"no_batch_norm": {3: True}}, "3_convolutional", "batch_norm", "no batch norm"),
    "same": (PASSTHROUGH, {"same": {0: True}}, "0_convolutional", "padding", "SAME"),
    "same later": (PASSTHROUGH, {"same": {1: True}}, "1_convolutional", "padding", "SAME"),
    "same, folded": (ORIGINAL, {"same": {0: True}, "folded": True}, "0_convolutional", "padding", "SAME"),
    "bilinear": (("alexey", "upsample"), {"upsample": "bilinear"}, "2_upsample", "upsampling", "half pixels"),
    "space_to_depth": (PASSTHROUGH, {"reorg": {4: "space_to_depth"}}, "4_reorg", "rearrangement", "space_to_depth"),
    "reshape": (PASSTHROUGH, {"reorg": {4: "reshape"}}, "4_reorg", "rearrangement", ""),
    "flatten": (("alexey", "connected"), {"flatten": True}, "1_connected", "flatten_order", "H, W, C"),
    "rows": (("alexey", "connected"), {"rows": {3: True}}, "3_connected", "weight_layout", "rows and columns"),
    "reshaped": (PASSTHROUGH, {"kernel": {1: "reshaped"}}, "1_convolutional", "weight_layout", "HWIO"),
    "exchanged": (PASSTHROUGH, {"kernel": {6: "exchanged"}}, "6_convolutional", "weight_layout", "height and width"),
    "slope": (PASSTHROUGH, {"slope": 0.3}, "0_convolutional", "activation", "0.3"),
    "slope, fused": (
        PASSTHROUGH, {"slope": 0.3, "folded": True, "fused": True}, "0_convolutional", "activation", "0.3",
    ),
    "relu": (PASSTHROUGH, {"activation": {1: keras.activations.relu}}, "1_convolutional", "activation", "relu"),
    "silu": (
        PASSTHROUGH, {"activation": {3: keras.activations.silu}, "folded": True}, "3_convolutional", "activation",
        "swish",
    ),
    "bgr": (PASSTHROUGH, {"bgr": True}, "0_convolutional", "channel_order", "BGR"),
    "bgr, folded": (("alexey", "residual"), {"bgr": True, "folded": True}, "0_convolutional", "channel_order", "BGR"),
    "range": (PASSTHROUGH, {"range": 255.0}, "0_convolutional", "input_range", "0 to 255"),
    "range twice": (("alexey", "spp"), {"range": 1 / 255}, "0_convolutional", "input_range", "divided by 255"),
    "pool same at stride 1": (("alexey", "maxpools"), {"pool": {7: "same"}}, None, None, ""),
    "pool valid": (("alexey", "maxpools"), {"pool": {5: "valid"}}, "5_maxpool", "pooling", "no padding"),
    "pool same": (("alexey", "maxpool_padding"), {"pool": {1: "same"}}, "1_maxpool", "pooling", ""),
    "concat": (PASSTHROUGH, {"concat": {5: True}}, "5_route", "concat_order", "input 2, input 1"),
    "concat of spp": (("alexey", "spp"), {"concat": {6: True}}, "6_route", "concat_order", "input 4, input 3"),
    "logistic": (PASSTHROUGH, {"all_logistic": True}, "8_region", "head", "logistic over all"),
    "no spread": (("alexey", "yolo_scaled"), {"no_spread": True}, "2_yolo", "head", "scale_x_y"),
    "product": (("alexey", "residual"), {"product": True}, "3_shortcut", "sum", "product"),
}  # fmt: skip


@pytest.mark.sample(3, slow=3)
@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name):
    which, faults, at, cause, words = FAULTS[name]
    net = network(*which)
    found = lb.compare(net, port(net, **faults))
    if at is None:
        assert found.equal, found.first
        return
    assert not found.equal
    assert found.first.reference.endswith(at), found.first
    assert [each.cause for each in found.causes] == [cause], found.causes
    (told,) = found.causes
    assert told.at == found.first.reference
    assert words in told.found
    assert told.deviation_after < 1e-5 <= told.deviation_before


TWO = {
    "of one layer": ({"epsilon": 1e-3, "slope": 0.3}, ["batch_norm", "activation"]),
    "of one layer, folded": ({"epsilon": 1e-3, "slope": 0.3, "folded": True}, ["batch_norm", "activation"]),
    "of two layers": ({"same": {1: True}, "reorg": "space_to_depth"}, ["padding", "rearrangement"]),
    "at the input and later": ({"bgr": True, "concat": {5: True}}, ["channel_order", "concat_order"]),
    "three": (
        {"kernel": {1: "reshaped"}, "reorg": "space_to_depth", "all_logistic": True},
        ["weight_layout", "rearrangement", "head"],
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", TWO)
def test_faults_at_once(name):
    faults, causes = TWO[name]
    net = network(*PASSTHROUGH)
    found = lb.compare(net, port(net, **faults))
    assert [each.cause for each in found.causes] == causes
