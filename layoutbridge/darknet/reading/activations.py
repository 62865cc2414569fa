"""The names of the activations of both forks; what each computes stands beside its name.

Definition: activations.c and activations.h of both forks. n is the integer below x; σ is the logistic.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.errors import ParameterError, shown

ORIGINAL_ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        "linear": "x",
        "logistic": "σ(x) = 1/(1 + exp(−x))",
        "loggy": "2σ(x) − 1",
        "relu": "max(x, 0)",
        "elu": "x, or exp(x) − 1 below 0",
        "selu": "1.0507·x, or 1.0507·1.6732·(exp(x) − 1) below 0",
        "relie": "x, or 0.01·x below 0",
        "ramp": "max(x, 0) + 0.1·x",
        "leaky": "x, or 0.1·x below 0",
        "tanh": "tanh(x)",
        "plse": "x/8 + 1/2; below −4: 0.01·(x + 4); above 4: 0.01·(x − 4) + 1",
        "stair": "n/2 for even n, else (x − n) + floor(x/2)",
        "hardtan": "x within −1 and 1",
        "lhtan": "x; below 0: 0.001·x; above 1: 0.001·(x − 1) + 1",
    }
)
ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        **ORIGINAL_ACTIVATIONS,
        "relu6": "x within 0 and 6",
        "swish": "x·σ(x)",
        "mish": "x·tanh(log(1 + exp(x)))",
        "hard_mish": "x; below 0: x·x/2 + x; below −2: 0",
        "gelu": "x/2·(1 + tanh(0.797885·x + 0.035677·x³))",
        "revleaky": "leaky, in the forward pass",
        "normalize_channels": "max(x, 0)/(0.0001 + its sum over the channels)",
        "normalize_channels_softmax": "exp(x)/(0.0001 + its sum over the channels)",
        "normalize_channels_softmax_maxval": "the same with x − its maximum over the channels for x",
    }
)
# What people mean by names that other programs have and no Darknet does.
MEANT: Mapping[str, str] = MappingProxyType({"silu": "swish", "sigmoid": "logistic", "identity": "linear"})


def known_activations(flavor: Flavor) -> Mapping[str, str]:
    """Those that a fork knows."""
    return ORIGINAL_ACTIVATIONS if flavor == "pjreddie" else ACTIVATIONS


def checked_activations(chosen: Mapping[str, str], flavor: Flavor) -> Mapping[str, str]:
    """`chosen`, what unknown names are to mean; `ParameterError` for a known name, or a meaning that no fork knows.

    >>> dict(checked_activations({"silu": "swish"}, "alexey"))
    {'silu': 'swish'}
    """
    for name, meaning in chosen.items():
        if name in known_activations(flavor):
            raise ParameterError(
                f"activation {shown(name)} has a meaning of its own: only unknown names can be given one"
            )
        if meaning not in ACTIVATIONS:
            raise ParameterError(
                f"activation {shown(name)} cannot mean {shown(meaning)}; there is {', '.join(ACTIVATIONS)}"
            )
    return MappingProxyType(dict(chosen))
