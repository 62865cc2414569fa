"""Exported programs and modules, run call by call: each tensor by the name that the reader gave it."""

import io
import json
import zipfile

import numpy as np
import pytest

from layoutbridge.errors import ShapeError, UnusableInputError
from tests.comparing.running_checks import close, held, passthrough

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402

from layoutbridge.comparing.running.torch import values  # noqa: E402
from layoutbridge.darknet.ports.torch import write_torch  # noqa: E402
from layoutbridge.scanning.readers.torch.reading import read_module, read_program  # noqa: E402


class Residual(nn.Module):
    """A residual, a functional reshape, writing into tensors and parts of them, and results of several parts."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0]), persistent=False)
        self.linear = nn.Linear(256, 5)

    def forward(self, x, scaled=None):
        y = self.dropout(torch.relu_(self.norm(self.convolution(x)))) + x
        odd = torch.zeros_like(y)
        odd[:, ::2] = y[:, 1::2]
        first, second = torch.split(odd, 2, 1)
        with torch.no_grad():
            shuffled = y.view(y.shape[0], 2, 2, 8, 8).transpose(1, 2).reshape(y.shape)
        y = torch.cat([second, first], 1) + shuffled * self.scale.view(1, 4, 1, 1)
        if scaled is not None:
            y = y * scaled
        return self.linear(y.reshape(y.shape[0], -1)), torch.sort(y, 1)[0], y[..., -1]


def residual():
    torch.manual_seed(0)
    module = Residual().eval()
    module.norm.running_mean.normal_()
    return module


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def results_of(module, *inputs):
    with torch.no_grad():
        return [result.numpy() for result in module.eval()(*map(torch.from_numpy, inputs))]


def test_a_file(tmp_path):
    net, x, reference = passthrough()
    path = write_torch(net.network, net.parameters, tmp_path / "net.pt2").path
    for batch in (1, 3):  # which the program leaves open
        graph = read_program(path, (batch, *x.shape[1:]))
        given = {"x": np.repeat(x, batch, 0)}
        made = held(values(path, graph, given), graph, given)
        close(made[graph.outputs[0]], np.repeat(reference, batch, 0))


def test_a_module_stays_as_it_is():
    net, x, reference = passthrough()
    module = net.to_torch().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    graph = read_module(module, x.shape)
    given = {graph.inputs[0]: x}
    made = held(values(module, graph, given), graph, given)
    close(made[graph.outputs[0]], reference)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_by_hand(tmp_path):
    module, x = residual(), drawn(3, 4, 8, 8)
    graph = read_module(module.train(), x.shape)
    kept = x.copy()
    made = held(values(module, graph, {"x": x}), graph, {"x": x})
    assert {"convolution/conv2d", "norm/batch_norm", "zeros_like after copy_"} <= set(made)
    assert (made["norm/batch_norm"] < 0).any()  # as it was before it was written into
    for name, expected in zip(graph.outputs, results_of(module, x), strict=True):
        np.testing.assert_array_equal(made[name], expected)
    np.testing.assert_array_equal(x, kept)
    program = torch.export.export(residual(), (torch.from_numpy(x),))
    torch.export.save(program, tmp_path / "net.pt2")
    for source in (program, tmp_path / "net.pt2"):
        graph = read_program(source)
        again = held(values(source, graph, {"x": x}), graph, {"x": x})
        np.testing.assert_array_equal(again[graph.outputs[0]], made["linear/linear"])


def test_several_inputs_by_name():
    module, x, scaled = residual(), drawn(1, 4, 8, 8), drawn(1, 4, 1, 1)
    graph = read_module(module, {"x": x.shape, "scaled": scaled.shape})
    given = {"scaled": scaled, "x": x}
    made = held(values(module, graph, given), graph, given)
    np.testing.assert_array_equal(made[graph.outputs[0]], results_of(module, x, scaled)[0])


def test_half_precision():
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.PixelShuffle(2)).to(torch.bfloat16)
    graph = read_module(module, (1, 4, 6, 6))
    given = {"input": drawn(1, 4, 6, 6)}
    made = dict(values(module, graph, given))
    assert {array.dtype.name for array in made.values()} == {"bfloat16"}


def test_numbers_that_json_does_not_have(tmp_path):
    class Padded(nn.Module):
        def forward(self, x):
            return nn.functional.max_pool2d(nn.functional.pad(x, (1, 0, 0, 1), value=-float("inf")), 2).flip(-1)

    x = drawn(1, 2, 3, 5)
    torch.export.save(torch.export.export(Padded(), (torch.from_numpy(x),)), tmp_path / "net.pt2")
    graph = read_program(tmp_path / "net.pt2")
    made = held(values(tmp_path / "net.pt2", graph, {"x": x}), graph, {"x": x})
    np.testing.assert_array_equal(made[graph.outputs[0]], np.stack(results_of(Padded(), x)))


def test_branches():
    class Chosen(nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: x.flip(1) * 2, lambda x: x - 1, (x,)) + 1

    for x in (np.ones((2, 3), np.float32), -np.ones((2, 3), np.float32)):
        graph = read_module(Chosen(), x.shape)
        made = dict(values(Chosen(), graph, {"x": x}))
        np.testing.assert_array_equal(made[graph.outputs[0]], x * 2 + 1 if x[0, 0] > 0 else x)


def rewritten(source, target, change):
    """The zip archive at `source` with its members as `change` gives them, None leaving one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            content = change(member, old.read(member))
            if content is not None:
                new.writestr(member, content)


def test_files_of_older_versions(tmp_path):
    """Before 2.8 PyTorch wrote the weights as one state dict."""
    program = torch.export.export(residual(), (torch.zeros(1, 4, 8, 8),))
    torch.export.save(program, tmp_path / "new.pt2")
    with zipfile.ZipFile(tmp_path / "new.pt2") as new, zipfile.ZipFile(tmp_path / "old.pt2", "w") as old:
        old.writestr("serialized_exported_program.json", new.read("new/models/model.json"))
        for name, content in (("state_dict", program.state_dict), ("constants", program.constants)):
            buffer = io.BytesIO()
            torch.save(dict(content), buffer)
            old.writestr(f"serialized_{name}.pt", buffer.getvalue())
    x = drawn(1, 4, 8, 8)
    graph = read_program(tmp_path / "old.pt2")
    made = held(values(tmp_path / "old.pt2", graph, {"x": x}), graph, {"x": x})
    np.testing.assert_array_equal(made[graph.outputs[0]], results_of(residual(), x)[0])


def test_what_cannot_be_run(tmp_path):
    net, x, _ = passthrough()
    path = write_torch(net.network, net.parameters, tmp_path / "net.pt2").path
    graph = read_program(path, x.shape)
    with pytest.raises(ShapeError, match=r"input x of .* is \[1, 3, 16, 24\], and what is given \[1, 3, 16, 16\]"):
        list(values(path, graph, {"x": x[..., :16]}))
    with pytest.raises(ShapeError, match="takes an input x, and none is given"):
        list(values(path, graph, {}))
    bare = tmp_path / "bare.pt2"
    rewritten(path, bare, lambda name, content: None if "/weight_" in name else content)
    with pytest.raises(UnusableInputError, match=r"has no weights called 0_convolutional\.\w+: export it again"):
        list(values(bare, graph, {"x": x}))
    short = tmp_path / "short.pt2"
    rewritten(path, short, lambda name, content: content[:4] if "/weight_" in name else content)
    with pytest.raises(UnusableInputError, match=r"the weights in .* are not whole"):
        list(values(short, graph, {"x": x}))


@pytest.mark.parametrize(
    "target", ["torch.ops.load_library.relu.default", "torch.ops.aten.from_file.default", "os.system", "nothing"]
)
def test_only_operators_are_called(tmp_path, target):
    torch.export.save(torch.export.export(nn.ReLU(), (torch.zeros(2),)), tmp_path / "relu.pt2")

    def change(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        program["graph_module"]["graph"]["nodes"][0]["target"] = target
        return json.dumps(program)

    rewritten(tmp_path / "relu.pt2", tmp_path / "strange.pt2", change)
    graph = read_program(tmp_path / "strange.pt2")
    with pytest.raises(UnusableInputError, match="PyTorch here has no operator"):
        list(values(tmp_path / "strange.pt2", graph, {"input": np.zeros(2, np.float32)}))
