"""Files without a batch axis: written, read by the framework's own loader, run, and compared with the table."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError
from tests.command_line import refused, run


def by_numpy(path):
    table = np.load(path)
    return lambda x: x.reshape(-1)[table]


def by_onnxruntime(path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input": x})[0]


def by_torch(path):
    torch = pytest.importorskip("torch")
    module = torch.export.load(path).module()
    return lambda x: module(torch.tensor(x)).numpy()


def by_keras(path):
    keras = pytest.importorskip("keras")
    from layoutbridge.frameworks.tensorflow import custom_objects

    model = keras.saving.load_model(path, custom_objects=custom_objects())
    return lambda x: model(x).numpy()


def by_tensorflow(path):
    tf = pytest.importorskip("tensorflow")
    loaded = tf.saved_model.load(str(path))  # which must live as long as what is called
    return lambda x: loaded.serve(x).numpy()


def by_jax(path):
    jax = pytest.importorskip("jax")
    exported = jax.export.deserialize(bytearray(Path(path).read_bytes()))
    return lambda x: np.asarray(exported.call(x))


LOADERS = {
    ("numpy", ".npy"): by_numpy,
    ("onnx", ".onnx"): by_onnxruntime,
    ("torch", ".pt2"): by_torch,
    ("tensorflow", ".keras"): by_keras,
    ("tensorflow", ""): by_tensorflow,
    ("jax", ".jax"): by_jax,
}
EVERY_FILE = pytest.mark.parametrize(("framework", "ending"), LOADERS, ids="".join)
# an operation, the shape of its file, one that it then takes, and how its tensor lies in Keras' layout
CASES = {
    "weights": (lambda: lb.op("oihw_to_hwio"), (8, 4, 3, 2), None),
    "bias": (lambda: lb.op("qkv_rows", heads=2, axes=1), (12,), None),
    "blocks": (lambda: lb.op("space_to_batch", stride=(2, 3)), (2, 3, 4, 6), (0, 2, 3, 1)),
    "one image": (lambda: lb.op("darknet_reorg"), (8, 4, 6), (1, 2, 0)),
}


def written(operation, framework, path, **options):
    if not find_spec(framework):
        pytest.skip(f"{framework} is not installed")
    lb.export(operation, framework, path, **options)


def compared(run_it, operation, shape, in_keras):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    expected = x.reshape(-1)[operation.table(shape)].reshape(operation.out_shape(shape))
    if in_keras is not None:
        x, expected = (np.ascontiguousarray(each.transpose(in_keras)) for each in (x, expected))
    made = run_it(x)
    assert made.shape in (expected.shape, (expected.size,))  # by a table it is flat
    np.testing.assert_array_equal(made.reshape(expected.shape), expected)


@pytest.mark.sample(8, slow=8)
@EVERY_FILE
@pytest.mark.parametrize("case", CASES)
def test_a_file_of_a_fixed_shape(framework, ending, case, tmp_path):
    make, shape, in_keras = CASES[case]
    operation, path = make(), tmp_path / f"model{ending}"
    written(operation, framework, path, shape=shape, batch=False)
    compared(LOADERS[framework, ending](path), operation, shape, in_keras if framework == "tensorflow" else None)


@pytest.mark.sample(4)
@pytest.mark.parametrize(("framework", "ending"), [key for key in LOADERS if key[0] != "numpy"])
@pytest.mark.parametrize(
    ("name", "shape", "taken", "in_keras"),
    [
        ("hwio_to_oihw", (None, None, None, 4), [(3, 2, 5, 4), (1, 1, 6, 4)], None),
        ("batch_to_space", (None, 3, None, 5), [(8, 3, 4, 5), (4, 3, 2, 5)], (0, 2, 3, 1)),
    ],
)
def test_a_file_with_lengths_left_open_by_default(framework, ending, name, shape, taken, in_keras, tmp_path):
    operation, path = lb.op(name), tmp_path / f"model{ending}"
    written(operation, framework, path, shape=shape)
    run_it = LOADERS[framework, ending](path)
    for lengths in taken:
        compared(run_it, operation, lengths, in_keras if framework == "tensorflow" else None)


@pytest.mark.parametrize(("framework", "ending"), [key for key in LOADERS if key[0] in ("onnx", "tensorflow", "jax")])
def test_a_file_without_a_shape_has_the_patterns_axes(framework, ending, tmp_path):
    operation, path = lb.op("window_partition", window=2, spatial=1), tmp_path / f"model{ending}"
    written(operation, framework, path)
    compared(LOADERS[framework, ending](path), operation, (3, 4, 5), None)


def test_a_keras_file_of_a_map_without_a_name_takes_what_it_took(tmp_path):
    pytest.importorskip("tensorflow")
    operation, path = lb.op("space_to_batch").inverse(), tmp_path / "model.keras"
    lb.export(operation, "keras", path)
    compared(by_keras(path), operation, (8, 3, 2, 3), (0, 2, 3, 1))


def test_a_program_of_open_lengths_keeps_its_condition(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt2"
    lb.export(lb.op("space_to_batch"), "torch", path, shape=(None, 3, None, 4))
    with pytest.raises(Exception, match=r"(?i)divisib|guard|evenly|mod"):
        torch.export.load(path).module()(torch.zeros(2, 3, 5, 4))


# ---------------------------------------------------------------------- the command line


@pytest.mark.sample(1, slow=2)
@EVERY_FILE
def test_the_command_line_goes_by_the_entry(framework, ending, capfd, tmp_path):
    if not find_spec(framework):
        pytest.skip(f"{framework} is not installed")
    path = str(tmp_path / f"model{ending}")
    code, out, err = run(
        capfd, "export", "space_to_batch", "--stride", "2", "--shape", "2,3,4,6", "--to", framework, "-o", path
    )
    assert (code, out) == (0, ""), err
    in_keras = (0, 2, 3, 1) if framework == "tensorflow" else None
    compared(LOADERS[framework, ending](path), lb.op("space_to_batch"), (2, 3, 4, 6), in_keras)
    for more in ((), ("--no-batch",)):
        said = refused(
            capfd, "export", "space_to_batch", "--shape", "1,2,3,4,6", "--to", framework, "-o", path, "--force", *more
        )
        assert "takes 4 axes [N, C, H, W] and none in front (batch=True, or --batch, adds one)" in said
        assert "(1, 2, 3, 4, 6) has 5" in said


def exported(capfd, tmp_path, *arguments):
    """The axes of the input in the ONNX model that `export` writes."""
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    code, out, err = run(capfd, "export", *arguments, "--force", "-o", str(path))
    assert (code, out) == (0, ""), err
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    return [axis.dim_param or axis.dim_value for axis in shape.dim]


@pytest.mark.slow
def test_the_command_line_is_told_otherwise(capfd, tmp_path):
    pattern = "n c (h p:2) (w q:2) -> n (p q c) h w"
    for arguments, axes in (
        (("oihw_to_hwio",), ["O", "I", "H", "W"]),
        (("oihw_to_hwio", "--batch"), ["N", "O", "I", "H", "W"]),
        (("--batch", "oihw_to_hwio"), ["N", "O", "I", "H", "W"]),
        (("oihw_to_hwio", "--batch", "--shape", "2,8,4,3,3"), [2, 8, 4, 3, 3]),
        (("oihw_to_hwio then hwio_to_ohwi",), ["O", "I", "H", "W"]),
        (("inverse(space_to_batch)",), ["N", "C", "H", "W"]),
        (("focus",), ["N", "C", "H", "W"]),
        (("focus", "--no-batch"), ["C", "H", "W"]),
        (("focus", "--no-batch", "--shape", "3,H,8"), [3, "H", 8]),
        ((pattern,), ["batch", "N", "C", "H", "W"]),
        ((pattern, "--no-batch"), ["N", "C", "H", "W"]),
    ):
        assert exported(capfd, tmp_path, *arguments) == axes, arguments


def test_what_the_command_line_refuses(capfd, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    for arguments, said in (
        (("focus", "--batch", "4"), "--batch of an operation takes no number, and 4 is given"),
        (("focus", "--batch=4"), "--batch of an operation takes no number, and 4 is given"),
        (("focus", "--batch", "--no-batch"), "give one of the two"),
        (("focus", "--no-batch", "--shape", "1,3,4,4"), "takes 3 axes [C, H, W] and none in front"),
        (("oihw_to_hwio", "--batch", "--shape", "8,4,3,3"), "takes 5 axes [N, O, I, H, W], the batch axis in front"),
        (("net.cfg", "net.weights", "--no-batch"), "--no-batch is for an operation, not for a network"),
    ):
        assert said in refused(capfd, "export", *arguments, "-o", "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_help_tells_both(capfd):
    told = re.sub(r"[│\s]+", " ", run(capfd, "export", "--help")[1])
    assert "--no-batch" in told and "names every axis" in told


def test_a_program_of_one_shape_is_still_asked_for(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(ParameterError, match="needs a shape"):
        lb.export(lb.op("oihw_to_hwio"), "torch", tmp_path / "model.pt2", batch=False)
