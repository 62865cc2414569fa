"""Files for PyTorch: exported programs with every head, and state dicts that are read back byte for byte."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection.boxes import decode
from layoutbridge.errors import (
    MissingFrameworkError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
    WeightsError,
)
from layoutbridge.operations.catalog import op
from tests.darknet_files import GOLDEN, NETS, ROOT, WHERE_ZOO, ZOO, load_synthesizer, made, read

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402

from layoutbridge.darknet.ports import torch as torch_export  # noqa: E402
from layoutbridge.darknet.ports.torch import write_torch  # noqa: E402
from layoutbridge.frameworks.torch.emission import save  # noqa: E402
from layoutbridge.frameworks.torch.metadata import state_dict_of  # noqa: E402

TOLERANCE = 1e-5  # of an output's largest value
BOXES = [name for name in GOLDEN if "yolo" in name or "region" in name or "_v1" in name or "dense" in name]
SHARED = (
    "[net]\nwidth=6\nheight=6\nchannels=4\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nshare_index=0\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
)


def write(net, path, **options):
    return write_torch(net.network, net.parameters, path, **options)


def run(path, x):
    """The outputs of the program at `path`, as a tuple of arrays."""
    with torch.inference_mode():
        outputs = torch.export.load(path).module()(torch.from_numpy(x))
    return tuple(output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,)))


def assert_near(found, wanted, tolerance=TOLERANCE):
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


# ---------------------------------------------------------------------- state dicts


@pytest.mark.parametrize("name", GOLDEN)
def test_a_state_dict_is_read_back_byte_for_byte(name, tmp_path):
    net, _, _ = read(name)
    export = write(net, tmp_path / "net.safetensors")
    assert export.path == export.state_path == tmp_path / "net.safetensors"
    assert dict(export.outputs) == {}
    module = net.to_torch()
    held, wanted = load_file(export.path), module.state_dict()
    assert held.keys() == wanted.keys()
    assert all(torch.equal(held[key], wanted[key]) for key in wanted)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.zero_()
    module.load_state_dict(held, strict=True)
    net.from_torch(module).save_weights(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (NETS / name / "net.weights").read_bytes()


@pytest.mark.parametrize("ending", [".pth", ".pt"])
@pytest.mark.parametrize("name", ["alexey/residual", "pjreddie/passthrough", "alexey/implicit"])
def test_a_pickled_state_dict_holds_tensors_alone(name, ending, tmp_path):
    net, _, _ = read(name)
    export = write(net, tmp_path / f"net{ending}", names=["собака", "cat"] if name == "alexey/residual" else None)
    held, wanted = torch.load(export.path, weights_only=True), net.to_torch().state_dict()
    assert held.keys() == wanted.keys() and type(held) is dict
    assert all(torch.equal(held[key], wanted[key]) for key in wanted)
    fresh = load(NETS / name / "net.cfg", NETS / name / "net.weights", flavor=name.split("/")[0]).to_torch()
    for parameter in fresh.parameters():
        parameter.data.fill_(7)
    fresh.load_state_dict(held, strict=True)
    assert all(torch.equal(fresh.state_dict()[key], wanted[key]) for key in wanted)
    with zipfile.ZipFile(export.path) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith("layoutbridge.json"))
        told = json.loads(archive.read(about))
    assert told["source"] == "net.cfg" and ("names" in told) == (name == "alexey/residual")
    assert "weights_only=True" in export.remarks[0]


READ_BACK = """
import sys
from safetensors.torch import load_file
import layoutbridge as lb

cfg, weights, flavor, state, out = sys.argv[1:]
net = lb.darknet.load(cfg, weights, flavor=flavor)
module = net.to_torch()
for parameter in module.parameters():
    parameter.data.fill_(7)
print(module.load_state_dict(load_file(state), strict=True))
net.from_torch(module).save_weights(out)
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["alexey/residual", "pjreddie/passthrough"])
def test_another_process_reads_it(name, tmp_path):
    net, _, _ = read(name)
    write(net, tmp_path / "net.safetensors")
    folder, out = NETS / name, tmp_path / "again.weights"
    given = [folder / "net.cfg", folder / "net.weights", name.split("/")[0], tmp_path / "net.safetensors", out]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", READ_BACK, *map(str, given)]
    done = subprocess.run(call, env=environment, check=True, timeout=120, capture_output=True, text=True)
    assert "All keys matched" in done.stdout
    assert out.read_bytes() == (folder / "net.weights").read_bytes()


def test_layers_that_share_parameters_have_an_entry_each(tmp_path):
    """So that `load_state_dict` finds every name; in the module they are one tensor still."""
    net = made(SHARED, tmp_path)
    write(net, tmp_path / "net.safetensors")
    module, held = net.to_torch(), load_file(tmp_path / "net.safetensors")
    assert torch.equal(held["0_convolutional.weights"], held["1_convolutional.weights"])
    module.load_state_dict(held, strict=True)
    assert module.layers[0].weights is module.layers[1].weights
    module.save_darknet(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (tmp_path / "net.weights").read_bytes()


def test_what_the_header_tells(tmp_path):
    net, _, _ = read("pjreddie/passthrough")
    write(net, tmp_path / "net.safetensors", sources=net.sources)
    with safetensors.safe_open(tmp_path / "net.safetensors", "pt") as file:
        told = file.metadata()
    assert set(told) == {"layoutbridge_version", "source", "flavor", "cfg_sha256", "weights_sha256"}
    assert (told["source"], told["flavor"]) == ("net.cfg", "pjreddie")
    for kind in ("cfg", "weights"):
        wanted = hashlib.sha256((NETS / "pjreddie/passthrough" / f"net.{kind}").read_bytes()).hexdigest()
        assert told[f"{kind}_sha256"] == wanted


def test_another_networks_state_dict_is_refused_by_torch(tmp_path):
    net, _, _ = read("alexey/residual")
    other, _, _ = read("alexey/spp")
    write(other, tmp_path / "other.safetensors")
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing key"):
        net.to_torch().load_state_dict(load_file(tmp_path / "other.safetensors"), strict=True)


# ---------------------------------------------------------------------- programs and their heads


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["alexey/dense_tiny", "pjreddie/dense_tiny"])
def test_a_detector_returns_all_its_heads(name, tmp_path):
    net, x, recorded = read(name)
    heads = [layer for layer in net.layers if layer.kind == "yolo"]
    assert len(heads) > 1
    export = write(net, tmp_path / "net.pt2")
    assert export.state_path is None
    assert dict(export.outputs) == {layer.name: layer.out_shape for layer in heads}
    for batch in (1, 3):
        outputs = run(tmp_path / "net.pt2", np.stack([x] * batch))
        for layer, output in zip(heads, outputs, strict=True):
            assert_near(output, np.stack([recorded[layer.index]] * batch))
    export = write(net, tmp_path / "raw.pt2", head="raw", batch=1)
    before = [layer.inputs[0] for layer in heads]
    assert list(export.outputs) == [net.layers[index].name for index in before]
    for index, output in zip(before, run(tmp_path / "raw.pt2", x[None]), strict=True):
        assert_near(output[0], recorded[index])


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("name", [name for name in GOLDEN if "classifier" in name or "softmax" in name])
def test_a_classifiers_ending_is_left_away(name, tmp_path):
    net, x, recorded = read(name)
    (index,) = (k for k, layer in enumerate(net.layers) if layer.name == next(iter(write_raw(net, tmp_path).outputs)))
    assert all(layer.kind in ("softmax", "logistic", "cost", "dropout") for layer in net.layers[index + 1 :])
    (output,) = run(tmp_path / "raw.pt2", x[None])
    assert_near(output[0], recorded[index])


def write_raw(net, folder):
    return write(net, folder / "raw.pt2", head="raw")


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", BOXES)
def test_boxes_are_darknets(name, tmp_path):
    net, x, recorded = read(name)
    (shape,) = write(net, tmp_path / "net.pt2", head="boxes").outputs.values()
    batch = np.stack([x, x[:, ::-1].copy()])
    (output,) = run(tmp_path / "net.pt2", batch)
    wanted = decode(net.network, [layer[None] for layer in recorded])
    assert output.shape == (2, *shape)
    assert_near(output[:1], wanted, 5e-5)


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("head", ["yolov5", "yolov8"])
@pytest.mark.parametrize("name", BOXES[::3])
def test_the_other_layouts_are_onnxs(name, head, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from layoutbridge.darknet.ports.onnx import run_model, write_onnx

    net, x, _ = read(name)
    write(net, tmp_path / "net.pt2", head=head)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", head=head)
    (output,) = run(tmp_path / "net.pt2", x[None])
    assert_near(output, run_model(tmp_path / "net.onnx", x[None])[0], 5e-5)


def test_a_softmax_over_the_classes_of_each_place(tmp_path):
    """A view of a part of a vector, which must not fix the batch."""
    text = (
        "[net]\nwidth=4\nheight=4\nchannels=1\n[connected]\noutput=44\nactivation=linear\n"
        "[detection]\nclasses=6\ncoords=4\nside=2\nnum=1\nsoftmax=1\n"
    )
    net = made(text, tmp_path)
    write(net, tmp_path / "net.pt2")
    x = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
    for batch in (x, x[:1]):
        assert_near(run(tmp_path / "net.pt2", batch)[0], net.run(batch).astype(np.float32))


def test_every_layer_behind_the_boxes(tmp_path):
    net, x, recorded = read("alexey/yolo_scaled")
    export = write(net, tmp_path / "net.pt2", head="boxes", every_layer=True)
    assert list(export.outputs) == ["boxes", *(layer.name for layer in net.layers)]
    boxes, *outputs = run(tmp_path / "net.pt2", x[None])
    assert boxes.shape[1:] == export.outputs["boxes"]
    for output, wanted in zip(outputs, recorded, strict=True):
        assert_near(output[0], wanted)
    export = write(net, tmp_path / "net.pt2", every_layer=True)
    assert list(export.outputs) == [layer.name for layer in net.layers]


def test_a_network_of_a_softmax_alone(tmp_path):
    """Its raw input is the network's."""
    net = made("[net]\nwidth=2\nheight=2\nchannels=3\n[softmax]\n", tmp_path)
    export = write(net, tmp_path / "net.pt2", head="raw", every_layer=True)
    assert dict(export.outputs) == {"input_copy": (3, 2, 2), "0_softmax": (12,)}
    x = np.random.default_rng(0).random((2, 3, 2, 2), np.float32)
    copied, shares = run(tmp_path / "net.pt2", x)
    np.testing.assert_array_equal(copied, x)
    assert_near(shares.sum(axis=1), np.ones(2, np.float32))


def test_a_module_with_a_head(tmp_path):
    net, x, recorded = read("alexey/dense_tiny")
    picture, plain = torch.from_numpy(x)[None], net.to_torch()
    assert_near(plain(picture).detach().numpy()[0], recorded[-1])
    heads = [layer.index for layer in net.layers if layer.kind == "yolo"]
    module = net.to_torch(head="darknet")
    for index, output in zip(heads, module(picture), strict=True):
        assert_near(output.detach().numpy()[0], recorded[index])
    boxes = net.to_torch(head="boxes")
    assert boxes.state_dict().keys() == plain.state_dict().keys()
    assert boxes(picture).shape[1:] == boxes.output_shapes["boxes"]
    assert_near(
        boxes.double()(picture.double()).detach().float().numpy(),
        decode(net.network, [r[None] for r in recorded]),
        5e-5,
    )
    boxes(picture.double()).sum().backward()
    assert all(parameter.grad is not None for parameter in boxes.parameters())
    net.from_torch(boxes.float()).save_weights(tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (NETS / "alexey/dense_tiny/net.weights").read_bytes()


def test_a_program_with_its_state_dict_beside_it(tmp_path):
    net, x, recorded = read("alexey/residual")
    export = write(net, tmp_path / "net.pt2", state_dict=True, sources=net.sources)
    assert export.state_path == tmp_path / "net.safetensors"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.pt2", "net.safetensors"]
    extra = {torch_export.ABOUT: ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    told = json.loads(extra[torch_export.ABOUT])
    assert (told["head"], told["outputs"]) == ("darknet", list(export.outputs))
    assert told["weights_sha256"] == hashlib.sha256((NETS / "alexey/residual/net.weights").read_bytes()).hexdigest()
    held = load_file(export.state_path)
    assert program.state_dict.keys() == held.keys()
    assert all(torch.equal(program.state_dict[key], held[key]) for key in held)
    assert_near(run(export.path, x[None])[0][0], recorded[-1])


# ---------------------------------------------------------------------- what is refused


def test_what_is_refused(tmp_path):
    net = made(SHARED, tmp_path)
    for name in ("net.onnx", "net.bin", "net", "net.pt2.zip"):
        with pytest.raises(ParameterError, match=r"must end in \.pt2, .* or \.safetensors"):
            write(net, tmp_path / name)
    for name in ("net.pt2", "net.safetensors"):
        with pytest.raises(UnknownNameError, match="darknet, raw, boxes"):
            write(net, tmp_path / name, head="yolo")
        with pytest.raises(ParameterError, match="batch"):
            write(net, tmp_path / name, batch=0)
        with pytest.raises(UnusableInputError, match="cannot write"):
            write(net, tmp_path / "none" / name)
        with pytest.raises(UnusableInputError, match="there is no file"):
            write(net, tmp_path / name, sources={"cfg": tmp_path / "none.cfg"})
    with pytest.raises(UnsupportedError, match="no detection layer"):
        write(net, tmp_path / "net.pt2", head="boxes")
    with pytest.raises(UnknownNameError, match="darknet, raw, boxes"):
        net.to_torch(head="yolo")
    with pytest.raises(WeightsError, match="without weights"):
        write(load(tmp_path / "net.cfg"), tmp_path / "net.safetensors")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.cfg", "net.weights"]


def test_both_files_or_none(tmp_path):
    """A folder stands where the state dict would go: the program is not written either."""
    net = made(SHARED, tmp_path)
    (tmp_path / "net.safetensors").mkdir()
    (tmp_path / "net.safetensors" / "file").write_text("in the way")
    with pytest.raises(UnusableInputError, match="cannot write"):
        write(net, tmp_path / "net.pt2", state_dict=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.cfg", "net.safetensors", "net.weights"]


def test_a_program_written_anew_takes_its_state_dict_along(tmp_path):
    net, program, state = made(SHARED, tmp_path), tmp_path / "net.pt2", tmp_path / "net.safetensors"
    write(net, program, state_dict=True)
    write(net, program)
    assert program.exists() and not state.exists()
    write(net, state)
    write(net, program)
    assert state.exists()  # it was not written with the program
    write(net, program, state_dict=True)
    save(op("pixel_unshuffle", stride=2), program, shape=(1, 3, 4, 4))
    assert program.exists() and not state.exists()
    state.touch()
    for content in (b"", b"PK", b"PK\x05\x06" + bytes(18)):
        program.write_bytes(content)
        assert state_dict_of(program) == ()
    long = tmp_path / f"{'n' * 251}.pt2"  # its state dict's name would be too long
    for _ in range(2):
        save(op("pixel_unshuffle", stride=2), long, shape=(1, 3, 4, 4))
    assert long.exists()


def test_missing_safetensors_names_the_extra(monkeypatch, tmp_path):
    net = made(SHARED, tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors", None)  # as Python marks what cannot be imported
    for name, options in (("net.safetensors", {}), ("net.pt2", {"state_dict": True})):
        with pytest.raises(MissingFrameworkError, match=r"safetensors.*pip install .*\[torch\]'"):
            write(net, tmp_path / name, **options)
    write(net, tmp_path / "net.pt2")
    assert not (tmp_path / "net.safetensors").exists()


# ---------------------------------------------------------------------- a real network

MEASURED = """
import json, resource, sys
import torch
import layoutbridge as lb
import layoutbridge.darknet.ports.torch_module
from layoutbridge.darknet.ports.torch import write_torch

net = lb.darknet.load(sys.argv[1], sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
export = write_torch(net.network, net.parameters, sys.argv[3], state_dict=sys.argv[3].endswith(".pt2"))
peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps([peak, {name: list(shape) for name, shape in export.outputs.items()}]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not ZOO.exists(), reason=WHERE_ZOO)
def test_yolov4_in_files(tmp_path):
    """Three heads; the weights are held once while a program is written, and not at all for a state dict."""
    folder, weights = ZOO / "alexey" / "yolov4", tmp_path / "net.weights"
    load_synthesizer().write_weights(json.loads((folder / "manifest.json").read_text()), weights)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    size = weights.stat().st_size / 2**20
    for name, most in (("state.safetensors", 20), ("net.pt2", 300)):
        call = [sys.executable, "-c", MEASURED, str(folder / "net.cfg"), str(weights), str(tmp_path / name)]
        done = subprocess.run(call, env=environment, check=True, timeout=300, capture_output=True, text=True)
        megabytes, outputs = json.loads(done.stdout)
        assert megabytes <= size + most, name  # the weights that were read are among it
    assert list(outputs) == ["139_yolo", "150_yolo", "161_yolo"]
    net = load(folder / "net.cfg", weights)
    module = net.to_torch()
    module.load_state_dict(load_file(tmp_path / "net.safetensors"), strict=True)
    module.save_darknet(tmp_path / "again.weights")
    with (tmp_path / "again.weights").open("rb") as again, weights.open("rb") as given:
        assert hashlib.file_digest(again, "sha256").digest() == hashlib.file_digest(given, "sha256").digest()


def test_the_files_are_as_readable_as_others(tmp_path):
    net = load(NETS / "alexey" / "residual" / "net.cfg", NETS / "alexey" / "residual" / "net.weights")
    (tmp_path / "other").touch()
    write_torch(net.network, net.parameters, tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_program_is_float32_under_any_default(tmp_path):
    net = made(SHARED, tmp_path)
    torch.set_default_dtype(torch.float64)
    try:
        write_torch(net.network, net.parameters, tmp_path / "net.pt2")
    finally:
        torch.set_default_dtype(torch.float32)
    module = torch.export.load(tmp_path / "net.pt2").module()
    assert module(torch.rand(1, *net.network.in_shape)).dtype == torch.float32
