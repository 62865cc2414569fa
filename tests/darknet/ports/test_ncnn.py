"""Darknet networks in ncnn: outputs against the real Darknet, onnxruntime and the float64 reference; and the files."""

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.darknet.meaning import Context
from layoutbridge.darknet.meaning.combining import route
from layoutbridge.darknet.ports.check import check_network
from layoutbridge.darknet.ports.ncnn import run_ncnn, run_ncnn_files, write_ncnn
from layoutbridge.darknet.reading.activations import ACTIVATIONS
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, ShapeError, UnknownNameError, UnsupportedError, UnusableInputError
from layoutbridge.frameworks.ncnn.target import NcnnTarget
from layoutbridge.frameworks.ncnn.writer import write_files
from layoutbridge.frameworks.primitives import LazyArray
from tests.darknet_files import GOLDEN, built, deviation_table, made, moving_layers, read, real_network, zoo_networks
from tests.pictures import pictures

pytest.importorskip("onnxruntime")
if find_spec("ncnn") is None:  # not imported here: how its threads wait is told while it is loaded
    pytest.skip("ncnn is not installed", allow_module_level=True)

from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx
from layoutbridge.frameworks.onnx.target import OnnxTarget
from layoutbridge.frameworks.onnx.writer import write_model
from tests.constructed_layers import CASES, NET, TREE
from tests.drawn_networks import SHARES, buildable, share_of

TOLERANCE = 1e-5  # of a layer's largest value
ZOO_TOLERANCE = 5e-5
WITH_BOXES = [name for name in GOLDEN if any(kind in name for kind in ("yolo", "region", "detection"))]


def strays(found, wanted):
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


# ---------------------------------------------------------------------- Darknet's own outputs


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name):
    net, x, recorded = read(name)
    outputs = run_ncnn(net.network, net.parameters, np.stack([x, x]), every_layer=True, threads=1)
    assert len(outputs) == len(recorded) == len(net.layers)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        for picture in output:
            assert strays(picture, wanted) <= TOLERANCE, layer.name


@pytest.mark.parametrize("name", GOLDEN)
def test_the_last_layer_alone_for_a_batch(name):
    net, x, recorded = read(name)
    output = net.run(np.stack([x, x[::-1], x]), framework="ncnn")
    assert output.shape == (3, *net.layers[-1].out_shape)
    for picture in output[::2]:
        assert strays(picture, recorded[-1]) <= TOLERANCE


@pytest.mark.parametrize(("name", "index"), list(moving_layers()))
def test_moving_layers_are_bit_for_bit(name, index, tmp_path):
    """Each by itself, on Darknet's own output before it."""
    net, x, recorded = read(name)
    layer = net.layers[index]
    sources = [x if k < 0 else recorded[k] for k in layer.inputs]
    if len(sources) > 1:  # all of them as one input, cut apart

        def routed(target):
            parts = target.split(target.input, [source.size for source in sources])
            inputs = tuple(target.reshape(part, source.shape) for part, source in zip(parts, sources, strict=True))
            return route(Context(target, net.network, layer, inputs, {}), layer.settings)

        output = in_ncnn(routed, np.concatenate([source.ravel() for source in sources]), tmp_path)
    else:
        alone = replace(layer, index=0, inputs=(-1,), parameters=())
        network = Network(net.network.flavor, "alone.cfg", sources[0].shape, (alone,))
        output = run_ncnn(network, {}, sources[0][None])[0][0]
    np.testing.assert_array_equal(output.reshape(recorded[index].shape), recorded[index])


# ---------------------------------------------------------------------- real networks


@pytest.fixture(scope="module")
def table(request):
    yield from deviation_table(request, "ncnn: largest deviation from onnxruntime")


@pytest.mark.parametrize("folder", zoo_networks(8))
def test_every_layer_of_a_real_network(folder, tmp_path, table):
    net, x = real_network(folder, tmp_path / "net.weights")
    wanted = run_onnx(net.network, net.parameters, x, every_layer=True)
    outputs = run_ncnn(net.network, net.parameters, x, every_layer=True)
    compared = [layer for layer in net.layers if layer.kind != "cost"]
    found = {layer.index: strays(outputs[layer.index], wanted[layer.index]) for layer in compared}
    worst = max(found, key=found.__getitem__)
    table.append((f"{folder.parent.name}/{folder.name}", found[worst], net.layers[worst].name))
    assert strays(run_ncnn(net.network, net.parameters, x)[0], wanted[-1]) <= max(ZOO_TOLERANCE, 2 * found[worst])
    over = [index for index, deviation in found.items() if deviation > ZOO_TOLERANCE]
    if over:  # saturated layers, for which float32 itself is too short
        exact = forward(net.network, net.parameters, x)
        rounded = forward(net.network, net.parameters, x, dtype=np.float32)
        for index in over:
            ours, floats = (np.abs(held[index] - exact[index]).max() for held in (outputs, rounded))
            assert ours <= 10 * floats, net.layers[index].name
    (tmp_path / "net.weights").unlink()  # up to 1.1 GB


# ---------------------------------------------------------------------- every kind of layer


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize(("text", "flavor"), CASES)
def test_layers_agree_with_the_reference(text, flavor, tmp_path):
    net = made(NET + text, tmp_path, flavor)
    checked = check_network(net.network, net.parameters, ["ncnn"], tolerance=5e-6, batch=2)
    assert checked.ok, checked.first_over


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("largest", [9, 100])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_the_reference(name, largest, tmp_path):
    if largest == 100 and name == "normalize_channels_softmax":
        return  # exp(100) is infinite in float32
    texts = (f"[activation]\nactivation={name}\n", f"[convolutional]\nfilters=6\nsize=1\nactivation={name}\n")
    for text in texts:
        net = made(NET + text, tmp_path)
        parameters = dict(net.parameters)
        if parameters:  # a convolution that changes nothing, which the activation is part of
            parameters[0, "weights"] = np.eye(6, dtype=np.float32).reshape(6, 6, 1, 1)
            parameters[0, "biases"] = np.zeros(6, np.float32)
        x = np.linspace(-largest, largest, 6 * 8 * 12).reshape(1, 6, 8, 12).astype(np.float32)
        x[0, 0, 0, :7] = [0, -0.0, -3, -1, 1, 3, 5]  # stairs, edges
        checked = check_network(net.network, parameters, ["ncnn"], tolerance=2e-6, x=x)
        assert checked.ok, checked.first_over


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # l2norm of zeros is 0/0, as in Darknet
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("share", SHARES)
def test_drawn_networks(flavor, share, tmp_path):
    for number, (text, network) in share_of(buildable(flavor, 80), share):
        net = made(text, tmp_path, flavor)
        assert net.network.layers == network.layers
        x = np.random.default_rng(number).random((1 + number % 2, *network.in_shape), np.float32)
        if any(np.isnan(wanted).any() for wanted in forward(net.network, net.parameters, x)):
            continue  # what becomes of these, ncnn leaves open
        checked = check_network(net.network, net.parameters, ["ncnn"], x=x, tolerance=ZOO_TOLERANCE)
        for row in checked.rows:
            assert not row.over or row.deviation <= 5 * row.rounding, f"{row}\n{text}"


def test_trees_of_classes(tmp_path):
    (tmp_path / "classes.tree").write_text(TREE)
    net = made(
        NET + "[convolutional]\nfilters=26\nsize=1\nactivation=linear\n"
        "[region]\nclasses=8\ncoords=4\nnum=2\nsoftmax=1\nanchors=1,1,2,2\ntree=classes.tree\n",
        tmp_path,
    )
    assert check_network(net.network, net.parameters, ["ncnn"], tolerance=5e-6, batch=2).ok


# ---------------------------------------------------------------------- heads


@pytest.mark.parametrize("head", ["darknet", "raw", "boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", WITH_BOXES)
def test_heads_are_those_of_onnx(name, head, tmp_path):
    net, x, _ = read(name)
    try:
        onnx = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", head=head)
    except UnsupportedError as error:
        with pytest.raises(UnsupportedError, match=str(error).split(":", maxsplit=1)[0]):
            write_ncnn(net.network, net.parameters, tmp_path / "net.param", head=head)
        return
    written = net.to_ncnn(tmp_path / "net.param", head=head)
    assert dict(written.outputs) == dict(onnx.outputs)
    wanted = run_model(tmp_path / "net.onnx", x[None], list(onnx.outputs))
    outputs = run_ncnn_files(written.path, written.bin_path, x[None], list(written.outputs))
    for one, other in zip(outputs, wanted, strict=True):
        assert strays(one, other) <= 2 * TOLERANCE


def test_the_input_itself_may_be_a_result(tmp_path):
    network = built("[net]\nwidth=4\nheight=4\nchannels=8\n[dropout]\n[softmax]\n")
    written = write_ncnn(network, {}, tmp_path / "net.param", head="raw", every_layer=True)
    assert list(written.outputs) == ["input_copy", "0_dropout", "1_softmax"]
    x = np.random.default_rng(0).random((2, 8, 4, 4), np.float32)
    copied, dropped, _ = run_ncnn_files(written.path, written.bin_path, x, list(written.outputs))
    np.testing.assert_array_equal(copied, x)
    np.testing.assert_array_equal(dropped, x)


# ---------------------------------------------------------------------- the primitives, beside those in ONNX


def in_ncnn(write, x, folder):
    """What `write(target)` computes for the picture x."""
    target = NcnnTarget(x.shape)
    value = write(target)
    layers = target.graph.finished({"output": value.name})
    bin_path = write_files(layers, folder / "part.param")
    (result,) = run_ncnn_files(folder / "part.param", bin_path, x[None], ["output"], threads=1)
    assert result.shape == (1, *value.shape)
    return result[0]


def in_onnx(write, x, folder):
    import onnx

    target = OnnxTarget(x.shape)
    value = target.named(write(target), "output")
    nodes, initializers = target.graph.needed_for(["output"])
    described = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "part",
        [described("input", 1, [None, *x.shape])],
        [described("output", 1, [None, *value.shape])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    write_model(model, initializers, folder / "part.onnx")
    return run_model(folder / "part.onnx", x[None])[0][0]


def array(*shape, name="a"):
    return LazyArray.of(f"{name}{shape}", np.random.default_rng(sum(shape)).standard_normal(shape))


def positive(*shape):
    return LazyArray.of(f"v{shape}", np.random.default_rng(1).uniform(0.5, 2, shape))


WINDOWS = [
    {"size": (3, 2), "stride": (2, 1), "padding": (0, 1, 1, 0)},
    {"size": (2, 2), "stride": (2, 2), "padding": (0, 0, 1, 1)},
    {"size": (5, 5), "stride": (1, 1), "padding": (2, 2, 2, 2)},
    {"size": (4, 3), "stride": (3, 2), "padding": (1, 0, 2, 1)},
    {"size": (2, 2), "stride": (1, 1), "padding": (0, 0, 1, 1)},
]
PRIMITIVES = {
    "conv": lambda t: t.conv2d(
        t.input, array(5, 16, 3, 2), array(5), stride=(2, 1), padding=(0, 1, 2, 3), dilation=(2, 3)
    ),
    "conv_winograd": lambda t: t.conv2d(t.input, array(32, 16, 3, 3), array(32), padding=(1, 0, 2, 1)),
    "conv_groups": lambda t: t.conv2d(t.input, array(8, 4, 3, 3), array(8), padding=(1, 1, 0, 0), groups=4),
    "conv_depthwise": lambda t: t.conv2d(t.input, array(16, 1, 2, 4), stride=(1, 2), padding=(1, 2, 0, 1), groups=16),
    "deconv": lambda t: t.conv_transpose2d(t.input, array(16, 6, 3, 4), array(6), stride=(2, 3), padding=(1, 0, 0, 2)),
    "deconv_packed": lambda t: t.conv_transpose2d(t.input, array(16, 32, 2, 2), stride=(2, 2), padding=(0, 0, 0, 0)),
    "local": lambda t: t.locally_connected(
        t.input,
        array(20, 3, 16 * 6),
        array(3, 4, 5),
        size=(3, 2),
        stride=(2, 2),
        padding=(1, 0, 0, 1),
    ),
    "batch_norm": lambda t: t.batch_norm(
        t.input, array(16), array(16, name="b"), array(16, name="m"), positive(16), epsilon=0.001
    ),
    "global_average": lambda t: t.global_average(t.input),
    "upsample": lambda t: t.upsample(t.input, 3),
    "upsample_41": lambda t: t.upsample(t.slice(t.input, (0, 0, 0), (3, 5, 4)), 41),
    "slice_steps": lambda t: t.slice(t.input, (1, 1, 0), (9, 7, 9), (1, 2, 3)),
    "pad": lambda t: t.pad(t.input, (4, 1, 0), (3, 0, 2)),
    "pad_flat": lambda t: t.pad(t.reshape(t.input, (16 * 72,)), (2,), (5,)),
    "pad_rows": lambda t: t.pad(t.reshape(t.input, (16, 72)), (2, 1), (0, 5)),
    "split_rows": lambda t: t.concat(t.split(t.input, (3, 1, 4), 1)[::-1], 1),
    "concat_places": lambda t: t.concat([t.input, t.constant(array(16, 8, 2)), t.input], 2),
    "softmax_4": lambda t: t.softmax(t.reshape(t.input, (2, 8, 8, 9)), 1),
    "reduce": lambda t: t.multiply(t.reduce_sum(t.input, 1), t.reduce_max(t.input, 0)),
    "power": lambda t: t.power(t.add(t.multiply(t.input, t.input), 0.25), -0.75),
    "maximum": lambda t: t.maximum(t.divide(t.input, 3.0), t.reduce_max(t.input, 2)),
    "used_often": lambda t: t.add(t.activation(t.activation(t.input, "relu"), "sqrt"), t.activation(t.input, "relu")),
}


def pooling(name, window):
    return lambda target: getattr(target, name)(target.input, **window)


for _number, _window in enumerate(WINDOWS):
    for _name in ("max_pool", "average_pool"):
        PRIMITIVES[f"{_name}_{_number}"] = pooling(_name, _window)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_agree_with_onnx(name, tmp_path):
    x = np.random.default_rng(0).standard_normal((16, 8, 9)).astype(np.float32)
    allowed = TOLERANCE if name == "conv_winograd" else 1e-6
    assert strays(in_ncnn(PRIMITIVES[name], x, tmp_path), in_onnx(PRIMITIVES[name], x, tmp_path)) <= allowed


@pytest.mark.parametrize("shape", [(16, 8, 12), (36, 6, 18), (64, 26, 26), (12, 4, 4), (4, 2, 2)], ids=str)
def test_every_rearrangement_of_the_catalogue(shape, tmp_path):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    compared = 0
    for entry in pictures().values():
        operation = entry.build()
        try:
            wanted = operation(x)
        except ShapeError:
            continue
        found = in_ncnn(lambda target, operation=operation: target.rearrange(target.input, operation), x, tmp_path)
        np.testing.assert_array_equal(found, wanted, err_msg=entry.name)
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize(
    "pattern",
    [
        "(a b) x y -> y b x a, a=2",
        "(a b) (c d) (e f) -> (f e) (d c) (b a), a=2, c=3, e=6",
        "(a b) (c d) (e f) -> (e c a) f (d b), a=4, c=2, e=3",
        "(a b g) (c d h) (e f) -> (g b f) (h e a) (d c), a=2, g=2, c=2, h=2, e=3",
    ],
)
def test_permutations_of_many_digits(pattern, tmp_path):
    x = np.arange(8 * 12 * 18, dtype=np.float32).reshape(8, 12, 18)
    operation = Rearrangement(pattern)
    found = in_ncnn(lambda target: target.rearrange(target.input, operation), x, tmp_path)
    np.testing.assert_array_equal(found, operation(x))


def test_what_ncnn_cannot_express_is_refused():
    target = NcnnTarget((4, 6, 6))
    with pytest.raises(UnsupportedError, match=r"at most 4 axes, and \[2, 2, 2, 3, 6\]"):
        target.reshape(target.input, (2, 2, 2, 3, 6))
    with pytest.raises(UnsupportedError, match=r"rows and columns alone, not \[2, 1, 1\]"):
        target.slice(target.input, (0, 0, 0), (4, 6, 6), (2, 1, 1))
    with pytest.raises(UnsupportedError, match="first of four axes"):
        target.pad(target.reshape(target.input, (2, 2, 6, 6)), (1, 0, 0, 0), (0, 0, 0, 0))


# ---------------------------------------------------------------------- the files


def lines_of(path):
    magic, counts, *lines = path.read_text().splitlines()
    assert magic == "7767517"
    layers = []
    for line in lines:
        kind, name, inputs, outputs, *rest = line.split(" ")
        inputs, outputs = int(inputs), int(outputs)
        layers.append((kind, name, rest[:inputs], rest[inputs : inputs + outputs], rest[inputs + outputs :]))
    assert counts == f"{len(layers)} {sum(len(layer[3]) for layer in layers)}"
    return layers


@pytest.mark.parametrize("name", GOLDEN[::4])
def test_names_are_unique_and_blobs_read_once(name, tmp_path):
    net, _, _ = read(name)
    net.to_ncnn(tmp_path / "net.param", every_layer=True)
    layers = lines_of(tmp_path / "net.param")
    assert len({layer[1] for layer in layers}) == len(layers)
    made_blobs = [blob for layer in layers for blob in layer[3]]
    read_blobs = [blob for layer in layers for blob in layer[2]]
    assert len(set(made_blobs)) == len(made_blobs)
    assert len(set(read_blobs)) == len(read_blobs)
    assert {layer.name for layer in net.layers} <= set(made_blobs) - set(read_blobs)


def test_inner_blobs_bear_their_layers_names(tmp_path):
    net, x, recorded = read("alexey/residual")
    written = net.to_ncnn(tmp_path / "net.param")
    names = [layer.name for layer in net.layers]
    assert set(names) <= {blob for layer in lines_of(written.path) for blob in layer[3]}
    for output, wanted in zip(run_ncnn_files(written.path, written.bin_path, x[None], names), recorded, strict=True):
        assert strays(output[0], wanted) <= TOLERANCE


FUSED = """[net]
width=8
height=8
channels=4
[convolutional]
batch_normalize=1
filters=8
size=3
pad=1
activation=leaky
[reorg]
stride=2
[connected]
output=3
activation=logistic
"""


def test_a_file_is_what_ncnn_reads_fastest(tmp_path):
    net = made(FUSED, tmp_path)
    parts = []
    written = net.to_ncnn(tmp_path / "net.param", progress=lambda done, total: parts.append((done, total)))
    layers = lines_of(written.path)
    kinds = ["Input", "Convolution", "Reshape", "Reorg", "Reshape", "InnerProduct", "Reshape"]
    assert [layer[0] for layer in layers] == kinds
    assert [layers[k][1] for k in (1, 3)] == ["0_convolutional/Convolution", "1_reorg/Reorg"]
    assert layers[1][4][-2:] == ["9=2", "-23310=1,0.1"]
    assert layers[5][4] == ["0=3", "1=1", "2=1536", "9=4"]
    assert layers[6][3] == ["2_connected"]
    size = 4 * (1 + 8 * 4 * 9 + 8 + 1 + 3 * 512 + 3)
    assert written.bin_path.stat().st_size == size == parts[-1][0] == parts[-1][1]
    assert written.outputs == {"2_connected": (3, 1, 1)}


def test_writing_leaves_the_weights_where_they_are(tmp_path):
    text = FUSED.replace("output=3", "output=16384\nbatch_normalize=1")
    net = made(text, tmp_path)
    tracemalloc.start()
    written = net.to_ncnn(tmp_path / "net.param")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written.bin_path.stat().st_size > 32 << 20
    assert peak < 16 << 20


def test_both_files_or_none(tmp_path):
    net = made(FUSED, tmp_path)

    def stop(done, total):
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        net.to_ncnn(tmp_path / "net.param", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.cfg", "net.weights"]
    net.to_ncnn(tmp_path / "net.param")
    before = [(tmp_path / name).read_bytes() for name in ("net.param", "net.bin")]
    with pytest.raises(RuntimeError, match="full"):
        net.to_ncnn(tmp_path / "net.param", head="raw", progress=stop)
    assert [(tmp_path / name).read_bytes() for name in ("net.param", "net.bin")] == before


def test_what_is_refused(tmp_path):
    net = made(FUSED, tmp_path)
    with pytest.raises(ParameterError, match=r"net\.onnx' must end in \.param"):
        net.to_ncnn(tmp_path / "net.onnx")
    with pytest.raises(UnknownNameError, match="no head is called 'box'"):
        net.to_ncnn(tmp_path / "net.param", head="box")
    with pytest.raises(UnsupportedError):
        net.to_ncnn(tmp_path / "net.param", head="boxes")
    with pytest.raises(UnusableInputError, match="cannot write into"):
        net.to_ncnn(tmp_path / "nowhere" / "net.param")
    written = net.to_ncnn(tmp_path / "net.param")
    x = np.zeros((1, 4, 8, 8), np.float32)
    files = (written.path, written.bin_path)
    with pytest.raises(ShapeError, match=r"\[N, 4, 8, 8\] with N of at least 1, not \[1, 4, 8, 9\]"):
        run_ncnn_files(*files, np.zeros((1, 4, 8, 9)), ["2_connected"])
    with pytest.raises(ShapeError, match=r"not \[0, 4, 8, 8\]"):
        run_ncnn_files(*files, x[:0], ["2_connected"])
    with pytest.raises(ParameterError, match="threads is a number of at least 1, not 0"):
        run_ncnn_files(*files, x, ["2_connected"], threads=0)
    with pytest.raises(UnusableInputError, match="cannot compute 'last'"):
        run_ncnn_files(*files, x, ["last"])
    with pytest.raises(UnusableInputError, match="there is no file"):
        run_ncnn_files(written.path, tmp_path / "other.bin", x, ["2_connected"])
    written.bin_path.write_bytes(written.bin_path.read_bytes()[:100])
    with pytest.raises(UnusableInputError, match=r"net\.bin'.*not those of the \.param"):
        run_ncnn_files(*files, x, ["2_connected"])
    written.path.write_text("all of it\n")
    with pytest.raises(UnusableInputError, match=r"net\.param'.*no \.param"):
        run_ncnn_files(*files, x, ["2_connected"])


def test_writing_needs_no_framework(tmp_path):
    made(FUSED, tmp_path)
    program = """
import sys
for name in ("ncnn", "onnx", "onnxruntime", "torch", "tensorflow"):
    sys.modules[name] = None
import numpy as np
from layoutbridge.darknet import load
from layoutbridge.errors import MissingFrameworkError
net = load("net.cfg", "net.weights")
net.to_ncnn("net.param")
try:
    net.run(np.zeros((1, 4, 8, 8)), framework="ncnn")
except MissingFrameworkError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ncnn is not installed: pip install ") and done.stdout.endswith("[ncnn]'\n")
    assert (tmp_path / "net.bin").stat().st_size > 0


@pytest.mark.parametrize("told", [None, "active"])
def test_the_environment_stays_as_it_was(told, tmp_path):
    made(FUSED, tmp_path)
    program = """
import os
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from layoutbridge.darknet import load
before, net = dict(os.environ), load("net.cfg", "net.weights")
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: net.run(np.zeros((1, 4, 8, 8)), framework="ncnn"), range(4)))
assert dict(os.environ) == before
"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if told is not None:
        environment["OMP_WAIT_POLICY"] = told
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
