"""What the reader of Darknet's cfg files finds, against the reference that follows the C loops."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import CfgError, ShapeError
from layoutbridge.scanning.readers.darknet import read
from tests.darknet_files import GOLDEN, NETS, RECURRENT, SEQUENCES

MORE = """
[net]
width=8
height=4
channels=12

[dropout]
probability=.5

[reorg3d]
stride=2

[reorg3d]
stride=2
reverse=1

[empty]

[reorg]
stride=2
reverse=1

[route]
layers=-1,-5
groups=3
group_id=1

[route]
layers=-1

[cost]
type=sse
"""
FLAT = """
[net]
width=8
height=6
channels=3

[maxpool]
size=2
stride=2

[route]
layers=-1,-1

[connected]
output=7
activation=linear

[route]
layers=-1,-2
"""


def compare(net):
    """The graph, every layer's shape and movement compared with the reference's."""
    graph = read(net)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, *net.network.in_shape)).astype(np.float32)
    found = dict(zip([layer.name for layer in net.layers], net.run(x, every_layer=True), strict=True)) | {"input": x}
    for node in graph.nodes:
        assert graph.tensors[node.output].shape == found[node.output].shape
        if node.movement is not None:
            given = [found[name] for name in node.inputs]
            moved = node.movement(*given)
            np.testing.assert_array_equal(moved, found[node.output], err_msg=node.name)
            if node.kind == "view":
                np.testing.assert_array_equal(moved.ravel(), given[0].ravel())
        else:
            assert node.kind == "other"
    return graph


@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_networks(name):
    folder = NETS / name
    compare(load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0]))


@pytest.mark.parametrize("name", SEQUENCES)
def test_recurrent_networks(name):
    graph = read(RECURRENT / name / "net.cfg", name.split("/")[0])
    assert graph.node_count == len(load(RECURRENT / name / "net.cfg", flavor=name.split("/")[0]).layers)


@pytest.mark.parametrize("text", [MORE, FLAT])
def test_layers_that_move(tmp_path, text):
    (tmp_path / "net.cfg").write_text(text)
    weights = np.zeros(4096, np.float32).tobytes()
    (tmp_path / "net.weights").write_bytes(b"\0\0\0\0\2\0\0\0\5\0\0\0" + b"\0" * 8 + weights)
    graph = compare(load(tmp_path / "net.cfg", tmp_path / "net.weights"))
    computing = {"maxpool", "connected"}
    assert {node.operator for node in graph.nodes if node.movement is None} <= computing


def test_names_and_order():
    graph = read(NETS / "pjreddie/passthrough/net.cfg", "pjreddie")
    assert (graph.name, graph.format, graph.inputs) == ("net.cfg", "Darknet", ("input",))
    assert [node.name for node in graph.nodes if node.operator == "reorg"] == ["layer 4 (reorg)"]
    assert graph.outputs[-1] == graph.nodes[-1].output
    made = {"input"}
    for node in graph.nodes:
        assert made.issuperset(node.inputs)
        made.add(node.output)


def test_implicit_layers_are_constants():
    graph = read(NETS / "alexey/implicit/net.cfg")
    constants = [name for name, tensor in graph.tensors.items() if tensor.is_constant]
    assert constants
    assert not set(constants) & {node.output for node in graph.nodes}


@pytest.mark.parametrize("shape", [(3, 24, 32), (1, 3, 24, 32), (None, None, 24, 32), {"input": (1, 3, 24, 32)}])
def test_another_size(shape):
    graph = read(NETS / "alexey/route_groups/net.cfg", shapes=shape)
    assert graph.tensors["input"].shape == (1, 3, 24, 32)
    assert graph.tensors[graph.outputs[-1]].shape[2:] == (24, 32)


@pytest.mark.parametrize("shape", [(2, 3, 24, 32), (4, 24, 32), (24, 32), {"x": (3, 24, 32)}])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ShapeError):
        read(NETS / "alexey/route_groups/net.cfg", shapes=shape)


def test_files_that_are_no_cfg(tmp_path):
    (tmp_path / "net.cfg").write_text("nothing\n")
    for path in (tmp_path / "net.cfg", tmp_path / "missing.cfg", tmp_path):
        with pytest.raises(CfgError):
            read(path)
