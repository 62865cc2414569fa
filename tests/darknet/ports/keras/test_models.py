"""Darknet networks in Keras: outputs against the real Darknet, layers, transposes."""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.meaning import Context
from layoutbridge.darknet.ports.check import check_runners
from layoutbridge.darknet.ports.table import runner
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, UnknownNameError, WeightsError
from tests.darknet_files import (
    GOLDEN,
    NETS,
    WHERE_ZOO,
    ZOO,
    load_synthesizer,
    made,
    moving_layers,
    random_weights,
    read,
    real_network,
    zoo_networks,
)
from tests.drawn_networks import SHARES, buildable, share_of
from tests.keras_networks import FORMATS, SMALL_V2, SMALL_V3, near, turned

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from layoutbridge.darknet.ports.keras import run_keras, transposes  # noqa: E402
from layoutbridge.frameworks.tensorflow.layers import GivenFilters2D  # noqa: E402

ZOO_TOLERANCE = 5e-5


def operations(model):
    """How often each operation stands in the traced graph, functions inside it too."""
    lengths = (None, *model.inputs[0].shape[1:])
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec(lengths))
    definition = traced.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return Counter(node.op for node in nodes)


# ---------------------------------------------------------------------- outputs


@pytest.mark.sample(40)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name, data_format):
    net, x, recorded = read(name)
    outputs = run_keras(net.network, net.parameters, np.stack([x, x]), every_layer=True, data_format=data_format)
    assert len(outputs) == len(recorded) == len(net.layers)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.dtype == np.float32
        assert output.shape == (2, *layer.out_shape), layer.name
        for picture in output:
            assert near(picture, wanted), layer.name


@pytest.mark.sample(1)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # l2norm of zeros is 0/0, as in Darknet
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("share", SHARES)
def test_drawn_networks(flavor, share, tmp_path):
    def run(data_format):
        return replace(runner("keras"), run=partial(run_keras, data_format=data_format))

    runners = {data_format: run(data_format) for data_format in FORMATS}
    for number, (text, network) in share_of(buildable(flavor, 60), share):
        (tmp_path / "net.cfg").write_text(text)
        (tmp_path / "net.weights").write_bytes(random_weights(network))
        net = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor)
        for row in check_runners(net.network, net.parameters, runners, batch=1 + number % 3).rows:
            assert not row.over or row.deviation <= 5 * row.rounding, f"{row}\n{text}"
        assert_told(net.to_keras(every_layer=True))


@pytest.mark.parametrize("name", ["alexey/residual", "pjreddie/classifier"])
def test_the_last_layer_alone_by_either_name(name):
    net, x, recorded = read(name)
    for framework in ("keras", "tensorflow"):
        assert near(net.run(x[None], framework=framework)[0], recorded[-1])


@pytest.mark.parametrize("name", ["alexey/scale_channels", "alexey/yolo_scaled", "pjreddie/shortcut_alpha_beta"])
def test_keras_own_default_layout_does_not_matter(name):
    net, x, recorded = read(name)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        (output,) = run_keras(net.network, net.parameters, x[None])
    finally:
        keras.config.set_image_data_format(before)
    assert near(output[0], recorded[-1])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("name", "index"), list(moving_layers()))
def test_moving_layers_are_bit_for_bit(name, index, data_format):
    """Each by itself, on Darknet's own output before it."""
    net, x, recorded = read(name)
    layer = net.layers[index]
    sources = [x if k < 0 else recorded[k] for k in layer.inputs]
    if len(sources) > 1:
        found = run_route(sources, layer, data_format)
    else:
        alone = replace(layer, index=0, inputs=(-1,), parameters=())
        network = Network(net.network.flavor, "alone.cfg", sources[0].shape, (alone,))
        (found,) = run_keras(network, {}, sources[0][None], data_format=data_format)
    np.testing.assert_array_equal(found[0].reshape(recorded[index].shape), recorded[index])


def run_route(sources, layer, data_format):
    """A route of several inputs, which the network's one input holds one after another."""
    from layoutbridge.darknet.meaning.combining import route
    from layoutbridge.frameworks.tensorflow.target import KerasTarget

    sizes = [source.size for source in sources]
    target = KerasTarget((sum(sizes),), data_format)
    parts = target.split(target.input, sizes)
    inputs = tuple(target.reshape(part, source.shape) for part, source in zip(parts, sources, strict=True))
    network = Network("alexey", "alone.cfg", (sum(sizes),), (layer,))
    value = route(Context(target, network, layer, inputs, {}), layer.settings)
    model = keras.Model(target.input.tensor, target.output(value, as_picture=False))
    return model(np.concatenate([source.ravel() for source in sources])[None]).numpy()


@pytest.mark.sample(25, slow=20)
@pytest.mark.parametrize("name", [name for name in GOLDEN if "yolo" in name or "region" in name or "detection" in name])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("head", ["darknet", "raw", "boxes", "yolov5", "yolov8"])
def test_heads_are_those_of_onnx(name, data_format, head, tmp_path):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_model

    net, x, _ = read(name)
    net.to_onnx(tmp_path / "net.onnx", head=head)
    wanted = run_model(tmp_path / "net.onnx", x[None])
    model = net.to_keras(data_format=data_format, head=head)
    found = model(turned(x[None]) if data_format == "channels_last" else x[None])
    found = [tensor.numpy() for tensor in (found if isinstance(found, list) else [found])]
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        if mine.shape != theirs.shape:
            lies_so = net.layers[-1].kind == "region" and net.layers[-1].settings.channels_last and head == "darknet"
            mine = mine.reshape(theirs.shape) if lies_so else mine.transpose(0, 3, 1, 2)
        assert near(mine, theirs)


def test_several_heads_are_a_list_and_every_layer_follows(tmp_path):
    net = made(SMALL_V3, tmp_path)
    heads = [layer.name for layer in net.layers if isinstance(layer.settings, Head)]
    model = net.to_keras()
    assert [tuple(tensor.shape) for tensor in model.outputs] == [(None, 8, 8, 21), (None, 16, 16, 21)]
    assert [layer.name for layer in model.layers if layer.name in heads] == heads
    x = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    every = net.to_keras(every_layer=True)(turned(x))
    wanted = run_keras(net.network, net.parameters, x, every_layer=True)
    assert len(every) == len(net.layers)
    for tensor, array in zip(every, wanted, strict=True):
        np.testing.assert_array_equal(tensor.numpy().transpose(0, 3, 1, 2), array)


# ---------------------------------------------------------------------- layers


def test_layers_are_keras_own_and_bear_darknets_names(tmp_path):
    net = made(SMALL_V3, tmp_path)
    model = net.to_keras()
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    assert kinds["0_convolutional"] == "Conv2D"
    assert kinds["0_convolutional_batch_norm"] == "BatchNormalization"
    assert kinds["0_convolutional_leaky"] == "LeakyReLU"
    assert kinds["0_convolutional_pad"] == "ZeroPadding2D"
    assert kinds["3_shortcut"] == "Add"
    assert kinds["4_maxpool"] == kinds["5_maxpool"] == "MaxPooling2D"
    assert kinds["7_route"] == "Concatenate"
    assert kinds["11_upsample"] == "UpSampling2D"
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    numbers = {int(re.match(r"\d+", name)[0]) for name in kinds if name != "input"}
    assert numbers == set(range(len(net.layers)))


@pytest.mark.parametrize(
    ("size", "stride", "length", "sides"),
    [
        (3, 1, 8, None),
        (1, 1, 8, None),
        (5, 1, 8, None),
        (3, 2, 9, None),
        (3, 2, 8, ((1, 0), (1, 0))),
        (6, 2, 8, ((3, 3), (3, 3))),
    ],
)
def test_same_padding_only_where_it_is_the_same(size, stride, length, sides, tmp_path):
    """TensorFlow pads an even length at stride 2 behind alone, Darknet on both sides."""
    text = f"[net]\nwidth={length}\nheight={length}\nchannels=2\n"
    text += f"[convolutional]\nfilters=3\nsize={size}\nstride={stride}\npad=1\nactivation=linear\n"
    net = made(text, tmp_path)
    padding = [layer.padding for layer in net.to_keras().layers if isinstance(layer, keras.layers.ZeroPadding2D)]
    assert padding == ([] if sides is None else [sides])
    x = np.random.default_rng(0).random((2, 2, length, length), np.float32)
    assert near(run_keras(net.network, net.parameters, x)[0], net.run(x).astype(np.float32))


SHARED = """
[net]
width=8
height=8
channels=4
[convolutional]
batch_normalize=1
filters=4
size=3
stride=1
pad=1
activation=leaky
[convolutional]
batch_normalize=1
share_index=0
filters=4
size=3
stride={}
pad=1
activation=relu
"""


def test_shared_parameters_are_one_layer(tmp_path):
    net = made(SHARED.format(1), tmp_path)
    model = net.to_keras()
    wanted = sum(p.size for layer in net.layers for p in layer.parameters if p.shared_with is None)
    assert model.count_params() == wanted
    x = np.random.default_rng(0).random((2, 4, 8, 8), np.float32)
    assert near(run_keras(net.network, net.parameters, x)[0], net.run(x).astype(np.float32))
    net = made(SHARED.format(2), tmp_path)  # used in another way: the parameters are layers of their own
    assert net.to_keras().count_params() == wanted
    assert near(run_keras(net.network, net.parameters, x)[0], net.run(x).astype(np.float32))


# ---------------------------------------------------------------------- transposes


def assert_told(model):
    of_weights = sum(isinstance(layer, GivenFilters2D) for layer in model.layers)
    assert operations(model)["Transpose"] - of_weights == len(transposes(model))


@pytest.mark.sample(20, slow=20)
@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("data_format", FORMATS)
def test_every_transpose_is_told(name, data_format):
    net, _, _ = read(name)
    assert_told(net.to_keras(data_format=data_format))


def test_none_in_a_network_like_yolov3_and_v4(tmp_path):
    net = made(SMALL_V3, tmp_path)
    for head in ("darknet", "raw", "boxes", "yolov5"):
        model = net.to_keras(head=head)
        assert transposes(model) == ()
        assert operations(model)["Transpose"] == 0


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_those_of_the_reorg_alone_in_a_network_like_yolov2(flavor, tmp_path):
    net = made(SMALL_V2, tmp_path, flavor)
    model = net.to_keras()
    told = transposes(model)
    assert_told(model)
    assert told
    assert {re.sub(r"_\d+$", "", each.layer) for each in told} == {"4_reorg_permuted"}
    assert all("moves elements" in each.reason for each in told)


def test_the_fewest_of_a_reorg(tmp_path):
    """One where the height is a multiple of stride², else three: Darknet's order, the reorg, channels last."""
    text = "[net]\nwidth=26\nheight={}\nchannels=64\n[reorg]\nstride=2\n"
    for height, count in ((28, 1), (26, 3)):
        model = made(text.format(height), tmp_path).to_keras()
        assert len(transposes(model)) == operations(model)["Transpose"] == count


def test_a_flatten_before_a_matrix_permutes_the_matrix(tmp_path):
    text = "[net]\nwidth=5\nheight=4\nchannels=3\n[convolutional]\nfilters=6\nsize=3\npad=1\nactivation=leaky\n"
    text += "[dropout]\n[connected]\noutput=7\nactivation=leaky\n[softmax]\n"
    net = made(text, tmp_path)
    model = net.to_keras()
    assert operations(model)["Transpose"] == 0
    x = np.random.default_rng(0).random((2, 3, 4, 5), np.float32)
    assert near(model(turned(x)).numpy(), net.run(x).astype(np.float32))


# ---------------------------------------------------------------------- real networks

NO_TRANSPOSE = ("yolov3", "yolov4")


@pytest.mark.parametrize("folder", zoo_networks(6))
def test_real_networks_are_those_of_onnx(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_onnx

    net, x = real_network(folder, tmp_path / "net.weights")
    wanted = run_onnx(net.network, net.parameters, x, every_layer=True)
    found = run_keras(net.network, net.parameters, x, every_layer=True)
    stray = [layer.index for layer in net.layers if not near(found[layer.index], wanted[layer.index], ZOO_TOLERANCE)]
    if stray:
        # A logistic of values in the thousands: float32 itself strays as far, in whatever form it is computed.
        exact, rounded = (forward(net.network, net.parameters, x, dtype=dtype) for dtype in (np.float64, np.float32))
        for index in stray:
            allowed = 8 * np.abs(rounded[index] - exact[index]).max()
            assert allowed > ZOO_TOLERANCE * np.abs(exact[index]).max(), net.layers[index].name
            assert np.abs(found[index] - exact[index]).max() <= allowed, net.layers[index].name
    (tmp_path / "net.weights").unlink()  # up to 1.1 GB


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("alexey/yolov4-tiny"),
        pytest.param("alexey/yolov3-tiny"),
        pytest.param("alexey/yolov3", marks=pytest.mark.slow),
        pytest.param("alexey/yolov4", marks=pytest.mark.slow),
        pytest.param("pjreddie/yolov3", marks=pytest.mark.slow),
    ],
)
def test_real_yolov3_and_v4_have_no_transpose(name, tmp_path):
    folder = ZOO / name
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    load_synthesizer().write_weights(json.loads((folder / "manifest.json").read_text()), tmp_path / "net.weights")
    net = load(folder / "net.cfg", tmp_path / "net.weights", flavor=folder.parent.name)
    model = net.to_keras()
    assert transposes(model) == ()
    assert operations(model)["Transpose"] == 0


# ---------------------------------------------------------------------- refusals


def test_what_is_refused(tmp_path):
    net, x, _ = read("alexey/residual")
    with pytest.raises(ParameterError, match="channels_last or channels_first, not 'NHWC'"):
        net.to_keras(data_format="NHWC")
    with pytest.raises(UnknownNameError, match="no head is called 'best'"):
        net.to_keras(head="best")
    with pytest.raises(WeightsError, match="without weights"):
        load(NETS / "alexey/residual/net.cfg").to_keras()
    with pytest.raises(ValueError, match=r"expected shape|incompatible"):
        net.to_keras()(x[None, :, :-1])
