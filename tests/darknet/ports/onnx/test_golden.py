"""The ONNX models of the recorded small networks, run in onnxruntime, against what the real Darknet computed."""

from dataclasses import replace

import numpy as np
import pytest

from layoutbridge.darknet.structure.model import Network
from layoutbridge.operations.catalog import op
from tests.darknet_files import GOLDEN, built, moving_layers, read

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value


def assert_darknets(net, outputs, recorded):
    assert len(outputs) == len(recorded) == len(net.layers)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.dtype == np.float32
        assert output.shape[1:] == wanted.shape == layer.out_shape, layer.name
        for picture in output:
            deviation = np.abs(picture - wanted).max() / np.abs(wanted).max()
            assert deviation <= TOLERANCE, f"{layer.name}: {deviation:.1e}"


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name):
    net, x, recorded = read(name)
    assert_darknets(net, run_onnx(net.network, net.parameters, x[None], every_layer=True), recorded)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_last_layer_alone_for_a_batch(name):
    net, x, recorded = read(name)
    batch = np.stack([x, x[::-1], x])
    (output,) = run_onnx(net.network, net.parameters, batch)
    assert output.shape == (3, *net.layers[-1].out_shape)
    for picture in output[::2]:
        assert np.abs(picture - recorded[-1]).max() <= TOLERANCE * np.abs(recorded[-1]).max()


@pytest.mark.sample(60)
@pytest.mark.parametrize(
    "options",
    [{"keep_batch_norm": True}, {"opset": 13}, {"opset": 18}, {"opset": 23}, {"external_data": True}, {"batch": 2}],
    ids=str,
)
@pytest.mark.parametrize("name", [name for name in GOLDEN if not name.startswith("alexey/shortcut")][::3])
def test_the_same_under_every_option(name, options):
    net, x, recorded = read(name)
    x = np.stack([x] * options.get("batch", 1))
    assert_darknets(net, run_onnx(net.network, net.parameters, x, every_layer=True, **options), recorded)


@pytest.mark.parametrize(("name", "index"), list(moving_layers()))
def test_moving_layers_are_bit_for_bit(name, index, tmp_path):
    """Each by itself, on Darknet's own output before it."""
    net, x, recorded = read(name)
    layer = net.layers[index]
    sources = [x if k < 0 else recorded[k] for k in layer.inputs]
    if len(sources) > 1:  # all of them as one input, cut apart by routes of groups
        wanted, (output,) = recorded[index], [run_route(sources, layer, tmp_path)]
    else:
        alone = replace(layer, index=0, inputs=(-1,), parameters=())
        network = Network(net.network.flavor, "alone.cfg", sources[0].shape, (alone,))
        wanted, (output,) = recorded[index], run_onnx(network, {}, sources[0][None])
    np.testing.assert_array_equal(output[0].reshape(wanted.shape), wanted)


def run_route(sources, layer, tmp_path):
    """A route of several inputs, which the network's one input holds one after another."""
    from layoutbridge.darknet.meaning import Context
    from layoutbridge.darknet.meaning.combining import route
    from layoutbridge.frameworks.onnx.target import OnnxTarget
    from layoutbridge.frameworks.onnx.writer import write_model

    sizes = [source.size for source in sources]
    target = OnnxTarget((sum(sizes),))
    parts = target.split(target.input, sizes)
    inputs = tuple(target.reshape(part, source.shape) for part, source in zip(parts, sources, strict=True))
    network = Network("alexey", "alone.cfg", (sum(sizes),), (layer,))
    target.named(route(Context(target, network, layer, inputs, {}), layer.settings), "output")
    nodes, initializers = target.graph.needed_for(["output"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "route",
        [value("input", 1, [None, sum(sizes)])],
        [value("output", 1, [None] * (len(layer.out_shape) + 1))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    write_model(model, initializers, tmp_path / "route.onnx")
    return run_model(tmp_path / "route.onnx", np.concatenate([source.ravel() for source in sources])[None])[0]


def test_reorg_is_a_space_to_depth_between_two_views(tmp_path):
    network = built("[net]\nwidth=26\nheight=26\nchannels=64\n[reorg]\nstride=2\n")
    write_onnx(network, {}, tmp_path / "reorg.onnx", batch=1)
    nodes = onnx.load(tmp_path / "reorg.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Reshape", "SpaceToDepth", "Reshape"]
    assert [node.name for node in nodes] == ["0_reorg/Reshape", "0_reorg/SpaceToDepth", "0_reorg/Reshape_2"]
    x = np.arange(64 * 26 * 26, dtype=np.float32).reshape(1, 64, 26, 26)
    np.testing.assert_array_equal(run_model(tmp_path / "reorg.onnx", x)[0], op("darknet_reorg")(x))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_models_pass_the_full_check(name, tmp_path):
    net, _, _ = read(name)
    for every_layer in (False, True):
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", every_layer=every_layer)
        onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
