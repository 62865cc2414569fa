"""What files find in the pictures, in float32 and in int8, and how far their layers lie apart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import head_layers
from layoutbridge.darknet.detectors.answers import answer_of, output_map
from layoutbridge.darknet.detectors.detector import Detector
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.detectors.opened import Outputs
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.outputs import is_classifier
from layoutbridge.darknet.quantization.changes import SCORE, Changes, changed_boxes, changed_classes
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.rounding import loss

_BOX = 5
_TOGETHER = 16  # pictures that a file is run on at a time


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares files of one network with its file in float32, over the same pictures [N, C, H, W]."""

    net: DarknetNetwork
    pictures: NDArray[np.float32]
    detector: Detector | None
    wanted: NDArray[np.float32]

    @staticmethod
    def of(net: DarknetNetwork, path: str | os.PathLike[str], pictures: NDArray[np.float32], target: str) -> Judge:
        """One that measures by the float32 file at `path`, of the head `darknet`."""
        try:
            head_layers(net.network)
            detector = Detector(net, framework=target)
        except UnsupportedError:
            detector = None
        judge = Judge(net, pictures, detector, np.zeros(0, np.float32))
        return replace(judge, wanted=judge.numbers(path))

    def numbers(self, path: str | os.PathLike[str]) -> NDArray[np.float32]:
        """What a file says of the pictures: rows of boxes [N, boxes, 5 + classes], or its first output [N, K]."""
        opened = open_file(path)
        made = []
        for start in range(0, len(self.pictures), _TOGETHER):
            outputs = opened.outputs(self.pictures[start : start + _TOGETHER])
            if self.detector is not None:
                made.append(answer_of(opened, self.net.network).read(outputs))
            else:
                first = next(iter(outputs.values()))
                made.append(np.asarray(first, np.float32).reshape(len(first), -1))
        return np.concatenate(made)

    def changes(self, path: str | os.PathLike[str]) -> Changes:
        """What the file at `path` finds otherwise."""
        found = self.numbers(path)
        if self.detector is not None:
            kept = [self._kept(rows) for rows in (self.wanted, found)]
            error = loss(found[..., _BOX:], self.wanted[..., _BOX:])
            return replace(changed_boxes(*kept), error=error)
        error = loss(found, self.wanted)
        if is_classifier(self.net.network):
            return replace(changed_classes(self.wanted, found), error=error)
        return Changes("nothing", error=error)

    def _kept(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What counts of each picture's rows, in shares of the network's input: the same for both files."""
        assert self.detector is not None
        size = self.detector.size
        return [self.detector.kept(one, size, confidence=SCORE, letterbox=False) for one in rows]


@dataclass(frozen=True, slots=True)
class LayerLoss:
    """How far a layer's output lies from that in float32: `loss` as a share of it (`rounding.loss`).

    `in_float` says whether it is not rounded itself; what comes before it may be.
    """

    index: int
    name: str
    line: int
    loss: float
    in_float: bool

    @property
    def decibels(self) -> float:
        """The same as a signal-to-noise ratio."""
        return float(-20 * np.log10(max(self.loss, 1e-9)))


def layer_losses(
    net: DarknetNetwork,
    exact: str | os.PathLike[str],
    rounded: str | os.PathLike[str],
    pictures: NDArray[np.float32],
    in_float: frozenset[int],
) -> tuple[LayerLoss, ...]:
    """Those of all layers, by two files that give every layer's output."""
    wanted, found = (_outputs(net, path, pictures) for path in (exact, rounded))
    return tuple(
        LayerLoss(
            layer.index, layer.name, layer.line, loss(found[layer.name], wanted[layer.name]), layer.index in in_float
        )
        for layer in net.layers
    )


def _outputs(
    net: DarknetNetwork, path: str | os.PathLike[str], pictures: NDArray[np.float32]
) -> Mapping[str, NDArray[np.float32]]:
    opened = open_file(path)
    parts: list[Outputs] = [opened.outputs(picture[None]) for picture in pictures]
    return {
        layer.name: np.concatenate([output_map(part[layer.name], layer.out_shape, opened) for part in parts])
        for layer in net.layers
    }
