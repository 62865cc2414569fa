"""The least time that a network can take on a machine: what it must multiply and move, at the peak of both.

So that one sees what is left: a form that takes twice that time leaves half of the machine unused. Weights are read
once a picture, and layers that multiply read their input and write their output once; all others are taken to be done
with these, and nothing waits for anything. A small network that stays in the caches moves less.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from layoutbridge.darknet.benchmarking.peaks import Peak
from layoutbridge.darknet.networks.summary import count_flops
from layoutbridge.darknet.structure.kinds import Connected, Convolutional, Deconvolutional, Local
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.frameworks.onnx.programs.forms import PLAIN
from layoutbridge.frameworks.primitives import Shape
from layoutbridge.frameworks.winograd import Tile, best_tile, products_of, tiles_over

_FLOAT = 4
_MULTIPLYING = (Convolutional, Connected, Deconvolutional, Local)


@dataclass(frozen=True, slots=True)
class Work:
    """What one picture takes: multiplications (each with its addition) of the direct algorithm and with Winograd's
    form in the layers where the ONNX export has it; bytes of float32 weights and activations.
    """

    direct: int
    winograd: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Roofline:
    """The work of a network, the peak of the machine, and the least seconds that these make of a picture."""

    work: Work
    peak: Peak

    @property
    def direct_seconds(self) -> float:
        """At least so long takes the direct algorithm."""
        return max(self.work.direct / self.peak.multiplications, self.moving_seconds)

    @property
    def winograd_seconds(self) -> float:
        """At least so long takes Winograd's form, its transforms left out."""
        return max(self.work.winograd / self.peak.multiplications, self.moving_seconds)

    def shares(self, seconds: float | None) -> tuple[float | None, float | None]:
        """The least time of the direct algorithm and of Winograd's form, as shares of `seconds`; over 1 it was beaten.

        A runtime beats the direct algorithm's with another one, Winograd's for example.
        """
        if not seconds:
            return None, None
        return self.direct_seconds / seconds, self.winograd_seconds / seconds

    def to_dict(self) -> dict[str, Any]:
        """What JSON takes."""
        least = {"direct_seconds": self.direct_seconds, "winograd_seconds": self.winograd_seconds}
        return asdict(self) | least | {"moving_seconds": self.moving_seconds}

    @property
    def moving_seconds(self) -> float:
        """At least so long takes moving weights and activations."""
        return self.work.bytes / self.peak.bytes


def work_of(network: Network) -> Work:
    """What one picture takes; of a network with a state, one step.

    >>> from layoutbridge.darknet import load
    >>> work = work_of(load("fixtures/nets/alexey/classifier/net.cfg").network)
    >>> work.direct >= work.winograd > 0, work.bytes > 1000
    (True, True)
    """
    direct = sum(map(_multiplications, network.layers))
    spared = sum(_spared(layer) for layer in network.layers)
    weights = sum(layer.parameter_count for layer in network.layers)
    multiplying = [layer for layer in network.layers if _multiplications(layer)]
    values = sum(prod(layer.in_shape) + prod(layer.out_shape) for layer in multiplying)
    return Work(direct, direct - spared, _FLOAT * (weights + values))


def _multiplications(layer: Layer) -> int:
    if layer.parts:
        return sum(map(_multiplications, layer.parts))
    return count_flops(layer) // 2 if isinstance(layer.settings, _MULTIPLYING) else 0


def _spared(layer: Layer) -> int:
    """Multiplications fewer than the direct algorithm's."""
    tile = winograd_tile(layer)
    if tile is None:
        return 0
    (filters, channels, rows, columns), lengths = _weights(layer), layer.out_shape[1:]
    products = prod(tiles_over(lengths, tile)) * products_of(tile)
    return max(0, filters * channels * (prod(lengths) * rows * columns - products))


def winograd_tile(layer: Layer) -> Tile | None:
    """Outputs of a tile, down and across, in the Winograd form that the ONNX export chooses for it; None: direct."""
    settings = layer.settings
    if not isinstance(settings, Convolutional) or settings.antialiasing is not None:
        return None
    if (settings.stride_x, settings.stride_y, settings.dilation, settings.groups) != (1, 1, 1, 1):
        return None
    return best_tile(_weights(layer), layer.out_shape, PLAIN.winograd)


def _weights(layer: Layer) -> Shape:
    return next(parameter.shape for parameter in layer.parameters if parameter.name == "weights")
