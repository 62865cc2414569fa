"""`back_to_darknet`: proven by running both, repaired where layers of one shape stand in another order, or told."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

import layoutbridge as lb  # noqa: E402
from layoutbridge.darknet.networks.network import DarknetNetwork  # noqa: E402
from tests.darknet.returning.torch_modules import Port, pairs  # noqa: E402
from tests.darknet_files import NETS, built  # noqa: E402

_CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride=1\npad=1\nactivation=leaky\n"
BRANCHES = (
    "[net]\nwidth=12\nheight=8\nchannels=3\n"
    + _CONV.format(8, 3)
    + _CONV.format(6, 1)
    + "[route]\nlayers=-2\n"
    + _CONV.format(6, 1)
    + _CONV.format(6, 3)
    + "[route]\nlayers=-1,1\n"
    + _CONV.format(5, 1)
)


class OtherWayRound(Port):
    """The same with the two branches computed in the other order."""

    def forward(self, x):
        first = self.computed(self.net.layers[0], self.net.layers[0].settings, [x])
        layers = self.net.layers
        second = self.computed(layers[3], layers[3].settings, [first])
        fourth = self.computed(layers[4], layers[4].settings, [second])
        branch = self.computed(layers[1], layers[1].settings, [first])
        return self.computed(layers[6], layers[6].settings, [torch.cat([fourth, branch], 1)])


def by_letters(model, made):
    """Names that sort in an order in which the shapes fit as well as in the cfg's."""
    for letter, (_, parts) in zip("acbde", made, strict=True):
        for part, name in zip(parts, ("conv", "norm"), strict=True):
            model.add_module(f"{letter}_{name}", part)


def test_layers_of_one_shape_change_places_until_nothing_differs():
    net = DarknetNetwork(built(BRANCHES))
    port = OtherWayRound(net, by_letters)
    taken = net.from_torch(port)
    assert not lb.compare(taken, port).equal
    back = lb.back_to_darknet(net, port)
    assert back.proven
    assert any("changed places (1 times)" in note for note in back.notes)
    assert {row.source for row in back.rows if row.layer == "3_convolutional"} > {"b_conv.weight"}
    x = np.random.default_rng(0).random((1, 3, 8, 12), dtype=np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(back.network.run(x), port(torch.from_numpy(x)).numpy(), atol=1e-5)


@pytest.mark.slow
def test_a_port_that_is_wrong_stays_apart():
    net = DarknetNetwork(built(BRANCHES))
    port = Port(net, pairs())
    port.computed = lambda layer, s, inputs: Port.computed(port, layer, s, inputs) * (2 if layer.index == 0 else 1)
    back = lb.back_to_darknet(net, port)
    assert back.proven is False
    assert back.comparison.first.reference == "1_convolutional"  # behind what is twice as large
    assert any("were tried" in note for note in back.notes)


@pytest.mark.parametrize("other", ["pixel_unshuffle", "focus"])
def test_weights_behind_another_reorg_are_carried(other):
    net = lb.darknet.load(NETS / "alexey/passthrough3d/net.cfg")
    port = Port(net, pairs(), reorg=other)
    back = lb.back_to_darknet(net, port)
    assert back.proven, str(back.comparison)
    assert any(f"4_reorg3d is {other}" in note and "6_convolutional" in note for note in back.notes)
    x = np.random.default_rng(0).random((2, *net.network.in_shape), dtype=np.float32)
    layers = back.network.run(x, every_layer=True)
    with torch.no_grad():
        wanted = port(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(layers[7], wanted, atol=1e-4)


def test_what_no_weights_make_up_for_is_told():
    net = lb.darknet.load(NETS / "alexey/passthrough/net.cfg")
    back = lb.back_to_darknet(net, Port(net, pairs(), reorg="space_to_depth"))
    assert back.proven is False
    assert any("no weights make up for that" in note and "in space" in note for note in back.notes)


def test_a_state_dict_is_not_proven():
    net = lb.darknet.load(NETS / "alexey/residual/net.cfg")
    back = lb.back_to_darknet(net, Port(net, pairs()).state_dict())
    assert back.proven is None
    assert back.how == "order"
    assert any("not proven" in note for note in back.notes)
    assert back.as_json()["comparison"] is None


def test_a_model_that_cannot_be_run_is_told():
    net = lb.darknet.load(NETS / "alexey/residual/net.cfg")
    port = Port(net, pairs())
    port.forward = lambda x: exec("raise RuntimeError('no')")
    back = lb.back_to_darknet(net, port)
    assert back.proven is None
    assert any("cannot be run" in note and "no" in note for note in back.notes)


@pytest.mark.parametrize("ending", [".h5", ".hdf5"])
def test_a_model_in_hdf5_is_run_whatever_its_file_ends_in(ending, tmp_path):
    pytest.importorskip("keras")
    from layoutbridge.darknet.ports.keras import write_keras

    net = lb.darknet.load(NETS / "alexey/residual/net.cfg", NETS / "alexey/residual/net.weights")
    path = tmp_path / f"net{ending}"
    write_keras(net.network, net.parameters, path)
    assert lb.back_to_darknet(net, path).proven
    assert lb.scan(path).nodes == lb.scan(net.to_keras()).nodes
