"""Files that nobody vouches for read as Keras models: no code runs, no other file is opened, one line is said."""

import inspect
import json
import os
import pickle
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.tensorflow import archive, custom_objects, load_keras_file
from layoutbridge.frameworks.tensorflow.archive import check_keras_file, refuse_names
from layoutbridge.frameworks.tensorflow.files import LEAST_KERAS
from tests import keras_attacks
from tests.command_line import refused
from tests.keras_attacks import METADATA, Pickled, model, named, sequential, weights, write

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

ROOT = Path(__file__).resolve().parents[3]
MOST_MEGABYTES, MOST_SECONDS = 500, 5  # seconds of a processor, with Python's own start
HARMLESS = model(named("keras.layers", "ReLU", {"name": "layer"}))
ATTACKS = tuple(keras_attacks.configs(Path("/nowhere"), write=False))


def told(path):
    """The line that says why a file is not read."""
    with pytest.raises(UnusableInputError) as raised:
        load_keras_file(path)
    line = str(raised.value)
    assert "\n" not in line and len(line) < 700
    return line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the attacks' own files lie: the current folder, which modules are imported from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.sample(4, slow=4)
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_config_runs_code_or_opens_a_file(attack, folder, capfd):
    path = write(folder / "net.keras", keras_attacks.configs(folder)[attack])
    before = sorted(folder.iterdir())
    line = refused(capfd, "identify", str(path), "--shape", "1,4")
    assert "is not read as a Keras model: it " in line
    assert "one" not in line.replace("none", "").split()  # the secret's first line
    assert sorted(folder.iterdir()) == before
    assert "evil_module" not in sys.modules


def test_a_caller_who_left_unsafe_reading_on_is_as_safe(folder):
    import keras

    path = write(folder / "net.keras", keras_attacks.configs(folder)["a marshalled lambda"])
    keras.config.enable_unsafe_deserialization()
    try:
        assert "names Lambda, which runs code" in told(path)
    finally:
        from keras.src.backend.common import global_state

        global_state.set_global_attribute("safe_mode_saving", None)
    assert not (folder / "marker").exists()


def test_the_attacks_are_real(folder):
    """Each of these does its work where it is let: Keras without its safe mode, or pickle."""
    import keras

    attacks = keras_attacks.configs(folder)
    keras.saving.load_model(write(folder / "net.keras", attacks["a marshalled lambda"]), safe_mode=False)
    assert (folder / "marker").exists()
    (folder / "marker").unlink()
    pickle.loads(pickle.dumps(Pickled(folder / "marker"))).close()
    assert (folder / "marker").exists()


def test_nothing_is_wrong_with_the_files_but_what_they_are_written_for(folder):
    x = np.array([[-1.0, 2.0, -3.0, 4.0]], np.float32)
    for config in (HARMLESS, sequential(named("keras.layers", "ReLU", {"name": "layer"}))):
        found = load_keras_file(write(folder / "net.keras", config))(x)
        assert np.array_equal(found, np.maximum(x, 0))


def test_what_the_program_registered_itself_is_read(folder):
    import keras

    @keras.saving.register_keras_serializable(package="hostile_files")
    class Doubled(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((4,))
    keras.Model(inputs, Doubled()(inputs)).save(folder / "net.keras")
    assert np.array_equal(load_keras_file(folder / "net.keras")(np.ones((1, 4))), np.full((1, 4), 2.0))
    config = json.loads(zipfile.ZipFile(folder / "net.keras").read("config.json"))
    with pytest.raises(UnusableInputError, match=r"names '.*Doubled', which is no part of models"):
        refuse_names(config)


@pytest.mark.thorough
def test_our_layers_and_keras_own_are_listed_whole():
    """A layer of a later Keras that opens files or makes functions of its config is found here first."""
    import keras

    assert set(custom_objects()) == archive.OURS
    unsafe = ("func_load", "saved_model", "torch.load", "gfile", "pickle", "open(", "StringLookup(", "marshal")
    for name, layer in vars(keras.layers).items():
        if isinstance(layer, type) and any(word in inspect.getsource(layer) for word in unsafe):
            assert name in archive.REFUSED_CLASSES | {"Layer"}, name
    for module in archive.CLASSES_FROM:
        held = vars(__import__(module, fromlist=["it"]))
        refused_here = {
            name for name, value in held.items() if getattr(value, "__name__", "") in archive.REFUSED_CLASSES
        }
        assert refused_here <= archive.REFUSED_CLASSES  # under no other name


@pytest.mark.thorough
def test_models_of_many_kinds_are_read_and_compiled(folder):
    import keras

    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Normalization()(layers.RandomFlip()(inputs))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(x))
    x = layers.Dropout(0.5)(layers.Reshape((-1, 4))(x))
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.MultiHeadAttention(2, 3)(x, x))
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, 4, 54)), (0, 2, 1))[:, 1:] + np.ones(4, np.float32)
    x = layers.TimeDistributed(layers.Dense(2))(keras.ops.maximum(x, 0.0))
    built = keras.Model(inputs, keras.Sequential([layers.Flatten(), layers.Dense(3, "softmax")])(x))
    built.compile(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 100_000, 0.9)),
                  keras.losses.CategoricalCrossentropy(), metrics=["accuracy", keras.metrics.AUC()])  # fmt: skip
    pictures = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    built.fit(pictures, np.eye(3, dtype=np.float32)[:2], verbose=0)
    built.save(folder / "net.keras")
    read = load_keras_file(folder / "net.keras")
    assert np.allclose(read(pictures, training=False), built(pictures, training=False), atol=1e-6)
    read.fit(pictures, np.eye(3, dtype=np.float32)[:2], verbose=0)


# ---------------------------------------------------------------------- archives and their parts


def _link(file):
    file["layers"] = h5py.ExternalLink("/etc/other.h5", "/")


def _soft(file):
    file["layers"] = h5py.SoftLink("/vars")


def _outside(file):
    file.create_dataset("vars/0", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
    file.create_virtual_dataset("vars/0", layout)


def _bomb(file):
    file.create_dataset("vars/0", (10**12,), "f4", chunks=(1 << 20,), compression="gzip")


def _objects(file):
    file.create_dataset("vars/0", (1,), h5py.string_dtype(), data=["text"])


def _type(file):
    file["vars"] = np.dtype("f4")


WRONG_PARTS = {
    "no metadata": ({"metadata": None}, "it holds no metadata.json"),
    "metadata that is no JSON": ({"metadata": "{"}, "its metadata.json is no JSON that is read"),
    "metadata without end": ({"metadata": "[" * 60_000}, "its metadata.json is no JSON that is read"),
    "metadata of a megabyte": ({"metadata": " " * (1 << 20)}, "its metadata.json has 1,048,576 bytes"),
    "metadata that is a list": ({"metadata": "[]"}, "its metadata.json holds no object, but list"),
    "a config without end": ({"config": '{"a":' * 200_000}, "its config.json is no JSON that is read"),
    "a config of half characters": ({"config": b"\xff\xfe"}, "its config.json is no JSON that is read"),
    "a number of 5000 digits": ({"config": '{"a": %s}' % ("9" * 5000)}, "its config.json is no JSON that is read"),
    "a config of 9 MB": ({"config": " " * (9 << 20)}, "its config.json has 9,437,184 bytes"),
    "a file beside them": ({"assets__words.txt": "x"}, "it holds 'assets/words.txt', and is read only with"),
    "pickled weights": ({"model.weights.npz": pickle.dumps(1)}, "it holds 'model.weights.npz'"),
    "weights that are pickled": ({"model.weights.h5": pickle.dumps(Pickled("marker"))}, "is no whole .keras file"),
    "weights cut short": ({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}, "is no whole .keras file"),
    "linked weights": ({"model.weights.h5": _link}, "its weights hold the link 'layers', and links are not followed"),
    "softly linked weights": ({"model.weights.h5": _soft}, "its weights hold the link 'layers'"),
    "weights in another file": ({"model.weights.h5": _outside}, "hold '0', which lies in another file"),
    "weights of other files": ({"model.weights.h5": _virtual}, "hold '0', which lies in another file"),
    "10^12 weights": ({"model.weights.h5": _bomb}, "what its weights declare would take 4,000,000 MB of memory"),
    "texts for weights": ({"model.weights.h5": _objects}, "of object, and only numbers are read"),
    "a type for weights": ({"model.weights.h5": _type}, "hold 'vars', which is no array"),
}


@pytest.mark.parametrize("parts,line", WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_wrong_parts(parts, line, folder):
    parts = {name: weights(part) if callable(part) else part for name, part in parts.items()}
    path = write(folder / "net.keras", parts.pop("config", HARMLESS), compression=zipfile.ZIP_DEFLATED, **parts)
    assert line in told(path)
    assert not (folder / "marker").exists()


@pytest.mark.parametrize("version", ["9" * 1000, "9" * 5000, "9.9.\x1b[31m", 3, None, ["3.12"], "", "3"])
def test_versions_that_are_none_say_nothing(version, folder):
    path = write(folder / "net.keras", HARMLESS, metadata=json.dumps({"keras_version": version}))
    assert check_keras_file(path)[1] is None
    load_keras_file(path)


def test_other_files_of_keras_are_not_read(folder, capfd):
    with h5py.File(folder / "net.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(keras_attacks.configs(folder)["a marshalled lambda"])
        file.create_group("model_weights")
    assert "does not end in .keras, and no other files of Keras are read" in told(folder / "net.h5")
    (folder / "net.h5").rename(folder / "net.keras")
    assert "is no whole .keras file" in refused(capfd, "identify", str(folder / "net.keras"), "--shape", "1,4")
    (folder / "saved.keras").mkdir()
    assert "it is a folder" in told(folder / "saved.keras")
    assert "there is no file" in told("hf://somebody/model.keras")


def test_more_variables_than_weights_are_never_made(folder):
    large = sequential(named("keras.layers", "Dense", {"name": "layer", "units": 3_000_000_000}))
    assert "its layers have 15,000,000,000 numbers, and its weights hold 0" in told(write(folder / "net.keras", large))
    table = named("keras.metrics", "MeanIoU", {"num_classes": 100_000, "name": "iou"})
    counted = {**HARMLESS, "compile_config": {"optimizer": "sgd", "loss": "mse", "metrics": [table]}}
    assert "its metrics ask for 100,000" in told(write(folder / "net.keras", counted))


# ---------------------------------------------------------------------- what a refusal costs


def _zip_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        for name in ("metadata.json", "config.json"):
            held.writestr(name, METADATA)
        with held.open("model.weights.h5", "w", force_zip64=True) as part:
            for _ in range(1200):
                part.write(bytes(1 << 20))


def _wide(path):
    write(path, f'{{"a": [{",".join(["[]"] * 2_700_000)}]}}', compression=zipfile.ZIP_DEFLATED)


COSTLY = {
    "a part that unpacks to 1.2 GB": (_zip_bomb, "MB of memory when it is unpacked"),
    "a config of millions of lists": (_wide, "its config.json names no model"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a pipe or a device"),
    "a pipe": (os.mkfifo, "it is a pipe or a device"),
}


_MEASURED = """
import resource, sys
from layoutbridge.cli import main
code = main(sys.argv[1:])
used, status = resource.getrusage(resource.RUSAGE_SELF), open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0], used.ru_utime + used.ru_stime)
sys.exit(code)
"""


def told_by_a_child(path, **environment):
    """What the command line says of a file, the megabytes it took and the seconds."""
    done = subprocess.run([sys.executable, "-c", _MEASURED, "identify", str(path), "--shape", "1,4"],
                          capture_output=True, text=True, check=False, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment})  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    kilobytes, seconds = map(float, done.stdout.split())
    return done.stderr, kilobytes / 1000, seconds


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("make,line", COSTLY.values(), ids=COSTLY)
def test_a_refusal_is_cheap(make, line, tmp_path):
    make(tmp_path / "net.keras")
    said, megabytes, seconds = told_by_a_child(tmp_path / "net.keras")
    assert line in said
    assert megabytes < MOST_MEGABYTES and seconds < MOST_SECONDS


def test_an_older_keras_is_told_what_to_install(folder):
    held = folder / "older" / "keras-3.8.0.dist-info"
    held.mkdir(parents=True)
    (held / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.8.0\n")
    said, _, _ = told_by_a_child(write(folder / "net.keras", HARMLESS), PYTHONPATH=f"{held.parent}:{ROOT}")
    assert f"Keras 3.8.0 may run code from .keras files: pip install 'keras>={LEAST_KERAS}'" in said


def test_what_is_installed_with_the_extra_is_new_enough():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["tensorflow"]
    assert f"keras>={LEAST_KERAS},<4" in extra
