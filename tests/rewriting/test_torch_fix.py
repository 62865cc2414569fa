"""Wrong ops in PyTorch's programs, replaced: the outputs are Darknet's own, and all else stays as it was."""

import copy

import numpy as np
import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tests import torch_ports as ports  # noqa: E402 - only where it is installed
from tests.torch_ports import NETS, Net, exported, port_of  # noqa: E402

aten = torch.ops.aten


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def same(one, two):
    return one.shape == two.shape and one.numpy().tobytes() == two.numpy().tobytes()


def run(program, *given):
    with torch.no_grad():
        return program.module()(*given)


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("net", "written"),
    [
        *(("alexey/passthrough", written) for written in ports.WRONG),
        ("pjreddie/passthrough", ports.marvis),
        ("alexey/reorg_stride3", ports.focus),
    ],
)
def test_a_wrong_reorg_gives_darknets_outputs_once_it_is_fixed(net, written):
    port, name, right, x, recorded = port_of(NETS / net, written, net.partition("/")[0])
    program = exported(port, x)
    text = str(program)
    (place,) = [each for each in lb.scan(program).places if any(node.startswith(f"{name}/") for node in each.nodes)]
    done = lb.rewrite(program, fix={place.output: "darknet_reorg"})
    assert str(program) == text
    output = run(done.model, x)
    with torch.no_grad():
        assert same(output, right(x))
    assert not same(output, run(program, x)) and done.deviation > 1e-4
    np.testing.assert_allclose(output.numpy().reshape(recorded.shape), recorded, atol=2e-5)
    again = lb.rewrite(done.model, fix={place.output: "darknet_reorg"})
    assert not again.changed and again.model is done.model


@pytest.mark.parametrize("written", [ports.space_to_depth, ports.focus, ports.a_view])
def test_open_sizes_stay_open(written):
    port = Net(lambda own, x: -own.reorg(torch.relu(x)), reorg=ports.Written(written))
    program = exported(port, torch.randn(2, 8, 12, 20), 0, 2, 3)
    done = lb.rewrite(program, fix={0: "darknet_reorg"})
    assert done.model.range_constraints == program.range_constraints
    for shape in ((1, 8, 8, 6), (3, 8, 12, 10)):  # by 4, which the exporter asks of a view
        x = torch.randn(shape)
        assert np.array_equal(run(done.model, x), -lb.op("darknet_reorg")(torch.relu(x).numpy()))
    with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|invalid"):  # as before
        run(done.model, torch.randn(1, 8, 5, 6))


@pytest.mark.parametrize("name", ["pixel_unshuffle", "focus_bgr", "c (h p:2) (w q:2) -> (q p c[2 0 1 3]) h w"])
def test_decomposed_programs_and_their_files(name, tmp_path):
    channels = 3 if name == "focus_bgr" else 4
    port = Net(lambda own, x: own.reorg(x.abs()) * 2, reorg=ports.Written(ports.space_to_depth))
    program = exported(port, torch.randn(2, channels, 4, 6), 0).run_decompositions()
    source, output = tmp_path / "port.pt2", tmp_path / "fixed.pt2"
    torch.export.save(program, source, extra_files={"note.txt": "ours"})
    before = source.read_bytes()
    done = lb.rewrite(source, fix={0: name})
    done.save(output)
    assert source.read_bytes() == before and done.model.dialect == program.dialect
    extra = {"note.txt": ""}
    loaded = torch.export.load(output, extra_files=extra)
    assert extra["note.txt"] == "ours"
    entry = lb.op(name) if name in lb.catalog() else lb.Rearrangement(name)
    x = torch.randn(5, channels, 4, 6)
    for each in (done.model, loaded, loaded.run_decompositions()):
        assert np.array_equal(run(each, x), entry(x.abs().numpy()) * 2)
    with pytest.raises(lb.LayoutBridgeError, match=r"must end in \.pt2"):
        done.save(tmp_path / "fixed.onnx")


def test_native_functions_are_written_as_emit_does():
    port = Net(lambda own, x: own.reorg(x), reorg=ports.Written(ports.marvis))
    program = exported(port, torch.randn(2, 3, 4, 6), 0)
    (call,) = [n for n in lb.rewrite(program, fix={0: "pixel_unshuffle"}).model.graph.nodes if n.op == "call_function"]
    assert call.target is aten.pixel_unshuffle.default


def test_a_place_that_is_channels_last_stays_so():
    def merge(own, x):
        n, h, w, c = x.shape
        return x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)

    done = lb.rewrite(exported(Net(merge), torch.randn(2, 8, 12, 3)), fix={0: "pixel_unshuffle"})
    x = torch.randn(2, 8, 12, 3)
    expected = lb.op("pixel_unshuffle")(x.numpy().transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(run(done.model, x), expected) and "channels last" in done.passes[0].proof


class Counting(torch.nn.Module):  # type: ignore[name-defined]
    """With a buffer that it changes, one that no state dict has, a constant and two outputs."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("scale", torch.full((4, 1, 1), 2.0), persistent=False)
        self.act = torch.nn.ReLU(inplace=True)

    def forward(self, x, offset):
        self.count.add_(1)
        y = self.act(self.norm(self.conv(x))) * self.scale + torch.tensor([1.0]) + offset["by"]
        return {"reorg": ports.space_to_depth(y, 2), "sum": y.sum(), "count": self.count * 1}


@pytest.mark.parametrize("decomposed", [False, True])
def test_what_a_program_says_of_itself_is_kept(decomposed):
    module = Counting().eval()
    given = torch.randn(2, 3, 8, 12), {"by": torch.ones(())}
    program = torch.export.export(module, given, dynamic_shapes=({0: torch.export.Dim("batch")}, {"by": {}}))
    program = program.run_decompositions() if decomposed else program
    state, count = dict(program.state_dict), program.state_dict["count"].clone()
    done = lb.rewrite(program, fix={0: "darknet_reorg"})
    made = done.model
    assert made.graph_signature == program.graph_signature and made is not program
    assert list(made.state_dict) == list(state)
    assert all(made.state_dict[name] is state[name] for name in program.graph_signature.parameters)
    assert all(torch.equal(made.constants[name], held) for name, held in program.constants.items())
    assert made.example_inputs is program.example_inputs and made.call_spec == program.call_spec
    assert torch.equal(program.state_dict["count"], count)  # the trial has changed no buffer
    paths = [node.meta["nn_module_stack"] for node in program.graph.nodes if node.target is aten.conv2d.default]
    assert paths == [node.meta["nn_module_stack"] for node in made.graph.nodes if node.target is aten.conv2d.default]
    one, two = program.module(), made.module()
    with torch.no_grad():
        for expected in (1, 2):
            before, after = one(*given), two(*given)
            assert float(after["count"]) == expected and same(before["sum"], after["sum"])
            undone = lb.op("space_to_depth").inverse()(before["reorg"].numpy())
            assert np.array_equal(after["reorg"], lb.op("darknet_reorg")(undone))


def test_two_places_at_once_and_nodes_that_others_read():
    def net(own, x):
        y = ports.space_to_depth(x, 2)
        h, w = y.shape[2:]  # which are read of a tensor within the place, too
        return torch.nn.functional.pixel_shuffle(y.abs(), 2), y.sum((2, 3)) / (h * w)

    program = exported(Net(net), torch.randn(2, 8, 4, 6), 0, 2, 3)
    names = [place.output for place in lb.scan(program).places]
    done = lb.rewrite(program, fix={names[0]: "darknet_reorg", 1: "depth_to_space"})
    assert [each.places for each in done.passes] == [(0,), (1,)]
    x = torch.randn(3, 8, 6, 10)
    reorg = lb.op("darknet_reorg")(x.numpy())
    shuffled, mean = run(done.model, x)
    assert np.array_equal(shuffled, lb.op("depth_to_space")(abs(reorg)))
    np.testing.assert_allclose(mean, reorg.mean((2, 3)), atol=1e-6)


def test_places_within_control_flow():
    class Conditional(torch.nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, self.yes, self.no, (x,)), x + 1

        def yes(self, x):
            return -ports.space_to_depth(x, 2)

        def no(self, x):
            return ports.space_to_depth(x, 2).abs()

    program = exported(Conditional(), torch.randn(2, 8, 4, 6), 0)
    assert len(lb.scan(program).places) == 2
    done = lb.rewrite(program, fix={0: "darknet_reorg"}, native=True)
    x = torch.randn(3, 8, 4, 6).abs()
    assert np.array_equal(run(done.model, x)[0], -lb.op("darknet_reorg")(x.numpy()))
    assert np.array_equal(run(done.model, -x)[0], abs(lb.op("space_to_depth")(-x.numpy())))
    with pytest.raises(lb.LayoutBridgeError, match="control flow has none"):
        lb.rewrite(program, fix={0: "c (h p:2) (w q:2) -> (q p c[7 6 5 4 3 2 0 1]) h w"})


def test_what_is_written_into_shared_memory_is_refused():
    def written(own, x):
        y = x.relu()
        z = ports.a_view(y, 2)
        z.mul_(2)  # and so is y
        return z.sum((2, 3)), y

    def parts(own, x):
        y = torch.zeros(2, 4, 12)
        y.view(2, 4, 2, 6).copy_(x.permute(0, 2, 1, 3))
        return y.abs()

    x = torch.randn(2, 8, 4, 6)
    with pytest.raises(lb.LayoutBridgeError, match=r"'mul_' writes into memory .*run_decompositions"):
        lb.rewrite(exported(Net(written), x), fix={0: "darknet_reorg"})
    with pytest.raises(lb.LayoutBridgeError, match=r"writes into a tensor, .*run_decompositions"):
        lb.rewrite(exported(Net(parts), torch.randn(2, 2, 4, 6)), fix={1: "identity"})
    program = exported(Net(written), x).run_decompositions({})
    place = next(place for place in lb.scan(program).places if place.out_shape == (2, 32, 2, 3))
    done = lb.rewrite(program, fix={place.output: "darknet_reorg"})
    assert np.allclose(run(done.model, x)[0], 2 * lb.op("darknet_reorg")(x.relu().numpy()).sum((2, 3)))


def test_a_write_that_nobody_else_sees_is_none():
    def net(own, x):
        y = ports.space_to_depth(torch.nn.functional.relu_(x * 1), 2)
        return y.mul_(2), y.shape[2]

    program = exported(Net(net), torch.randn(2, 8, 4, 6), 0)
    x = torch.randn(2, 8, 4, 6)
    assert np.array_equal(
        run(lb.rewrite(program, fix={0: "darknet_reorg"}).model, x)[0], 2 * lb.op("darknet_reorg")(x.relu().numpy())
    )


@torch.library.custom_op("layoutbridge_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


@pytest.fixture(scope="module")
def odd():
    def net(own, x):
        return twice(ports.space_to_depth(x.relu(), 2)), x[:, ::2].relu(), x * 2

    return exported(Net(net), torch.randn(2, 8, 4, 6))


@pytest.mark.parametrize(
    ("wish", "name", "told"),
    [
        (7, "focus", "no place 7"),
        ("vieww", "focus", "did you mean 'view"),
        ("twice", "focus", "a custom operator, layoutbridge_tests.twice"),
        ("mul", "focus", "is a aten.mul that belongs to no place"),
        (0, "pixel_shuffle", "these do: space_to_depth, pixel_unshuffle"),
        (0, "focus(stride=4)", "does not; these do"),
        (0, "focuss", "did you mean focus"),
        (0, "oihw_to_hwio", "is done to weights"),
        (1, "focus", "drops elements"),
        (0, 7, "is to be an entry's name"),
        (True, "focus", "by its number or by a name"),
    ],
)
def test_bad_wishes_end_in_one_line(wish, name, told, odd):
    with pytest.raises(lb.LayoutBridgeError, match=told) as raised:
        lb.rewrite(odd, fix={wish: name})
    assert "\n" not in str(raised.value)


def test_what_is_not_done_is_told(odd):
    done = lb.rewrite(odd, fix={"view_1": "darknet_reorg"})  # by the node's own name
    x = torch.randn(2, 8, 4, 6)
    assert np.array_equal(run(done.model, x)[0], 2 * lb.op("darknet_reorg")(x.relu().numpy()))
    with pytest.raises(lb.LayoutBridgeError, match="is for ONNX models"):
        lb.rewrite(odd, fix_weights={0: "focus"})
    with pytest.raises(lb.LayoutBridgeError, match="nothing is asked for"):
        lb.rewrite(odd)
    program = torch.export.export(
        Net(lambda own, x: own.reorg(x).abs(), reorg=ports.Written(ports.space_to_depth)).eval(),
        (torch.randn(2, 8, 4, 6),),
        preserve_module_call_signature=("reorg",),
    )
    assert lb.rewrite(program, fix={0: "darknet_reorg"}).changed


def test_the_copy_is_its_own():
    program = exported(Net(lambda own, x: ports.space_to_depth(x, 2)), torch.randn(2, 8, 4, 6))
    made = lb.rewrite(program, fix={0: "darknet_reorg"}).model
    kept = copy.deepcopy(run(program, torch.ones(2, 8, 4, 6)))
    for node in list(made.graph.nodes):
        node.meta.clear()
    assert same(run(program, torch.ones(2, 8, 4, 6)), kept)
