"""Keras files, SavedModels and .tflite files of Darknet networks: what another process reads from them."""

import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from layoutbridge.cli.process import without_notes
from layoutbridge.darknet import load
from layoutbridge.darknet.ports.check import check_runners
from layoutbridge.darknet.ports.table import port
from layoutbridge.errors import (
    MissingFrameworkError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
)
from layoutbridge.frameworks.base import installed_version
from layoutbridge.frameworks.tensorflow import load_keras_file
from layoutbridge.frameworks.tensorflow.hdf5.files import load_keras_hdf5
from tests.darknet_files import GOLDEN, NETS, ROOT, WHERE_ZOO, ZOO, load_synthesizer, made, random_weights, read
from tests.drawn_networks import SHARES, buildable, share_of
from tests.keras_networks import SMALL_V2, SMALL_V3, TRAINED, near, turned

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from layoutbridge.darknet.ports.keras import (  # noqa: E402
    KerasNetwork,
    KerasOutput,
    run_keras,
    transposes,
    write_keras,
)
from layoutbridge.darknet.ports.tflite import (  # noqa: E402
    _converted,
    _why_not_converted,
    run_litert,
    run_tflite,
    write_tflite,
)

HALF_TOLERANCE = 1e-2
# one of each of our own layers, and what Keras' own must say in their configs
CUSTOM = [
    "alexey/shortcut_per_channel_softmax",
    "alexey/implicit",
    "alexey/local",
    "alexey/maxpools",
    "alexey/lrn",
    "pjreddie/l2norm",
]
ORDINARY = [
    "alexey/residual",
    "alexey/passthrough",
    "alexey/yolo_scaled",
    "alexey/spp",
    "alexey/grouped_conv",
    "pjreddie/passthrough",
    "pjreddie/classifier",
    "pjreddie/deconv_bn",
]
needs_litert = pytest.mark.skipif(
    installed_version("ai-edge-litert") is None, reason="LiteRT's interpreter is not installed"
)


def elsewhere(program, *arguments):
    """Run a program in a process of its own; its output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


KERAS_ALONE = """
import sys, keras, numpy
for path, x, y in zip(*[iter(sys.argv[1:])] * 3):
    model = keras.saving.load_model(path)
    numpy.save(y, model(numpy.load(x)))
assert "layoutbridge" not in sys.modules
"""
WITH_OURS = """
import sys, numpy
from layoutbridge.frameworks.tensorflow.files import load_keras_file
from layoutbridge.frameworks.tensorflow.hdf5.files import load_keras_hdf5
for path, x, y in zip(*[iter(sys.argv[1:])] * 3):
    model = (load_keras_hdf5 if path.endswith("h5") else load_keras_file)(path)
    numpy.save(y, model(numpy.load(x)))
"""
SAVED_MODEL = """
import sys, tensorflow, numpy
for path, x, y in zip(*[iter(sys.argv[1:])] * 3):
    model = tensorflow.saved_model.load(path)
    numpy.save(y, model.serve(numpy.load(x)))
assert "layoutbridge" not in sys.modules
"""


def compare_elsewhere(names, folder, program, ending, data_format):
    """Write each network, run it in one other process, compare."""
    arguments, wanted = [], {}
    for number, name in enumerate(names):
        net, x, recorded = read(name)
        path, taken, result = (folder / f"{number}{part}" for part in (ending, "_x.npy", "_y.npy"))
        exported = write_keras(net.network, net.parameters, path, data_format=data_format)
        assert exported.path == path
        (held,) = exported.outputs.values()
        assert sorted(held) == sorted(net.layers[-1].out_shape)
        assert exported.transposes == transposes(net.to_keras(data_format=data_format))
        batch = np.stack([x, x[::-1]])
        np.save(taken, turned(batch) if data_format == "channels_last" else batch)
        arguments += [path, taken, result]
        wanted[name] = net, recorded[-1], result
    elsewhere(program, *arguments)
    for name, (net, last, result) in wanted.items():
        found = np.load(result)[0]
        if found.shape != last.shape or (data_format == "channels_last" and last.ndim == 3):
            lies_so = net.layers[-1].kind == "region" and net.layers[-1].settings.channels_last
            found = found.reshape(last.shape) if lies_so else found.transpose(2, 0, 1)
        assert near(found, last), name


# ---------------------------------------------------------------------- .keras and SavedModel


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_ordinary_networks_load_with_keras_alone(ending, tmp_path):
    compare_elsewhere(ORDINARY, tmp_path, KERAS_ALONE, ending, "channels_last")


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_networks_with_our_layers_load_with_them(ending, tmp_path):
    names = CUSTOM if ending == ".keras" else CUSTOM[1:]  # the first has an operation that is no layer
    compare_elsewhere(names, tmp_path, WITH_OURS, ending, "channels_first")


@pytest.mark.slow
def test_saved_models_need_tensorflow_alone(tmp_path):
    compare_elsewhere(CUSTOM[:3] + ORDINARY[:2], tmp_path, SAVED_MODEL, "", "channels_last")


@pytest.mark.parametrize("name", CUSTOM + ORDINARY)
def test_a_file_holds_no_code(name, tmp_path):
    net, _, _ = read(name)
    net.to_keras(every_layer=True).save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        config = file.read("config.json").decode()
    assert "Lambda" not in config
    assert ("layoutbridge" in config) == (name in CUSTOM)


def as_list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", GOLDEN)
def test_every_network_is_the_same_after_a_file(name, ending, tmp_path):
    net, x, _ = read(name)
    model, path = net.to_keras(), tmp_path / f"net{ending}"
    if ending == ".h5" and any(not isinstance(one, keras.Layer) for one in model.operations):
        with pytest.raises(UnsupportedError, match=r"older files hold layers alone, .* write a \.keras file"):
            write_keras(net.network, net.parameters, path)
        assert not path.exists()
        return
    write_keras(net.network, net.parameters, path)
    loaded = load_keras_hdf5(path) if ending == ".h5" else load_keras_file(path)
    taken = turned(np.stack([x, x]))
    for mine, theirs in zip(as_list(loaded(taken)), as_list(model(taken)), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert transposes(loaded) == transposes(model)


def test_a_loaded_model_trains_as_the_first(tmp_path):
    net = made(TRAINED, tmp_path)
    first = net.to_keras()
    first.save(tmp_path / "net.keras")
    models = [first, load_keras_file(tmp_path / "net.keras")]
    rng = np.random.default_rng(0)
    x, wanted = rng.random((4, 8, 8, 3), np.float32), rng.random((4, 4, 4, 4), np.float32)
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, wanted, epochs=2, shuffle=False, verbose=0)
    for mine, theirs in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=0, atol=1e-6)


def test_an_older_file_that_is_damaged(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    net, _, _ = read("alexey/residual")
    path = tmp_path / "net.h5"
    write_keras(net.network, net.parameters, path)
    whole = path.read_bytes()
    with h5py.File(path, "a") as held:
        del held["model_weights"][net.layers[0].name]
    with pytest.raises(UnusableInputError, match=r"Keras cannot read the weights of '.*net\.h5'"):
        load_keras_hdf5(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnusableInputError, match=r"Keras cannot read '.*net\.h5'"):
        load_keras_hdf5(path)
    path.write_text("no such file")
    with pytest.raises(UnusableInputError, match=r"Keras cannot read '.*net\.h5'"):
        load_keras_hdf5(path)


def test_a_fixed_batch_and_several_outputs(tmp_path):
    net = made(SMALL_V3, tmp_path)
    exported = write_keras(net.network, net.parameters, tmp_path / "net.keras", batch=2, head="raw")
    model = load_keras_file(tmp_path / "net.keras")
    assert tuple(model.inputs[0].shape) == (2, 32, 32, 3)
    assert [tuple(tensor.shape) for tensor in model.outputs] == [(2, 8, 8, 21), (2, 16, 16, 21)]
    assert dict(exported.outputs) == {"8_convolutional": (8, 8, 21), "13_convolutional": (16, 16, 21)}


def test_the_signature_of_a_saved_model_names_the_outputs(tmp_path):
    net = made(SMALL_V3, tmp_path)
    exported = write_keras(net.network, net.parameters, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    x = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    served, named = loaded.serve(x), loaded.signatures["serving_default"](input=x)
    assert sorted(named) == sorted(exported.outputs) == ["14_yolo", "9_yolo"]
    for name, tensor, wanted in zip(exported.outputs, served, net.to_keras()(x), strict=True):
        assert tuple(tensor.shape[1:]) == exported.outputs[name]
        assert near(tensor.numpy(), wanted.numpy())
        np.testing.assert_array_equal(named[name].numpy(), tensor.numpy())


def test_frozen_batch_norm_keeps_its_statistics_with_keras_alone(tmp_path):
    """What the documentation tells users of `keras.saving.load_model`."""
    net = made(SMALL_V3, tmp_path)
    net.to_keras(head="raw").save(tmp_path / "net.keras")
    model = keras.saving.load_model(tmp_path / "net.keras")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    before = [variable.numpy() for layer in norms for variable in layer.variables]
    x = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    for inferred, trained in zip(model(x, training=False), model(x, training=True), strict=True):
        np.testing.assert_array_equal(inferred.numpy(), trained.numpy())
    model.compile("sgd", "mse")
    model.fit(x, [np.zeros(tensor.shape) for tensor in model(x)], verbose=0)
    for variable, values in zip((v for layer in norms for v in layer.variables), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


FULL_DISK = """
import pathlib, resource, sys
from layoutbridge.darknet import load
from layoutbridge.darknet.ports.keras import write_keras
from layoutbridge.darknet.ports.tflite import write_tflite
from layoutbridge.errors import UnusableInputError
net = load(sys.argv[1] + "/net.cfg", sys.argv[1] + "/net.weights")
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
for name, write in (("net.keras", write_keras), ("saved", write_keras), ("net.tflite", write_tflite)):
    path = pathlib.Path(sys.argv[1]) / "out" / name
    try:
        write(net.network, net.parameters, path)
    except UnusableInputError as error:
        assert str(error) == f"cannot write '{path}': File too large", error
    else:
        raise AssertionError(name)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a limit on files")
def test_no_room_for_a_file(tmp_path):
    made(SMALL_V3.replace("filters=8", "filters=128"), tmp_path)
    (tmp_path / "out").mkdir()
    elsewhere(FULL_DISK, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def rewritten(path, to, **changes):
    """A copy of a .keras file with other metadata and a layer that no Keras knows."""
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(to, "w") as copy:
        for name in file.namelist():
            data = file.read(name)
            if name == "metadata.json":
                data = json.dumps(json.loads(data) | changes).encode()
            if name == "config.json":
                data = data.replace(b'"LeakyReLU"', b'"ReLUOfTomorrow"')
            copy.writestr(name, data)


def test_a_file_of_a_newer_keras_says_so(tmp_path):
    made(TRAINED, tmp_path).to_keras().save(tmp_path / "net.keras")
    rewritten(tmp_path / "net.keras", tmp_path / "newer.keras", keras_version="99.1.0")
    with pytest.raises(UnusableInputError, match=rf"written by Keras 99\.1\.0, and {re.escape(keras.__version__)} is"):
        load_keras_file(tmp_path / "newer.keras")
    rewritten(tmp_path / "net.keras", tmp_path / "same.keras")
    with pytest.raises(UnusableInputError, match=r"cannot read '.*same\.keras'") as raised:
        load_keras_file(tmp_path / "same.keras")
    assert "\n" not in str(raised.value)
    half = (tmp_path / "net.keras").read_bytes()[:-100]
    for name, content in (("half", half), ("broken", b"no zip at all"), ("empty", b"")):
        (tmp_path / f"{name}.keras").write_bytes(content)
        with pytest.raises(UnusableInputError, match=rf"^'.*{name}\.keras' is no whole \.keras file") as raised:
            load_keras_file(tmp_path / f"{name}.keras")
        assert "\n" not in str(raised.value)
    with pytest.raises(UnusableInputError, match="there is no file"):
        load_keras_file(tmp_path / "none.keras")


# ---------------------------------------------------------------------- .tflite


@pytest.mark.sample(8, slow=6)
@needs_litert
@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_in_litert(name):
    net, x, recorded = read(name)
    outputs = run_litert(net.network, net.parameters, np.stack([x, x]), every_layer=True)
    assert len(outputs) == len(recorded)
    for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
        assert output.shape == (2, *layer.out_shape), layer.name
        for picture in output:
            assert near(picture, wanted), layer.name


@pytest.mark.sample(slow=1)
@needs_litert
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # l2norm of zeros is 0/0, as in Darknet
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("share", SHARES)
def test_drawn_networks_in_litert(flavor, share, tmp_path):
    runners = {"tflite": port("tflite").runner}
    for _, (text, network) in share_of(buildable(flavor, 102)[2::3], share):
        (tmp_path / "net.cfg").write_text(text)
        (tmp_path / "net.weights").write_bytes(random_weights(network))
        net = load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor)
        for row in check_runners(net.network, net.parameters, runners).rows:
            assert not row.over or row.deviation <= 5 * row.rounding, f"{row}\n{text}"


@pytest.mark.sample(6, slow=6)
@needs_litert
@pytest.mark.parametrize("name", GOLDEN[::4])
def test_litert_with_float16_weights(name):
    net, x, _ = read(name)
    (found,) = run_litert(net.network, net.parameters, x[None], half=True)
    (wanted,) = run_keras(net.network, net.parameters, x[None])
    assert near(found, wanted, HALF_TOLERANCE)


def details(path):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(os.fspath(path), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    return [operation["op_name"] for operation in interpreter._get_ops_details()]


@needs_litert
def test_a_tflite_file_is_no_more_than_the_network(tmp_path):
    net = made(SMALL_V3, tmp_path)
    exported = write_tflite(net.network, net.parameters, tmp_path / "net.tflite")
    assert list(exported.outputs) == ["9_yolo", "14_yolo"]
    made_of = details(tmp_path / "net.tflite")
    assert made_of.count("CONV_2D") == 5
    assert made_of.count("PAD") == 1  # Darknet's padding before a convolution of stride 2
    assert "TRANSPOSE" not in made_of
    assert made_of.count("MUL") <= 4  # mish, and scale_x_y of three boxes
    x = np.random.default_rng(0).random((3, 3, 32, 32), np.float32)
    results = run_tflite(tmp_path / "net.tflite", x, threads=1)
    assert list(results) == list(exported.outputs)
    model = net.to_keras()
    for found, wanted in zip(results.values(), model(turned(x)), strict=True):
        assert near(found, wanted.numpy())


@needs_litert
def test_float16_halves_the_file(tmp_path):
    net = made(SMALL_V2.replace("filters=8", "filters=256"), tmp_path)
    sizes = {}
    for half in (False, True):
        write_tflite(net.network, net.parameters, tmp_path / "net.tflite", half=half)
        sizes[half] = (tmp_path / "net.tflite").stat().st_size
    assert sizes[True] < 0.6 * sizes[False]


@needs_litert
@pytest.mark.parametrize("head", ["boxes", "yolov5", "yolov8"])
def test_boxes_and_channels_first_in_litert(head, tmp_path):
    net = made(SMALL_V3, tmp_path)
    write_tflite(net.network, net.parameters, tmp_path / "net.tflite", head=head, data_format="channels_first", batch=2)
    x = np.random.default_rng(0).random((4, 3, 32, 32), np.float32)
    found = run_tflite(tmp_path / "net.tflite", x, data_format="channels_first")
    wanted = net.to_keras(head=head)(turned(x)).numpy()
    if head != "boxes":  # whose own are shares already
        wanted[(..., slice(4)) if head == "yolov5" else (slice(None), slice(4))] /= 32
    assert near(found[head], wanted)


@needs_litert
@pytest.mark.parametrize("batch", [1, 2])
def test_moves_of_many_axes_in_litert(batch, tmp_path):
    net, x, recorded = read("alexey/input_pyramid")
    write_tflite(net.network, net.parameters, tmp_path / "net.tflite", batch=batch)
    (found,) = run_tflite(tmp_path / "net.tflite", np.stack([x] * batch)).values()
    for picture in found.transpose(0, 3, 1, 2):
        assert near(picture, recorded[-1])


@pytest.mark.parametrize("batch", [1, 2])
def test_what_litert_lacks(batch):
    """A transpose of more axes than LiteRT has, in a model that was not made here."""
    taken = keras.Input((2, 3, 2, 3, 2, 3), batch, name="input")
    moved = keras.layers.Permute((6, 2, 4, 1, 5, 3))(taken)
    built = KerasNetwork(keras.Model(taken, moved, name="moves"), (KerasOutput("moved", (3, 3, 3, 2, 2, 2), False),))
    if batch == 1:
        assert _converted(built, False)
        return
    with pytest.raises(UnsupportedError) as raised:
        _converted(built, False)
    said = "LiteRT has no operation for TensorFlow's Transpose as moves needs it; batch 1 may work"
    assert str(raised.value) == said
    text = "Could not do it./a/b c/net.py:9:1: error: /home/me/x.py:3:4: 'tfl.add' op fails\n<unknown>:0: note: more"
    said = "LiteRT's converter cannot take moves: 'tfl.add' op fails; batch 1 may work"
    assert _why_not_converted(text, built) == said


@needs_litert
def test_what_run_tflite_refuses(tmp_path):
    net = made(SMALL_V3, tmp_path)
    write_tflite(net.network, net.parameters, tmp_path / "net.tflite")
    x = np.zeros((1, 3, 32, 32), np.float32)
    with pytest.raises(ShapeError, match=r"takes \[1, 32, 32, 3\], not \[1, 32, 31, 3\]"):
        run_tflite(tmp_path / "net.tflite", x[..., :31])
    with pytest.raises(ShapeError, match=r"takes \[1, 32, 32, 3\], not \[0, 32, 32, 3\]"):
        run_tflite(tmp_path / "net.tflite", x[:0])
    with pytest.raises(ParameterError, match="threads is a number of at least 1, not 0"):
        run_tflite(tmp_path / "net.tflite", x, threads=0)
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    for name, told in (("broken", "LiteRT cannot load"), ("none", "there is no file")):
        with pytest.raises(UnusableInputError, match=told):
            run_tflite(tmp_path / f"{name}.tflite", x)


@pytest.mark.slow
@needs_litert
def test_writing_and_running_say_nothing(tmp_path):
    """But for the notes of TensorFlow's and LiteRT's C++ code, which the command line keeps off."""
    program = """
import sys, numpy
from layoutbridge.darknet import load
from layoutbridge.darknet.ports.keras import write_keras
from layoutbridge.darknet.ports.tflite import run_litert, write_tflite
net = load(sys.argv[1] + "/net.cfg", sys.argv[1] + "/net.weights")
for name, write in (("net.keras", write_keras), ("saved", write_keras), ("net.tflite", write_tflite)):
    write(net.network, net.parameters, sys.argv[2] + "/" + name)
run_litert(net.network, net.parameters, numpy.zeros((1, *net.network.in_shape)))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    command = [sys.executable, "-c", program, str(NETS / "alexey/passthrough"), str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment | {"PYTHONPATH": str(ROOT)}, check=False
    )
    told = b"".join(without_notes([done.stderr.encode()]))
    assert (done.returncode, done.stdout, told) == (0, "", b"")


# ---------------------------------------------------------------------- refusals


def test_what_is_refused(tmp_path, monkeypatch):
    net, x, _ = read("alexey/residual")
    for name in ("net.h4", "net.pb", "net.keras.zip", "yolov4.v2"):
        told = r"must end in \.keras or \.h5, or be a SavedModel folder, whose name has no"
        with pytest.raises(ParameterError, match=told):
            write_keras(net.network, net.parameters, tmp_path / name)
        with pytest.raises(ParameterError, match=r"must end in \.tflite"):
            write_tflite(net.network, net.parameters, tmp_path / name)
    for batch in (0, True, "2"):
        with pytest.raises(ParameterError, match="the batch is a number of at least 1"):
            write_keras(net.network, net.parameters, tmp_path / "net.keras", batch=batch)
    with pytest.raises(ParameterError, match="are for litert, not for onnxruntime"):
        write_tflite(net.network, net.parameters, tmp_path / "net.tflite", runtime="onnxruntime")
    with pytest.raises(UnusableInputError, match="cannot write into"):
        write_keras(net.network, net.parameters, tmp_path / "none" / "net.keras")
    assert list(tmp_path.iterdir()) == []
    for head in (None, "boxs"):
        with pytest.raises(UnknownNameError, match="no head is called"):
            net.to_keras(head=head)
        with pytest.raises(UnknownNameError, match="no head is called"):
            write_keras(net.network, net.parameters, tmp_path / "net.keras", head=head)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "h5py", None)
        with pytest.raises(MissingFrameworkError, match=r"^h5py is not installed: .*\[tensorflow\]'"):
            write_keras(net.network, net.parameters, tmp_path / "net.keras")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingFrameworkError, match=r"\[litert\]'"):
        run_litert(net.network, net.parameters, x[None])
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingFrameworkError, match=r"\[tensorflow\]'"):
        run_keras(net.network, net.parameters, x[None])


# ---------------------------------------------------------------------- cost

COST = """
import resource, sys
from layoutbridge.darknet import load
from layoutbridge.frameworks.tensorflow.start_up import load_keras
load_keras()
import layoutbridge.frameworks.tensorflow.derived, layoutbridge.frameworks.tensorflow.target
net = load(sys.argv[1], sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = net.to_keras()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_making_yolov4_takes_the_memory_of_its_weights(tmp_path):
    folder = ZOO / "alexey" / "yolov4"
    if not folder.is_dir():
        pytest.skip(WHERE_ZOO)
    load_synthesizer().write_weights(json.loads((folder / "manifest.json").read_text()), tmp_path / "net.weights")
    memory = float(elsewhere(COST, folder / "net.cfg", tmp_path / "net.weights"))
    assert memory <= (tmp_path / "net.weights").stat().st_size + 600e6
