"""What the reader of exported programs finds, against PyTorch: each tensor's shape, each movement's elements."""

import io
import json
import zipfile
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from tests.fuzzing.mutation import mutated
from tests.fuzzing.surface import refuse_unclear

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from layoutbridge.scanning.readers.torch.reading import read_module, read_program  # noqa: E402


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Recorded(torch.fx.Interpreter):  # type: ignore[name-defined]
    """Runs a program, and keeps what each tensor was when it was made."""

    def __init__(self, program):
        super().__init__(program.graph_module)
        self.made = {}

    def run_node(self, node):
        value = super().run_node(node)
        if isinstance(value, torch.Tensor):
            self.made[node.name] = value.clone()
        return value


def computed(program, *inputs):
    """What PyTorch computes for each tensor of `program`, by the names in it, and the results."""
    held = {**program.state_dict, **program.constants}
    interpreter = Recorded(program)
    left = iter(inputs)
    taken = [
        next(left) if spec.kind.name == "USER_INPUT" else held[spec.target]
        for spec in program.graph_signature.input_specs
    ]
    results = interpreter.run(*taken)
    return interpreter.made, results


def example(graph, rng=None):
    return [
        torch.arange(int(np.prod(graph.tensors[name].shape))).reshape(graph.tensors[name].shape).float()
        for name in graph.inputs
    ]


def compare(program, graph):
    """Each tensor of `graph` with what PyTorch has for it, and each movement; how many movements there are."""
    made, results = computed(program, *example(graph))
    values = {}
    for label in graph.tensors:
        raw = label.rpartition("/")[2]
        if raw in made:
            values[label] = made[raw].detach().numpy()
            assert values[label].shape == graph.tensors[label].shape
            assert values[label].dtype.name == graph.tensors[label].dtype
    taken = {spec.target: spec.arg.name for spec in program.graph_signature.input_specs if spec.target}
    values |= {name: made[raw].detach().numpy() for name, raw in taken.items()}
    known = set(values)
    count = 0
    for node in graph.nodes:
        if node.movement is not None:
            found = node.movement(*(values[name] for name in node.inputs))
            if node.output in known:
                np.testing.assert_array_equal(found, values[node.output], err_msg=f"{node.operator} {node.name}")
            values[node.output] = np.array(found)
            assert found.shape == graph.tensors[node.output].shape
            if node.kind == "transpose":
                np.testing.assert_array_equal(found, values[node.inputs[0]].transpose(node.order))
            if node.kind == "view":
                np.testing.assert_array_equal(found.ravel(), values[node.inputs[0]].ravel())
            count += 1
    for name, result in zip(graph.outputs, results, strict=False):
        np.testing.assert_array_equal(values[name], result.detach().numpy(), err_msg=name)
    return count


def exported(function, *shape, **settings):
    module = function if isinstance(function, nn.Module) else Of(function)
    return torch.export.export(module.eval(), (torch.zeros(shape),), strict=False, **settings)


def scattered(x):
    made = torch.zeros(2, 12, 3, 2)
    made[:, :6] = x[..., ::2, ::2].reshape(2, 6, 3, 2)
    made[:, 6] = x[:, 0, ::2, ::2]
    return made + 0, made.permute(0, 2, 3, 1)


def written_twice(x):
    y = x.clone()
    top = y[:, 0]
    y.relu_()
    top.mul_(2)
    turned = y.transpose(1, 2)
    top[:, 1] = x[:, 1, 1]
    return y, top, turned, y.view(-1)


MOVING = {
    "views": lambda x: (x.view(2, -1), x.reshape(-1, 4), x.flatten(1), x.unflatten(1, (2, 3)), x.contiguous(),
                        x[:, :1].squeeze(1), x.unsqueeze(0), x.clone(), x.detach(), x.ravel(), x.view_as(x)),
    "orders": lambda x: (x.permute(0, 2, 3, 1), x.transpose(1, -1), x[0, 0].t(), x.movedim(1, -1), x.mT,
                         x.movedim((0, 1), (2, 0)), x.swapaxes(0, 2), torch.einsum("nchw->nhwc", x)),
    "parts": lambda x: (x[..., ::2], x[:, 1:-1], x[:, 2], x.narrow(1, 1, 2), x[:, :, -2:], x[0, 1, 2, 3],
                        x.narrow(2, -3, 2)),
    "splits": lambda x: (*x.split(2, 1), *x.split([1, 5], 1), *x.chunk(4, 1), *x.unbind(1), *x.tensor_split(4, 1),
                         *x.tensor_split((1, 3), 1)),
    "joins": lambda x: (torch.cat([x, x[:, :2], x], 1), torch.stack([x, x.flip(0)], -1), torch.cat([torch.empty(0), x]),
                        torch.hstack([x, x]), torch.vstack([x, x])),
    "shuffles": lambda x: (functional.pixel_shuffle(x[:, :4], 2), functional.pixel_unshuffle(x, 2),
                           functional.channel_shuffle(x, 3), functional.pixel_unshuffle(x[0], 2)),
    "turns": lambda x: (x.flip(1, 3), x.roll(1, 2), x.roll((1, -2), (0, 3)), x.roll(5), x.rot90(1, (2, 3)), x.rot90(),
                        x.fliplr(), x.flipud()),
    "constants": lambda x: (x[:, torch.tensor([2, 0, 1])], x.index_select(3, torch.tensor([3, 1])),
                            x[:, [0, 2], [1, 0]],
                            x.gather(1, torch.tensor([1, 0]).view(2, 1, 1, 1)), x.take(torch.tensor([[5, 1]])),
                            x[torch.arange(2).flip(0)], x[:, torch.arange(6).view(2, 3).t().reshape(-1)]),
    "repeats": lambda x: (x[:, :1].expand(-1, 5, -1, -1), x.repeat(1, 2, 1, 3), x.tile((2, 2)), x.repeat(1, 1, 1, 1),
                          x.repeat_interleave(3, 2), x.repeat_interleave(2), functional.interpolate(x, scale_factor=2)),
    "windows": lambda x: (functional.unfold(x, 2, stride=2), functional.unfold(x, (2, 3), dilation=(2, 1)),
                          x.unfold(2, 3, 2), x.diagonal(0, 2, 3), x.diagonal(1, 1, 3)),
    "pads": lambda x: (functional.pad(x, (1, 2, 0, 1), mode="circular"),
                       functional.pad(x, (1, 2, 3, 1), mode="reflect"),
                       functional.pad(x, (1, 2, 0, 1), mode="replicate"), functional.pad(x, (-1, 0, -1, -2)),
                       functional.pad(x, (0, 0))),
    "written": scattered,
    "written twice": written_twice,
    "dropout": lambda x: (functional.dropout(x, training=False),),
    "to": lambda x: (x.to(torch.float32), x.to("cpu")),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVING)
def test_each_movement_is_what_pytorch_computes(name):
    program = exported(MOVING[name], 2, 6, 6, 4)
    graph = read_program(program)
    assert compare(program, graph)
    changing = {node.operator for node in graph.nodes if node.movement is None}
    assert changing <= {"aten.relu_", "aten.mul_", "aten.add", "aten._assert_tensor_metadata"}


def test_what_changes_values_is_no_movement():
    def function(x):
        return (
            x + 1,
            x.to(torch.float64),
            functional.pad(x, (1, 1)),
            x.relu(),
            functional.unfold(x, 2, padding=1),
            x[x > 0],
        )

    graph = read_program(exported(function, 2, 6, 6, 4))
    assert {node.operator for node in graph.nodes if node.movement is not None} <= {"aten.clone"}


class Focus(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 8, 3, padding=1)

    def forward(self, x):
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return self.conv(torch.cat(parts, 1)).relu_()


def network():
    return nn.Sequential(Focus(), nn.BatchNorm2d(8), nn.PixelShuffle(2))


def test_names_are_those_of_the_program_and_of_the_state_dict():
    graph = read_module(network(), (1, 3, 8, 8))
    names = [node.name for node in graph.nodes]
    assert names[-5:] == ["0/cat", "0.conv/conv2d", "0/relu_", "1/batch_norm", "2/pixel_shuffle"]
    assert graph.inputs == ("input",)
    assert graph.tensors["0.conv.weight"].is_constant
    assert graph.tensors["0.conv.weight"].shape == (8, 12, 3, 3)
    assert not graph.tensors["0/cat"].is_constant
    assert graph.node_count == len(graph.nodes)


def open_program(**ranges):
    dim = torch.export.Dim
    sizes = {0: dim("n", **ranges), 2: 2 * dim("rows", min=2), 3: 2 * dim("columns", min=2)}
    return torch.export.export(network().eval(), (torch.zeros(3, 3, 8, 12),), dynamic_shapes=(sizes,), strict=False)


def test_open_sizes_are_filled_in_within_their_ranges(tmp_path):
    program = open_program(min=1, max=8)
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    for graph in (read_program(path), read_program(program)):
        assert graph.tensors["input"].shape == (2, 3, 64, 96)
        assert compare(program, graph) == 10
    assert graph.notes == ("open sizes are filled in: input [2, 3, 64, 96]",)
    graph = read_program(path, {"input": (5, 3, 10, None)})
    assert graph.tensors["input"].shape == (5, 3, 10, 64)
    assert isinstance(graph.tensors["input"].open_shape[2], str)
    assert compare(program, graph) == 10
    with pytest.raises(ShapeError, match=r"axis 0 of input input is .* from 1 to 8, and cannot be 9"):
        read_program(path, (9, 3, 10, 10))
    with pytest.raises(ShapeError, match=r"axis 2 .*cannot be 11"):
        read_program(path, (1, 3, 11, 10))
    with pytest.raises(ShapeError, match="fixed shape"):
        read_program(path, (1, 4, 10, 10))
    assert read_program(open_program(min=3, max=4)).tensors["input"].shape == (3, 3, 64, 96)


def test_a_module_is_left_as_it_is():
    module = network().train()
    calls = []
    handle = module[1].register_forward_hook(lambda *_: calls.append(1))
    modes = [part.training for part in module.modules()]
    before = {name: held.clone() for name, held in module.state_dict().items()}
    identities = [id(held) for held in (*module.parameters(), *module.buffers())]
    module[0].conv.weight.grad = torch.ones_like(module[0].conv.weight)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    read_module(module, {"input": (1, 3, 8, 8)})
    assert torch.equal(torch.rand(2), expected)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(before[name], held) for name, held in module.state_dict().items())
    assert [id(held) for held in (*module.parameters(), *module.buffers())] == identities
    assert module[0].conv.weight.grad.sum() == 8 * 12 * 9
    handle.remove()
    assert not module[1]._forward_hooks


def test_a_module_without_a_shape_and_with_one_that_does_not_fit():
    with pytest.raises(ShapeError, match="--shape"):
        read_module(network())
    with pytest.raises(ShapeError, match="takes nothing called 'y'; it takes input"):
        read_module(network(), {"y": (1, 3, 8, 8)})
    with pytest.raises(UnusableInputError, match="cannot export Sequential at input"):
        read_module(network(), (1, 4, 8, 8))
    assert read_module(network(), (None, 3, None, None)).tensors["input"].shape == (2, 3, 64, 96)


def test_branches_are_inner_graphs():
    def function(x):
        return (torch.cond(x.sum() > 0, lambda y: y.flip(0), lambda y: y.roll(1, 0), (x,)),)

    graph = read_program(exported(function, 4, 3))
    assert [[node.operator for node in inner.nodes] for inner in graph.inner] == [["aten.flip"], ["aten.roll"]]
    assert {inner.name for inner in graph.inner} == {"cond"}
    x = np.arange(12).reshape(4, 3)
    np.testing.assert_array_equal(graph.inner[1].nodes[0].movement(x), np.roll(x, 1, 0))


def test_custom_operators_are_passed_over():
    library = torch.library.Library("layoutbridge_tests", "DEF")
    library.define("doubled(Tensor x) -> Tensor")
    library.impl("doubled", lambda x: x * 2, "CompositeExplicitAutograd")
    library.impl("doubled", torch.empty_like, "Meta")
    graph = read_program(exported(lambda x: torch.ops.layoutbridge_tests.doubled(x).flip(0), 4, 3))
    assert graph.notes == ("custom operators were passed over: layoutbridge_tests.doubled",)
    assert [node.movement is None for node in graph.nodes] == [True, False]


def test_lengths_that_depend_on_values_are_passed_over():
    graph = read_program(exported(lambda x: x.nonzero().t(), 4, 3))
    assert all(node.movement is None for node in graph.nodes)
    assert "depend on values" in graph.notes[0]


# ---------------------------------------------------------------------- drawn


@st.composite
def chains(draw):
    """A function that moves elements in several steps, as its text."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=2, max_size=4))
    x, steps = torch.zeros(shape), []
    for _ in range(draw(st.integers(1, 6))):
        axis = draw(st.integers(0, x.ndim - 1))
        options = [f"x.flip({axis})", f"x.roll({draw(st.integers(-3, 3))}, {axis})", f"x.unsqueeze({axis})",
                   "x.reshape(-1)",
                   f"x.permute({draw(st.permutations(range(x.ndim)))})", f"x.flatten({axis})",
                   f"torch.stack([x, x.flip({axis})], {axis})", f"x.repeat_interleave(2, {axis})"]  # fmt: skip
        if x.shape[axis] % 2 == 0:
            options += [f"x.unflatten({axis}, (2, -1))", f"torch.cat(x.chunk(2, {axis})[::-1], {axis})"]
        if x.shape[axis] > 1:
            options += [f"x.narrow({axis}, 1, {x.shape[axis] - 1})", f"x.select({axis}, -1)", f"x.unfold({axis}, 2, 1)"]
        step = draw(st.sampled_from(options))
        made = eval(step, {"x": x, "torch": torch})
        if made.ndim and made.ndim < 7 and made.numel() < 2000:
            x, steps = made, [*steps, step]
    return shape, steps


@settings(max_examples=15)
@given(chains())
def test_any_chain_of_movements_arrives_as_in_pytorch(drawn):
    shape, steps = drawn

    def function(x):
        for step in steps:
            x = eval(step, {"x": x, "torch": torch})
        return (x.clone(),)

    program = exported(function, *shape)
    compare(program, read_program(program))


# ---------------------------------------------------------------------- files


def test_files_that_are_no_programs(tmp_path):
    path = tmp_path / "net.pt2"
    with pytest.raises(UnusableInputError, match=r"there is no \.pt2 file"):
        read_program(path)
    path.write_bytes(b"no zip")
    with pytest.raises(UnusableInputError, match=r"no whole \.pt2 file"):
        read_program(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(UnusableInputError, match="holds 0 exported programs"):
        read_program(path)


def with_program(content, change):
    """The bytes of a .pt2 file whose JSON is changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as made:
        for member in source.infolist():
            held = source.read(member)
            made.writestr(member, change(held) if member.filename.endswith("models/model.json") else held)
    return target.getvalue()


def test_nothing_that_a_file_pickles_or_writes_as_code_is_run(tmp_path):
    program = open_program()
    path, mark = tmp_path / "net.pt2", tmp_path / "mark"
    torch.export.save(program, path)
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def change(held):
        told = json.loads(held)
        told["graph_module"]["graph"]["tensor_values"]["input"]["sizes"][0]["as_expr"]["expr_str"] = code
        return json.dumps(told).encode()

    path.write_bytes(with_program(path.read_bytes(), change))
    with pytest.raises(LayoutBridgeError):
        read_program(path)
    assert not mark.exists()


def test_damaged_programs_are_refused_in_one_line(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(open_program(), path)
    content, rng = path.read_bytes(), Random(5)
    for _ in range(60):
        path.write_bytes(with_program(content, lambda held: mutated(rng, held)))
        try:
            read_program(path)
        except LayoutBridgeError as error:
            refuse_unclear(str(error), 1)
