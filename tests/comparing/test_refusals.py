"""What cannot be compared: one line that says why."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError, ParameterError, ShapeError, UnusableInputError

pytest.importorskip("torch")

import torch

from tests.comparing.ports import Port
from tests.comparing.test_causes import PASSTHROUGH, network


@pytest.fixture(scope="module")
def net():
    return network(*PASSTHROUGH)


class Fickle(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) + torch.rand_like(x)


class Raises(torch.nn.Module):
    def forward(self, x):
        raise ValueError("no picture of this kind")


class RaisesLater(torch.nn.Module):
    """Which can be exported, and runs on zeros."""

    def forward(self, x):
        if type(x) is torch.Tensor and x.any():
            raise ValueError("no such picture")
        return torch.relu(x) * 2


class Infinite(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) / torch.zeros(())


class Other(torch.nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Fickle(), "something else in each run"),
        (Raises(), "the module raised ValueError: no picture of this kind"),
        (RaisesLater(), "the module raised ValueError: no such picture"),
        (Infinite(), "no finite number from"),
    ],
)
def test_modules_that_cannot_be_compared(net, module, words, capfd):
    with pytest.raises(UnusableInputError, match=words) as raised:
        lb.compare(net, module)
    assert "\n" not in str(raised.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_module_that_takes_channels_last_is_found_without_a_word(net, capfd):
    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.port = Port(net)

        def forward(self, x):
            return self.port((x * torch.ones(3)).permute(0, 3, 1, 2))

    assert lb.compare(net, Last().eval()).equal
    assert capfd.readouterr().err == ""


def test_inputs_that_do_not_fit(net, tmp_path):
    right = Port(net).eval()
    for shape in ((1, 3, 5, 5), (1, 3, 32, 48), (2, 3, 16, 24), (16, 24, 3), (3, 16)):
        with pytest.raises(LayoutBridgeError):
            lb.compare(net, right, np.ones(shape, np.float32))
    with pytest.raises(UnusableInputError, match="nothing but zeros"):
        lb.compare(net, right, np.zeros((1, 3, 16, 24), np.float32))
    small = tmp_path / "small.onnx"
    lb.export(lb.op("focus"), "onnx", small, shape=(1, 3, 8, 8))
    with pytest.raises(UnusableInputError, match="inputs cannot be matched"):
        lb.compare(net, str(small))
    for tolerance in (0, 1, float("nan")):
        with pytest.raises(ParameterError, match="tolerance"):
            lb.compare(net, right, tolerance=tolerance)


def test_networks_without_weights(net):
    with pytest.raises(UnusableInputError, match=r"give its \.weights file"):
        lb.compare("fixtures/nets/pjreddie/passthrough/net.cfg", net)
    bare = lb.darknet.load("fixtures/nets/pjreddie/passthrough/net.cfg", flavor="pjreddie")
    with pytest.raises(LayoutBridgeError, match="without weights"):
        lb.compare(bare, net)


def test_recordings(net, tmp_path):
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    outputs = {layer.name: values for layer, values in zip(net.layers, net.run(x, every_layer=True), strict=True)}
    np.savez(tmp_path / "whole.npz", input=x, **outputs)
    np.savez(tmp_path / "bare.npz", **outputs)
    assert lb.compare(net, str(tmp_path / "whole.npz")).equal
    assert lb.compare(str(tmp_path / "whole.npz"), Port(net).eval()).equal
    assert lb.compare(net, str(tmp_path / "bare.npz"), x).equal
    with pytest.raises(ShapeError, match="does not hold the input"):
        lb.compare(str(tmp_path / "bare.npz"), Port(net).eval())
    outputs["8_region"] = outputs["8_region"] * 1.5
    np.savez(tmp_path / "wrong.npz", input=x, **outputs)
    found = lb.compare(str(tmp_path / "wrong.npz"), Port(net).eval())
    assert found.first.reference == "8_region"
