"""Every activation of both forks over the primitives; `darknet.reading.activations` says each in words.

Definition: activations.h and activations.c; for normalize_channels, activate_array_normalize_channels there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.primitives import Target, V

_LEAST_SUM = 0.0001  # Darknet's eps below the line of normalize_channels


def activate(target: Target[V], x: V, name: str) -> V:
    """The activation `name` of x; raises `UnsupportedError` for a name that neither fork has."""
    if name not in _ACTIVATIONS:
        raise UnsupportedError(f"activation {name!r} has no meaning here; there are {', '.join(_ACTIVATIONS)}")
    result: V = _ACTIVATIONS[name](target, x)
    return result


def _linear(_: Target[V], x: V) -> V:
    return x


def _logistic(t: Target[V], x: V) -> V:
    return t.activation(x, "sigmoid")


def _loggy(t: Target[V], x: V) -> V:
    return t.add(t.multiply(t.activation(x, "sigmoid"), 2.0), -1.0)


def _relu(t: Target[V], x: V) -> V:
    return t.activation(x, "relu")


def _elu(t: Target[V], x: V) -> V:
    return t.activation(x, "elu", alpha=1.0)


def _selu(t: Target[V], x: V) -> V:
    return t.activation(x, "selu", alpha=1.6732, gamma=1.0507)


def _relie(t: Target[V], x: V) -> V:
    return t.activation(x, "leaky_relu", slope=0.01)


def _leaky(t: Target[V], x: V) -> V:
    return t.activation(x, "leaky_relu", slope=0.1)


def _ramp(t: Target[V], x: V) -> V:
    return t.add(t.activation(x, "relu"), t.multiply(x, 0.1))


def _tanh(t: Target[V], x: V) -> V:
    return t.activation(x, "tanh")


def _plse(t: Target[V], x: V) -> V:
    """x/8 + 1/2 of what lies within ±4, and 0.01 of what lies beyond."""
    inside = t.activation(x, "clip", low=-4.0, high=4.0)
    beyond = t.multiply(t.add(x, t.multiply(inside, -1.0)), 0.01)
    return t.add(t.add(t.multiply(inside, 0.125), 0.5), beyond)


def _stair(t: Target[V], x: V) -> V:
    """floor(x/2), and at odd n = floor(x) the rest x − n too: n − 2·floor(x/2) is 1 there and 0 at even n."""
    whole = t.activation(x, "floor")
    half = t.activation(t.multiply(x, 0.5), "floor")
    odd = t.add(whole, t.multiply(half, -2.0))
    return t.add(t.multiply(t.add(x, t.multiply(whole, -1.0)), odd), half)


def _hardtan(t: Target[V], x: V) -> V:
    return t.activation(x, "clip", low=-1.0, high=1.0)


def _lhtan(t: Target[V], x: V) -> V:
    """What lies within 0 and 1, and 0.001 of what lies beyond."""
    inside = t.activation(x, "clip", low=0.0, high=1.0)
    return t.add(inside, t.multiply(t.add(x, t.multiply(inside, -1.0)), 0.001))


def _relu6(t: Target[V], x: V) -> V:
    return t.activation(x, "clip", low=0.0, high=6.0)


def _swish(t: Target[V], x: V) -> V:
    return t.activation(x, "swish")


def _mish(t: Target[V], x: V) -> V:
    return t.activation(x, "mish")


def _hard_mish(t: Target[V], x: V) -> V:
    """max(x, 0) + c²/2 + c with c = x within −2 and 0, which is 0 at both ends."""
    inside = t.activation(x, "clip", low=-2.0, high=0.0)
    curve = t.add(t.multiply(t.multiply(inside, inside), 0.5), inside)
    return t.add(t.activation(x, "relu"), curve)


def _gelu(t: Target[V], x: V) -> V:
    cubic = t.multiply(t.multiply(t.multiply(x, x), x), 0.035677)
    bent = t.activation(t.add(t.multiply(x, 0.797885), cubic), "tanh")
    return t.multiply(t.multiply(x, 0.5), t.add(bent, 1.0))


def _normalize_channels(t: Target[V], x: V) -> V:
    return _shares(t, t.activation(x, "relu"))


def _normalize_channels_softmax(t: Target[V], x: V) -> V:
    return _shares(t, t.activation(x, "exp"))


def _normalize_channels_softmax_maxval(t: Target[V], x: V) -> V:
    largest = t.reduce_max(x, 0)
    return _shares(t, t.activation(t.add(x, t.multiply(largest, -1.0)), "exp"))


def _shares(t: Target[V], x: V) -> V:
    return t.divide(x, t.add(t.reduce_sum(x, 0), _LEAST_SUM))


_ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": _linear,
    "logistic": _logistic,
    "loggy": _loggy,
    "relu": _relu,
    "elu": _elu,
    "selu": _selu,
    "relie": _relie,
    "ramp": _ramp,
    "leaky": _leaky,
    "tanh": _tanh,
    "plse": _plse,
    "stair": _stair,
    "hardtan": _hardtan,
    "lhtan": _lhtan,
    "relu6": _relu6,
    "swish": _swish,
    "mish": _mish,
    "hard_mish": _hard_mish,
    "gelu": _gelu,
    "revleaky": _leaky,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
}
