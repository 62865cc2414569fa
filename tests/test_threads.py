"""Eight threads at once: each gets what one alone gets, and the process stays as its program has it, all the while."""

import asyncio
import builtins
import logging
import math
import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier, Event, Thread

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet import load
from layoutbridge.darknet.ports.table import TARGETS, port
from layoutbridge.frameworks.table import frameworks
from tests.darknet_files import NETS, built, random_weights
from tests.targets import EVERY_TARGET, parameter

THREADS = 8
CFG = """
[net]
width=8
height=8
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky

[reorg]
stride=2
"""
BUT = {"": ("warnings",), ".tflite": ("warnings",)}  # TensorFlow's writer of SavedModels sets them aside for moments
ENDINGS = [parameter(name, ending) for name in TARGETS for ending in port(name).endings]
SAVED = [
    pytest.param(
        each.name,
        ending,
        id=f"{each.name}-{ending}",
        marks=pytest.mark.skipif(find_spec(each.name) is None, reason=f"{each.name} is not installed"),
    )
    for each in frameworks()
    for ending in each.writes
]


def kept():
    """What belongs to the program while our code runs, too."""
    status = Path("/proc/self/status")
    mask = [line for line in status.read_text().splitlines() if line.startswith("Umask")] if status.exists() else None
    return {
        "streams": ([os.fstat(number)[:3] for number in (1, 2)], sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "mask": mask,
    }


def left():
    """What must be as before when our code has run."""
    patched = builtins.max, builtins.min, math.pow
    drawn = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002 - of the program's own numbers
    logger = logging.getLogger("tensorflow")
    filters = list(logger.filters), logger.level, list(logging.getLogger().filters)
    return kept(), patched, drawn, filters, [warnings.showwarning, sys.excepthook], np.geterr(), modes()


def modes():
    """Settings of the frameworks that have been imported."""
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    told = []
    if torch is not None:
        told += [torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), torch.initial_seed()]
    if keras is not None:
        told += [keras.config.floatx(), keras.config.dtype_policy().name, keras.config.image_data_format()]
    return told


def at_once(work, *, but=()):
    """The results of `work(0)` to `work(7)` in eight threads that start together, once `work(8)` has imported all.

    What is in `but` may change meanwhile.
    """
    work(THREADS)
    before, start, ended, seen = left(), Barrier(THREADS), Event(), []

    def begin(number):
        start.wait()
        return work(number)

    def watch():
        while not ended.wait(0.001):
            seen.extend((name, now) for name, now in kept().items() if now != before[0][name] and name not in but)

    watching = Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            results = list(pool.map(begin, range(THREADS)))
    finally:
        ended.set()
        watching.join()
    assert not seen
    assert left() == before
    return results


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A small network, shared by all threads."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.cfg").write_text(CFG)
    (folder / "net.weights").write_bytes(random_weights(built(CFG)))
    return load(folder / "net.cfg", folder / "net.weights")


def content(path):
    """What a file says: its bytes, or what a program gives; of a folder the names in it, too."""
    if path.is_dir():
        import tensorflow as tf

        names = (*sorted(str(file.relative_to(path)) for file in path.rglob("*")),)
        model = tf.saved_model.load(path)
        taken = model.signatures["serving_default"].structured_input_signature[1]
        zeros = [np.zeros([length or 1 for length in one.shape], np.float32) for one in taken.values()]
        return names, np.asarray(model.serve(*zeros)).tobytes()
    if path.suffix == ".keras":  # in which layers without a name of their own are counted
        from layoutbridge.frameworks.tensorflow import load_keras_file

        model = load_keras_file(path)
        return np.asarray(model(np.ones([length or 1 for length in model.input_shape], np.float32))).tobytes()
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return str([(name, array.tobytes()) for name, array in load_file(path).items()])
    if path.suffix == ".jax":
        import jax

        return np.asarray(
            jax.export.deserialize(path.read_bytes()).call(np.ones((1, 64, 26, 26), np.float32))
        ).tobytes()
    if path.suffix == ".pt2":
        import torch

        program = torch.export.load(path)
        (taken,) = program.example_inputs[0]
        return program.module()(torch.ones_like(taken)).detach().numpy().tobytes()
    return path.read_bytes()


# ---------------------------------------------------------------------- exports


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize(("target", "ending"), ENDINGS)
def test_networks_are_exported_at_once(target, ending, net, tmp_path):
    def work(number):
        path = tmp_path / str(number) / f"net{ending}"
        path.parent.mkdir()
        return port(target).write(net.network, net.parameters, path).files

    alone, written = work(THREADS + 1), at_once(work, but=BUT.get(ending, ()))
    for files in zip(alone, *written, strict=True):
        if files[0].suffix != ".xml":  # in which OpenVINO says when it was
            assert len({content(file) for file in files}) == 1


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize(("framework", "ending"), SAVED)
def test_operations_are_exported_at_once(framework, ending, tmp_path):
    op = lb.op("darknet_reorg")

    def work(number):
        path = tmp_path / str(number) / f"reorg{ending}"
        path.parent.mkdir()
        lb.export(op, framework, path, shape=(1, 64, 26, 26))
        return path

    alone, written = work(THREADS + 1), at_once(work, but=BUT.get(ending, ()))
    assert {content(path) for path in written} == {content(alone)}


@pytest.mark.slow
def test_writers_of_saved_models_leave_warnings_and_logging_as_they_were(net, tmp_path):
    """TensorFlow sets both aside for moments: two threads at once would leave them so."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        at_once(
            lambda number: port("tflite").write(net.network, net.parameters, tmp_path / f"{number}.tflite"),
            but=("warnings",),
        )
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.slow
def test_different_targets_at_once(net, tmp_path):
    """All that are installed, beside threads that run the network in them."""
    names = [name for name in TARGETS if not parameter(name).marks[0].args[0]]
    if not names:
        pytest.skip("no target is installed")
    x = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    wanted = {name: net.run(x, name).tobytes() for name in names}

    def work(number):
        chosen = names if number == THREADS else names[number % len(names) :] + names[: number % len(names)]
        for name in chosen:
            path = tmp_path / f"{name}{number}" / f"net{port(name).endings[0]}"
            path.parent.mkdir()
            port(name).write(net.network, net.parameters, path)
            assert net.run(x, name).tobytes() == wanted[name]
        return True

    assert all(at_once(work, but=("warnings",)))


# ---------------------------------------------------------------------- everything else


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("target", EVERY_TARGET)
def test_one_network_is_run_at_once(target, net):
    x = np.random.default_rng(1).random((THREADS + 1, 3, 8, 8), np.float32)
    wanted = [net.run(picture[None], target).tobytes() for picture in x]
    but = BUT[".tflite"] if target == "tflite" else ()  # which is converted first
    assert at_once(lambda number: net.run(x[number][None], target).tobytes(), but=but) == wanted[:THREADS]


def test_a_network_is_loaded_and_run_at_once():
    name = NETS / "alexey" / "dense_tiny"

    def work(_):
        loaded = load(name / "net.cfg", name / "net.weights")
        x = np.random.default_rng(2).random((1, *loaded.network.in_shape), np.float32)
        return loaded.run(x).tobytes()

    (result,) = set(at_once(work))
    assert result


def test_objects_are_detected_at_once():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("PIL", reason="Pillow is not installed")
    name = NETS / "alexey" / "gaussian_yolo"
    loaded = load(name / "net.cfg", name / "net.weights")
    picture = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    (found,) = set(at_once(lambda _: str(lb.darknet.detect(loaded, picture, threshold=0.01))))
    assert found


@pytest.mark.slow
def test_operations_are_proved_and_verified_at_once():
    def work(number):
        op = lb.op("darknet_reorg", stride=2 + number % 3)
        equal = lb.prove(op, lb.op("darknet_reorg", stride=2))
        verified = lb.verify(["numpy"], ["darknet_reorg", "focus"]).to_json()
        return equal.equal, lb.identify(op, (1, 144, 12, 12)).names, verified

    wanted = [work(number) for number in range(THREADS)]
    found = at_once(work)
    assert [each[:2] for each in found] == [each[:2] for each in wanted]


def test_one_keras_model_is_identified_at_once():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    import keras

    taken = keras.Input((8, 8, 4))
    normed = keras.layers.BatchNormalization(epsilon=0.0)(keras.layers.Dropout(0.9)(taken))
    model = keras.Model(taken, lb.emit(lb.op("space_to_depth"), "tensorflow")(normed))
    before = [value.numpy() for value in model.variables]
    (names,) = set(at_once(lambda _: tuple(lb.identify(model, (1, 8, 8, 4)).names)))
    assert "space_to_depth" in names
    assert all(np.array_equal(value, now.numpy()) for value, now in zip(before, model.variables, strict=True))


# ---------------------------------------------------------------------- asyncio, fork


def test_tasks_of_asyncio(net, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    x = np.random.default_rng(4).random((1, 3, 8, 8), np.float32)
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    wanted = net.run(x, "onnx").tobytes()

    async def one(number):
        await asyncio.to_thread(net.to_onnx, tmp_path / f"{number}.onnx")
        return (await asyncio.to_thread(net.run, x, "onnx")).tobytes()

    async def all_of_them():
        return await asyncio.gather(*map(one, range(THREADS)))

    assert asyncio.run(all_of_them()) == [wanted] * THREADS


FORKS = """
import os, sys, threading
import numpy as np
import layoutbridge as lb
op = lb.op("darknet_reorg")
x = np.random.default_rng(0).random((8, 64, 64, 64), np.float32)
wanted, ended = op(x).tobytes(), threading.Event()
before = os.fstat(2)[:3], dict(os.environ)
def work():
    while not ended.is_set():
        op(x)
        lb.verify(["numpy"], ["focus"])
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        well = (os.fstat(2)[:3], dict(os.environ)) == before and op(x).tobytes() == wanted
        os._exit(0 if well else 1)
    assert os.waitpid(child, 0)[1] == 0
ended.set()
for thread in threads: thread.join()
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
def test_children_that_are_forked_while_threads_are_at_work():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "well\n", done.stderr
