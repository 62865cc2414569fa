"""Convolutions in Winograd's form in ONNX: against Darknet, against the direct form, and what it costs."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge.darknet import load
from layoutbridge.darknet.reference import forward
from layoutbridge.errors import ParameterError
from tests.darknet_files import (
    GOLDEN,
    NETS,
    WHERE_ZOO,
    ZOO,
    built,
    deviation_from,
    deviation_table,
    random_weights,
    read,
    real_network,
)
from tests.onnx_runtimes import OTHER_RUNTIMES, RUN_IN

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx  # noqa: E402
from layoutbridge.darknet.ports.records.winograd import WinogradUse  # noqa: E402
from layoutbridge.frameworks import winograd as arithmetic  # noqa: E402
from layoutbridge.frameworks.onnx.programs.forms import RUNTIMES  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value, as of the direct form
LARGER = {5: 3e-5, 6: 6e-5}  # of tiles of more outputs, which nothing but a layer's name chooses
REAL = ("alexey/yolov4-tiny", "pjreddie/yolov2-tiny", "alexey/yolov2", "pjreddie/resnet18", "alexey/vgg-conv")


@pytest.fixture
def everywhere(monkeypatch):
    """Every 3 × 3 convolution of stride 1 in Winograd's form, whether that pays or not."""
    monkeypatch.setattr(arithmetic, "best_tile", lambda weights, *_: (4, 4) if weights[2:] == (3, 3) else None)


@pytest.fixture(scope="module")
def table(request):
    yield from deviation_table(request, "ONNX in Winograd's form: largest deviation from Darknet's float32")


def suited(net):
    """The convolutions that may take the form, of whatever shape."""
    wanted = {"size": 3, "stride_x": 1, "stride_y": 1, "dilation": 1, "groups": 1}
    found = [layer for layer in net.layers if layer.kind == "convolutional"]
    return [layer for layer in found if wanted.items() <= layer.settings.options().items()]


SUITED = [name for name in GOLDEN if suited(load(NETS / name / "net.cfg", flavor=name.split("/")[0]))]


def network(filters, channels, height, width, more="", flavor="alexey"):
    text = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n[convolutional]\nfilters={filters}\nsize=3\n"
    return built(f"{text}stride=1\nactivation=leaky\n{more}\n", flavor)


def parameters_of(net, folder, seed=0):
    (folder / "net.weights").write_bytes(random_weights(net, seed))
    from layoutbridge.darknet.reading.weights import read_weights

    return read_weights(net, folder / "net.weights").arrays


# ---------------------------------------------------------------------- the same as Darknet


@pytest.mark.parametrize("tile", arithmetic.POINTS)
def test_the_matrices_convolve_exactly(tile):
    """Aᵀ[(G g) ⊙ (Bᵀ d)] is the convolution of n + 2 values with three, but for float64's last bits."""
    matrices = arithmetic.matrices(tile)
    for position in range(tile + 2):
        for tap in range(3):
            d, g = np.eye(tile + 2)[position], np.eye(3)[tap]
            found = matrices.outputs @ ((matrices.kernel @ g) * (matrices.inputs @ d))
            np.testing.assert_allclose(found, [float(position == k + tap) for k in range(tile)], rtol=0, atol=5e-14)
    assert (matrices.outputs[:, arithmetic.POINTS[tile].index(Fraction(1))] == 1).all()  # where the bias goes


@pytest.mark.sample(30)
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", SUITED)
def test_every_layer_is_darknets(name, tmp_path):
    net, x, recorded = read(name)
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", winograd=True, every_layer=True)
    assert export.winograd.layers == len(suited(net))
    assert export.winograd.convolutions == sum(layer.kind == "convolutional" for layer in net.layers)
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    outputs = run_model(tmp_path / "net.onnx", x[None], [layer.name for layer in net.layers])
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.shape[1:] == wanted.shape, layer.name
        assert np.abs(output[0] - wanted).max() <= TOLERANCE * np.abs(wanted).max(), layer.name


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_every_layer_of_a_real_network(name, tmp_path, table):
    folder = ZOO / name
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    net, x = real_network(folder, tmp_path / "net.weights")
    with np.load(folder / "fingerprint.npz") as recorded:
        stats, samples = recorded["stats"], recorded["samples"]
    outputs = run_onnx(net.network, net.parameters, x, every_layer=True, winograd=True, runtime="onnxruntime")
    compared = [layer for layer in net.layers if layer.kind != "cost"]
    found = {
        layer.name: deviation_from(outputs[layer.index], samples[layer.index], stats[layer.index]) for layer in compared
    }
    worst = max(found, key=found.__getitem__)
    table.append((name, found[worst], worst))
    assert found[worst] <= TOLERANCE, worst


@settings(max_examples=60, deadline=None)
@given(
    filters=st.integers(1, 20),
    channels=st.integers(1, 20),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    padding=st.integers(0, 4),
    batch=st.integers(1, 3),
    opened=st.booleans(),
    norm=st.booleans(),
    kept=st.booleans(),
    flavor=st.sampled_from(["alexey", "pjreddie"]),
    opset=st.sampled_from([11, 13, 17, 21]),
    tile=st.tuples(st.sampled_from([*arithmetic.POINTS]), st.sampled_from([*arithmetic.POINTS])),
    stored=st.booleans(),
)
def test_drawn_shapes(
    tmp_path_factory, filters, channels, height, width, padding, batch, opened, norm, kept, flavor, opset, tile, stored
):
    height, width = max(height, 3 - 2 * padding), max(width, 3 - 2 * padding)  # a window at least
    net = network(filters, channels, height, width, f"padding={padding}\nbatch_normalize={int(norm)}", flavor)
    parameters = parameters_of(net, tmp_path_factory.mktemp("drawn"))
    x = np.random.default_rng(0).uniform(-1, 1, (batch, *net.in_shape)).astype(np.float32)
    options = {"batch": None if opened else batch, "keep_batch_norm": kept, "opset": opset}
    (found,) = run_onnx(net, parameters, x, winograd={0: tile}, store_winograd=stored, **options)
    wanted = forward(net, parameters, x)[0]
    largest = max(np.abs(wanted).max(), 0.1)  # a single sum may end near 0, where what is left is rounding
    assert np.abs(found - wanted).max() <= LARGER.get(max(tile), TOLERANCE) * largest


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 2, 1), (0, 3, 1, 0), (5, 7, 6, 8)])
@pytest.mark.parametrize("size", [(8, 8), (9, 6), (3, 13)])
def test_padding_of_each_side(padding, size, tmp_path, everywhere):
    """The target itself: no Darknet layer pads its sides differently."""
    from layoutbridge.frameworks.onnx.target import OnnxTarget
    from layoutbridge.frameworks.onnx.writer import write_model
    from layoutbridge.frameworks.primitives import LazyArray

    rng = np.random.default_rng(0)
    weights = LazyArray.of("weights", rng.uniform(-1, 1, (5, 3, 3, 3)))
    bias = LazyArray.of("bias", rng.uniform(-1, 1, 5))
    x = rng.uniform(-1, 1, (2, 3, *size)).astype(np.float32)
    results = []
    for winograd in (False, True):
        target = OnnxTarget((3, *size), winograd=winograd)
        value = target.named(target.conv2d(target.input, weights, bias, padding=padding), "output")
        assert bool(target.in_winograd) == winograd
        nodes, initializers = target.graph.needed_for(["output"])
        info = onnx.helper.make_tensor_value_info
        ends = [info("input", 1, ["N", 3, *size])], [info("output", 1, ["N", *value.shape])]
        graph = onnx.helper.make_graph(nodes, "one", *ends)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        write_model(model, initializers, tmp_path / "one.onnx")
        results.append(run_model(tmp_path / "one.onnx", x)[0])
    assert results[1].shape == results[0].shape == (2, *value.shape)
    assert np.abs(results[1] - results[0]).max() <= TOLERANCE * np.abs(results[0]).max()


@pytest.mark.sample(12, slow=10)
@pytest.mark.parametrize("runtime", OTHER_RUNTIMES)
@pytest.mark.parametrize("name", [name for name in SUITED if "l2norm" not in name][::3])
def test_other_runtimes_run_it(name, runtime, tmp_path, monkeypatch):
    """With filters in eights: others make OpenCV 5.0 write past the end of its memory."""
    suits = lambda weights, *_: (4, 4) if weights[2:] == (3, 3) and weights[0] % 8 == 0 else None  # noqa: E731
    monkeypatch.setattr(arithmetic, "best_tile", suits)
    net, x, recorded = read(name)
    for options in ({}, {"batch": 1}):
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", winograd=True, runtime=runtime, **options)
        found = RUN_IN[runtime](tmp_path / "net.onnx", x[None])[-1]
        assert np.abs(found.reshape(recorded[-1].shape) - recorded[-1]).max() <= TOLERANCE * np.abs(recorded[-1]).max()


# ---------------------------------------------------------------------- which layers, and what it costs


def chosen(filters, channels, height, width, pictures=1, runtime="onnxruntime"):
    costs = RUNTIMES[runtime].winograd
    return arithmetic.best_tile((filters, channels, 3, 3), (filters, height, width), costs, pictures)


def test_what_pays():
    assert chosen(256, 128, 52, 52) == (4, 4)
    assert chosen(1024, 512, 13, 13) == (3, 3), "25 tiles with 25 weights are as fast as 16 tiles with 36"
    assert not chosen(64, 32, 208, 208), "the maps leave the cache"
    assert not chosen(32, 3, 416, 416), "three channels do not pay for the transforms"
    assert not chosen(1024, 512, 2, 2), "one tile for each weight, and hardly anything to gain"
    assert chosen(128, 64, 76, 76) == (4, 4)
    assert not chosen(128, 64, 76, 76, pictures=8), "the maps of all pictures leave the cache"
    assert not chosen(252, 128, 52, 52), "filters not in eights"
    assert chosen(128, 64, 104, 104, runtime="openvino") == (4, 4)
    for size in (1, 5):
        costs = RUNTIMES["onnxruntime"].winograd
        assert not arithmetic.best_tile((256, 128, size, size), (256, 52, 52), costs)


@given(
    st.integers(4, 1024),
    st.integers(4, 1024),
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from([*RUNTIMES]),
    st.integers(2, 6),
)
def test_more_channels_never_pay_less_on_small_pictures(filters, channels, height, width, runtime, tile):
    """While everything stays in the cache; and rows and columns are alike."""
    costs = RUNTIMES[runtime].winograd

    def share(filters, channels, height, width):
        return arithmetic.time_share((filters, channels, 3, 3), (filters, height, width), (tile, tile), costs)

    assert share(filters, channels, height, width) == share(filters, channels, width, height)
    if not costs.direct_start and (filters + channels) * height * width <= 1e5:
        assert share(2 * filters, 2 * channels, height, width) <= share(filters, channels, height, width) * 1.05


def test_layers_by_their_numbers(tmp_path):
    """Each in its own tiles, the others direct; stored or not, the same outputs to the last digits."""
    more = "pad=1\n" + "[convolutional]\nfilters=16\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n" * 2
    net = network(8, 4, 20, 17, more)
    parameters = parameters_of(net, tmp_path)
    x = np.random.default_rng(0).random((2, *net.in_shape), np.float32)
    wanted = forward(net, parameters, x, every_layer=True)
    for stored in (False, True):
        path = tmp_path / f"{stored}.onnx"
        export = write_onnx(
            net, parameters, path, winograd={0: (2, 3), 2: (4, 2)}, store_winograd=stored, every_layer=True
        )
        extra = 4 * ((4 * 5 - 9) * 8 * 4 + (6 * 4 - 9) * 16 * 16)
        assert export.winograd == WinogradUse(2, 3, extra, {0: (2, 3), 2: (4, 2)}, stored)
        assert (export.data_path is not None) == stored
        assert [held.name for held in onnx.load(path).graph.initializer if "weights_winograd" in held.name] == (
            ["0_convolutional/weights_winograd_2x3", "2_convolutional/weights_winograd_4x2"] if stored else []
        )
        for found, layer in zip(run_model(path, x, [layer.name for layer in net.layers]), wanted, strict=True):
            assert np.abs(found - layer).max() <= TOLERANCE * np.abs(layer).max()


@pytest.mark.parametrize(
    ("winograd", "says"),
    [
        ({7: (4, 4)}, "winograd names layer 7: .* has layers 0 to 1"),
        ({-1: (4, 4)}, "winograd names layer -1"),
        ({0: (4, 7)}, r"winograd gives layer 0 tiles of \(4, 7\): rows and columns are of \[2, 3, 4, 5, 6\]"),
        ({0: (4,)}, "rows and columns"),
        ({1: (4, 4)}, "1_convolutional has no form of Winograd's: it needs 3 × 3 weights, stride 1"),
    ],
)
def test_layers_that_have_no_such_form(winograd, says, tmp_path):
    net = network(8, 4, 9, 9, "pad=1\n[convolutional]\nfilters=8\nsize=3\nstride=2\nactivation=linear")
    with pytest.raises(ParameterError, match=says):
        write_onnx(net, parameters_of(net, tmp_path), tmp_path / "net.onnx", winograd=winograd)
    with pytest.raises(ParameterError, match="ask for winograd"):
        write_onnx(net, parameters_of(net, tmp_path), tmp_path / "net.onnx", store_winograd=True)
    assert not (tmp_path / "net.onnx").exists()


def test_the_file_holds_the_small_weights(tmp_path):
    net = network(128, 128, 26, 26, "pad=1\n[convolutional]\nfilters=8\nsize=3\nstride=2\nactivation=linear")
    parameters = parameters_of(net, tmp_path)
    plain = write_onnx(net, parameters, tmp_path / "plain.onnx")
    export = write_onnx(net, parameters, tmp_path / "winograd.onnx", winograd=True)
    assert plain.winograd is None
    assert export.winograd == WinogradUse(
        layers=1, convolutions=2, extra_bytes=(36 - 9) * 128 * 128 * 4, tiles={0: (4, 4)}
    )
    grown = export.path.stat().st_size - plain.path.stat().st_size
    assert 0 < grown < 12_000  # nodes and matrices
    held = {held.name: tuple(held.dims) for held in onnx.load(export.path).graph.initializer}
    assert held["0_convolutional/weights"] == (128, 128, 3, 3)
    assert {node.op_type for node in onnx.load(plain.path).graph.node} == {"Conv", "LeakyRelu"}


@pytest.mark.usefixtures("everywhere")
def test_shared_weights_are_transformed_once(tmp_path):
    more = "pad=1\n[convolutional]\nfilters=6\nsize=3\nstride=1\npad=1\nshare_index=0\nactivation=leaky"
    net = network(6, 6, 9, 9, more)
    parameters = parameters_of(net, tmp_path)
    export = write_onnx(net, parameters, tmp_path / "net.onnx", winograd=True)
    assert export.winograd == WinogradUse(
        layers=2, convolutions=2, extra_bytes=27 * 36 * 4, tiles=dict.fromkeys((0, 1), (4, 4))
    )
    assert [node.op_type for node in onnx.load(export.path).graph.node].count("Gemm") == 1
    x = np.random.default_rng(0).random((1, *net.in_shape), np.float32)
    outputs = run_onnx(net, parameters, x, every_layer=True, winograd=True)
    for found, wanted in zip(outputs, forward(net, parameters, x), strict=True):
        assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("options", "said"), [({"dynamic_size": True}, "size cannot be left open"), ({"half": True}, "needs float32")]
)
def test_what_does_not_go_together(options, said, tmp_path):
    net = network(4, 4, 8, 8)
    with pytest.raises(ParameterError, match=said):
        write_onnx(net, parameters_of(net, tmp_path), tmp_path / "net.onnx", winograd=True, **options)
    assert not (tmp_path / "net.onnx").exists()
