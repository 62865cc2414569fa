"""Whether a file that was just written gives what the network gives: both are run on one random picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import decode, head_layers
from layoutbridge.darknet.detectors.answers import answer_of, output_map
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.detectors.opened import Opened, Outputs
from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.check import deviation_of, largest_of
from layoutbridge.darknet.ports.outputs import output_layers, output_name
from layoutbridge.darknet.ports.port import FLOAT32, refuse_costly_run
from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import MissingFrameworkError, UnsupportedError, UnusableInputError

Layers = Sequence[NDArray[np.float64]]
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
) -> WrittenCheck:
    """Run the file at `path`, written of `network` with this `head`, and the reference, on one random picture.

    Boxes of any head are compared as Darknet has them, other outputs as they are. What cannot be run here (no runtime,
    sizes that are open, states, no picture) is told in the answer; `OSError` for a file that cannot be read.
    """
    if network.states:
        return WrittenCheck(None, tolerance, "it has states: layoutbridge check runs it step by step")
    try:
        refuse_costly_run(network)
        opened = open_file(path)
        x = np.random.default_rng(0).random((1, *network.in_shape), np.float32)
        deviation = _deviation(opened, network, opened.outputs(x), forward(network, parameters, x), head)
    except (UnsupportedError, UnusableInputError, MissingFrameworkError) as error:
        return WrittenCheck(None, tolerance, str(error))
    return WrittenCheck(deviation, tolerance)


def _deviation(opened: Opened, network: Network, outputs: Outputs, layers: Layers, head: str) -> float:
    """The largest of all outputs; of a network with detection layers that of its boxes."""
    with suppress(UnsupportedError):  # what has no detection layers
        expected = decode(network, {layer.index: layers[layer.index] for layer in head_layers(network)})
        return _of_rows(answer_of(opened, network).read(outputs), expected, head)
    indices = output_layers(network, head)
    names = [output_name(network, index) for index in indices]
    found = [outputs[name] for name in names] if {*names} <= {*outputs} else list(outputs.values())[: len(names)]
    wanted = [layers[index] for index in indices]
    held = [output_map(one, layer.shape[1:], opened) for one, layer in zip(found, wanted, strict=True)]
    return max(deviation_of(one, layer, largest_of(layer)) for one, layer in zip(held, wanted, strict=True))


def _of_rows(found: NDArray[np.float32], expected: NDArray[np.float32], head: str) -> float:
    """That of places and of scores, each as a share of its own largest; only Darknet's rows have its objectness."""
    if found.shape != expected.shape:
        return float("inf")
    columns = [slice(0, _PLACE), slice(_PLACE + (head in ("yolov5", "yolov8")), None)]
    pairs = [(found[..., part], expected[..., part].astype(np.float64)) for part in columns]
    return max(deviation_of(rows, wanted, largest_of(wanted)) for rows, wanted in pairs)
