"""Ports with two faults that hide each other: of one layer, of two in a row, one in front of a head and one of it."""

import re

import numpy as np
import pytest

import layoutbridge as lb

pytest.importorskip("onnxruntime")

from tests.comparing.decoding_ports import decoding
from tests.comparing.onnx_ports import port
from tests.comparing.test_onnx_ports import PASSTHROUGH, network
from tests.comparing.test_several_heads import CFG
from tests.darknet_files import made

RESIDUAL, GROUPED = ("alexey", "residual"), ("alexey", "grouped_conv")


def permuted(axis):
    return lambda w: w.take(np.random.default_rng(3).permutation(w.shape[axis]), axis)


def turned(w):
    return w[..., ::-1, ::-1]


# A network, the faults of its port, and what is to be told: causes with their layers.
TWO = {
    "an epsilon everywhere, and inputs in another order": (
        PASSTHROUGH, {"epsilon": 1e-3, "weights": {3: permuted(1)}},
        [("batch_norm", "0_convolutional"), ("weight_layout", "3_convolutional")],
    ),
    "a reorg, and the route that reads it": (
        PASSTHROUGH, {"reorg": "SpaceToDepth", "concat": {5: True}},
        [("rearrangement", "4_reorg"), ("concat_order", "5_route")],
    ),
    "no sum, and the convolution that reads it": (
        RESIDUAL, {"sum": {3: "first"}, "pads": {4: [2, 2, 0, 0]}},
        [("sum", "3_shortcut"), ("padding", "4_convolutional")],
    ),
    "weights and a range of one layer": (
        PASSTHROUGH, {"range": 255, "weights": {0: turned}},
        [("input_range", "0_convolutional"), ("weight_layout", "0_convolutional")],
    ),
    "a slope and weights, batch norm in steps": (
        PASSTHROUGH, {"slope": {1: 0.3}, "weights": {1: turned}, "kept": True, "written out": True},
        [("activation", "1_convolutional"), ("weight_layout", "1_convolutional")],
    ),
}  # fmt: skip


@pytest.mark.sample(2, slow=1)
@pytest.mark.parametrize("name", TWO)
def test_both_are_told(name):
    which, faults, causes = TWO[name]
    net = network(*which)
    found = lb.compare(net, port(net, **faults))
    assert sorted((each.cause, each.at) for each in found.causes) == sorted(causes), found.causes
    assert found.first.reference == causes[0][1]


@pytest.mark.parametrize("which", [PASSTHROUGH, RESIDUAL])
def test_steps_are_no_fault(which):
    net = network(*which)
    assert lb.compare(net, port(net, **{"kept": True, "written out": True})).equal


def test_a_head_is_judged_behind_all_else(tmp_path):
    """Boxes of two heads in one tensor: the upsampling is wrong, and the head before it right or wrong."""
    net = made(CFG, tmp_path)
    resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    found = lb.compare(net, decoding(net, resize=resize))
    assert found.first.reference == "6_upsample"
    assert [(each.cause, each.at) for each in found.causes] == [("upsampling", "6_upsample")]
    found = lb.compare(net, decoding(net, resize=resize, **{"no exp": {4: True}}))
    assert found.first.reference == "4_yolo"
    assert [(each.cause, each.at) for each in found.causes] == [("head", "4_yolo"), ("upsampling", "6_upsample")]


_CONVOLUTION = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation={}\n"
_WITH_DROPOUT = "".join(
    [
        "[net]\nwidth=16\nheight=12\nchannels=3\n",
        _CONVOLUTION.format("leaky"),
        _CONVOLUTION.format("linear"),
        "[dropout]\nprobability=.15\n[shortcut]\nfrom=-3\nactivation=linear\n",
        _CONVOLUTION.format("leaky"),
    ]
)


def test_an_activation_too_many_in_front_of_a_dropout(tmp_path):
    net = made(_WITH_DROPOUT, tmp_path)
    (cause,) = lb.compare(net, port(net, activation={1: "relu"}, kept=True)).causes
    assert (cause.cause, cause.at, cause.found) == ("activation", "1_convolutional", "relu")


ORDERS = {
    "outputs": (PASSTHROUGH, 1, permuted(0)),
    "inputs": (PASSTHROUGH, 3, permuted(1)),
    "outputs of groups": (GROUPED, 1, permuted(0)),
    "half turn": (GROUPED, 1, turned),
    "height and width": (PASSTHROUGH, 1, lambda w: w.swapaxes(2, 3)),
    "HWIO": (PASSTHROUGH, 1, lambda w: w.reshape(*w.shape[2:], *w.shape[1::-1]).transpose(3, 2, 0, 1)),
    "OHWI": (PASSTHROUGH, 1, lambda w: w.reshape(w.shape[0], *w.shape[2:], w.shape[1]).transpose(0, 3, 1, 2)),
    "IOHW": (PASSTHROUGH, 3, lambda w: w.reshape(*w.shape[1::-1], *w.shape[2:]).transpose(1, 0, 2, 3)),
}


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("name", ORDERS)
def test_the_code_that_is_told_puts_weights_back(name):
    which, index, change = ORDERS[name]
    net = network(*which)
    right = np.asarray(net.parameters[index, "weights"])
    wrong = change(np.ascontiguousarray(right))
    (cause,) = lb.compare(net, port(net, weights={index: change})).causes
    assert cause.cause == "weight_layout"
    code = re.search(r"weights = (.*)$", cause.fix)[1]
    assert np.array_equal(eval(code, {"weights": np.ascontiguousarray(wrong)}), right)
