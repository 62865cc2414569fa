"""Which layers' outputs an exported network returns: one choice for every target.

head                    what is returned
----------------------  -----------------------------------------------------------------
darknet                 what each detection layer outputs; of a classifier, the last layer
raw                     what goes into these, before the logistic or the softmax
boxes, yolov5, yolov8   one tensor of boxes, made of all detection layers (`darknet.meaning.boxes`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Generic

from layoutbridge.darknet.detection.boxes import head_layers
from layoutbridge.darknet.meaning.boxes import Suppression, append_head
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS, HEADS
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.kinds import Softmax
from layoutbridge.darknet.structure.model import Network
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.errors import ParameterError, UnknownNameError, shown
from layoutbridge.frameworks.base import check_count
from layoutbridge.frameworks.primitives import Target, V

_MOST_STEPS = 10_000  # of a sequence, each written out where a target has no loop for a layer
INPUT = -1  # as in `Layer.inputs`


def output_layers(network: Network, head: str = "darknet") -> tuple[int, ...]:
    """The layers whose outputs `head` consists of, or its boxes are made of; -1 is the network's input.

    Each stands once, in the network's order of detection layers. Raises `UnknownNameError` for a head, and for boxes
    `UnsupportedError` as `boxes.head_layers` does.

    >>> from layoutbridge.darknet.reading.build import build_network
    >>> from layoutbridge.darknet.reading.cfg import parse_cfg
    >>> cfg = "[net]\\nwidth=4\\nheight=4\\nchannels=8\\n[reorg]\\nstride=2\\n[softmax]\\n"
    >>> sections, warnings = parse_cfg(cfg, source="net.cfg", flavor="alexey")
    >>> network = build_network(sections, flavor="alexey", warnings=warnings)
    >>> output_layers(network), output_layers(network, "raw")
    ((1,), (0,))
    """
    check_head(head)
    if head in HEAD_LAYOUTS:
        return tuple(layer.index for layer in head_layers(network))
    chosen = [layer.index for layer in network.layers if isinstance(layer.settings, Head)] or [len(network.layers) - 1]
    if head == "raw":
        chosen = [_before(network, index) for index in chosen]
    return tuple(dict.fromkeys(chosen))


def is_classifier(network: Network) -> bool:
    """Whether the network takes a picture and gives a number a class: it has no detection layer, and ends flat."""
    if len(network.in_shape) != 3 or not network.layers:
        return False
    shape = network.layers[-1].out_shape
    return prod(shape) == shape[0] and not any(isinstance(layer.settings, Head) for layer in network.layers)


def class_tree(network: Network) -> SoftmaxTree | None:
    """The tree of its classes, that of the last softmax, as in Darknet; None without one."""
    last = next((layer.settings for layer in reversed(network.layers) if isinstance(layer.settings, Softmax)), None)
    return None if last is None else last.tree


@dataclass(frozen=True, slots=True)
class Output(Generic[V]):
    """An output of an exported network: `layer` is whose it is (-1: the input's), None where it is made of several."""

    name: str
    value: V
    layer: int | None = None


def layer_output(network: Network, x: V, values: Sequence[V], index: int) -> Output[V]:
    """The output of layer `index` of all layers' `values`; of the input `x` at -1."""
    return Output(output_name(network, index), x if index == INPUT else values[index], index)


def head_outputs(
    target: Target[V],
    network: Network,
    x: V,
    values: Sequence[V],
    head: str,
    *,
    nms: Suppression | None = None,
    in_shares: bool = False,
) -> list[Output[V]]:
    """What `head` gives, in order: values of layers, or boxes, which are added to the graph; with `nms` those kept.

    `values` are all layers' outputs for the input `x`; `in_shares` is as for `meaning.boxes.append_head`. Raises as
    that and `output_layers` do.
    """
    if head not in HEAD_LAYOUTS:
        return [layer_output(network, x, values, index) for index in output_layers(network, head)]
    boxes, kept = append_head(target, network, values, head, nms, in_shares=in_shares)
    return [Output(head, boxes), *([] if kept is None else [Output("nms", kept)])]


def last_is_output(network: Network) -> bool:
    """Whether the last layer is among the outputs of the head `darknet`; not where detection layers come before it."""
    return len(network.layers) - 1 in output_layers(network)


def output_name(network: Network, index: int) -> str:
    """What the output of layer `index` is called: the layer's name, or `input_copy` for the input, -1."""
    return "input_copy" if index == INPUT else network.layers[index].name


def check_head(head: str) -> None:
    """Raise `UnknownNameError` for a head that there is not."""
    if head not in HEADS:
        raise UnknownNameError(f"no head is called {shown(head)}; there is {', '.join(HEADS)}")


def check_steps(network: Network, steps: int | None) -> None:
    """Raise `ParameterError` for `steps` of a network that has no recurrent layers, or that are no number above 0."""
    if steps is None:
        return
    check_count("steps", steps, most=_MOST_STEPS)
    if not network.has_steps:
        raise ParameterError(
            f"steps={steps} is for recurrent networks, and {network.source} has no recurrent layer: give the steps "
            "as a batch"
        )


def _before(network: Network, index: int) -> int:
    """The layer whose output is the raw input of the head `index`; of a network without a head, its own last one."""
    layer = network.layers[index]
    if isinstance(layer.settings, Head):
        return layer.inputs[0]
    while index >= 0 and network.layers[index].settings.follows_scores:
        index = network.layers[index].inputs[0]
    return index
