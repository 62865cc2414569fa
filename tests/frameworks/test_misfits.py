"""A shape that does not fit is refused in the same words everywhere, with the shape, the axis and the number."""

import importlib.util

import numpy as np
import pytest

from layoutbridge import Rearrangement, emit, op
from layoutbridge.algebra.fitting import refuse_misfit
from layoutbridge.errors import ShapeError

OPS = {
    "darknet_reorg": lambda: op("darknet_reorg"),
    "darknet_reorg_reverse": lambda: op("darknet_reorg_reverse", stride=3),
    "focus": lambda: op("focus"),
    "pixel_shuffle": lambda: op("pixel_shuffle"),
    "channel_shuffle": lambda: op("channel_shuffle", groups=4),
    "fixed": lambda: Rearrangement("c h w -> h w c, c=3"),
    "condition": lambda: Rearrangement("A B C | x:A*B/6 y:6 c:C -> c y x | C 6 A*B/6"),
}
# an operation, a shape [N, ...] that it does not take, and what is said of it
MISFITS = {
    "rows": ("darknet_reorg", (1, 64, 5, 26), "(1, 64, 5, 26): H = 5 is not a multiple of 2"),
    "columns": ("focus", (2, 3, 4, 7), "(2, 3, 4, 7): W = 7 is not a multiple of 2"),
    "channels": ("pixel_shuffle", (1, 6, 4, 4), "(1, 6, 4, 4): C = 6 is not a multiple of 4"),
    "first of two": ("darknet_reorg", (1, 64, 5, 27), "(1, 64, 5, 27): H = 5 is not a multiple of 2"),
    "groups": ("channel_shuffle", (1, 6, 4, 4), "(1, 6, 4, 4): C = 6 is not a multiple of 4"),
    "what Darknet loses": (
        "darknet_reorg",
        (1, 5, 4, 4),
        "C = 5 is not a multiple of 4; there Darknet itself loses",
    ),
    "what Darknet divides by": ("darknet_reorg_reverse", (1, 8, 3, 3), "Darknet itself divides by zero"),
    "a fixed length": ("fixed", (1, 4, 2, 2), "(1, 4, 2, 2): C = 4 must be 3"),
    "several axes": ("condition", (1, 3, 5, 2), "(1, 3, 5, 2): A*B/6 = 2.5 must be a whole number"),
    "too few axes": (
        "focus",
        (4, 4),
        "3 axes [C, H, W], or 4 with a batch axis in front, and shape (4, 4) has 2",
    ),
    "too many axes": ("focus", (1, 1, 3, 4, 4), "in front, and shape (1, 1, 3, 4, 4) has 5"),
}
# the same with lengths left open, which must not hide what is known
OPEN = {
    "rows": ("darknet_reorg", (None, 64, 5, None), "(?, 64, 5, ?): H = 5 is not a multiple of 2"),
    "columns": ("focus", (None, None, None, 7), "(?, ?, ?, 7): W = 7 is not a multiple of 2"),
    "channels": ("pixel_shuffle", (None, 6, None, None), "(?, 6, ?, ?): C = 6 is not a multiple of 4"),
    "what Darknet loses": (
        "darknet_reorg",
        (None, 5, 4, 4),
        "(?, 5, 4, 4): C = 5 is not a multiple of 4; there",
    ),
    "a fixed length": ("fixed", (None, 4, None, 2), "(?, 4, ?, 2): C = 4 must be 3"),
    "several axes": ("condition", (None, 3, 5, None), "(?, 3, 5, ?): A*B/6 = 2.5 must be a whole number"),
    "too few axes": ("focus", (None, 4), "and shape (?, 4) has 2"),
}


def refusal(function, *arguments, **options):
    """The text of the `ShapeError` that a call raises."""
    with pytest.raises(ShapeError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def zeros(shape):
    return np.zeros(shape, np.float32)


def in_numpy(rearrangement, shape):
    return refusal(rearrangement, zeros(shape))


def in_torch(rearrangement, shape):
    import torch

    return refusal(emit(rearrangement, "torch"), torch.zeros(shape))


def in_torch_export(rearrangement, shape):
    import torch

    return refusal(torch.export.export, emit(rearrangement, "torch"), (torch.zeros(shape),), strict=False)


def in_torch_compile(rearrangement, shape):
    import torch

    torch._dynamo.reset()
    return refusal(torch.compile(emit(rearrangement, "torch"), backend="eager"), torch.zeros(shape))


def in_keras(rearrangement, shape):
    return refusal(emit(rearrangement, "tensorflow", data_format="channels_first"), zeros(shape))


def in_keras_symbolic(rearrangement, shape):
    emitted = emit(rearrangement, "tensorflow", data_format="channels_first")

    import keras

    return refusal(emitted, keras.KerasTensor(shape))


def in_keras_output_shape(rearrangement, shape):
    layer = emit(rearrangement, "tensorflow", data_format="channels_first")
    return refusal(layer.compute_output_shape, shape)


def in_tf_function(rearrangement, shape):
    layer = emit(rearrangement, "tensorflow", data_format="channels_first")

    import tensorflow as tf

    traced = tf.function(layer, autograph=False)
    return refusal(traced.get_concrete_function, tf.TensorSpec(shape))


def in_jax(rearrangement, shape):
    return refusal(emit(rearrangement, "jax"), zeros(shape))


def in_onnx(rearrangement, shape):
    return refusal(emit, rearrangement, "onnx", shape=shape)


def in_torch_export_with_open_lengths(rearrangement, shape):
    import torch

    example = torch.zeros([12 if length is None else length for length in shape])
    dynamic = {axis: torch.export.Dim.AUTO for axis, length in enumerate(shape) if length is None}
    module = emit(rearrangement, "torch")
    return refusal(torch.export.export, module, (example,), dynamic_shapes=(dynamic,), strict=False)


def in_a_torch_file(rearrangement, shape, tmp_path):
    from layoutbridge.frameworks.torch.emission import save

    return refusal(save, rearrangement, tmp_path / "it.pt2", shape=shape)


FRAMEWORKS = {
    "NumPy": (in_numpy, None),
    "PyTorch": (in_torch, "torch"),
    "torch.export": (in_torch_export, "torch"),
    "torch.compile": (in_torch_compile, "torch"),
    "Keras": (in_keras, "tensorflow"),
    "Keras, symbolic": (in_keras_symbolic, "tensorflow"),
    "Keras, compute_output_shape": (in_keras_output_shape, "tensorflow"),
    "tf.function": (in_tf_function, "tensorflow"),
    "JAX": (in_jax, "jax"),
    "ONNX": (in_onnx, "onnx"),
}
WITH_OPEN_LENGTHS = {
    "torch.export": (in_torch_export_with_open_lengths, "torch"),
    "Keras, symbolic": (in_keras_symbolic, "tensorflow"),
    "Keras, compute_output_shape": (in_keras_output_shape, "tensorflow"),
    "tf.function": (in_tf_function, "tensorflow"),
    "ONNX": (in_onnx, "onnx"),
}


def need(framework):
    if framework is not None and not importlib.util.find_spec(framework):
        pytest.skip(f"{framework} is not installed")


@pytest.mark.sample(10, slow=6)
@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_misfit_reads_the_same(framework, misfit):
    name, shape, said = MISFITS[misfit]
    ask, needed = FRAMEWORKS[framework]
    need(needed)
    rearrangement = OPS[name]()
    text = ask(rearrangement, shape)
    assert text == refusal(rearrangement.bind, shape)
    assert text.startswith(rearrangement.label) and said in text


@pytest.mark.parametrize("misfit", OPEN)
@pytest.mark.parametrize("framework", WITH_OPEN_LENGTHS)
def test_open_lengths_do_not_hide_it(framework, misfit):
    name, lengths, said = OPEN[misfit]
    ask, needed = WITH_OPEN_LENGTHS[framework]
    need(needed)
    rearrangement = OPS[name]()
    text = ask(rearrangement, lengths)
    assert text == refusal(refuse_misfit, rearrangement, lengths)
    assert text.startswith(rearrangement.label) and said in text


@pytest.mark.parametrize("misfit", OPEN)
def test_files_of_exported_programs_say_it_too(misfit, tmp_path):
    need("torch")
    name, lengths, said = OPEN[misfit]
    assert said in in_a_torch_file(OPS[name](), lengths, tmp_path)


@pytest.mark.parametrize("framework", ["NumPy", "PyTorch", "Keras", "JAX", "ONNX"])
def test_lengths_below_one(framework):
    ask, needed = FRAMEWORKS[framework]
    need(needed)
    expected = "focus (stride 2): every length in shape (1, 3, 0, 4) must be at least 1"
    assert ask(op("focus"), (1, 3, 0, 4)) == expected


@pytest.mark.parametrize("framework", ["Keras", "Keras, symbolic", "Keras, compute_output_shape", "ONNX"])
def test_where_a_batch_axis_must_be_there(framework):
    ask, needed = FRAMEWORKS[framework]
    need(needed)
    expected = "focus (stride 2) takes 4 axes [N, C, H, W], the batch axis in front, and shape (3, 4, 4) has 3"
    assert ask(op("focus"), (3, 4, 4)) == expected


def test_with_channels_last_the_axes_are_those_of_the_tensor():
    need("tensorflow")
    layer = emit(op("darknet_reorg"), "tensorflow")
    expected = "darknet_reorg on channels-last tensors (stride 2) does not take shape (1, 5, 26, 64): " + (
        "H = 5 is not a multiple of 2"
    )
    assert refusal(layer, zeros((1, 5, 26, 64))) == expected
    assert refusal(layer.compute_output_shape, (None, 5, None, 64)) == expected.replace(
        "(1, 5, 26, 64)", "(?, 5, ?, 64)"
    )


def test_an_open_length_at_fault_is_that_of_the_example():
    need("torch")
    import torch

    module = emit(op("darknet_reorg"), "torch")
    example = (torch.zeros(1, 64, 5, 26),)
    dynamic = ({2: torch.export.Dim.AUTO},)
    text = refusal(torch.export.export, module, example, dynamic_shapes=dynamic, strict=False)
    assert text == refusal(op("darknet_reorg").bind, (1, 64, 5, 26))


def test_onnx_names_are_open_lengths():
    need("onnx")
    text = refusal(emit, op("darknet_reorg"), "onnx", shape=("N", 64, "rows", 5))
    assert text == refusal(refuse_misfit, op("darknet_reorg"), (None, 64, None, 5))
