"""Exported programs with packed convolutions give what they gave before, in float32, and nearly so in bfloat16."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from layoutbridge.frameworks.torch.packed_programs import pack  # noqa: E402


class Net(nn.Module):
    """Convolutions of all kinds, and what stands behind them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=True)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.grouped = nn.Conv2d(8, 8, 3, padding=(1, 2), dilation=(1, 2), groups=4, bias=False)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        y = nn.functional.leaky_relu(self.norm(self.first(x)))
        z = self.grouped(nn.functional.max_pool2d(torch.cat([y, y], 1)[:, 8:], 1))
        w = nn.functional.silu(z) + z  # read twice: the activation stays outside
        return self.last(w).view(len(x), -1), y


def exported(batch=2):
    torch.manual_seed(0)
    x = torch.rand(batch, 3, 8, 10)
    return torch.export.export(Net().eval(), (x,)).module(), x


def test_what_stands_around_convolutions_stays():
    module, x = exported()
    with torch.inference_mode():
        wanted = module(x)
        assert pack(module) == 3
        found = module(x)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    targets = [str(node.target) for node in module.graph.nodes]
    assert not any("batch_norm" in target or "leaky" in target for target in targets)
    assert any("silu" in target for target in targets)


def test_in_bfloat16_results_are_float32_and_near():
    module, x = exported()
    with torch.inference_mode():
        wanted = module(x)
        assert pack(module, bfloat16=True) == 3
        found = module(x)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert 1e-5 < (one - other).abs().max() / other.abs().max() < 2e-2


def test_graphs_that_are_bound_to_memory_stay_as_they_are():
    class InPlace(Net):
        def forward(self, x):
            return self.first(x).relu_()

    module = torch.export.export(InPlace().eval(), (torch.rand(1, 3, 8, 8),)).module()
    before = [node.target for node in module.graph.nodes]
    assert any("relu_" in str(target) for target in before)
    assert pack(module) == 0
    assert [node.target for node in module.graph.nodes] == before
