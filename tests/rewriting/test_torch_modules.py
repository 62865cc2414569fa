"""Submodules of PyTorch's modules, replaced by their dotted names in a copy."""

import copy
import re

import numpy as np
import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402 - only where it is installed

from tests import torch_ports as ports  # noqa: E402
from tests.torch_ports import NETS, Net, port_of  # noqa: E402


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def run(module, *given):
    with torch.no_grad():
        return module.eval()(*given)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def wrong(s=2):
    return ports.Written(ports.space_to_depth, s)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("written", [ports.space_to_depth, ports.marvis, ports.focus])
def test_a_wrong_reorg_gives_darknets_outputs_once_it_is_fixed(written, told):
    port, name, right, x, recorded = port_of(NETS / "alexey/passthrough", written)
    done = lb.rewrite(port, fix={name: "darknet_reorg"}, shape=tuple(x.shape) if told else None)
    output = run(done.model, x)
    assert torch.equal(output, run(right, x)) and not torch.equal(output, run(port, x))
    np.testing.assert_allclose(output.numpy().reshape(recorded.shape), recorded, atol=2e-5)
    assert done.model is not port and done.passes[0].places == (name,)
    assert done.deviation > 1e-4 if told else done.deviation is None
    assert not lb.rewrite(done.model, fix={name: "darknet_reorg"}).changed


def test_the_copy_has_the_same_parameters_and_buffers_of_its_own():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), wrong(), nn.Dropout()).train()
    module[3].eval()
    before, x = state(module), torch.randn(2, 3, 4, 6)
    done = lb.rewrite(module, fix={"2": "darknet_reorg"}, shape=(2, 3, 4, 6))
    made = done.model
    assert type(made) is nn.Sequential and isinstance(module[2], ports.Written)
    assert [part.training for part in made.modules()] == [True, True, True, True, False]
    assert all(one is two for one, two in zip(module.parameters(), made.parameters(), strict=True))
    made(x)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not torch.equal(made[1].running_mean, module[1].running_mean)
    assert list(made.state_dict()) == list(before)
    loss = made(x).square().sum()
    loss.backward()
    assert module[0].weight.grad is not None  # the very same tensor
    with pytest.raises(lb.LayoutBridgeError, match=r"torch\.export\.save"):
        done.save("net.pt2")


def test_members_of_lists_and_a_module_that_is_used_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.ModuleList([nn.Identity(), wrong()])
            self.other = nn.ModuleDict({"reorg": self.stem[1], "own": wrong()})

        def forward(self, x):
            y = self.stem[1](self.stem[0](x))
            return y, self.other["reorg"](y), self.other["own"](x)

    module = Twice()
    done = lb.rewrite(module, fix={"stem.1": "darknet_reorg"}, shape=(1, 4, 8, 12))
    (applied,) = done.passes
    assert applied.places == ("stem.1", "other.reorg") and "it is other.reorg as well" in applied.proof
    assert "[1, 4, 8, 12] and [1, 16, 4, 6]" in applied.proof
    assert done.model.other["reorg"] is done.model.stem[1] and isinstance(done.model.other["own"], ports.Written)
    x, reorg = torch.randn(1, 4, 8, 12), lb.op("darknet_reorg")
    first, second, own = (y.numpy() for y in run(done.model, x))
    assert np.array_equal(first, reorg(x.numpy())) and np.array_equal(second, reorg(first))
    assert np.array_equal(own, lb.op("space_to_depth")(x.numpy()))
    with pytest.raises(lb.LayoutBridgeError, match="asked for twice, as focus and darknet_reorg"):
        lb.rewrite(module, fix={"stem.1": "focus", "other.reorg": "darknet_reorg"})
    both = lb.rewrite(module, fix={"stem.1": "focus", "other.own": "pixel_unshuffle"})
    assert [each.places[0] for each in both.passes] == ["stem.1", "other.own"]


def test_parameters_are_those_of_the_submodule():
    for stride in (2, 3, 4):
        module = nn.Sequential(nn.Identity(), wrong(stride))
        x = torch.randn(1, 16 * 9, 24, 36)
        expected = lb.op("darknet_reorg", stride=stride)(x.numpy())
        assert np.array_equal(run(lb.rewrite(module, fix={"1": "darknet_reorg"}).model, x), expected)
    module = nn.Sequential(nn.ChannelShuffle(3))
    assert not lb.rewrite(module, fix={"0": "channel_shuffle"}).changed
    with pytest.raises(lb.LayoutBridgeError, match=r"takes .* which focus\(stride=2\) does not; these do: .*focus"):
        lb.rewrite(nn.Sequential(wrong(3)), fix={"0": "focus(stride=2)"})
    with pytest.raises(lb.LayoutBridgeError, match="which pixel_shuffle does not; these do: space_to_depth"):
        lb.rewrite(nn.Sequential(wrong()), fix={"0": "pixel_shuffle"}, shape=(1, 4, 6, 8))


def test_channels_stay_last():
    def merge(x, s):
        n, h, w, c = x.shape
        x = x.view(n, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h // s, w // s, s * s * c)

    module = nn.Sequential(ports.Written(merge))
    done = lb.rewrite(module, fix={"0": "pixel_unshuffle"}, shape=(2, 8, 12, 3))
    x = torch.randn(2, 8, 12, 3)
    expected = lb.op("pixel_unshuffle")(x.numpy().transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(run(done.model, x), expected) and "channels last" in done.passes[0].proof


def test_several_inputs_by_name_and_open_lengths():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.reorg = wrong()

        def forward(self, x, y):
            return {"sum": self.reorg(x) + y, "y": (y * 2,)}

    done = lb.rewrite(Two(), fix={"reorg": "focus"}, shape={"x": (None, 4, 6, 8), "y": (1, 16, 3, 4)})
    assert 0 < done.deviation < 5
    with pytest.raises(lb.LayoutBridgeError, match="takes nothing called 'z'; it takes x, y"):
        lb.rewrite(Two(), fix={"reorg": "focus"}, shape={"z": (1, 4, 6, 8)})


class Odd(nn.Module):
    """A submodule of each kind that is not replaced."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4, 16, 2, stride=2), nn.ReLU())
        self.reorg = wrong()
        self.hidden = [wrong()]
        self.known = self.hidden[0]
        self.joined = Net(lambda own, x: torch.cat(x, 1))
        self.never = wrong()

    def forward(self, x):
        return self.stem(x), self.reorg(x), self.hidden[0](x), self.joined((x, x))


@pytest.mark.parametrize(
    ("wish", "name", "shape", "told"),
    [
        ("stem.reorg", "focus", None, "did you mean 'reorg'\\? .*export the module first, torch.export.export"),
        (0, "focus", None, "none of the submodules of Odd, which have names: export the module first"),
        ("", "focus", None, "lb.emit"),
        ("reorg", "focuss", None, "did you mean focus"),
        ("reorg", 3, None, "is to be an entry's name"),
        ("stem.0", "focus", (1, 4, 6, 8), "'stem.0' \\(Conv2d\\) does more than to move elements"),
        ("stem.1", "identity", None, "'stem.1' \\(ReLU\\) does more than to move elements"),
        ("stem", "focus", None, "'stem' \\(Sequential\\) does not run at the shapes that were tried: give that"),
        ("never", "focus", (1, 4, 6, 8), "'never' is not called when the module runs"),
        ("joined", "focus", (1, 4, 6, 8), "does not take one tensor and give one"),
        ("known", "focus", (1, 4, 6, 8), "forward reaches it another way"),
        ("reorg", "focus", (1, 4, 6), "Odd cannot be run at x \\[1, 4, 6\\]"),
        ("reorg", "focus", (1, 3, 6, 8), "Odd cannot be run at x \\[1, 3, 6, 8\\]"),
    ],
)
def test_bad_wishes_end_in_one_line(wish, name, shape, told):
    module = Odd()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(lb.LayoutBridgeError) as raised:
        lb.rewrite(module, fix={wish: name}, shape=shape)
    assert re.search(told, str(raised.value)), raised.value
    assert "\n" not in str(raised.value) and list(before) == list(module.state_dict())
    assert not any(part._forward_hooks for part in module.modules())


def test_what_cannot_be_copied_is_told():
    module = nn.Sequential(wrong())
    module.handle = (each for each in ())
    with pytest.raises(lb.LayoutBridgeError, match=r"Sequential cannot be copied: .* export the module first"):
        lb.rewrite(module, fix={"0": "focus"})
