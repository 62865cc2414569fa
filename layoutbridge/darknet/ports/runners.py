"""What runs a whole network: the float64 reference, and every target, by name.

Each runner takes a network, its parameters and x [N, C, H, W] (or [N, K]), and returns the outputs as Darknet holds
them: [N, C, H, W], or [N, K] where a layer is flat; of every layer, or of the last one alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ShapeError, UnknownNameError

Run = Callable[[Network, Arrays, NDArray[Any], bool], list[NDArray[Any]]]
FLOAT32, WINOGRAD, FLOAT16 = 5e-5, 1e-4, 2e-2  # what a right port stays within, as shares of a layer's largest value


@dataclass(frozen=True, slots=True)
class Runner:
    """How a target is run: `package` is the distribution whose version tells it, `tolerance` its arithmetic's."""

    run: Run
    package: str
    tolerance: float = FLOAT32


def runner_named(name: str, *, with_reference: bool = True) -> Runner:
    """The one called `name`, or by an alias; raises `UnknownNameError` with the names there are.

    >>> runner_named("tensorflow") is TARGETS["keras"]
    True
    """
    known = ALIASES.get(name, name)
    runners = ({"reference": REFERENCE} if with_reference else {}) | TARGETS | FORMS
    if known not in runners:
        kind = "framework" if with_reference else "target"
        raise UnknownNameError(f"no {kind} is called {name!r}; there is {', '.join(runners)}")
    return runners[known]


def checked_input(network: Network, x: NDArray[Any]) -> NDArray[Any]:
    """x as an array; raises `ShapeError` where it is not [N, *in_shape] of real numbers with N of at least 1."""
    array = np.asarray(x)
    if array.ndim == 0 or array.shape[1:] != network.in_shape or array.shape[0] < 1:
        wanted = ", ".join(map(str, network.in_shape))
        raise ShapeError(f"the input must be [N, {wanted}], not {list(array.shape)}")
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"the input must hold real numbers, not {array.dtype}")
    return array


def _reference(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
    from layoutbridge.darknet.reference import forward

    return forward(network, parameters, x, every_layer=every_layer)


def _onnx(**options: Any) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        from layoutbridge.darknet.ports.onnx import run_onnx

        return run_onnx(network, parameters, x, every_layer, **options)

    return run


def _torch(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
    from layoutbridge.darknet.ports.torch import run_torch

    return run_torch(network, parameters, x, every_layer)


def _keras(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
    from layoutbridge.darknet.ports.keras import run_keras

    return run_keras(network, parameters, x, every_layer)


def _tflite(**options: Any) -> Run:
    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        from layoutbridge.darknet.ports.keras import run_litert

        return run_litert(network, parameters, x, every_layer, **options)

    return run


def _ncnn(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
    from layoutbridge.darknet.ports.ncnn import run_ncnn

    return run_ncnn(network, parameters, x, every_layer)


REFERENCE = Runner(_reference, "numpy")
TARGETS: dict[str, Runner] = {
    "onnx": Runner(_onnx(), "onnxruntime"),
    "torch": Runner(_torch, "torch"),
    "keras": Runner(_keras, "keras"),
    "tflite": Runner(_tflite(), "ai-edge-litert"),
    "ncnn": Runner(_ncnn, "ncnn", WINOGRAD),  # which takes Winograd's form by itself
}
FORMS: dict[str, Runner] = {
    "onnx-half": Runner(_onnx(half=True), "onnxruntime", FLOAT16),
    "onnx-winograd": Runner(_onnx(winograd=True), "onnxruntime", WINOGRAD),
    "tflite-half": Runner(_tflite(half=True), "ai-edge-litert", FLOAT16),
}
ALIASES = {"tensorflow": "keras", "pytorch": "torch", "litert": "tflite"}
