"""Winograd's form in TensorFlow's operations: against the convolution itself, in TensorFlow and in LiteRT."""

import numpy as np
import pytest

from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.winograd import POINTS

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from layoutbridge.frameworks.tensorflow.network.winograd import Winograd2D  # noqa: E402

TOLERANCE = {2: 2e-6, 3: 4e-6, 4: 4e-6, 5: 1e-5, 6: 2e-5}  # of the largest value, by the longer side of a tile
TILES = [(2, 2), (3, 3), (4, 4), (2, 4), (5, 2), (6, 6)]
PADDINGS = [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 2, 1), (5, 0, 1, 7)]
SIZES = [(8, 8), (9, 6), (3, 13)]


def case(padding, size, biased, batch=2, channels=3, filters=5):
    """Pictures, the arrays of a convolution, and what it makes of the pictures, in float64."""
    rng = np.random.default_rng(sum(padding) + size[0])
    weights = rng.uniform(-1, 1, (filters, channels, 3, 3))
    bias = rng.uniform(-1, 1, filters) if biased else None
    x = rng.uniform(-1, 1, (batch, *size, channels)).astype(np.float32)
    top, left, bottom, right = padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    wanted = np.einsum("nhwckl,fckl->nhwf", seen, weights) + (0 if bias is None else bias)
    arrays = LazyArray.of("weights", weights), None if bias is None else LazyArray.of("bias", bias)
    return x, arrays, wanted


@pytest.mark.sample(40)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("tile", TILES)
def test_it_is_the_convolution(tile, padding, size, biased):
    x, arrays, wanted = case(padding, size, biased)
    layer = Winograd2D(*arrays, padding, tile)
    found = layer(x).numpy()
    assert found.shape == wanted.shape == layer.compute_output_shape(x.shape)
    assert np.abs(found - wanted).max() <= TOLERANCE[max(tile)] * np.abs(wanted).max()
    assert len(layer.variables) == (tile[0] + 2) * (tile[1] + 2) + biased


@pytest.mark.parametrize("tile", [(2, 2), (3, 4)])
def test_litert_computes_it_with_constants_alone(tile):
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    x, arrays, wanted = case((1, 1, 1, 1), (9, 7), True)
    layer = Winograd2D(*arrays, (1, 1, 1, 1), tile)
    entry = keras.Input(x.shape[1:], len(x))
    model = keras.Model(entry, layer(entry))
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    products = [each for each in interpreter._get_ops_details() if each["op_name"] == "CONV_2D"]
    assert len(products) == (tile[0] + 2) * (tile[1] + 2)
    made = {output for each in interpreter._get_ops_details() for output in each["outputs"]}
    assert all(each["inputs"][1] not in made for each in products)
    interpreter = litert.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.abs(found - wanted).max() <= TOLERANCE[max(tile)] * np.abs(wanted).max()


@pytest.mark.parametrize("tile", POINTS)
def test_weights_that_were_computed_in_float64_are_rounded_once(tile):
    weights = np.random.default_rng(0).uniform(-1, 1, (8, 4, 3, 3))
    layers = [
        Winograd2D(LazyArray.of("weights", values), None, (1, 1, 1, 1), (tile, tile))
        for values in (weights, weights.astype(np.float32))
    ]
    for layer in layers:
        layer.build((1, 8, 8, 4))
    unrounded, rounded = ([point.numpy() for point in layer.points] for layer in layers)
    assert any((a != b).any() for a, b in zip(unrounded, rounded, strict=True))
    assert all(np.abs(a - b).max() <= 1e-6 for a, b in zip(unrounded, rounded, strict=True))
