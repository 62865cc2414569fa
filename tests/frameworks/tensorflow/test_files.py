"""What becomes of a rearrangement's Keras layer on disk: .keras files and SavedModels, and their reading."""

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from layoutbridge import Rearrangement, op
from layoutbridge.cli.process import without_notes
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError
from layoutbridge.frameworks import export
from layoutbridge.frameworks.tensorflow import custom_objects, load_keras_file
from layoutbridge.frameworks.tensorflow.emission import emit, save
from tests.keras_layers import FORMATS, KINDS, counting, entry_at, gathered, held, same, shape_for

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

ROOT = Path(__file__).resolve().parents[3]

_READ_BACK = """
import json, os, sys
import numpy as np
if sys.argv[1] == "keras":
    from layoutbridge.frameworks.tensorflow import custom_objects
    assert "tensorflow" not in sys.modules  # imported when it is needed
    custom_objects()
    import keras
else:
    sys.modules["layoutbridge"] = None  # a SavedModel stands on its own
import tensorflow as tf
for case in json.load(open("cases.json")):
    if not case["path"].endswith(".keras") == (sys.argv[1] == "keras"):
        continue
    if sys.argv[1] == "keras":
        model = keras.saving.load_model(case["path"])
    else:
        loaded = tf.saved_model.load(case["path"])
        model = loaded.serve
    for number in case["inputs"]:
        with np.load(number) as arrays:
            result = np.asarray(model(arrays["x"]))
            assert result.dtype == arrays["y"].dtype and np.array_equal(result, arrays["y"]), case
print("all read")
"""


@pytest.mark.thorough
def test_files_read_back_in_fresh_processes(tmp_path):
    cases = []

    def add(path, rearrangement, data_format, dtype, shapes, **options):
        export(rearrangement, "keras", tmp_path / path, data_format=data_format, dtype=dtype, **options)
        inputs = []
        for shape in shapes:
            x = (counting(shape) % 2 if dtype == "bool" else counting(shape)).astype(dtype)
            name = f"{len(cases)}-{len(inputs)}.npz"
            y = gathered(rearrangement, x)
            np.savez(tmp_path / name, x=held(x, data_format, rearrangement.name),
                     y=held(y, data_format, rearrangement.name))  # fmt: skip
            inputs.append(name)
        cases.append({"path": path, "inputs": inputs})

    for ending in ("", ".keras"):
        for data_format in FORMATS:
            for name in KINDS:
                rearrangement = entry_at(name, 2)
                shape = shape_for(rearrangement, 1)
                add(f"{name}-{data_format}-open{ending}", rearrangement, data_format, "float32",
                    [shape, shape_for(rearrangement, 3, (1, 2, 7))])  # fmt: skip
                add(f"{name}-{data_format}-fixed{ending}", rearrangement, data_format, "float32",
                    [shape, (3, *shape[1:])], shape=shape)  # fmt: skip
        add(f"flags{ending}", op("darknet_reorg"), "channels_last", "bool", [(2, 4, 6, 8)], shape=(4, 6, 8))
        add(f"bytes{ending}", op("focus", stride=3), "channels_last", "uint8", [(2, 3, 6, 9)], shape=(1, 3, 6, 9))
        chain = op("darknet_reorg").then(op("darknet_reorg"))
        add(f"chain{ending}", chain, "channels_last", "int32", [(2, 16, 8, 12)])
        add(f"pairs{ending}", Rearrangement("(n two) -> two n, two=2"), "channels_last", "int32", [(2, 8)])
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    for kind in ("keras", "saved"):
        environment = {"PATH": "", "PYTHONPATH": str(ROOT) if kind == "keras" else "", "HOME": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", _READ_BACK, kind], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
        assert done.stdout.strip() == "all read", done.stderr[-3000:]
        if kind == "keras":
            assert b"".join(without_notes([done.stderr.encode()])) == b""  # but TensorFlow's own notes


def test_a_model_around_the_layer_reads_back_in_this_process(tmp_path):
    inputs = keras.Input((8, 8, 3))
    hidden = emit(op("focus"))(keras.layers.Conv2D(4, 3, padding="same")(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))
    model.compile(optimizer="sgd", loss="mse")
    x, y = np.ones((4, 8, 8, 3), np.float32), np.zeros((4, 16), np.float32)
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects=custom_objects())
    assert same(again(x), model(x).numpy())
    summary = []
    again.summary(print_fn=lambda text, **_: summary.append(text))
    assert "(Rearrange)" in "\n".join(summary)


def test_what_cannot_be_written_leaves_nothing(tmp_path, capfd):
    with pytest.raises(ParameterError, match=r"must end in \.keras, or have no ending.*not \.h5"):
        save(op("focus"), tmp_path / "model.h5")
    with pytest.raises(ShapeError, match=r"focus \(stride 2\) does not take shape \(1, 3, 5, 4\)"):
        save(op("focus"), tmp_path / "model.keras", shape=(1, 3, 5, 4))
    with pytest.raises(ParameterError, match="no dtype 'float33'"):
        save(op("focus"), tmp_path / "model", dtype="float33")
    with pytest.raises(ParameterError, match="data_format"):
        save(op("focus"), tmp_path / "model", data_format="NCHW")
    with pytest.raises(UnusableInputError, match="cannot write into"):
        save(op("focus"), tmp_path / "nowhere" / "model.keras")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(UnusableInputError, match="model' is not empty: remove it"):
        save(op("focus"), tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "notes.txt"]
    save(op("focus"), tmp_path / "fresh")
    assert capfd.readouterr() == ("", "")


def test_some_lengths_may_be_left_open(tmp_path):
    path = tmp_path / "open.keras"
    export(op("darknet_reorg"), "tensorflow", path, shape=(None, 64, None, 26))
    model = keras.saving.load_model(path, custom_objects=custom_objects())
    assert model.input_shape == (None, None, 26, 64)
    with pytest.raises(ShapeError, match=r"shape \(\?, 63, \?, 26\)"):
        export(op("darknet_reorg"), "tensorflow", tmp_path / "bad.keras", shape=(None, 63, None, 26))
    assert [place.name for place in tmp_path.iterdir()] == ["open.keras"]


@pytest.mark.slow
def test_threads_write_and_read_files_at_once_and_tensorflows_logger_is_as_before(tmp_path, capfd):
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("INFO")
    before = logger.level, list(logger.filters)
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger.addHandler(handler)
    x = counting((2, 4, 4, 4), "float32")
    wanted = emit(op("darknet_reorg"))(x).numpy()

    def write(number):
        ending = ".keras" if number % 2 else ""
        path = tmp_path / f"net{number}{ending}"
        save(op("darknet_reorg"), path)
        model = load_keras_file(path) if ending else tf.saved_model.load(str(path)).serve
        logger.info("mine %d", number)
        return same(model(x), wanted)

    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(write, range(8)))
        assert (logger.level, list(logger.filters)) == before
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert sorted(heard) == [f"mine {number}" for number in range(8)]
    assert "Assets written" not in capfd.readouterr().err


def test_the_package_names_what_reads_files_and_imports_no_framework():
    program = (
        "import sys; from layoutbridge.frameworks.tensorflow import custom_objects, load_keras_file; "
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
