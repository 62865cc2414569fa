"""Networks as people train them, to ONNX and Keras and back: byte for byte, and for what is folded within rounding."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from tests.darknet_files import SHARED, WHERE_ZOO, ZOO, random_weights

pytest.importorskip("onnx", reason="needs onnx")
CFGS = sorted(ZOO.glob("*/*/net.cfg")) if ZOO.is_dir() else []
REAL = sorted((SHARED / "real").glob("*/net.cfg")) if (SHARED / "real").is_dir() else []
WHERE_REAL = f"the trained networks (not copied here) are not at {SHARED / 'real'}"


def brought_back_from_onnx(cfg, weights, flavor, tmp_path):
    net = load(cfg, weights, flavor=flavor)
    net.to_onnx(tmp_path / "net.onnx", keep_batch_norm=True)
    back = net.from_onnx(tmp_path / "net.onnx")
    back.save_weights(tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()
    net.to_onnx(tmp_path / "net.onnx")
    folded = net.from_onnx(tmp_path / "net.onnx")
    for layer in net.layers:
        for parameter in layer.parameters:
            if parameter.name == "scales" and layer.kind == "convolutional":
                given = folded.parameters[layer.index, "weights"]
                held = {name: net.parameters[layer.index, name].astype(float) for name in ("scales", "variances")}
                divided = np.sqrt(held["variances"] + 1e-5) if flavor == "alexey" else np.sqrt(held["variances"]) + 1e-6
                factor = (held["scales"] / divided).reshape(-1, 1, 1, 1)
                np.testing.assert_allclose(given, net.parameters[layer.index, "weights"] * factor, rtol=1e-6)
    return net


@pytest.mark.slow
@pytest.mark.skipif(not CFGS, reason=WHERE_ZOO)
@pytest.mark.parametrize("cfg", CFGS, ids=[f"{cfg.parent.parent.name}-{cfg.parent.name}" for cfg in CFGS])
def test_the_forks_own_networks(cfg, tmp_path):
    flavor = cfg.parent.parent.name
    (tmp_path / "net.weights").write_bytes(random_weights(load(cfg, flavor=flavor).network))
    brought_back_from_onnx(cfg, tmp_path / "net.weights", flavor, tmp_path)


@pytest.mark.skipif(not REAL, reason=WHERE_REAL)
@pytest.mark.parametrize("cfg", REAL, ids=[cfg.parent.name for cfg in REAL])
def test_trained_networks(cfg, tmp_path):
    brought_back_from_onnx(cfg, cfg.parent / "net.weights", "alexey", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason=WHERE_REAL)
@pytest.mark.parametrize("cfg", REAL, ids=[cfg.parent.name for cfg in REAL])
def test_trained_networks_in_keras(cfg, tmp_path):
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    net = load(cfg, cfg.parent / "net.weights")
    net.to_keras().save(tmp_path / "net.keras")
    net.from_keras(tmp_path / "net.keras").save_weights(tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == (cfg.parent / "net.weights").read_bytes()
