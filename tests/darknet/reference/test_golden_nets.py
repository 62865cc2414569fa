"""Every layer of the recorded small networks, against what the real Darknet computed."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reference import forward, forward_layer
from layoutbridge.darknet.structure.settings import Moving
from layoutbridge.operations.catalog import op
from tests.darknet_files import GOLDEN, NETS, built, random_weights

TOLERANCE = 1e-5  # of a layer's largest value; the reference is float64, Darknet float32
PERMUTATIONS = ("reorg", "reorg3d", "route", "dropout", "empty")


def read(name):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0], strict=True)
    with np.load(folder / "outputs.npz") as recorded:
        x = recorded["input"]
        layers = [recorded[f"layer{k:02d}"] for k in range(len(recorded.files) - 1)]
    return net, x, layers


def test_all_networks_are_here():
    assert len(GOLDEN) == 99


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name):
    net, x, recorded = read(name)
    outputs = net.run(x[None], every_layer=True)
    assert len(outputs) == len(recorded) == len(net.layers)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.shape == (1, *wanted.shape) == (1, *layer.out_shape), layer.name
        assert output.dtype == np.float64
        deviation = np.abs(output[0] - wanted).max() / np.abs(wanted).max()
        assert deviation <= TOLERANCE, f"{layer.name}: {deviation:.1e}"


def has_moving_layers(name):
    sections = (NETS / name / "net.cfg").read_text().split("\n")
    return any(f"[{kind}]" in sections for kind in PERMUTATIONS)


@pytest.mark.parametrize("name", [name for name in GOLDEN if has_moving_layers(name)])
def test_moving_layers_are_bit_for_bit(name):
    net, x, recorded = read(name)
    for layer in [layer for layer in net.layers if layer.kind in PERMUTATIONS]:
        inputs = [(x if k < 0 else recorded[k])[None] for k in layer.inputs]
        output = forward_layer(layer, net.parameters, inputs, net.network.flavor, 1, np.float32)
        assert output.dtype == np.float32
        np.testing.assert_array_equal(output[0], recorded[layer.index], layer.name)


@pytest.mark.parametrize("name", [name for name in GOLDEN if "reorg" in name or "passthrough" in name])
def test_the_catalogue_says_the_same_of_reorg(name):
    net, _, recorded = read(name)
    for layer in net.layers:
        settings = layer.settings
        if isinstance(settings, Moving) and settings.operation is not None:
            stride = {} if settings.flatten else {"stride": settings.stride}
            moved = op(settings.operation, **stride)(recorded[layer.inputs[0]])
            np.testing.assert_array_equal(moved.reshape(layer.out_shape), recorded[layer.index])


@pytest.mark.parametrize("name", GOLDEN)
def test_a_batch_is_its_pictures(name):
    net, x, _ = read(name)
    other = np.ascontiguousarray(x[::-1])
    together = net.run(np.stack([x, other]), every_layer=True)
    for layer, both, alone in zip(net.layers, together, net.run(other[None], every_layer=True), strict=True):
        np.testing.assert_allclose(both[1], alone[0], rtol=1e-9, atol=1e-12, err_msg=layer.name)
    np.testing.assert_array_equal(net.run(np.stack([x, other])), together[-1])


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_are_saved_byte_for_byte(name, tmp_path):
    net, _, _ = read(name)
    net.save_weights(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (NETS / name / "net.weights").read_bytes()


def test_float32_on_request():
    net, x, recorded = read("alexey/yolo_head")
    outputs = forward(net.network, net.parameters, x[None], dtype=np.float32)
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    assert np.abs(outputs[-1][0] - recorded[-1]).max() < 1e-5


PICTURE = "[net]\nwidth=6\nheight=4\nchannels=4\n"


def run(tmp_path, text, x, flavor="alexey"):
    """Every layer of a cfg's text with random weights, and the network."""
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(random_weights(built(text, flavor)))
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor, strict=True)
    return net, net.run(x, every_layer=True)


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(2, 4, 4, 6)).astype(np.float32)


def test_second_order_sum(tmp_path, x):
    text = PICTURE + "[conv]\nfilters=4\nactivation=linear\n[conv]\nfilters=4\nactivation=linear\n"
    for key, epsilon in (("", 1e-4), ("epsilon=0.25\n", 0.25)):
        cfg = f"{text}[shortcut]\nfrom=0\nsecond_order=1\nactivation=leaky\n{key}"
        for flavor in ("alexey", "pjreddie"):
            _, (a, b, y) = run(tmp_path, cfg, x, flavor)
            wanted = a + b + np.sqrt(np.maximum(a, 0) * np.maximum(b, 0) + epsilon)
            np.testing.assert_allclose(y, np.where(wanted > 0, wanted, 0.1 * wanted))


def test_shared_parameters(tmp_path, x):
    conv = "[conv]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=tanh\n"
    net, (first, second) = run(tmp_path, f"{PICTURE}{conv}{conv}share_index=-1\n", x)
    assert net.network.parameter_count == 4 * 4 * 9 + 4 * 4
    assert net.parameters[0, "weights"] is net.parameters[1, "weights"]
    again = forward_layer(net.layers[0], net.parameters, [first], "alexey", 2)
    np.testing.assert_array_equal(second, again)


def test_strided_antialiasing_is_a_blur_of_the_plain_layer(tmp_path, x):
    plain = run(tmp_path, f"{PICTURE}[conv]\nfilters=3\nsize=3\npad=1\nactivation=mish\n", x)[1][0]
    cfg = f"{PICTURE}[conv]\nfilters=3\nsize=3\npad=1\nactivation=mish\nstride=2\nantialiasing="
    means = plain.reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5))
    net, (two,) = run(tmp_path, f"{cfg}2\n", x)
    np.testing.assert_allclose(two, means)
    assert net.layers[0].settings.stride_x == 1
    padded = np.pad(plain, ((0, 0), (0, 0), (1, 1), (1, 1)))
    lines = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:])[:, :, ::2] / 4
    wanted = (lines[..., :-2] + 2 * lines[..., 1:-1] + lines[..., 2:])[..., ::2] / 4
    np.testing.assert_allclose(run(tmp_path, f"{cfg}1\n", x)[1][0], wanted)


def test_softmax_over_a_tree(tmp_path, x):
    (tmp_path / "a.tree").write_text("animal -1\nthing -1\ncat 0\ndog 0\ncar 1\n")
    text = PICTURE + "[connected]\noutput=5\nactivation=linear\n[softmax]\ntree=a.tree\n"
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(random_weights(load(tmp_path / "net.cfg").network))
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights")
    values, scores = net.run(x, every_layer=True)
    assert net.layers[1].settings.tree.sizes == (2, 2, 1)
    powers = np.exp(values[..., 0, 0])
    for group in (slice(0, 2), slice(2, 4), slice(4, 5)):
        np.testing.assert_allclose(scores[:, group], powers[:, group] / powers[:, group].sum(1, keepdims=True))


def test_relu6_is_a_clip(tmp_path, x):
    _, (y,) = run(tmp_path, f"{PICTURE}[activation]\nactivation=relu6\n", 8 * x)
    np.testing.assert_array_equal(y, np.clip(8 * x.astype(np.float64), 0, 6))
