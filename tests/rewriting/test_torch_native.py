"""What moves elements in PyTorch's programs in its shortest form, and transposes that meet left out."""

import numpy as np
import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402 - only where it is installed
from torch.nn import functional  # noqa: E402

from tests import torch_ports as ports  # noqa: E402
from tests.torch_ports import Net, exported  # noqa: E402


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def calls(program):
    """The operators of a program's calls, those on numbers left out."""
    nodes = [node for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    return [node.target._opname for node in nodes if isinstance(node.meta.get("val"), torch.Tensor | list | tuple)]


def run(program, *given):
    with torch.no_grad():
        return program.module()(*given)


def shuffled(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def sliced(x):
    return torch.cat((x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]), 1)


def unshuffled(x):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * 4, h // 2, w // 2)


def once_more(x):
    n, c, h, w = x.shape
    x = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).contiguous()
    return x.view(n, c // 4, h * 2, w * 2)


SPELLINGS = {
    "pixel_unshuffle": (unshuffled, ["pixel_unshuffle"]),
    "pixel_shuffle": (once_more, ["pixel_shuffle"]),
    "channel_shuffle": (lambda x: shuffled(x, 4), ["channel_shuffle"]),
    "marvis": (lambda x: ports.marvis(x, 2), ["reshape", "permute", "reshape"]),
    "slices": (sliced, ["reshape", "permute", "reshape"]),
    "slices in its own order": (lambda x: ports.focus(x, 2), ["reshape", "permute", "reshape"]),
    "transposes": (lambda x: x.transpose(1, 2).transpose(2, 3), ["permute"]),
    "transposes laid out": (lambda x: x.transpose(1, 2).transpose(2, 3).contiguous(), ["permute", "clone"]),
    "views": (lambda x: x.flatten(2).unflatten(2, (-1, 4)).flatten(1, 2), ["reshape"]),
    "nothing": (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), []),
    "there and back": (lambda x: once_more(unshuffled(x)), []),
    "split and joined": (lambda x: torch.cat(torch.cat(x.chunk(2, 1), 1).split(2, 1), 1), []),
    "with one call too many": (lambda x: ports.space_to_depth(x, 2), ["reshape", "permute", "reshape"]),
    "short already": (lambda x: x.flatten(1).t(), ["flatten", "t"]),
}


@pytest.mark.sample(4, slow=4)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_places_in_their_shortest_form(spelling):
    function, expected = SPELLINGS[spelling]
    program = exported(Net(lambda own, x: function(x.relu()).abs()), torch.randn(2, 8, 4, 6), 0)
    done = lb.rewrite(program, native=True)
    assert calls(done.model) == ["relu", *expected, "abs"]
    assert done.changed == (calls(program) != calls(done.model)) and done.deviation == 0
    for batch in (1, 3):
        x = torch.randn(batch, 8, 4, 6)
        one, two = run(program, x), run(done.model, x)
        assert one.shape == two.shape and torch.equal(one, two)
    if done.changed:
        assert done.passes[0].name == "native" and done.bytes_moved_after <= done.bytes_moved_before
        assert not lb.rewrite(done.model, native=True).changed
        decomposed = done.model.run_decompositions()
        assert torch.equal(run(decomposed, x), two)


def test_open_sizes_at_many_places():
    def net(own, x):
        y = torch.relu(ports.marvis(x, 2))
        return once_more(shuffled(y, 4)).abs() + 1, once_more(y), x.transpose(2, 3).transpose(3, 2)

    program = exported(Net(net), torch.randn(2, 8, 4, 6), 0, 2, 3)
    done = lb.rewrite(program, native=True)
    assert len(done.passes) == 4 and done.nodes_after < done.nodes_before
    for shape in ((1, 8, 4, 8), (4, 8, 8, 12)):
        x = torch.randn(shape)
        assert all(torch.equal(one, two) for one, two in zip(run(program, x), run(done.model, x), strict=True))
    assert done.model.graph_signature.user_inputs == program.graph_signature.user_inputs


def test_a_tensor_that_is_given_back_does_not_become_the_callers():
    def net(own, x):
        return x.transpose(1, 2).transpose(1, 2).contiguous().transpose(1, 2).transpose(1, 2)

    program = exported(Net(net), torch.randn(2, 3, 4))
    done = lb.rewrite(program, native=True)
    x = torch.randn(2, 3, 4)
    y = run(done.model, x)
    assert calls(done.model) == ["clone"] and torch.equal(x, y) and y.data_ptr() != x.data_ptr()


def test_a_view_does_not_take_a_copys_place_where_it_is_written_into():
    def net(own, x):
        y = x.relu()
        z = torch.cat(y.chunk(2, 1), 1)
        z.mul_(2)
        return y, z

    program = exported(Net(net), torch.randn(2, 4, 3))
    x = torch.randn(2, 4, 3)
    done = lb.rewrite(program, native=True)
    assert all(torch.equal(one, two) for one, two in zip(run(program, x), run(done.model, x), strict=True))


# ---------------------------------------------------------------------- transposes that meet


def through_elements(own, x):
    y = own.conv(x).permute(0, 2, 3, 1)
    y = functional.silu(y) * own.scale + y.sigmoid() / 2
    return own.last(y.clamp(-1, 1).permute(0, 3, 1, 2))


def through_joins(own, x):
    y = own.conv(x).permute(0, 2, 3, 1)
    first, second = torch.cat([y.relu(), y.neg()], -1).chunk(2, -1)
    return own.last((first * second).softmax(-1).permute(0, 3, 1, 2))


def through_batch_norm(own, x):
    y = own.norm(own.dense(x).permute(0, 3, 1, 2))
    return own.dense(functional.leaky_relu(y, 0.1, inplace=True).permute(0, 2, 3, 1).contiguous())


def through_a_residual(own, x):
    y = own.conv(x)
    z = y.permute(0, 2, 3, 1)
    z = z + functional.gelu(z).mul(own.scale).mean((1, 2), keepdim=True)
    return own.last(z.permute(0, 3, 1, 2) + y)


MEETINGS = {
    through_elements: (2, 8, 6, 4),
    through_joins: (2, 8, 6, 4),
    through_batch_norm: (2, 6, 4, 8),
    through_a_residual: (2, 8, 6, 4),
}


def meeting(function):
    norm = nn.BatchNorm2d(8)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    parts = {"conv": nn.Conv2d(8, 8, 1), "last": nn.Conv2d(8, 5, 1), "dense": nn.Linear(8, 8), "norm": norm}
    return Net(function, scale=nn.Parameter(torch.randn(8)), **parts)


@pytest.mark.sample(4)
@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("function", MEETINGS)
def test_transposes_meet(function, decomposed):
    shape = MEETINGS[function]
    program = exported(meeting(function), torch.randn(shape), 0)
    program = program.run_decompositions() if decomposed else program
    done = lb.rewrite(program, cancel=True, native=True)
    assert not [node for node in done.model.graph.nodes if "permute" in node.name and node.meta["val"].dim() == 4]
    assert {each.name for each in done.passes} >= {"cancel"} and done.bytes_moved_after < done.bytes_moved_before
    for batch in (1, 3):
        x = torch.randn(batch, *shape[1:])
        np.testing.assert_allclose(run(done.model, x), run(program, x), atol=1e-6)
    assert not lb.rewrite(done.model, cancel=True).changed


def test_transposes_one_behind_the_other():
    def net(own, x):
        y = x.transpose(1, 3).transpose(1, 2)
        return y.permute(0, 3, 1, 2), y.permute(0, 3, 1, 2).relu(), y.transpose(0, 1).transpose(0, 2)

    program = exported(Net(net), torch.randn(2, 3, 4, 5))
    done = lb.rewrite(program, cancel=True)
    x = torch.randn(2, 3, 4, 5)
    assert all(torch.equal(one, two) for one, two in zip(run(program, x), run(done.model, x), strict=True))
    assert calls(program).count("permute") + calls(program).count("transpose") == 6
    assert calls(done.model).count("permute") + calls(done.model).count("transpose") == 1


def test_elements_alone_are_the_same_bit_for_bit():
    def net(own, x):
        y = x.permute(0, 2, 3, 1)
        y = torch.cat((y.exp(), y[:, ::2].repeat(1, 2, 1, 1)), 2)
        return torch.where(y > 0, y, y - 1).permute(0, 3, 1, 2), y.shape[1]

    program = exported(Net(net), torch.randn(2, 3, 4, 6), 0)
    done = lb.rewrite(program, cancel=True)
    x = torch.randn(3, 3, 4, 6)
    assert torch.equal(run(done.model, x)[0], run(program, x)[0]) and done.deviation == 0


def test_those_who_read_a_tensor_between_get_what_they_got():
    """One who wants it as it was, one who asks its shape, and the caller."""

    def net(own, x):
        y = x.permute(0, 2, 3, 1).relu()
        z = y.permute(0, 3, 1, 2).exp() + y.shape[1]
        return z, y.flatten(1), y

    program = exported(Net(net), torch.randn(2, 3, 4, 6), 0, 2, 3)
    done = lb.rewrite(program, cancel=True)
    for shape in ((1, 3, 2, 6), (4, 3, 10, 6)):
        x = torch.randn(shape)
        for one, two in zip(run(program, x), run(done.model, x), strict=True):
            assert torch.equal(one, two) and one.is_contiguous() == two.is_contiguous()


def test_nothing_is_done_where_nothing_is_gained():
    def square(own, x):
        y = x.relu()
        return y + y.transpose(2, 3)

    def once(own, x):
        return x.permute(0, 2, 3, 1).relu().reshape(-1, 3)

    def windows(own, x):
        return functional.max_pool2d(x.permute(0, 2, 3, 1), 2).permute(0, 3, 1, 2)

    def written(own, x):
        y = x.permute(0, 2, 3, 1)
        z = y.relu()
        z[:, 0] = 1
        return z.permute(0, 3, 1, 2)

    for function in (square, once, windows, written):
        program = exported(Net(function), torch.randn(2, 3, 6, 6))
        done = lb.rewrite(program, cancel=True)
        assert not done.changed and done.model is program, function


def test_a_module_wants_to_be_exported_first():
    with pytest.raises(lb.LayoutBridgeError, match="export the module first"):
        lb.rewrite(nn.Sequential(nn.PixelShuffle(2)), native=True)
