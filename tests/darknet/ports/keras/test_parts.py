"""Convolutions that are written for LiteRT as several of fewer channels."""

import numpy as np
import pytest

from layoutbridge.darknet.ports import tflite
from layoutbridge.darknet.rounding.options import Int8
from tests.darknet_files import GOLDEN, made, read

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

QUICK = ("alexey/passthrough", "alexey/grouped_conv", "alexey/pad_variants", "pjreddie/residual")
LARGE = "[net]\nwidth=5\nheight=4\nchannels=700\n[convolutional]\nfilters=6\nsize=3\npad=1\nactivation=leaky\n"


def names_of(path):
    interpreter = litert.Interpreter(
        str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    return [each["op_name"] for each in interpreter._get_ops_details()]


@pytest.mark.sample(slow=12, first=QUICK)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name, monkeypatch):
    monkeypatch.setattr(tflite, "LONGEST_SUM", 20)
    net, x, recorded = read(name)
    outputs = tflite.run_litert(net.network, net.parameters, x[None], every_layer=True)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert np.abs(output[0] - wanted).max() <= 1e-5 * np.abs(wanted).max(), layer.name


def test_large_ones_alone_and_not_in_int8(tmp_path):
    net = made(LARGE, tmp_path)
    path = tmp_path / "net.tflite"
    tflite.write_tflite(net.network, net.parameters, path)
    assert [name for name in names_of(path) if name in ("CONV_2D", "ADD")] == ["CONV_2D", "CONV_2D", "ADD"]
    x = np.random.default_rng(1).random((1, 700, 4, 5), np.float32)
    (found,) = tflite.run_tflite(path, x).values()
    wanted = net.run(x)
    assert np.abs(found.transpose(0, 3, 1, 2) - wanted).max() <= 1e-5 * np.abs(wanted).max()

    small = made(LARGE.replace("700", "640"), tmp_path)
    tflite.write_tflite(small.network, small.parameters, path)
    assert "ADD" not in names_of(path)

    pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
    tflite.write_tflite(net.network, net.parameters, path, int8=Int8(x))
    assert "ADD" not in names_of(path)
