"""The structure of a Darknet network: plain, immutable data that every stage reads and none changes.

`reading.build` makes it from a cfg file's sections. A shape is (C, H, W), or (K,) where Darknet holds a flat vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.noted import NO_WARNINGS, Warnings
from layoutbridge.darknet.structure.recurrent import History, Recurrent
from layoutbridge.darknet.structure.settings import Settings

Shape = tuple[int, ...]
_STATISTICS = ("means", "variances")  # parameters that Darknet collects while it trains; they are not trained


def is_statistic(parameter: str) -> bool:
    """Whether a parameter of this name is collected in training and not trained: a mean or a variance.

    >>> is_statistic("variances"), is_statistic("input_means"), is_statistic("biases")
    (True, True, False)
    """
    return parameter.rpartition("_")[2] in _STATISTICS


def place_in(source: str, line: int) -> str:
    """The beginning of an error about a line of a cfg file.

    >>> place_in("net.cfg", 3)
    'net.cfg, line 3'
    """
    return f"{source}, line {line}"


@dataclass(frozen=True, slots=True)
class Option:
    """One `key=value` line; `note` is what stood behind the value from the first # or ; on.

    `value` has no white space, as in Darknet; `spaced` says that some stood between two numbers.
    """

    key: str
    value: str
    line: int
    note: str = ""
    spaced: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a cfg file: its kind without brackets and aliases resolved, and its options by key.

    `kind` is empty where the fork knows no such section; `faults` are the errors in the section's own line, if any.
    """

    kind: str
    written: str
    line: int
    source: str
    options: Mapping[str, Option]
    faults: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The beginning of an error about it: file, line and section."""
        return self.where_at(self.line)

    def where_at(self, line: int) -> str:
        """The same for a line within it."""
        return f"{place_in(self.source, line)}: [{self.written}]"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One float32 array of a layer.

    `leading` is how many entries of the first axis the weights file holds (all, none, or `numload`); the others are
    `fill`. `flipped` marks weights whose file order is [C·size·size, filters], `may_be_flipped` those for which
    the file's header says so. `shared_with` is the layer whose array it is, or None.
    """

    name: str
    shape: Shape
    leading: int
    fill: float = 0.0
    flipped: bool = False
    shared_with: int | None = None
    may_be_flipped: bool = False

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def stored(self) -> int:
        """How many values the weights file holds of it."""
        return self.leading * prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class State:
    """What a recurrent layer carries from step to step, zeros at first: a name within its layer, and the shape."""

    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. `inputs` are layer indices, -1 is the network's input; `settings` say of what kind it is, and more.

    A recurrent one carries `states` and consists of `parts`, layers too, each called `part` within the layer of kind
    `part_of`. Parts have no place of their own in the network: their parameters stand among the whole layer's.
    """

    index: int
    line: int
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    settings: Settings
    parameters: tuple[Parameter, ...] = ()
    states: tuple[State, ...] = ()
    parts: tuple[Layer, ...] = ()
    part: str = ""
    part_of: str = ""

    @property
    def kind(self) -> str:
        """Darknet's name of its kind, without aliases."""
        return self.settings.kind

    @property
    def name(self) -> str:
        """Its index and kind, as in `27_reorg`; of a part as in `3_rnn/input`."""
        return f"{self.index}_{self.part_of}/{self.part}" if self.part else f"{self.index}_{self.kind}"

    def key(self, parameter: str) -> str:
        """What a parameter is called in the whole layer: `input_biases` for the biases of the part `input`."""
        return f"{self.part}_{parameter}" if self.part else parameter

    def part_called(self, name: str) -> Layer:
        """The part of that name; `KeyError` where it has none."""
        return {part.part: part for part in self.parts}[name]

    @property
    def in_shape(self) -> Shape:
        """The shape of its first input."""
        return self.in_shapes[0]

    @property
    def parameter_count(self) -> int:
        """How many parameters are its own; those shared with another layer are counted there."""
        return sum(p.size for p in self.parameters if p.shared_with is None)


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network, its layers in order.

    `in_shape` is (C, H, W), or (K,) where the cfg gives `inputs` alone. `letterbox` is the fork's `letter_box` of
    [net]. `upto` is set where the cfg has more layers than these. `warnings` are one line each. `activations`
    are names that Darknet does not know and what they were chosen to mean.
    """

    flavor: Flavor
    source: str
    in_shape: Shape
    layers: tuple[Layer, ...]
    letterbox: bool = False
    upto: int | None = None
    warnings: Warnings = NO_WARNINGS
    activations: tuple[tuple[str, str], ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the input (its length where it is flat)."""
        return self.in_shape[0]

    @property
    def height(self) -> int:
        """Height of the input, 1 where it is flat."""
        return self.in_shape[1] if len(self.in_shape) == 3 else 1

    @property
    def width(self) -> int:
        """Width of the input, 1 where it is flat."""
        return self.in_shape[2] if len(self.in_shape) == 3 else 1

    @property
    def parameter_count(self) -> int:
        """How many parameters all layers have, shared ones once."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def states(self) -> tuple[tuple[Layer, State], ...]:
        """Every state of the recurrent layers, in order."""
        return tuple((layer, state) for layer in self.layers for state in layer.states)

    @property
    def has_steps(self) -> bool:
        """Whether a sequence is more to it than a batch: a layer looks at other steps."""
        return any(isinstance(layer.settings, (Recurrent, History)) for layer in self.layers)

    def shape_of(self, index: int) -> Shape:
        """The output shape of layer `index`; of the network's input at -1."""
        return self.in_shape if index == -1 else self.layers[index].out_shape

    def where(self, layer: Layer) -> str:
        """The beginning of an error about a layer: the cfg file and the line."""
        return place_in(self.source, layer.line)
