"""The recorded networks of the real Darknet, to every framework and back: byte for byte where nothing was folded."""

from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reading.weights import read_weights
from layoutbridge.errors import WeightsError
from tests.darknet_files import GOLDEN, MORE, MORE_NETS, NETS, RECURRENT, SEQUENCES

FOLDERS = [NETS / n for n in GOLDEN] + [MORE / n for n in MORE_NETS] + [RECURRENT / n for n in SEQUENCES]
WITH_WEIGHTS = [folder for folder in FOLDERS if (folder / "net.weights").stat().st_size > 20]
NAMES = [f"{folder.parent.name}-{folder.name}" for folder in WITH_WEIGHTS]
BINARY = ("xnor",)  # cfgs whose weights an export has as signs
OTHER = {  # weights of shortcuts that are normalised in an export, and a layer of which nothing is made
    "bifpn_node", "scale_sam_batch3", "shortcut_per_channel_relu", "shortcut_per_channel_softmax",
    "shortcut_per_feature_relu", "shortcut_per_feature_softmax",
}  # fmt: skip
each = pytest.mark.parametrize("folder", WITH_WEIGHTS, ids=NAMES)


def loaded(folder, weights=True):
    file = folder / "net.weights" if weights else None
    return load(folder / "net.cfg", file, flavor=folder.parent.name, allow_paths=[folder])


def same_file(net: DarknetNetwork, folder: Path, tmp_path: Path) -> None:
    net.save_weights(tmp_path / "back.weights")
    assert (tmp_path / "back.weights").read_bytes() == (folder / "net.weights").read_bytes()
    read = read_weights(net.network, tmp_path / "back.weights", strict=net.network.upto is None)
    assert all((read.arrays[key] == values).all() for key, values in net.parameters.items())


def same_outputs(net: DarknetNetwork, back: DarknetNetwork, tolerance: float) -> None:
    x = np.random.default_rng(0).random((2, *net.network.in_shape), dtype=np.float32)
    for mine, theirs in zip(net.run(x, every_layer=True), back.run(x, every_layer=True), strict=True):
        assert np.abs(mine - theirs).max() <= tolerance * max(np.abs(mine).max(), 1e-6)


@pytest.mark.sample(40)
@each
def test_state_dicts_come_back_byte_for_byte(folder, tmp_path):
    pytest.importorskip("safetensors", reason="needs safetensors, of the extra torch")
    from layoutbridge.darknet.ports.torch import write_torch

    net = loaded(folder)
    write_torch(net.network, net.parameters, tmp_path / "net.safetensors")
    back = net.from_torch(tmp_path / "net.safetensors")
    assert back.returned.how == "names"
    same_file(back, folder, tmp_path)


@pytest.mark.sample(50)
@each
def test_modules_and_pth_files_come_back_byte_for_byte(folder, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    net, bare = loaded(folder), loaded(folder, weights=False)
    module = net.to_torch()
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, tmp_path / "net.pth")
    same_file(net.from_torch(module), folder, tmp_path)
    same_file(net.from_torch(tmp_path / "net.pth"), folder, tmp_path)
    again = bare.from_torch(module.state_dict())
    assert all((again.parameters[key] == values).all() for key, values in net.parameters.items())


@pytest.mark.sample(20)
@each
def test_keras_models_come_back_byte_for_byte(folder, tmp_path):
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    net = loaded(folder)
    same_file(net.from_keras(net.to_keras()), folder, tmp_path)


@pytest.mark.sample(slow=12)
@each
def test_files_of_keras_come_back_byte_for_byte(folder, tmp_path):
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    net = loaded(folder)
    model = net.to_keras()
    model.save(tmp_path / "net.keras")
    model.save(tmp_path / "net.h5")
    model.save_weights(tmp_path / "net.weights.h5")
    for name in ("net.keras", "net.h5", "net.weights.h5"):
        same_file(net.from_keras(tmp_path / name), folder, tmp_path)


@each
def test_onnx_models_with_batch_norm_come_back_byte_for_byte(folder, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx")
    net = loaded(folder)
    net.to_onnx(tmp_path / "net.onnx", keep_batch_norm=True)
    if folder.name.startswith(BINARY):
        with pytest.raises(WeightsError, match="signs alone"):
            net.from_onnx(tmp_path / "net.onnx")
        return
    back = net.from_onnx(tmp_path / "net.onnx")
    if folder.name not in OTHER:
        same_file(back, folder, tmp_path)
    same_outputs(net, back, 1e-6)


@each
def test_folded_onnx_models_compute_the_same(folder, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx")
    net = loaded(folder)
    net.to_onnx(tmp_path / "net.onnx")
    if folder.name.startswith(BINARY) or folder.name == "share_index_other_bn":
        with pytest.raises(WeightsError, match=r"signs alone|without its batch norm"):
            net.from_onnx(tmp_path / "net.onnx")
        return
    back = net.from_onnx(tmp_path / "net.onnx")
    same_outputs(net, back, 2e-6)
    back.save_weights(tmp_path / "back.weights")  # which a reader of weights files takes
    header = (tmp_path / "back.weights").read_bytes()[: len(net.weights.header.raw)]
    assert header == net.weights.header.raw
    assert read_weights(net.network, tmp_path / "back.weights").arrays.keys() == net.parameters.keys()


def test_a_network_without_weights_gets_the_header_that_its_fork_writes(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    for flavor, header in (("alexey", "000000000200000005000000"), ("pjreddie", "000000000200000000000000")):
        net = loaded(NETS / flavor / "residual", weights=False)
        state = {f"{layer.name}.{p.name}": torch.ones(p.shape) for layer in net.layers for p in layer.parameters}
        net.from_torch(state).save_weights(tmp_path / "new.weights")
        assert (tmp_path / "new.weights").read_bytes()[:20].hex() == header + 8 * "00"


def test_models_trained_further_come_back_as_they_are(tmp_path):
    keras = pytest.importorskip("keras", reason="needs Keras")
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    net = loaded(NETS / "alexey/classifier")
    model = net.to_keras()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    _, rows, columns = net.network.in_shape
    x = rng.random((4, rows, columns, 3), dtype=np.float32)
    model.fit(x, rng.random((4, *model.output_shape[1:]), dtype=np.float32), verbose=0)
    model.save(tmp_path / "trained.keras")
    back = net.from_keras(tmp_path / "trained.keras")
    assert not (back.parameters[0, "weights"] == net.parameters[0, "weights"]).all()
    mine = back.run(x.transpose(0, 3, 1, 2), framework="reference").reshape(4, -1)
    np.testing.assert_allclose(mine, model(x).numpy().reshape(4, -1), atol=1e-5)


def test_half_precision_is_told(tmp_path):
    pytest.importorskip("onnx", reason="needs onnx")
    net = loaded(NETS / "alexey/residual")
    net.to_onnx(tmp_path / "net.onnx", half=True)
    back = net.from_onnx(tmp_path / "net.onnx")
    assert any("float16" in note for note in back.returned.notes)
    same_outputs(net, back, 5e-3)
