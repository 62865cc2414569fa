"""Convolutions in Winograd's form in .tflite files: against Darknet, which layers, and what it costs."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.ports import tflite
from layoutbridge.darknet.ports.records.winograd import WinogradUse
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.reference.recorded import read_recorded
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.errors import ParameterError
from layoutbridge.frameworks import winograd as arithmetic
from tests.darknet_files import GOLDEN, NETS, RECURRENT, made, read

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

TOLERANCE = 1e-5  # of a layer's largest value, as of the direct form
QUICK = ("alexey/passthrough", "alexey/antialiasing", "pjreddie/residual")
NET = "[net]\nwidth=17\nheight=20\nchannels=4\n"
CONV = "[convolutional]\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n"


@pytest.fixture
def everywhere(monkeypatch):
    """Every 3 × 3 convolution of stride 1 in Winograd's form, whether that pays or not."""
    monkeypatch.setattr(arithmetic, "best_tile", lambda weights, *_: (2, 2) if weights[2:] == (3, 3) else None)


def suited(net):
    """The convolutions that may take the form, of whatever shape."""
    wanted = {"size": 3, "stride_x": 1, "stride_y": 1, "dilation": 1, "groups": 1}
    found = [layer for layer in net.layers if layer.kind == "convolutional"]
    return [layer for layer in found if wanted.items() <= layer.settings.options().items()]


SUITED = [name for name in GOLDEN if suited(load(NETS / name / "net.cfg", flavor=name.split("/")[0]))]


def operations_of(path):
    """Name, and the shapes of the inputs, of each operation in the file."""
    interpreter = litert.Interpreter(
        str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    shapes = {each["index"]: tuple(each["shape"]) for each in interpreter.get_tensor_details()}
    found = interpreter._get_ops_details()
    return [(each["op_name"], [shapes.get(index) for index in each["inputs"]]) for each in found]


def near(found, wanted):
    return found.shape == wanted.shape and np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


# ---------------------------------------------------------------------- the same as Darknet


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in SUITED])
def test_every_layer_is_darknets(name, tmp_path):
    net, x, recorded = read(name)
    outputs = tflite.run_litert(net.network, net.parameters, x[None], every_layer=True, winograd=True)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert np.abs(output[0] - wanted).max() <= TOLERANCE * np.abs(wanted).max(), layer.name
    export = tflite.write_tflite(net.network, net.parameters, tmp_path / "net.tflite", winograd=True)
    assert export.winograd.layers == len(export.winograd.tiles) == len(suited(net))
    assert export.winograd.convolutions == sum(layer.kind == "convolutional" for layer in net.layers)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", ["alexey/crnn", "alexey/conv_lstm"])
def test_steps_of_recurrent_layers_are_darknets(name):
    folder = RECURRENT / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    held = read_recorded(folder / "outputs.npz", net.network)
    found = tflite.run_litert_sequence(net.network, net.parameters, held.input, every_layer=True, winograd=True)
    assert all(map(near, found, held.layers))


@pytest.mark.sample(2)
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("head", ["darknet", "raw", "boxes"])
def test_heads_layouts_and_batches(head, data_format, tmp_path):
    yolo = "[convolutional]\nfilters=7\nsize=1\n[yolo]\nmask=0\nanchors=5,7\nclasses=2\nnum=1\n"
    net = made(NET + CONV.format(8, 1) + CONV.format(9, 1) + yolo, tmp_path)
    x = np.random.default_rng(0).random((4, *net.network.in_shape), np.float32)
    found = []
    for winograd in (False, True):
        path = tmp_path / f"{winograd}.tflite"
        options = {"head": head, "data_format": data_format, "batch": 2, "winograd": winograd}
        export = tflite.write_tflite(net.network, net.parameters, path, **options)
        found.append(tflite.run_tflite(path, x, data_format=data_format))
    assert export.winograd.tiles == {0: (2, 2), 1: (2, 2)}
    assert list(found[0]) == list(found[1]) == list(export.outputs)
    assert all(near(found[1][name], wanted) for name, wanted in found[0].items())


# ---------------------------------------------------------------------- which layers, and what it costs


def test_layers_by_their_numbers(tmp_path):
    """Each in its own tiles, the others direct; the file is larger by what is told, a hundredth aside."""
    net = made(NET + CONV.format(64, 1) + CONV.format(80, 1) + CONV.format(96, 1), tmp_path)
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    wanted = forward(net.network, net.parameters, x, every_layer=True)
    tiles = {1: (2, 3), 2: (4, 2)}
    plain = tflite.write_tflite(net.network, net.parameters, tmp_path / "plain.tflite")
    export = tflite.write_tflite(net.network, net.parameters, tmp_path / "net.tflite", winograd=tiles)
    extra = 4 * ((4 * 5 - 9) * 80 * 64 + (6 * 4 - 9) * 96 * 80)
    assert plain.winograd is None and plain.remarks == export.remarks[:-1]
    assert export.winograd == WinogradUse(2, 3, extra, tiles, stored=True)
    more = f"{extra / 1e6:.1f} MB more"
    assert export.remarks[-1] == (
        f"Winograd's form in 2 of 3 convolutions: the file and a session take {more} for their weights"
    )
    grown = export.path.stat().st_size - plain.path.stat().st_size
    assert extra <= grown <= extra + 100_000
    found = tflite.run_litert(net.network, net.parameters, x, every_layer=True, winograd=tiles)
    assert all(map(near, found, wanted))


def test_shared_weights_are_held_once(tmp_path):
    tiles = dict.fromkeys((1, 2), (2, 2))
    sizes, uses = [], []
    for more in ("", "share_index=1\n"):
        net = made(NET + CONV.format(96, 1) * 2 + CONV.format(96, 1) + more, tmp_path)
        export = tflite.write_tflite(net.network, net.parameters, tmp_path / "net.tflite", winograd=tiles)
        sizes.append(export.path.stat().st_size)
        uses.append(export.winograd.extra_bytes)
    weights = 4 * 96 * 96
    assert uses == [2 * 7 * weights, 7 * weights]
    assert sizes[0] - sizes[1] >= 16 * weights


def test_sums_are_not_split_there(tmp_path):
    net = made("[net]\nwidth=5\nheight=4\nchannels=700\n" + CONV.format(6, 1), tmp_path)
    path = tmp_path / "net.tflite"
    tflite.write_tflite(net.network, net.parameters, path, winograd={0: (2, 2)})
    products = [shapes for name, shapes in operations_of(path) if name == "CONV_2D"]
    assert [shapes[1] for shapes in products] == [(6, 1, 1, 700)] * 16
    x = np.random.default_rng(1).random((1, 700, 4, 5), np.float32)
    (found,) = tflite.run_tflite(path, x).values()
    assert near(found.transpose(0, 3, 1, 2), net.run(x))


@pytest.mark.parametrize("winograd", [True, {}])
def test_a_network_without_such_layers_is_the_same_file(winograd, tmp_path):
    text = NET + CONV.format(128, 2) + "[convolutional]\nfilters=128\nsize=1\n" + CONV.format(128, 1) + "groups=128\n"
    net = made(text, tmp_path)
    plain, asked = (tmp_path / f"{name}.tflite" for name in ("plain", "asked"))
    tflite.write_tflite(net.network, net.parameters, plain)
    export = tflite.write_tflite(net.network, net.parameters, asked, winograd=winograd)
    assert plain.read_bytes() == asked.read_bytes()
    if winograd:
        assert export.winograd == WinogradUse(0, 3, 0, {}, stored=True)
        assert export.remarks[-1].endswith("0 of 3 convolutions: at these sizes it would gain nothing")


def chosen(filters, channels, size, pictures=1):
    from layoutbridge.frameworks.tensorflow.network.winograd import COSTS

    return arithmetic.best_tile((filters, channels, 3, 3), (filters, size, size), COSTS, pictures)


def test_what_pays():
    assert chosen(256, 128, 52) == (2, 2)
    assert chosen(512, 256, 26) == chosen(1024, 512, 13) == chosen(1024, 1024, 13) == (2, 2)
    assert not chosen(128, 64, 104), "0.86 of the time, for more memory"
    assert not chosen(64, 32, 208), "1.6 of the time"
    assert not chosen(32, 3, 416)
    assert not chosen(1024, 512, 2), "one tile for each weight"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"winograd": True, "half": True}, "needs float32"),
        ({"winograd": True, "int8": Int8(np.zeros((1, 4, 20, 17), np.float32))}, "leave out winograd"),
        ({"winograd": {7: (4, 4)}}, "winograd names layer 7: .* has layers 0 to 1"),
        ({"winograd": {0: (4, 7)}}, r"winograd gives layer 0 tiles of \(4, 7\)"),
        ({"winograd": {1: (2, 2)}}, "1_convolutional has no form of Winograd's: it needs 3 × 3 weights, stride 1"),
    ],
)
def test_what_is_refused(options, says, tmp_path):
    net = made(NET + CONV.format(8, 1) + CONV.format(8, 2), tmp_path)
    with pytest.raises(ParameterError, match=says):
        tflite.write_tflite(net.network, net.parameters, tmp_path / "net.tflite", **options)
    assert not (tmp_path / "net.tflite").exists()
