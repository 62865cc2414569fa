"""`identify` of models: one movement has its names, what is more is answered with the places inside."""

import json
from importlib.util import find_spec

import pytest

import layoutbridge as lb
from layoutbridge.scanning.expecting import other_than
from tests.darknet_files import made

LAYERS = "[convolutional]\nfilters=8\nsize=1\nactivation=leaky\n"
WHOLE = f"[net]\nheight=8\nwidth=8\nchannels=4\n{LAYERS}[reorg]\nstride=2\n{LAYERS}"
ALONE = "[net]\nheight=8\nwidth=8\nchannels=4\n[reorg]\nstride=2\n"


def inside(found):
    return [place.names for place in found.scan.places if place.kind == "moves"]


def without(framework):
    return pytest.mark.skipif(find_spec(framework) is None, reason=f"{framework} is not installed")


@pytest.fixture
def net(tmp_path):
    return made(WHOLE, tmp_path, "alexey", 0)


# ---------------------------------------------------------------------- more than one movement


def test_a_cfg_needs_no_weights_and_no_shape(net, tmp_path):
    for target in (tmp_path / "net.cfg", str(tmp_path / "net.cfg"), net):
        found = lb.identify(target)
        assert (found.kind, found.names, found.is_permutation) == ("whole model", (), False)
        assert (found.in_shape, found.out_shape) == ((1, 4, 8, 8), (1, 8, 4, 4))
        assert inside(found) == [("darknet_reorg",)]
        assert found.explain().split("\n")[-1] == "inside: layer 1 (reorg): darknet_reorg"
    assert lb.identify(tmp_path / "net.cfg", (1, 4, 16, 16)).in_shape == (1, 4, 16, 16)
    with pytest.raises(lb.LayoutBridgeError, match="one picture at a time"):
        lb.identify(tmp_path / "net.cfg", (1, 5, 16, 16))


@without("onnx")
def test_an_onnx_file(net, tmp_path):
    net.to_onnx(tmp_path / "n.onnx")
    unasked, asked = lb.identify(tmp_path / "n.onnx"), lb.identify(tmp_path / "n.onnx", (1, 4, 8, 8))
    assert (unasked.kind, asked.kind) == ("whole model", "changes values")  # what is seen in the graph is not run
    assert inside(unasked) == inside(asked) == [("darknet_reorg",)]
    assert asked.reason.startswith("no permutation: it changes values")


@without("onnx")
def test_onnx_with_several_ends(tmp_path):
    import onnx
    from onnx import helper

    sides = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 4, 2 * size, 2 * size))
        for name, size in (("left", 2), ("right", 2))
    }
    unshuffled = helper.make_node("SpaceToDepth", ["left"], ["deep"], blocksize=2, name="deepen")
    graph = helper.make_graph(
        [unshuffled, helper.make_node("Add", ["left", "right"], ["sum"])],
        "g",
        list(sides.values()),
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("deep", "sum")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx")
    for target in (tmp_path / "two.onnx", model):
        for shape in (None, (1, 4, 4, 4)):  # which of the inputs' would it be?
            found = lb.identify(target, shape)
            assert (found.kind, found.in_shape, found.out_shape) == ("whole model", (), None)
            assert found.scan.places[0].title.startswith("deepen: space_to_depth")
    assert "it has 2 inputs and 2 outputs" in lb.identify(tmp_path / "two.onnx").reason


@without("torch")
def test_modules(net):
    found = lb.identify(net.to_torch(), (1, 4, 8, 8))
    assert found.kind == "changes values"
    assert inside(found) == [("darknet_reorg",)]
    with pytest.raises(lb.LayoutBridgeError, match="a callable is identified at one shape"):
        lb.identify(net.to_torch())
    with pytest.raises(lb.LayoutBridgeError, match=r"must be \[N, 4, 8, 8\]"):
        lb.identify(net.to_torch(), (1, 5, 8, 8))


@without("torch")
def test_a_module_with_several_results():
    import torch

    class Split(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.pixel_unshuffle(x, 2), x + 1

    found = lb.identify(Split(), (1, 2, 4, 4))
    assert (found.kind, inside(found)) == ("whole model", [("pixel_unshuffle", "space_to_depth_crd")])
    assert found.reason == "a whole model: the callable returned 2 results; one array is wanted"


@without("torch")
def test_a_module_that_cannot_be_scanned_is_answered_as_before():
    import torch

    class Stubborn(torch.nn.Module):
        def forward(self, x):
            return torch.from_numpy(x.numpy() + 1)  # no exporter follows this

    found = lb.identify(Stubborn(), (1, 2, 4, 4))
    assert (found.kind, hasattr(found, "scan")) == ("changes values", False)


@without("tensorflow")
def test_keras(net, tmp_path):
    model = net.to_keras()
    model.save(tmp_path / "n.keras")
    for target in (model, tmp_path / "n.keras"):
        found = lb.identify(target)
        assert (found.kind, inside(found)) == ("whole model", [("darknet_reorg",)])
        assert lb.identify(target, (1, 8, 8, 4)).kind == "changes values"
    others = other_than(lb.scan(model), "space_to_depth")  # its shapes are those of channels last
    assert [place.names for place in others] == [("darknet_reorg",)]


# ---------------------------------------------------------------------- one movement


@pytest.mark.parametrize("framework", ["onnx", "torch", "tensorflow"])
def test_one_movement_in_a_file_needs_no_shape(tmp_path, framework):
    if not find_spec(framework):
        pytest.skip(f"{framework} is not installed")
    ending = {"onnx": ".onnx", "torch": ".pt2", "tensorflow": ".keras"}[framework]
    path = tmp_path / f"reorg{ending}"
    lb.export(lb.op("darknet_reorg"), framework, path, shape=(1, 16, 8, 8))
    found = lb.identify(path)
    assert (found.names, found.parameters, found.is_permutation) == (("darknet_reorg",), {"stride": 2}, True)
    assert found.table is not None


def test_a_cfg_of_one_movement(tmp_path):
    net = made(ALONE, tmp_path, "alexey", 0)
    for target in (net, tmp_path / "net.cfg"):
        for shape, given in ((None, (1, 4, 8, 8)), ((1, 4, 4, 6), (1, 4, 4, 6))):
            found = lb.identify(target, shape)
            assert (found.names, found.in_shape) == (("darknet_reorg",), given)
            expected = lb.op("darknet_reorg").table(given)
            assert found.table.tolist() == expected.reshape(-1).tolist()
            assert "inside" not in found.explain()


@without("torch")
def test_programs_of_one_movement_are_read():
    import torch

    program = torch.export.export(torch.nn.PixelUnshuffle(2), (torch.zeros(1, 2, 4, 4),))
    for shape in (None, (1, 2, 4, 4)):
        assert lb.identify(program, shape).names == ("pixel_unshuffle", "space_to_depth_crd")


@without("onnx")
def test_what_moves_nothing_is_run(tmp_path):
    lb.export(lb.op("identity"), "onnx", tmp_path / "same.onnx", shape=(1, 2, 4, 4))
    assert "identity" in lb.identify(tmp_path / "same.onnx").names


# ---------------------------------------------------------------------- errors


@without("onnx")
def test_a_shape_that_does_not_fit_is_an_error(tmp_path):
    lb.export(lb.op("darknet_reorg"), "onnx", tmp_path / "a.onnx", shape=(None, 16, None, None), native=False)
    for shape in ((1, 16, 7, 8), (1, 15, 8, 8), (1, 16, 8), (1, 16, -8, 8)):
        with pytest.raises(lb.LayoutBridgeError):
            lb.identify(tmp_path / "a.onnx", shape)
    with pytest.raises(lb.LayoutBridgeError, match="whole number"):
        lb.identify(tmp_path / "a.onnx", (1, 16, "H", 8))


def test_what_is_damaged_is_told_as_its_reader_does(tmp_path):
    needed = {"a.onnx": "onnx", "a.pt2": "torch", "a.keras": "tensorflow", "a.param": "ncnn"}
    for name in ("a.cfg", *(name for name, framework in needed.items() if find_spec(framework))):
        (tmp_path / name).write_bytes(b"PK\x03\x04damaged")
        with pytest.raises(lb.LayoutBridgeError) as told:
            lb.identify(tmp_path / name, (1, 4, 8, 8))
        with pytest.raises(lb.LayoutBridgeError, match=name):
            lb.scan(tmp_path / name)
        assert name in str(told.value)


def test_what_no_reader_knows_is_no_model(tmp_path):
    (tmp_path / "notes.txt").write_text("reorg")
    with pytest.raises(lb.LayoutBridgeError, match="names nothing to identify"):
        lb.identify(tmp_path / "notes.txt")
    with pytest.raises(lb.LayoutBridgeError, match="one shape"):
        lb.identify(len)


def test_the_scan_of_it_is_json(net, tmp_path):
    assert json.loads(lb.identify(tmp_path / "net.cfg").scan.to_json())["nodes"] == 3
