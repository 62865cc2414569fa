"""The ONNX file of a network: what it holds, how it is written, what is refused."""

import ast
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.detection.suppression import suppress
from layoutbridge.darknet.structure.model import Network
from layoutbridge.darknet.structure.settings import Settings
from layoutbridge.errors import (
    LayoutBridgeError,
    ParameterError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
)
from layoutbridge.operations.catalog import op
from tests.darknet_files import GOLDEN, NETS, ROOT, made

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.meaning.normalization import folded  # noqa: E402
from layoutbridge.darknet.ports.onnx import run_model, run_onnx, write_onnx  # noqa: E402
from layoutbridge.frameworks.onnx import writer as onnx_writer  # noqa: E402
from layoutbridge.frameworks.onnx.emission import save  # noqa: E402
from layoutbridge.frameworks.primitives import LazyArray  # noqa: E402

YOLO = "alexey/yolo_head"
SMALL = (
    "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\n"
    "activation=leaky\n[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
)


def golden(name, **options):
    folder = NETS / name
    return load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0], **options)


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


# ---------------------------------------------------------------------- what it holds


def test_names_that_a_person_recognises(tmp_path):
    net = golden("alexey/passthrough")
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    names = [node.name for node in graph.node]
    assert "0_convolutional/Conv" in names
    assert "4_reorg/SpaceToDepth" in names
    assert [value.name for value in graph.input] == ["input"]
    assert [value.name for value in graph.output] == [net.layers[-1].name]
    assert {"0_convolutional/weights", "0_convolutional/biases"} <= {held.name for held in graph.initializer}
    assert len(set(names)) == len(names)


def test_metadata(tmp_path):
    net = golden(YOLO)
    folder = NETS / YOLO
    sources = {"cfg": folder / "net.cfg", "weights": folder / "net.weights"}
    names = ["person", "bicycle", "Äpfel", "x,y"]
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", names=names, sources=sources)
    held = metadata(tmp_path / "net.onnx")
    assert ast.literal_eval(held["names"]) == dict(enumerate(names))
    assert (held["input_range"], held["input_color_order"], held["input_layout"]) == ("0..1", "RGB", "NCHW")
    assert (held["flavor"], held["head"]) == ("alexey", "darknet")
    for kind, path in sources.items():
        assert held[f"{kind}_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    from layoutbridge import __version__

    assert held["layoutbridge_version"] == __version__
    assert onnx.load(tmp_path / "net.onnx").producer_version == __version__


def test_batch_norm_folded_or_kept(tmp_path):
    net = made(SMALL, tmp_path)
    operators = {}
    for keep in (False, True):
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", keep_batch_norm=keep)
        operators[keep] = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators[False] == ["Conv", "LeakyRelu", "MaxPool", "Conv"]
    assert operators[True] == ["Conv", "BatchNormalization", "LeakyRelu", "MaxPool", "Conv"]


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_folding_is_rounded_once(flavor, tmp_path):
    net = made(SMALL, tmp_path, flavor)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "net.onnx").graph.initializer}
    own = {
        name: net.parameters[0, name].astype(np.float64)
        for name in ("weights", "scales", "means", "variances", "biases")
    }
    below = np.sqrt(own["variances"]) + 1e-6 if flavor == "pjreddie" else np.sqrt(own["variances"] + 1e-5)
    factor = own["scales"] / below
    np.testing.assert_array_equal(
        held["0_convolutional/weights"], (own["weights"] * factor[:, None, None, None]).astype(np.float32)
    )
    np.testing.assert_array_equal(
        held["0_convolutional/biases"], (own["biases"] - own["means"] * factor).astype(np.float32)
    )


def test_shared_weights_are_stored_once(tmp_path):
    conv = "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation=leaky\n"
    net = made("[net]\nwidth=8\nheight=8\nchannels=3\n" + conv + conv + "share_index=0\n", tmp_path)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    names = {held.name for held in onnx.load(tmp_path / "net.onnx").graph.initializer}
    assert names == {"0_convolutional/weights", "0_convolutional/biases"}


def test_opset_and_ir(tmp_path):
    net = golden(YOLO)
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert (export.opset, model.opset_import[0].version, export.ir_version, model.ir_version) == (17, 17, 8, 8)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", opset=11)
    assert onnx.load(tmp_path / "net.onnx").opset_import[0].version == 11
    for unusable in (8, 1000, True, "17"):
        with pytest.raises(ParameterError, match="from 9 to"):
            write_onnx(net.network, net.parameters, tmp_path / "other.onnx", opset=unusable)
    assert not (tmp_path / "other.onnx").exists()


# ---------------------------------------------------------------------- heads, batch and size


def test_heads_darknet_and_raw(tmp_path):
    net = golden(YOLO)
    head = net.layers[-1]
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    assert export.outputs == {head.name: head.out_shape}
    raw = write_onnx(net.network, net.parameters, tmp_path / "raw.onnx", head="raw")
    before = net.layers[head.inputs[0]]
    assert raw.outputs == {before.name: before.out_shape}
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    every = run_onnx(net.network, net.parameters, x, every_layer=True)
    np.testing.assert_allclose(run_model(tmp_path / "raw.onnx", x)[0], every[before.index], rtol=1e-5, atol=1e-6)
    assert not any(node.name.startswith(head.name) for node in onnx.load(tmp_path / "raw.onnx").graph.node)


def test_the_raw_head_of_a_classifier(tmp_path):
    text = SMALL + "[avgpool]\n[softmax]\n[cost]\n"
    net = made(text, tmp_path)
    assert list(write_onnx(net.network, net.parameters, tmp_path / "a.onnx", head="raw").outputs) == ["3_avgpool"]
    assert list(write_onnx(net.network, net.parameters, tmp_path / "a.onnx").outputs) == ["5_cost"]


@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
def test_heads_of_boxes_stand_first(head, tmp_path):
    net = golden(YOLO)
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", head=head, nms=True, every_layer=True)
    assert list(export.outputs)[:2] == [head, "nms"]
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    boxes = run_model(tmp_path / "net.onnx", np.zeros((2, *net.network.in_shape), np.float32), [head])[0]
    assert boxes.shape == (2, *export.outputs[head])


def test_what_a_model_tells_of_its_suppression(tmp_path):
    net, path = golden(YOLO), tmp_path / "net.onnx"
    export = write_onnx(
        net.network, net.parameters, path, head="boxes", nms=True, threshold=0.1, overlap=0.5, nms_kind="greedynms"
    )
    assert export.outputs["nms"] == (None, 3)
    assert export.unbatched == {"nms"}
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    (lengths,) = (output.type.tensor_type.shape.dim for output in model.graph.output if output.name == "nms")
    assert [length.dim_param or length.dim_value for length in lengths] == ["kept", 3]
    assert {node.domain for node in model.graph.node} == {""}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    told = {key: metadata[key] for key in ("nms_threshold", "nms_overlap", "nms_kind")}
    assert told == {"nms_threshold": "0.1", "nms_overlap": "0.5", "nms_kind": "greedynms"}
    assert json.loads(metadata["head_rules"])["nms_kind"] == "greedynms"
    write_onnx(net.network, net.parameters, path, head="boxes", nms=True)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (metadata["nms_threshold"], metadata["nms_overlap"], metadata["nms_kind"]) == ("0.25", "0.45", "default")
    write_onnx(net.network, net.parameters, path, head="boxes")
    assert not any(entry.key.startswith("nms") for entry in onnx.load(path).metadata_props)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["greedynms", "diounms"])
def test_suppression_by_distance_keeps_what_darknet_keeps(kind, half, tmp_path):
    """The boxes that the model gives, suppressed here, class by class: the same ones in the same order."""
    net, path = golden(YOLO), tmp_path / "net.onnx"
    options = {"head": "boxes", "nms": True, "threshold": 0.05, "nms_kind": kind, "half": half}
    write_onnx(net.network, net.parameters, path, **options)
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    rows, kept = run_model(path, x)
    expected, plain = [], []
    for picture, label in np.ndindex(2, rows.shape[2] - 5):
        alone = rows[picture][:, [0, 1, 2, 3, 4, 5 + label]]
        alone[alone[:, 5] <= np.float32(0.05), 5] = 0
        places = {row.tobytes(): place for place, row in enumerate(alone)}
        for how, told in ((kind, expected), ("default", plain)):
            left = suppress(alone, 0.45, how, 0.6)
            told += [[picture, label, places[row.tobytes()]] for row in left if row[5]]
    assert kept.tolist() == expected
    assert expected != plain


def test_batch_and_size(tmp_path):
    net = golden(YOLO)
    path = tmp_path / "net.onnx"

    def declared():
        lengths = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
        return [length.dim_param or length.dim_value for length in lengths]

    write_onnx(net.network, net.parameters, path)
    assert declared() == ["N", *net.network.in_shape]
    write_onnx(net.network, net.parameters, path, batch=4)
    assert declared() == [4, *net.network.in_shape]
    export = write_onnx(net.network, net.parameters, path, dynamic_size=True)
    assert declared() == ["N", net.network.channels, "height", "width"]
    assert export.outputs == {net.layers[-1].name: (net.layers[-1].out_shape[0], None, None)}
    for unusable in (0, -1, True, 1.5):
        with pytest.raises(ParameterError, match="batch"):
            write_onnx(net.network, net.parameters, path, batch=unusable)


FIXED = {
    "connected", "crop", "detection_v1", "header_transposed", "local", "softmax_groups",
    "reorg_extra", "shortcut_strided", "window_larger_than_input",
}  # fmt: skip


@pytest.mark.sample(30)
@pytest.mark.parametrize("name", GOLDEN)
def test_one_model_for_all_sizes(name, tmp_path):
    """The model with its size left open computes what the model of that size does, or is refused."""
    net = golden(name)
    path = tmp_path / "net.onnx"
    if name.split("/")[1] in FIXED:
        with pytest.raises(UnsupportedError, match=r"net\.cfg, line \d+: the size cannot be left open"):
            write_onnx(net.network, net.parameters, path, dynamic_size=True)
        assert not path.exists()
        return
    write_onnx(net.network, net.parameters, path, every_layer=True, dynamic_size=True)
    onnx.checker.check_model(str(path), full_check=True)
    for width, height in ((2, 3), (4, 2)):
        size = (net.network.width * width, net.network.height * height)
        sized = golden(name, size=size)
        x = np.random.default_rng(0).random((1, *sized.network.in_shape), np.float32)
        wanted = run_onnx(sized.network, sized.parameters, x, every_layer=True)
        for layer, ours, theirs in zip(
            sized.layers, run_model(path, x, [layer.name for layer in net.layers]), wanted, strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * np.abs(theirs).max(), err_msg=layer.name)


def test_odd_sizes_of_an_open_pool(tmp_path):
    net = made(SMALL, tmp_path)
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", dynamic_size=True)
    sized = load(tmp_path / "net.cfg", tmp_path / "net.weights", size=(13, 9))
    x = np.random.default_rng(0).random((1, 3, 9, 13), np.float32)
    (wanted,) = run_onnx(sized.network, sized.parameters, x)
    np.testing.assert_allclose(run_model(tmp_path / "net.onnx", x)[0], wanted, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------- how it is written


@pytest.mark.parametrize("external", [False, True])
def test_the_stream_is_what_onnx_would_write(external, tmp_path):
    net = golden("alexey/residual")
    path = tmp_path / "net.onnx"
    export = write_onnx(net.network, net.parameters, path, external_data=external)
    assert export.data_path == (tmp_path / "net.onnx.data" if external else None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"][: 1 + external]
    model = onnx.load(path)
    assert onnx.load_from_string(model.SerializeToString()) == model
    onnx.checker.check_model(str(path), full_check=True)
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    np.testing.assert_array_equal(run_model(path, x)[0], run_onnx(net.network, net.parameters, x)[0])


def test_over_the_limit_the_weights_lie_apart(tmp_path, monkeypatch):
    net = golden("alexey/residual")
    monkeypatch.setattr(onnx_writer, "LARGEST_FILE", 1_000_000)
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx")
    assert export.data_path == tmp_path / "net.onnx.data"
    assert (tmp_path / "net.onnx").stat().st_size < 20_000
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("net.onnx", "net.onnx.data"):
        (tmp_path / name).rename(moved / name)
    run_model(moved / "net.onnx", np.zeros((1, *net.network.in_shape), np.float32))


def test_arrays_are_read_in_pieces():
    seen = []

    def rows(start, stop):
        seen.append((start, stop))
        return np.full((stop - start, 10), start, np.float32)

    lazy = LazyArray("weights", (7, 10), rows)
    assert [chunk.shape[0] for chunk in lazy.chunks(30)] == [3, 3, 1]
    assert seen == [(0, 3), (3, 6), (6, 7)]
    assert [chunk.shape[0] for chunk in lazy.chunks(1)] == [1] * 7


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(40, 9000), (3000, 30), (3, 2, 5, 7)])
def test_folding_in_pieces_rounds_each_product_once(shape, axis, transposed):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=shape[::-1] if transposed else shape).astype(np.float32)
    weights = weights.T if transposed else weights
    factor = rng.normal(size=shape[axis])
    lazy = folded(weights, factor, "weights", axis)
    wide = weights.astype(np.float64) * factor.reshape(-1, *(1,) * (len(shape) - 1 - axis))
    np.testing.assert_array_equal(np.concatenate(list(lazy.chunks())), wide.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate(list(lazy.chunks(dtype=np.float16))), wide.astype(np.float16))
    np.testing.assert_array_equal(lazy.rows(1, 3), wide[1:3].astype(np.float32))
    np.testing.assert_array_equal(lazy.read(), wide.astype(np.float32))


@pytest.mark.parametrize("external", [False, True])
def test_whole_or_not_at_all(external, tmp_path):
    net = golden(YOLO)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_onnx(net.network, net.parameters, path, progress=stop, external_data=external)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    with pytest.raises(UnusableInputError, match="there is no file"):
        write_onnx(net.network, net.parameters, path, sources={"weights": tmp_path / "none"}, external_data=external)
    assert path.read_bytes() == b"before"
    with pytest.raises(UnusableInputError, match="cannot write into"):
        write_onnx(net.network, net.parameters, tmp_path / "none" / "net.onnx")


def large(folder):
    """A network whose weights lie in a data file where that is asked for."""
    return made("[net]\nwidth=4\nheight=4\nchannels=8\n[convolutional]\nfilters=64\nsize=3\npad=1\n", folder)


def test_a_model_written_anew_takes_its_data_along(tmp_path):
    net, path, data = large(tmp_path), tmp_path / "net.onnx", tmp_path / "net.onnx.data"

    def write(**options):
        write_onnx(net.network, net.parameters, path, **options)
        return there()

    def there():
        return sorted(file.name for file in tmp_path.iterdir() if ".onnx" in file.name)

    both = ["net.onnx", "net.onnx.data"]
    assert write(external_data=True) == both
    assert write(external_data=True) == both
    assert write() == ["net.onnx"]
    write(external_data=True)
    save(op("pixel_unshuffle", stride=2), path)
    assert there() == ["net.onnx"]
    small = golden(YOLO)
    write_onnx(small.network, small.parameters, path, external_data=True)
    assert data.read_bytes() == b""
    assert write() == ["net.onnx"]
    data.write_bytes(b"somebody's")
    assert write() == both  # no model of ours named it
    write(external_data=True)
    model = onnx.load(path, load_external_data=False)
    model.producer_name = "another"
    path.write_bytes(model.SerializeToString())
    assert write() == both
    write(external_data=True)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.onnx")
    assert write() == ["elsewhere.onnx", *both]


@pytest.mark.parametrize("renames", [1, 2, 3])
def test_at_every_moment_the_model_there_has_its_own_data(renames, tmp_path, monkeypatch):
    """As a KILL between the renames leaves it."""
    net, path = large(tmp_path), tmp_path / "net.onnx"
    other = replace(net.weights, arrays={key: value * 0.5 for key, value in net.parameters.items()})
    x = np.random.default_rng(0).random((1, *net.network.in_shape), np.float32)
    write_onnx(net.network, other.arrays, path, external_data=True)
    before = run_model(path, x)
    write_onnx(net.network, net.parameters, tmp_path / "alone.onnx")
    wanted = run_model(tmp_path / "alone.onnx", x)
    assert not np.array_equal(before[0], wanted[0])
    real, left = Path.replace, [renames]

    def killed(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise SystemExit
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr("layoutbridge.exchange.settle", lambda *_: None)
        patch.setattr("layoutbridge.files.discard", lambda _: None)
        if renames < 3:
            with pytest.raises(SystemExit):
                write_onnx(net.network, net.parameters, path, external_data=True)
        else:
            write_onnx(net.network, net.parameters, path, external_data=True)
    for found, expected in zip(run_model(path, x), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UnusableInputError):
        write_onnx(net.network, net.parameters, path, sources={"cfg": tmp_path / "none"})
    for found, expected in zip(run_model(path, x), wanted if renames == 3 else before, strict=True):
        np.testing.assert_array_equal(found, expected)
    found = sorted(file.name for file in tmp_path.iterdir() if ".onnx" in file.name)
    assert found == ["alone.onnx", "net.onnx", "net.onnx.data"]


def test_a_name_that_leaves_no_room_for_that_of_the_data(tmp_path):
    net, path = golden(YOLO), tmp_path / f"{'n' * 246}.onnx"  # which fits
    with pytest.raises(UnusableInputError, match=r"\.onnx\.data': File name too long \(256 bytes"):
        write_onnx(net.network, net.parameters, path, external_data=True)
    for _ in range(2):
        write_onnx(net.network, net.parameters, path)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["cfg", "weights"])
def test_sources_that_changed_since_they_were_read(kind, tmp_path):
    net = made(SMALL, tmp_path)
    net.to_onnx(tmp_path / "net.onnx")
    source = tmp_path / f"net.{kind}"
    source.write_bytes(source.read_bytes())
    with pytest.raises(UnusableInputError, match=rf"net\.{kind}' has changed since it was read: load it again"):
        net.to_onnx(tmp_path / "again.onnx")
    assert not (tmp_path / "again.onnx").exists()
    load(tmp_path / "net.cfg", tmp_path / "net.weights").to_onnx(tmp_path / "again.onnx")


def test_progress(tmp_path):
    net = golden(YOLO)
    calls = []
    write_onnx(net.network, net.parameters, tmp_path / "net.onnx", progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


def test_the_same_network_gives_the_same_bytes(tmp_path):
    net = golden("alexey/yolo_scaled")
    for name in ("a", "b"):
        write_onnx(net.network, net.parameters, tmp_path / name, head="boxes")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_export_imports_no_other_framework(tmp_path):
    program = f"""
import sys
from layoutbridge.darknet import load
from layoutbridge.darknet.ports.onnx import write_onnx
folder = {str(NETS / YOLO)!r}
net = load(folder + "/net.cfg", folder + "/net.weights")
write_onnx(net.network, net.parameters, {str(tmp_path / "net.onnx")!r}, head="boxes", nms=True)
found = {{"torch", "tensorflow", "keras", "onnxruntime"}} & set(sys.modules)
sys.exit(f"imported: {{found}}" if found else 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


# ---------------------------------------------------------------------- what is refused


def test_what_is_refused(tmp_path):
    net = golden(YOLO)
    path = tmp_path / "net.onnx"
    with pytest.raises(UnknownNameError, match="darknet, raw, boxes"):
        write_onnx(net.network, net.parameters, path, head="nothing")
    with pytest.raises(ParameterError, match="nms needs boxes"):
        write_onnx(net.network, net.parameters, path, nms=True)
    for unasked in ({"threshold": 0.25}, {"overlap": 0.45}, {"nms_kind": "default"}):
        with pytest.raises(ParameterError, match=f"{next(iter(unasked))} is for the suppression in the graph"):
            write_onnx(net.network, net.parameters, path, head="boxes", **unasked)
    for wrong in ({"threshold": 2}, {"overlap": 0}, {"nms_kind": "soft"}):
        with pytest.raises(ParameterError, match="soft" if "nms_kind" in wrong else next(iter(wrong))):
            write_onnx(net.network, net.parameters, path, head="boxes", nms=True, **wrong)
    with pytest.raises(ParameterError, match=r"2 names were given and net\.cfg, line \d+: \[yolo\] has 4 classes"):
        write_onnx(net.network, net.parameters, path, names=["a", "b"])
    plain = golden("alexey/residual")
    with pytest.raises(LayoutBridgeError, match="no detection layer"):
        write_onnx(plain.network, plain.parameters, path, head="boxes")
    assert not path.exists()


class Unwritten(Settings):
    kind = "unwritten"


def test_a_kind_without_a_meaning_is_named_before_any_work(tmp_path):
    net = golden("alexey/residual")
    layers = (*net.layers[:-1], replace(net.layers[-1], settings=Unwritten(), line=77))
    network = Network("alexey", "net.cfg", net.network.in_shape, layers)
    with pytest.raises(UnsupportedError, match=r"net\.cfg, line 77: \[unwritten\]"):
        write_onnx(network, {}, tmp_path / "net.onnx")


def test_a_model_that_does_not_load(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"no model")
    with pytest.raises(UnusableInputError, match="onnxruntime cannot run"):
        run_model(tmp_path / "net.onnx", np.zeros(1, np.float32))


def test_lengths_stay_in_the_model_beside_weights_in_a_file(tmp_path):
    """A tree of many groups: the lengths of its Split are no weights, and a runtime infers shapes from them."""
    parents = [-1] * 200 + [parent for parent in range(200) for _ in range(1 + parent % 2)]
    (tmp_path / "net.tree").write_text("".join(f"class{k} {parent}\n" for k, parent in enumerate(parents)))
    net = made(f"[net]\ninputs=8\n[connected]\noutput={len(parents)}\n[softmax]\ntree=net.tree\n", tmp_path)
    export = net.to_onnx(tmp_path / "net.onnx", external_data=True)
    x = np.random.default_rng(0).random((2, 8), np.float32)
    (found,) = run_model(export.path, x)
    np.testing.assert_allclose(found, net.run(x), rtol=0, atol=1e-5)
