"""The kinds of layers that there are: the settings of each, and what holds of every layer of the kind.

Those of detection layers stand in `heads`, those with a state in `recurrent`.

The definitions are those of the C sources of both forks: parser.c and the layers' own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from layoutbridge.darknet.structure import heads, recurrent
from layoutbridge.darknet.structure.settings import (
    Activated,
    Blur,
    Moving,
    Normalizable,
    Settings,
    SoftmaxTree,
    Windowed,
    words,
)

Overhang = tuple[int, int]  # rows below and columns right of the padded input that a window larger than it reaches
WeightsType = Literal["none", "per_feature", "per_channel"]
WeightsNormalization = Literal["none", "relu", "softmax"]

# ---------------------------------------------------------------------- with a weight for each connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutional(Normalizable):
    """[convolutional]: a convolution, batch norm or biases, the activation, and the blur of an antialiased layer.

    With `xnor` its weights are ±the mean magnitude of each filter and its input ±1, by their signs (0 counts as
    negative). The original pads with 0 and applies batch norm afterwards; the main fork folds batch norm into the
    weights before it takes their signs, and pads with −1.
    """

    kind = "convolutional"
    aliases = ("conv",)
    short_name = "conv"
    has_filters = True
    zeroed = words("relu6")
    training_options = words(
        "binary dot sway rotate stretch stretch_sway angle grad_centr reverse coordconv stream wait_stream "
        "assisted_excitation"
    )

    filters: int
    size: int
    stride_x: int
    stride_y: int
    padding: int  # zeros on each of the four sides, dilation included
    overhang: Overhang = (0, 0)
    dilation: int
    groups: int
    antialiasing: Blur | None
    xnor: bool = False

    @property
    def in_float32(self) -> bool:
        """Where signs count: a value that float16 rounds to 0 has lost its own."""
        return self.xnor

    @property
    def window(self) -> int:
        """The side of its filters."""
        return self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Its strides along the width and the height."""
        return self.stride_x, self.stride_y


@dataclass(frozen=True, slots=True, kw_only=True)
class Deconvolutional(Normalizable):
    """[deconvolutional], the original's: the transpose of a convolution, `padding` cropped from each side."""

    kind = "deconvolutional"
    aliases = ("deconv",)
    flavors = ("pjreddie",)
    short_name = "deconv"
    has_filters = True

    filters: int
    size: int
    stride: int
    padding: int

    @property
    def window(self) -> int:
        """The side of its filters."""
        return self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Its stride, both ways."""
        return self.stride, self.stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Normalizable):
    """[connected]: a matrix times all values of the input."""

    kind = "connected"
    aliases = ("conn",)
    has_filters = True

    output: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Local(Activated):
    """[local]: weights [H·W, filters, C·size·size] of the output's H·W places in rows; biases of the output's shape."""

    kind = "local"
    has_filters = True

    filters: int
    size: int
    stride: int
    padding: int
    overhang: Overhang = (0, 0)

    @property
    def window(self) -> int:
        """The side of its filters."""
        return self.size

    @property
    def strides(self) -> tuple[int, int]:
        """Its stride, both ways."""
        return self.stride, self.stride


# ---------------------------------------------------------------------- over windows and sizes, without weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Maxpool(Windowed):
    """[maxpool]: the largest of each window, padding never, then the blur of an antialiased layer.

    With `depth` the maximum over channels g, g + out_channels, ... instead of a window.
    """

    kind = "maxpool"
    aliases = ("max",)

    depth: bool
    out_channels: int
    antialiasing: Blur | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAvgpool(Windowed):
    """[local_avgpool], the main fork's: the mean of the places of each window that lie inside the picture."""

    kind = "local_avgpool"
    aliases = ("local_avg",)
    flavors = ("alexey",)
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Avgpool(Settings):
    """[avgpool]: the mean of each channel."""

    kind = "avgpool"
    aliases = ("avg",)
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Settings):
    """[upsample]: each place stride × stride times, or with `reverse` the sums of such blocks; times `scale`."""

    kind = "upsample"

    stride: int
    reverse: bool
    scale: float

    @property
    def strides(self) -> tuple[int, int]:
        """Its stride, both ways."""
        return self.stride, self.stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(Settings):
    """[crop]: scale·x + offset of the rows and columns from `top` and `left` on that the output has."""

    kind = "crop"
    training_options = words("flip angle saturation exposure shift")

    top: int
    left: int
    scale: float
    offset: float


# ---------------------------------------------------------------------- of other layers' outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Settings):
    """[route]: part `group_id` of `groups` of each input's channels, side by side."""

    kind = "route"
    training_options = words("stream wait_stream")

    groups: int
    group_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A shortcut of the main fork: each input adds to the first channels that it has.

    With `weights_type` "per_feature" or "per_channel" each input is multiplied by weights [inputs, 1] or [inputs, C]
    after `weights_normalization` "none", "relu" (max(w, 0.001) over eps + their sum) or "softmax" (exp(w − max) over
    eps + their sum) with eps = 0.0001.
    """

    weights_type: WeightsType
    weights_normalization: WeightsNormalization


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledSum:
    """A shortcut of the original: alpha·x + beta·other in the `overlap` (C, H, W), x alone outside it.

    Every `step`-th place of the other input is taken, and every `sample`-th place written.
    """

    alpha: float
    beta: float
    step: int
    sample: int
    overlap: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOrderSum:
    """A shortcut of ours: a + b + sqrt(relu(a)·relu(b) + epsilon) of two inputs."""

    epsilon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut(Activated):
    """[shortcut]: the previous layer and others, added in one of three ways."""

    kind = "shortcut"
    zeroed = Activated.zeroed - words("swish mish")

    way: Sum | ScaledSum | SecondOrderSum

    @property
    def in_float32(self) -> bool:
        """Whether products are under a root."""
        return isinstance(self.way, SecondOrderSum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleChannels(Activated):
    """[scale_channels], the main fork's: the second input times the first, factors [C, 1, 1].

    With `scale_wh` the factors are [1, H, W].
    """

    kind = "scale_channels"
    flavors = ("alexey",)
    short_name = "scale"

    scale_wh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam(Activated):
    """[sam], the main fork's: the product of two inputs of one shape."""

    kind = "sam"
    flavors = ("alexey",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Implicit(Settings):
    """[implicit], the main fork's: weights [filters, atoms, 1], the same for every picture; no inputs."""

    kind = "implicit"
    flavors = ("alexey",)
    training_options = words("std")
    has_filters = True

    filters: int
    atoms: int


# ---------------------------------------------------------------------- moving


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg(Moving):
    """[reorg]: Darknet's reorg loop; `flatten` and `extra` are the original's."""

    kind = "reorg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg3d(Moving):
    """[reorg3d], the main fork's: the same loop with the output's sizes."""

    kind = "reorg3d"
    flavors = ("alexey",)


# ---------------------------------------------------------------------- value by value, and along channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Batchnorm(Settings):
    """[batchnorm]: a layer of its own."""

    kind = "batchnorm"
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Activated):
    """[activation]: a layer of its own."""

    kind = "activation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Settings):
    """[dropout]: the input, outside training."""

    kind = "dropout"
    training_options = words("probability dropblock dropblock_size_rel dropblock_size_abs")
    follows_scores = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(Settings):
    """[empty], the main fork's: the input."""

    kind = "empty"
    aliases = ("silence",)
    flavors = ("alexey",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost(Settings):
    """[cost]: the input, flat."""

    kind = "cost"
    training_options = words("type scale ratio noobj thresh")
    follows_scores = True
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrastive(Cost):
    """[contrastive], the main fork's: the input, flat; as [cost] it computes something in training alone."""

    kind = "contrastive"
    flavors = ("alexey",)
    training_options = words("classes temperature yolo_layer cls_normalizer max_delta contrastive_neg_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Iseg(Settings):
    """[iseg], the original's: the logistic of the first `classes` channels, and `ids` channels as they are."""

    kind = "iseg"
    flavors = ("pjreddie",)
    follows_scores = True
    sums_many = True

    classes: int
    ids: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lrn(Settings):
    """[lrn]: x·(kappa + alpha·sum)^(−beta), the sum of squares running over the channels."""

    kind = "lrn"
    aliases = ("normalization",)
    sums_many = True

    size: int
    alpha: float
    beta: float
    kappa: float


@dataclass(frozen=True, slots=True, kw_only=True)
class L2norm(Settings):
    """[l2norm], the original's: each position divided by its length over the channels."""

    kind = "l2norm"
    flavors = ("pjreddie",)
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic(Settings):
    """[logistic], the original's: the logistic of every value."""

    kind = "logistic"
    flavors = ("pjreddie",)
    follows_scores = True
    sums_many = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Settings):
    """[softmax]: over each of `groups` parts of all values over the temperature, or over each group of the tree."""

    kind = "softmax"
    aliases = ("soft",)
    training_options = words("noloss")
    follows_scores = True
    sums_many = True

    groups: int
    temperature: float
    tree: SoftmaxTree | None


# ---------------------------------------------------------------------- all of them


KINDS: Mapping[str, type[Settings]] = MappingProxyType(
    {
        settings.kind: settings
        for settings in (*vars(heads).values(), *vars(recurrent).values(), *globals().values())
        if isinstance(settings, type) and issubclass(settings, Settings) and settings.kind
    }
)
