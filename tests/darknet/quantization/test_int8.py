"""Networks in whole numbers of 8 bits, run by the runtimes themselves beside the reference and float32 files."""

import json
from collections import Counter

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load, quantize
from layoutbridge.darknet.networks.summary import count_flops
from layoutbridge.darknet.quantization.changes import MOST_BOXES, Changes, changed_boxes
from layoutbridge.darknet.quantization.judging import Judge
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.rounding.preparing import prepared
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, UnusableInputError
from layoutbridge.frameworks.rounding import loss
from tests.command_line import refused, run
from tests.darknet_files import HEADER, NETS, RECURRENT, SHARED, made

REAL = SHARED / "real"
NEEDS = {
    "onnx": ("onnxruntime", ".onnx"),
    "openvino": ("openvino", ".xml"),
    "ncnn": ("ncnn", ".param"),
    "tflite": ("ai_edge_quantizer", ".tflite"),
}
SHARES = {"onnx": (0.3, 0.43), "openvino": (0.33, 0.39), "ncnn": (0.3, 0.42), "tflite": (0.33, 0.5)}  # of float32
NAMES = ("yolo-fastest-1.1", "mobilenet-yolo-fastest-voc-v2", "yoloface-50k")
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the trained networks (not copied here) are not at {REAL}")


def needed(target):
    package, ending = NEEDS[target]
    pytest.importorskip(package, reason=f"needs {package}")
    pytest.importorskip("PIL", reason="needs Pillow")
    return ending


def network(name="alexey/yolo_head"):
    folder = NETS / name
    return load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/", maxsplit=1)[0])


def noise(net, count=4, seed=0):
    return np.random.default_rng(seed).random((count, *net.network.in_shape), np.float32)


def stack(tmp_path, channels=16, activation="leaky"):
    """A network with batch norm, convolutions channel by channel, a shortcut and routes, channels of many sizes."""
    conv = (
        f"[convolutional]\nbatch_normalize=1\nsize={{}}\npad=1\nstride=1\nfilters={channels}\nactivation={activation}\n"
    )
    depthwise = conv.format(3) + f"groups={channels}\n"
    parts = [conv.format(3), depthwise, conv.format(1), "[shortcut]\nfrom=-3\nactivation=linear\n", depthwise]
    parts += ["[maxpool]\nsize=2\nstride=2\n", "[route]\nlayers=-1\n", conv.format(1), "[route]\nlayers=-1,-3\n"]
    parts += [conv.format(3), "[convolutional]\nsize=1\nstride=1\nfilters=8\nactivation=linear\n"]
    cfg, weights = tmp_path / "stack.cfg", tmp_path / "stack.weights"
    cfg.write_text("[net]\nwidth=16\nheight=16\nchannels=3\n" + "".join(parts))
    rng = np.random.default_rng(1)
    values = []
    for layer in load(cfg).layers:
        for parameter in layer.parameters:
            if parameter.name == "variances":
                values.append(rng.uniform(0.5, 2, parameter.stored))
            elif parameter.name == "scales":
                values.append(np.exp(rng.normal(0, 0.7, parameter.stored)))
            else:
                values.append(rng.normal(0, 0.3, parameter.stored))
    weights.write_bytes(HEADER + np.concatenate(values).astype("<f4").tobytes())
    return load(cfg, weights)


@pytest.mark.parametrize("activation", ["leaky", "relu", "mish", "linear"])
def test_equalised_channels_compute_the_same(tmp_path, activation):
    net = stack(tmp_path, activation=activation)
    x = noise(net)

    def reference(given, parameters, pictures, every_layer):
        return forward(given, parameters, pictures, every_layer=every_layer)

    ready = prepared(net.network, net.parameters, x, reference)
    last = [forward(net.network, parameters, x, every_layer=False)[-1] for parameters in (net.parameters, ready.exact)]
    assert loss(last[1], last[0]) < 1e-5
    changed = any((ready.exact[key] != net.parameters[key]).any() for key in net.parameters if key[1] == "weights")
    assert changed


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("target", NEEDS)
@pytest.mark.parametrize("activation", ["leaky", "mish"])
def test_int8_stays_near_float(tmp_path, target, activation):
    ending = needed(target)
    net = stack(tmp_path, activation=activation)
    made = quantize(net, tmp_path / f"net{ending}", noise(net, 8), to=target)
    assert made.changes.of == "nothing"
    assert 0 < made.changes.error < 0.1
    assert [layer.name for layer in made.layers] == [layer.name for layer in net.layers]
    assert 0 < max(layer.loss for layer in made.layers) < 0.15


def test_fitted_weights_lose_less_than_rounded_ones(tmp_path):
    from layoutbridge.darknet.ports.onnx import write_onnx
    from layoutbridge.darknet.quantization.judging import Judge
    from layoutbridge.darknet.rounding.options import Int8

    needed("onnx")
    net = stack(tmp_path)
    x, unseen = noise(net, 16), noise(net, 4, seed=9)
    plain = write_onnx(net.network, net.parameters, tmp_path / "plain.onnx")
    judge = Judge.of(net, plain.path, unseen, "onnx")
    ready = prepared(
        net.network, net.parameters, x, lambda *given: forward(given[0], given[1], given[2], every_layer=True)
    )
    errors = []
    for parameters in (ready.exact, ready.rounded):
        int8 = Int8(x, frozenset(range(len(net.layers))))  # of the weights alone
        made = write_onnx(net.network, parameters, tmp_path / "weights.onnx", int8=int8)
        errors.append(judge.changes(made.path).error)
    assert errors[1] < 0.8 * errors[0]


def test_onnxruntime_computes_in_whole_numbers(tmp_path):
    needed("onnx")
    import onnx
    import onnxruntime

    net = stack(tmp_path)
    path = tmp_path / "net.onnx"
    quantize(net, path, noise(net))
    model = onnx.load(path)
    onnx.checker.check_model(model)
    weights = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.INT8]
    convolutions = sum(layer.kind == "convolutional" for layer in net.layers)
    assert len(weights) == convolutions
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["QLinearConv"] >= convolutions - 1  # the last one gives float32
    assert not kinds["Conv"] - 1 > 0


def test_ncnn_reads_weights_from_a_table(tmp_path):
    ending = needed("ncnn")
    from layoutbridge.darknet.ports.ncnn import run_ncnn_files, write_ncnn
    from layoutbridge.darknet.rounding.options import Int8

    net = stack(tmp_path, channels=64)
    x = noise(net, 2)
    int8 = Int8(x, frozenset(range(len(net.layers))))  # all in float, the weights in 8 bits
    made = write_ncnn(net.network, net.parameters, tmp_path / f"net{ending}", int8=int8)
    plain = write_ncnn(net.network, net.parameters, tmp_path / f"plain{ending}")
    assert made.bin_path.stat().st_size < 0.35 * plain.bin_path.stat().st_size
    (found,) = run_ncnn_files(made.path, made.bin_path, x, list(made.outputs))
    assert 0 < loss(found, forward(net.network, net.parameters, x, every_layer=False)[-1]) < 0.06


def test_openvino_computes_what_it_reads_from_onnx(tmp_path):
    ending = needed("openvino")
    import openvino

    from layoutbridge.darknet.ports.onnx import write_onnx
    from layoutbridge.darknet.ports.openvino import write_openvino
    from layoutbridge.darknet.rounding.options import Int8

    net = stack(tmp_path)
    x = noise(net, 8)
    paths = tmp_path / "net.onnx", tmp_path / f"net{ending}"
    write_onnx(net.network, net.parameters, paths[0], int8=Int8(x), runtime="openvino")
    write_openvino(net.network, net.parameters, paths[1], int8=Int8(x))
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    wanted, found = (next(iter(openvino.Core().compile_model(path, "CPU", options)(x).values())) for path in paths)
    assert loss(found, wanted) < 0.02
    kinds = Counter(node.get_type_name() for node in openvino.Core().read_model(paths[1]).get_ordered_ops())
    assert kinds["FakeQuantize"] and not kinds["Subtract"]
    assert kinds["Convert"] == sum(layer.kind == "convolutional" for layer in net.layers)  # of whole weights


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_litert_has_scales_as_its_specification_asks(tmp_path, activation):
    ending = needed("tflite")
    from ai_edge_litert import schema_py_generated as schema

    net = stack(tmp_path, activation=activation)
    made = quantize(net, tmp_path / f"net{ending}", noise(net, 8))
    model = schema.ModelT.InitFromPackedBuf(bytearray(made.export.path.read_bytes()))
    (graph,) = model.subgraphs
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    ones = products = 0
    for operator in graph.operators:
        kind = kinds[model.operatorCodes[operator.opcodeIndex].builtinCode]
        read, *others = (graph.tensors[each] for each in operator.inputs)
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and read.type == schema.TensorType.INT8:
            weights, bias = (each.quantization.scale for each in others)
            np.testing.assert_allclose(bias, read.quantization.scale[0] * weights, rtol=1e-6)
            products += 1
            ones += read.quantization.scale[0] == 1
    assert products > 1
    assert ones > 1  # but for what reads the picture, float32 or several that are added


LARGE = {  # each with weights of more than 32 MiB, which the quantizer takes in pieces
    "convolutional": "[convolutional]\nfilters=1030\nsize=2\nstride=2\nactivation=leaky\n",
    "pointwise": "[convolutional]\nfilters=4120\nsize=1\nstride=1\nactivation=linear\n",
    "in groups": "[convolutional]\nfilters=2060\nsize=2\nstride=2\ngroups=2\nactivation=relu\n",
    "deconvolutional": "[deconvolutional]\nfilters=1030\nsize=2\nstride=2\nactivation=linear\n",
    "connected": "[connected]\noutput=1030\nactivation=linear\n",
}


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("in_float", [False, True])
@pytest.mark.parametrize("kind", LARGE)
def test_litert_has_large_weights_too(tmp_path, kind, in_float):
    ending = needed("tflite")
    from layoutbridge.darknet.ports.tflite import run_tflite, write_tflite
    from layoutbridge.darknet.rounding.options import Int8

    text = f"[net]\nwidth=2\nheight=2\nchannels=2060\n{LARGE[kind]}[connected]\noutput=4\nactivation=linear\n"
    flavor = "pjreddie" if kind == "deconvolutional" else "alexey"
    net = made(text, tmp_path, flavor=flavor)
    assert max(parameter.stored for layer in net.layers for parameter in layer.parameters) * 4 > 32 << 20
    x = noise(net, 2)
    path = tmp_path / f"net{ending}"
    write_tflite(net.network, net.parameters, path, int8=Int8(x, frozenset({0} if in_float else ())))
    (found,) = run_tflite(path, x).values()
    wanted = forward(net.network, net.parameters, x, every_layer=False)[-1]
    assert loss(found.reshape(wanted.shape), wanted) < 0.05
    assert path.stat().st_size < 0.3 * (tmp_path / "net.weights").stat().st_size


def test_boxes_of_untrained_networks_fit_into_memory():
    rows = np.random.default_rng(0).random((40_000, 6), np.float32)
    again = changed_boxes([rows], [rows])
    assert (again.count, again.changed) == (MOST_BOXES, 0)
    other = changed_boxes([rows], [rows[:MOST_BOXES] * np.float32([1, 1, 1, 1, 1, 0])])
    assert (other.count, other.vanished, other.appeared) == (MOST_BOXES, MOST_BOXES, 0)


def test_layers_stay_in_float_only_where_that_is_worth_it(tmp_path, monkeypatch):
    needed("onnx")
    net = stack(tmp_path)
    for name, changed, kept in (("worth", 40, True), ("hardly", 80, False), ("holds", 4, True)):
        answers = iter([Changes("boxes", 100, 95)])  # all is rounded
        found = Changes("boxes", 100, changed)
        monkeypatch.setattr(Judge, "changes", lambda self, path, a=answers, f=found: next(a, f))
        made = quantize(net, tmp_path / f"{name}.onnx", noise(net))
        assert bool(made.in_float) == kept
        assert made.changes.changed == (changed if kept else 95)
        assert made.ok == (name == "holds")


def test_where_nothing_holds_most_is_computed_in_int8(tmp_path, monkeypatch):
    needed("onnx")
    net, left = stack(tmp_path), iter([95, *range(45, 5, -1)])  # the more layers are in float32, the less changes
    monkeypatch.setattr(Judge, "changes", lambda self, path: Changes("boxes", 100, next(left)))
    made = quantize(net, tmp_path / "net.onnx", noise(net))
    flops = {layer.index: count_flops(layer) for layer in net.layers}
    assert made.in_float and not made.ok
    assert sum(flops[index] for index in made.in_float) <= sum(flops.values()) / 4


@pytest.mark.parametrize(
    "options",
    [
        {"head": "boxes"},
        {"head": "yolov5", "batch": 2},
        {"head": "yolov8", "nms": True},
        {"head": "raw", "dynamic_size": True},
        {"every_layer": True},
        {"external_data": True, "opset": 13},
    ],
    ids=str,
)
def test_other_options_of_onnx_go_with_int8(tmp_path, options):
    needed("onnx")
    net = network()
    path = tmp_path / "net.onnx"
    made = quantize(net, path, noise(net), options=options)
    assert made.changes.of == "boxes"
    from layoutbridge.darknet.ports.onnx import run_model

    count = options.get("batch", 1)
    outputs = run_model(path, noise(net, count))
    assert len(outputs) == len(made.export.outputs)
    assert all(np.isfinite(output).all() for output in outputs)


def test_every_layer_keeps_its_scale(tmp_path):
    needed("onnx")
    from layoutbridge.darknet.ports.onnx import run_model

    net = stack(tmp_path)
    made = quantize(net, tmp_path / "net.onnx", noise(net, 8), options={"every_layer": True})
    x = noise(net, 1)
    outputs = dict(zip(made.export.outputs, run_model(made.export.path, x), strict=True))
    for layer, wanted in zip(net.layers, forward(net.network, net.parameters, x, every_layer=True), strict=True):
        assert loss(outputs[layer.name], wanted) < 0.15, layer.name


def test_refusals(tmp_path):
    pytest.importorskip("PIL", reason="needs Pillow")
    net = network()
    with pytest.raises(ParameterError, match=r"int8 is for onnx \(\.onnx\), tflite"):
        quantize(net, tmp_path / "net.pt2", noise(net))
    with pytest.raises(ParameterError, match="not for keras"):
        quantize(net, tmp_path / "net.keras", noise(net), to="keras")
    with pytest.raises(ShapeError, match="pictures must be"):
        quantize(net, tmp_path / "net.onnx", np.zeros((1, 3, 5, 5), np.float32))
    for others in (255 * noise(net), noise(net) - 1, noise(net).astype(np.float64), np.nan * noise(net)):
        with pytest.raises(ParameterError, match=r"float32 in 0\.\.1, not float"):
            quantize(net, tmp_path / "net.onnx", others)
    with pytest.raises(UnusableInputError, match="none of 1 pictures"):
        quantize(net, tmp_path / "net.onnx", tmp_path / "no.png")
    with pytest.raises(ParameterError, match="takes no 'colour'"):
        quantize(net, tmp_path / "net.onnx", noise(net), options={"colour": 1})
    if any(RECURRENT.glob("*/*/net.cfg")):
        folder = next(path.parent for path in sorted(RECURRENT.glob("*/*/net.cfg")))
        recurrent = load(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name)
        with pytest.raises((UnsupportedError, UnusableInputError)):
            quantize(recurrent, tmp_path / "net.onnx", noise(recurrent))


def test_the_command_line_refuses(tmp_path, capfd):
    pytest.importorskip("PIL", reason="needs Pillow")
    folder = NETS / "alexey" / "yolo_head"
    command = ["export", str(folder / "net.cfg"), str(folder / "net.weights"), "-o"]
    (tmp_path / "broken.png").write_bytes(b"none")
    cases = {
        ("net.onnx", "--int8"): "--calibrate FOLDER",
        ("net.onnx", "--calibrate", str(tmp_path)): "--calibrate is for --int8",
        ("net.keras", "--int8", "--calibrate", str(tmp_path)): "--int8 is for --to onnx or",
        ("net.onnx", "--int8", "--calibrate", str(tmp_path)): "none of 1 pictures",
        ("net.onnx", "--int8", "--calibrate", str(tmp_path / "none")): "there is no picture",
    }
    for (output, *options), told in cases.items():
        assert told in refused(capfd, *command, str(tmp_path / output), *options)
    for name in ("net.xml", "net.bin"):
        (tmp_path / name).touch()
    told = refused(capfd, *command, str(tmp_path / "net.param"), "--int8", "--calibrate", str(tmp_path / "none"))
    assert "holds the weights of" in told  # before pictures are read, and all is measured


def test_the_command_line_tells_what_it_costs(tmp_path, capfd):
    needed("onnx")
    from PIL import Image

    folder, pictures = NETS / "alexey" / "yolo_head", tmp_path / "pictures"
    pictures.mkdir()
    for place, picture in enumerate(np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)):
        Image.fromarray(picture).save(pictures / f"{place}.png")
    (pictures / "broken.png").write_bytes(b"none")
    output = tmp_path / "net.onnx"
    command = ["export", str(folder / "net.cfg"), str(folder / "net.weights"), "-o", str(output)]
    code, out, err = run(capfd, *command, "--int8", "--calibrate", str(pictures), "--head", "boxes", "--json")
    assert code == 0, err
    assert "broken.png" in err
    assert "boxes over 0.25 in 3 pictures" in err
    assert "loss per layer" in err
    told = json.loads(out)
    assert told["pictures"] == 3
    assert len(told["unreadable"]) == 1
    assert told["changes"]["of"] == "boxes"
    assert [layer["index"] for layer in told["layers"]] == list(range(len(network().layers)))
    assert told["bytes"] == output.stat().st_size
    assert told["weights_bytes"] + told["filters_bytes"] + told["structure_bytes"] == told["bytes"]
    assert "weights of a byte each" in err  # a network this small is mostly structure
    code, _, err = run(capfd, "detect", str(output), str(pictures / "0.png"), "--json")
    assert code == 0, err


# ---------------------------------------------------------------------- trained networks


def matched(some, others):
    """How many of `some` have one of the class among `others`, each its own, at an IoU of 0.5."""
    left, count = list(others), 0
    for one in some:
        for other in left:
            (a, b, c, d), (e, f, g, h) = ((x.left, x.top, x.width, x.height) for x in (one, other))
            across, down = min(a + c, e + g) - max(a, e), min(b + d, f + h) - max(b, f)
            shared = max(across, 0) * max(down, 0)
            if one.class_index == other.class_index and shared / (c * d + g * h - shared) >= 0.5:
                left.remove(other)
                count += 1
                break
    return count


@real
@pytest.mark.slow
@pytest.mark.parametrize("target", NEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_trained_networks_find_what_they_found(tmp_path, target, name):
    ending = needed(target)
    folder, pictures = REAL / name, sorted((REAL / "pictures").glob("*.png"))
    net = load(folder / "net.cfg", folder / "net.weights")
    made = quantize(net, tmp_path / f"net{ending}", str(REAL / "pictures"), to=target)
    before, after = Detector(net, framework=target), Detector(made.export.path, cfg=folder / "net.cfg")
    changed = count = 0
    for picture in pictures:
        wanted, found = (each.detect(str(picture)) for each in (before, after))
        same = matched(wanted, found)
        count += len(wanted)
        changed += max(len(wanted), len(found)) - same
    assert count == made.changes.count
    assert changed <= 0.05 * count, made.changes
    assert made.ok
    most = SHARES[target][name == "yoloface-50k"]  # of 9000 weights the graph, often text, is the larger part
    assert made.share <= most
    if made.weights_share is not None and name != "yoloface-50k":
        assert made.weights_share <= 0.3
