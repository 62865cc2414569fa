"""Somebody's TensorFlow or Keras code, called with an array."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray


def is_layer(target: object) -> bool:
    """Whether `target` is a Keras layer, or a model."""
    keras = sys.modules.get("keras")  # without it there are no layers
    return keras is not None and isinstance(target, keras.layers.Layer)


def call(target: Callable[..., Any], x: NDArray[Any]) -> Any:
    """The result of `target` for `x` as a TensorFlow tensor."""
    import tensorflow as tf

    return target(tf.constant(x))
