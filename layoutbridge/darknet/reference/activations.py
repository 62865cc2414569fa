"""Every activation of both forks. Definition: activations.c and activations.h."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from layoutbridge.darknet.reference.values import Array, logistic

_CHANNEL_EPSILON = 0.0001


def activate(name: str, x: Array) -> Array:
    """The activation `name` of `x`, channels on axis 1."""
    return _FUNCTIONS[name](x)


def _stair(x: Array) -> Array:
    n = np.floor(x)
    return np.where(n % 2 == 0, np.floor(x / 2), (x - n) + np.floor(x / 2))


def _plse(x: Array) -> Array:
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _lhtan(x: Array) -> Array:
    return np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x))


def _elu(x: Array) -> Array:
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Array:
    return np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * np.expm1(np.minimum(x, 0)))


def _hard_mish(x: Array) -> Array:
    return np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0))


def _gelu(x: Array) -> Array:
    result: Array = 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3))
    return result


def _mish(x: Array) -> Array:
    result: Array = x * np.tanh(np.logaddexp(0, x))
    return result


def _leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


def _normalize_channels(x: Array) -> Array:
    positive = np.maximum(x, 0)
    result: Array = positive / (_CHANNEL_EPSILON + positive.sum(axis=1, keepdims=True))
    return result


def _normalize_channels_softmax(x: Array) -> Array:
    powers = np.exp(x)
    result: Array = powers / (_CHANNEL_EPSILON + powers.sum(axis=1, keepdims=True))
    return result


_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "linear": lambda x: x,
        "logistic": logistic,
        "loggy": lambda x: 2 * logistic(x) - 1,
        "relu": lambda x: np.maximum(x, 0),
        "relu6": lambda x: np.clip(x, 0, 6),
        "elu": _elu,
        "selu": _selu,
        "relie": lambda x: np.where(x > 0, x, 0.01 * x),
        "ramp": lambda x: np.maximum(x, 0) + 0.1 * x,
        "leaky": _leaky,
        "revleaky": _leaky,
        "tanh": np.tanh,
        "plse": _plse,
        "stair": _stair,
        "hardtan": lambda x: np.clip(x, -1, 1),
        "lhtan": _lhtan,
        "swish": lambda x: x * logistic(x),
        "mish": _mish,
        "hard_mish": _hard_mish,
        "gelu": _gelu,
        "normalize_channels": _normalize_channels,
        "normalize_channels_softmax": _normalize_channels_softmax,
        "normalize_channels_softmax_maxval": lambda x: _normalize_channels_softmax(x - x.max(axis=1, keepdims=True)),
    }
)
