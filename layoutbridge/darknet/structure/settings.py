"""What the settings of several kinds of layers share.

A kind of layer is a frozen dataclass (`kinds`, `heads`). Its fields are what the cfg says of one layer after defaults,
flavour and Darknet's own rules were applied; its class variables are what holds of every layer of the kind, so that no
other module lists kinds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, TypeVar

from layoutbridge.darknet.structure.choices import FLAVORS, Flavor
from layoutbridge.inputs import read_json

Range = tuple[int, int]  # first, last + 1

_TREE = ("parents", "sizes", "names")
_LONGEST_TREE = 8 << 20  # characters
_DIVIDED_BY_CHANNELS = "normalize_channels"  # how activations begin that divide by a sum over the channels


def words(text: str) -> frozenset[str]:
    """The words of a text, for lists of options."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one layer: what every kind has.

    >>> from layoutbridge.darknet.structure.kinds import Upsample
    >>> settings = Upsample(stride=2, reverse=False, scale=1.0)
    >>> settings.kind, settings.strides, settings.options()
    ('upsample', (2, 2), {'stride': 2, 'reverse': False, 'scale': 1.0})
    """

    kind: ClassVar[str] = ""  # Darknet's name of the section; a base of several kinds has none
    aliases: ClassVar[tuple[str, ...]] = ()  # what else the section may be called
    flavors: ClassVar[tuple[Flavor, ...]] = FLAVORS  # the forks that know the section
    short_name: ClassVar[str] = ""  # on a terminal, where Darknet's own table has a shorter one
    training_options: ClassVar[frozenset[str]] = frozenset()  # read by Darknet, and nothing outside training
    has_filters: ClassVar[bool] = False  # whether its output's channels are filters of its own
    follows_scores: ClassVar[bool] = False  # whether it may stand behind a classifier's raw scores
    sums_many: ClassVar[bool] = False  # or ends a network: what the 11 bits of float16 cannot hold

    @property
    def window(self) -> int | None:
        """The side of the windows that it looks at, None where it looks at none."""
        return None

    @property
    def strides(self) -> tuple[int, int] | None:
        """Its strides along the width and the height, None where it has none."""
        return None

    @property
    def in_float32(self) -> bool:
        """Whether all of it is computed in float32 where other layers are in float16.

        Sums of squares and of many values, what ends a network, and batch norm by itself: float16 holds 11 bits and
        nothing beyond 65504. A maximum, a copy or a convolution (whose sums runtimes keep in float32) needs no more.
        """
        return self.sums_many

    @property
    def activation_in_float32(self) -> bool:
        """Whether what follows its own product or sum is computed in float32 where other layers are in float16."""
        return False

    def options(self) -> dict[str, object]:
        """Its fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated(Settings):
    """A layer that ends in an activation: one of `reading.activations`."""

    # What the main fork gives 0 for there: its loop over an array (activations.c) does not know them.
    zeroed: ClassVar[frozenset[str]] = words(
        "swish mish hard_mish relu6 normalize_channels normalize_channels_softmax normalize_channels_softmax_maxval"
    )

    activation: str

    @property
    def activation_in_float32(self) -> bool:
        """Whether its activation divides by a sum over the channels."""
        return self.activation.startswith(_DIVIDED_BY_CHANNELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizable(Activated):
    """A layer with weights that batch norm may follow, before the activation; without it the biases are added.

    scales·(x − means)/d + biases, where d = sqrt(variances) + 0.000001 under flavor "pjreddie" and
    sqrt(variances + 0.00001) under "alexey" (`Network.flavor`). Parameters stand in the order of the weights file.
    Names: biases, scales, means, variances, weights.
    """

    batch_normalize: bool
    shared_with: int | None = None  # the layer whose parameters are used; they stand under both indices


@dataclass(frozen=True, slots=True)
class Blur:
    """The depthwise blur of an antialiased layer, after its activation; the layer's own strides are 1 then.

    `size` is 3 (1 2 1 both ways over 16, with one zero around) or 2 (the mean of four, without).
    """

    size: int
    stride_x: int
    stride_y: int

    @property
    def padding(self) -> int:
        """Zeros on each of the four sides."""
        return 1 if self.size == 3 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed(Settings):
    """A layer over windows without weights.

    `padding` is the cfg's, both sides together; what comes of it are the four others: bottom and right may be negative,
    rows and columns that no window reaches.
    """

    size: int
    stride_x: int
    stride_y: int
    padding: int
    padding_top: int
    padding_left: int
    padding_bottom: int
    padding_right: int

    @property
    def window(self) -> int:
        """The side of its windows."""
        return self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Its strides along the width and the height."""
        return self.stride_x, self.stride_y


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving(Settings):
    """A layer that moves elements and computes nothing; the result is viewed as the layer's out_shape.

    `operation` is the catalogue's name of the permutation, None where `extra` appends that many zeros to the flat
    values and nothing moves.
    """

    stride: int
    reverse: bool
    flatten: bool
    extra: int
    operation: str | None

    @property
    def strides(self) -> tuple[int, int]:
        """Its stride, both ways."""
        return self.stride, self.stride


@dataclass(frozen=True, slots=True)
class SoftmaxTree:
    """A tree of classes: the `sizes` of the groups in order, each with its own softmax; a parent for each class."""

    parents: tuple[int, ...]
    sizes: tuple[int, ...]
    names: tuple[str, ...]

    def to_json(self) -> str:
        """The tree as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SoftmaxTree:
        """The tree that `to_json` wrote; raises `ValueError` for any other text.

        >>> tree = SoftmaxTree((-1, -1, 0), (2, 1), ("animal", "car", "dog"))
        >>> SoftmaxTree.from_json(tree.to_json()) == tree
        True
        """
        read = read_json(text, longest=_LONGEST_TREE)
        if not isinstance(read, dict) or read.keys() != {*_TREE}:
            raise ValueError("this is no tree of classes")
        parents, sizes, names = (tuple(one) if isinstance(one := read[name], list) else one for name in _TREE)
        check_tree(parents, sizes)
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError("the names of its classes are no texts")
        if not len(parents) == sum(sizes) == len(names):
            raise ValueError(
                f"its tree has {len(parents):,} classes in groups of {sum(sizes):,}, and {len(names):,} names"
            )
        return cls(parents, sizes, names)


def check_tree(parents: object, sizes: object) -> None:
    """Raise `ValueError` for what no file of a tree makes: parents of classes, and sizes of their groups in order."""
    if not isinstance(parents, tuple) or not isinstance(sizes, tuple):
        raise ValueError("a tree is two lists")
    if not all(is_whole(parent, -1, index - 1) for index, parent in enumerate(parents)):
        raise ValueError("a parent in its tree is not above its class")
    if not all(is_whole(size, 1, len(parents)) for size in sizes):
        raise ValueError(f"a group in its tree has not from 1 to {len(parents):,} classes")
    start = 0
    for size in sizes:
        if len(set(parents[start : start + size])) > 1:
            raise ValueError("a group in its tree has several parents")
        start += size


def is_whole(value: object, least: int, most: int) -> bool:
    """Whether `value` is a whole number, no truth value, from `least` to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
