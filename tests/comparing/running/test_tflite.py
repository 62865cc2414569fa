"""LiteRT's files run once: each tensor by the name that the reader gave it, quantised ones as they are meant."""

import numpy as np
import pytest

from layoutbridge.errors import ShapeError, UnusableInputError
from tests.comparing.running_checks import TOLERANCE, close, held, passthrough

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

from layoutbridge.comparing.running.tflite import values  # noqa: E402
from layoutbridge.darknet.ports.tflite import write_tflite  # noqa: E402
from layoutbridge.scanning.readers.tflite.reading import read  # noqa: E402


def as_taken(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("half", [False, True])
def test_a_file(tmp_path, half):
    net, x, reference = passthrough()
    path = write_tflite(net.network, net.parameters, tmp_path / "net.tflite", half=half).path
    graph = read(path)
    given = {graph.inputs[0]: as_taken(x)}
    made = held(values(path, graph, given), graph, given, share=0.95)
    found = made[graph.outputs[0]]
    close(found.transpose(0, 3, 1, 2) if found.ndim == 4 else found, reference, 1e-2 if half else TOLERANCE)


def function_of(shape):
    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.standard_normal((3, 3, 4, 8)).astype(np.float32) / 6)

    def run(x):
        y = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
        moved = tf.nn.space_to_depth(y, 2)
        return {"y": tf.reshape(tf.transpose(moved, (0, 3, 1, 2)), (-1, 32 * shape[1] * shape[2] // 4))}

    return run


def converted(path, shape, *, quantised):
    run = function_of(shape)
    concrete = tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec(shape, name="x"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if quantised:
        rng = np.random.default_rng(1)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [rng.uniform(-1, 1, (1, *shape[1:])).astype(np.float32)] for _ in range(20)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return run


def test_a_batch_that_is_open(tmp_path):
    run = converted(tmp_path / "net.tflite", (None, 6, 8, 4), quantised=False)
    x = np.random.default_rng(2).uniform(-1, 1, (3, 6, 8, 4)).astype(np.float32)
    graph = read(tmp_path / "net.tflite", x.shape)
    given = {graph.inputs[0]: x}
    made = held(values(tmp_path / "net.tflite", graph, given), graph, given)
    close(made[graph.outputs[0]], run(tf.constant(x))["y"].numpy())


def test_quantised_tensors_are_what_they_are_meant_to_be(tmp_path):
    run = converted(tmp_path / "net.tflite", (1, 6, 8, 4), quantised=True)
    x = np.random.default_rng(2).uniform(-1, 1, (1, 6, 8, 4)).astype(np.float32)
    graph = read(tmp_path / "net.tflite")
    assert graph.tensors[graph.inputs[0]].dtype == "int8"
    given = {graph.inputs[0]: x}
    made = held(values(tmp_path / "net.tflite", graph, given), graph, given)
    assert {array.dtype.name for array in made.values()} == {"float32"}
    expected = run(tf.constant(x))["y"].numpy()
    assert 0 < np.abs(made[graph.outputs[0]] - expected).max() < 0.05 * np.abs(expected).max()
    whole = np.zeros(x.shape, np.int8)  # given as the file has it
    made = held(values(tmp_path / "net.tflite", graph, {graph.inputs[0]: whole}), graph, {})
    assert np.isfinite(made[graph.outputs[0]]).all()


def test_what_cannot_be_run(tmp_path):
    converted(tmp_path / "net.tflite", (1, 6, 8, 4), quantised=False)
    graph = read(tmp_path / "net.tflite")
    with pytest.raises(ShapeError, match=r"is \[1, 6, 8, 4\], and what is given \[1, 4, 6, 8\]"):
        list(values(tmp_path / "net.tflite", graph, {graph.inputs[0]: np.zeros((1, 4, 6, 8), np.float32)}))
    content = (tmp_path / "net.tflite").read_bytes()
    (tmp_path / "half.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableInputError, match="LiteRT cannot load"):
        list(values(tmp_path / "half.tflite", graph, {graph.inputs[0]: np.zeros((1, 6, 8, 4), np.float32)}))
