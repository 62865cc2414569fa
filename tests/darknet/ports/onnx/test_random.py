"""Drawn networks of every kind of layer, in onnxruntime against the float64 reference; and one model for all sizes."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import CfgError, UnsupportedError
from tests.darknet_files import check_onnx, random_weights
from tests.drawn_networks import SHARES, buildable, share_of

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx


@pytest.mark.sample(1)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # l2norm of zeros is 0/0, as in Darknet
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("share", SHARES)
def test_drawn_networks(flavor, share, tmp_path):
    for number, (text, network) in share_of(buildable(flavor, 120), share):
        (tmp_path / "net.cfg").write_text(text)
        (tmp_path / "net.weights").write_bytes(random_weights(network))
        net = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor)
        kept, batch, opset = number % 2 == 1, 1 + number % 3, (11, 17, 21)[number % 3]
        checked = check_onnx(net.network, net.parameters, batch=batch, keep_batch_norm=kept, opset=opset)
        for row in checked.rows:
            assert not row.over or row.deviation <= 5 * row.rounding, f"{row}\n{text}"


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_drawn_networks_of_open_size(flavor, tmp_path):
    written = 0
    for text, network in buildable(flavor, 150):
        if "padding=" in text and "pool]" in text:
            continue  # what a pool pads beyond its nominal size
        (tmp_path / "net.cfg").write_text(text)
        (tmp_path / "net.weights").write_bytes(random_weights(network))
        net = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor)
        try:
            export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", dynamic_size=True, every_layer=True)
        except UnsupportedError:
            continue
        written += 1
        for width, height in ((12, 16), (9, 13)):
            try:
                sized = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor, size=(width, height))
            except CfgError:
                continue
            x = np.random.default_rng(0).random((2, *sized.network.in_shape), np.float32)
            (wanted,) = run_onnx(sized.network, sized.parameters, x)
            results = dict(zip(export.outputs, run_model(tmp_path / "net.onnx", x), strict=True))
            found = results[network.layers[-1].name]
            assert found.shape == wanted.shape, text
            bound = 1e-4 * np.abs(wanted).max()
            np.testing.assert_allclose(found, wanted, rtol=0, atol=bound, err_msg=text)
    assert written >= 30
