"""Keras' own batch norm with statistics that stay: in training too, and what becomes of copies."""

import copy
import pickle

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from layoutbridge.frameworks.tensorflow.layers import fix_called_statistics, fix_statistics  # noqa: E402

X = np.random.default_rng(0).random((8, 4), np.float32)


def model_with(times):
    """Batch norm called with `training=False`, its statistics fixed so many times."""
    inputs = keras.Input((4,))
    layer = keras.layers.BatchNormalization(name="norm")
    for _ in range(times):
        fix_statistics(layer)
    return keras.Model(inputs, layer(inputs, training=False))


def keeps_its_statistics(model):
    before = [variable.numpy() for variable in model.non_trainable_variables]
    same = np.array_equal(model(X, training=True), model(X))
    return same and all(map(np.array_equal, before, [variable.numpy() for variable in model.non_trainable_variables]))


def test_fixed_statistics_stay_in_training_and_the_layer_is_keras_own():
    plain, fixed, twice = (model_with(times) for times in range(3))
    assert not keeps_its_statistics(plain)
    assert keeps_its_statistics(fixed)
    assert keeps_its_statistics(twice)
    layer = fixed.get_layer("norm")
    assert type(layer) is keras.layers.BatchNormalization
    assert layer.get_config() == plain.get_layer("norm").get_config()
    fixed.compile("sgd", "mse")
    before = [variable.numpy() for variable in fixed.non_trainable_variables]
    fixed.fit(X, np.zeros_like(X), epochs=1, verbose=0)
    assert all(map(np.array_equal, before, [variable.numpy() for variable in fixed.non_trainable_variables]))
    assert any(np.any(variable.numpy()) for variable in fixed.trainable_variables if variable.name == "beta")


@pytest.mark.parametrize(
    "copied",
    [keras.models.clone_model, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["cloned", "deep copy", "pickled"],
)
def test_copies_are_plain_as_from_a_file_until_they_are_fixed(copied):
    """Keras copies a layer by its config, which says nothing of it; a copy never runs the original's method."""
    made = copied(model_with(1))
    assert "call" not in vars(made.get_layer("norm"))
    fix_called_statistics(made)
    assert keeps_its_statistics(made)
