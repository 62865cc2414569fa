"""Whether a file that was just written gives what the network gives: both are run on one random picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layoutbridge.darknet.detection.boxes import decode, head_layers
from layoutbridge.darknet.detectors.answers import answer_of, output_map
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.detectors.opened import Opened, Outputs
from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.check import deviation_of, largest_of
from layoutbridge.darknet.ports.outputs import output_layers, output_name
from layoutbridge.darknet.ports.port import FLOAT32, refuse_costly_run
from layoutbridge.darknet.ports.records.halves import Settings
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import MissingFrameworkError, UnsupportedError, UnusableInputError

_LARGEST = 1e30  # where float32 ends soon
_ROUNDINGS = 4  # as much as this times what float32 alone does to the reference is no fault
_PLACE = 4  # numbers of a row that say where the box is


@dataclass(frozen=True, slots=True)
class WrittenCheck:
    """How far a file's outputs lie from the float64 reference's, as a share of the largest value; None if not run.

    `reason` says why it was not run. `tolerance` is what a right port stays within.
    """

    deviation: float | None
    tolerance: float
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the file is right, as far as is known; NaN is not."""
        return self.deviation is None or self.deviation <= self.tolerance


def check_written(
    path: str | os.PathLike[str],
    network: Network,
    parameters: Arrays,
    head: str = "darknet",
    *,
    tolerance: float = FLOAT32,
    open_size: bool = False,
) -> WrittenCheck:
    """Run the file at `path`, written of `network` with this `head`, and the reference, on one random picture.

    With `open_size` the file leaves the size of pictures open: it is run at the network's own.

    Boxes of any head are compared as Darknet has them, other outputs as they are. What cannot be run here (no runtime,
    states, no picture) is told in the answer; `OSError` for a file that cannot be read.
    """
    if network.states:
        return WrittenCheck(None, tolerance, "it has states: layoutbridge check runs it step by step")
    try:
        wanted = reference_results(network, parameters, head)
        size = (network.width, network.height) if open_size else None
        deviation = deviation_of_opened(open_file(path, size=size), network, head, wanted)
        if not deviation <= tolerance:
            rounded = reference_results(network, parameters, head, np.float32)
            tolerance = max(tolerance, _ROUNDINGS * _deviation(rounded, wanted))
    except (UnsupportedError, UnusableInputError, MissingFrameworkError) as error:
        return WrittenCheck(None, tolerance, str(error))
    return WrittenCheck(deviation, tolerance)


def reference_results(
    network: Network, parameters: Arrays, head: str, dtype: DTypeLike = np.float64
) -> list[NDArray[np.float64]]:
    """What a file with this `head` is compared with: the reference's results for the random picture.

    Raises `UnusableInputError` for a network whose layers take too much memory.
    """
    refuse_costly_run(network)
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that nobody trained
        return _of_reference(network, forward(network, parameters, _picture(network), dtype=dtype), head)


def deviation_of_file(
    path: str | os.PathLike[str],
    network: Network,
    head: str,
    wanted: Sequence[NDArray[np.float64]],
    settings: Settings | None = None,
) -> float:
    """How far what the file at `path` gives lies from `reference_results`. Raises as `open_file` and runs do."""
    return deviation_of_opened(open_file(path, settings=settings), network, head, wanted)


def deviation_of_opened(opened: Opened, network: Network, head: str, wanted: Sequence[NDArray[np.float64]]) -> float:
    """The same of a model that is open already."""
    outputs = opened.outputs(_picture(network))
    with np.errstate(over="ignore", invalid="ignore"):
        return _deviation(_of_file(opened, network, outputs, head), wanted)


def _picture(network: Network) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((1, *network.in_shape), np.float32)


def _deviation(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> float:
    """The largest difference, as a share of the largest value of its own array."""
    return max(
        deviation_of(one.reshape(other.shape) if one.size == other.size else one, other, largest_of(other))
        for one, other in zip(found, wanted, strict=True)
    )


def _of_reference(network: Network, layers: Sequence[NDArray[Any]], head: str) -> list[NDArray[np.float64]]:
    """What is compared, of all layers' outputs: rows of boxes, or of networks that have none the outputs themselves."""
    heads = _detection_layers(network)
    if heads:
        return _columns(decode(network, {layer.index: layers[layer.index] for layer in heads}), head)
    return [np.asarray(layers[index], np.float64) for index in output_layers(network, head)]


def _of_file(opened: Opened, network: Network, outputs: Outputs, head: str) -> list[NDArray[np.float64]]:
    """The same, of the outputs of the file."""
    if _detection_layers(network):
        return _columns(answer_of(opened, network).read(outputs), head)
    indices = output_layers(network, head)
    names = [output_name(network, index) for index in indices]
    found = [outputs[name] for name in names] if {*names} <= {*outputs} else list(outputs.values())[: len(names)]
    shapes = [network.shape_of(index) for index in indices]
    return [output_map(*both, opened).astype(np.float64) for both in zip(found, shapes, strict=True)]


def _detection_layers(network: Network) -> tuple[Layer, ...]:
    try:
        return head_layers(network)
    except UnsupportedError:
        return ()


def _columns(rows: NDArray[np.float32], head: str) -> list[NDArray[np.float64]]:
    """Places, and scores behind them; only with Darknet's own heads is objectness what `decode` calls so. Of
    those for DeepStream the largest score alone.

    Values over 1 go by their logarithm: a size is the exponential of what the network computes, and so is its error.
    """
    wide = np.clip(rows.astype(np.float64), -_LARGEST, _LARGEST)
    tamed = np.where(np.abs(wide) > 1, np.sign(wide) * (1 + np.log(np.maximum(np.abs(wide), 1))), wide)
    if head == "deepstream":
        return [tamed[..., :_PLACE], tamed[..., _PLACE + 1 :].max(axis=-1, initial=-_LARGEST)]
    return [tamed[..., :_PLACE], tamed[..., _PLACE + (head in ("yolov5", "yolov8")) :]]
