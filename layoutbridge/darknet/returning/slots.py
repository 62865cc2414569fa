"""What a network wants: a slot for each layer, or part of a recurrent one, that the weights file has numbers of."""

from __future__ import annotations

from dataclasses import dataclass

from layoutbridge.darknet.structure.kinds import Batchnorm, Connected, Convolutional, Deconvolutional, Local
from layoutbridge.darknet.structure.model import Layer, Network, Parameter, Shape

_PRODUCTS = (Convolutional, Deconvolutional, Connected, Local, Batchnorm)


@dataclass(frozen=True, slots=True)
class Slot:
    """A layer, or a part of one, with parameters of its own."""

    layer: Layer

    @property
    def name(self) -> str:
        """The layer's, as `3_rnn/input` of a part."""
        return self.layer.name

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Its parameters by their names within it."""
        return {parameter.name: parameter for parameter in self.layer.parameters}

    @property
    def normalized(self) -> bool:
        """Whether the weights file has a batch norm of it."""
        return "variances" in self.parameters

    @property
    def shape(self) -> Shape:
        """That of its weights; of a batch norm alone its channels."""
        held = self.parameters
        return held["weights" if "weights" in held else "scales"].shape

    @property
    def is_product(self) -> bool:
        """Whether a layer with weights of the other framework stands for it, not a lone tensor."""
        return isinstance(self.layer.settings, _PRODUCTS)

    @property
    def is_binary(self) -> bool:
        """Whether it computes with the signs of its weights alone."""
        return isinstance(self.layer.settings, Convolutional) and self.layer.settings.xnor

    def key(self, parameter: str) -> tuple[int, str]:
        """Where a parameter stands among the network's."""
        return self.layer.index, self.layer.key(parameter)


def slots_of(network: Network) -> tuple[Slot, ...]:
    """The slots in the order of the weights file; layers that use another's parameters have none.

    >>> from layoutbridge.darknet.networks.network import load
    >>> net = load("fixtures/recurrent/pjreddie/rnn/net.cfg", flavor="pjreddie")
    >>> [(slot.name, slot.shape) for slot in slots_of(net.network)][-2:]
    [('1_rnn/output', (7, 7)), ('2_connected', (5, 7))]
    """
    found = []
    for layer in network.layers:
        for part in layer.parts or (layer,):
            if part.parameters and all(parameter.shared_with is None for parameter in part.parameters):
                found.append(Slot(part))
    return tuple(found)
