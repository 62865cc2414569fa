"""The structure of a Darknet network: plain, immutable data that every target reads and none changes.

`reading.build` makes it from a cfg file's sections. A shape is (C, H, W), or (K,) where Darknet
holds a flat vector. `Layer.inputs` are layer indices; -1 is the network's input. `Layer.settings` holds what the
cfg says after defaults, flavour and Darknet's own rules were applied, under these keys:

kind               settings
-----------------  ---------------------------------------------------------------------------------------------
convolutional      filters, size, stride_x, stride_y, dilation, groups; padding (zeros on each of the four sides,
                   dilation included); batch_normalize (bool); activation; antialiasing (0, 1: blur of 3 × 3 with
                   one zero around, 2: of 2 × 2 without) with blur_stride_x, blur_stride_y: a depthwise blur
                   after the activation, the strides above being 1 then; shared_with (layer index or None: that
                   layer's parameters are used, and stand in the mapping of parameters under both indices)
deconvolutional    filters, size, stride, padding (cropped from each side), batch_normalize, activation
connected          output, batch_normalize, activation
local              filters, size, stride, padding, activation; weights [H·W, filters, C·size·size] of the output's
                   H·W places in rows; biases of the output's shape
maxpool            size, stride_x, stride_y, padding (the cfg's, both sides together) and what comes of it:
                   padding_top, padding_left, padding_bottom, padding_right (never the maximum; bottom and right may
                   be negative: rows that no window reaches); depth (bool) with out_channels: the maximum over
                   channels g, g + out_channels, ... instead of a window; antialiasing, blur_stride_x, blur_stride_y
                   as above
local_avgpool      size, stride_x, stride_y, padding, padding_* as for maxpool: the mean of the places inside the
                   picture
avgpool            nothing: the mean of each channel
route              layers (indices), groups, group_id: part group_id of each input's channels, concatenated
shortcut           layers (all inputs, the previous layer first); mode "sum", "scaled" or "second_order"; activation.
                   sum: Darknet's fork; with weights_type "per_feature" or "per_channel" each input is multiplied
                   by weights [inputs, 1] or [inputs, C] after weights_normalization "none", "relu" (max(w, 0.001)
                   over eps + their sum) or "softmax" (exp(w − max) over eps + their sum) with eps = 0.0001;
                   channels beyond an input's own are not added to. scaled: the original, one other input;
                   alpha, beta, step (take every step-th place of the other input), sample (write every sample-th
                   place), overlap (C, H, W): in the overlap alpha·x + beta·other, outside x alone. second_order:
                   ours, a + b + sqrt(relu(a)·relu(b) + epsilon) of two inputs; epsilon
reorg, reorg3d     stride, reverse, flatten, extra; operation: the catalogue's name of the permutation (None where
                   `extra` appends that many zeros to the flat values and nothing moves); the result is then
                   viewed as the layer's out_shape
upsample           stride; reverse (bool: sums of stride × stride blocks); scale (a factor on the result)
batchnorm          nothing
activation         activation
dropout, empty     nothing: the input
cost               nothing: the input, flat
crop               top, left (first row and column kept), scale, offset: scale·x + offset of the part kept
lrn                size, alpha, beta, kappa
l2norm             nothing: each position divided by its length over the channels
softmax            groups, temperature; tree (SoftmaxTree or None)
logistic           nothing: the logistic of every value
scale_channels     activation, scale_wh (bool); inputs are (the factors, the picture): factors [C, 1, 1], or
                   [1, H, W] with scale_wh
sam                activation; inputs are (a, b) of one shape: the product
implicit           filters, atoms; weights [filters, atoms, 1], the same for every picture; no inputs
region             classes, coords, num, anchors (tuple of floats, w and h in turns), softmax, background, tree,
                   logistic (tuple of (first, last + 1) entry ranges of each box that pass the logistic),
                   softmax_entries (such a range or None), channels_last (bool: the fork's order: [H, W, num,
                   entries] under a [C, H, W] label); entries (of one box); absolute, thresh
yolo               classes, num (boxes of this head), total, mask, anchors, new_coords (bool), scale_x_y, entries,
                   logistic (as for region); then x and y (entries 0 and 1) become scale_x_y·v − (scale_x_y − 1) / 2;
                   nms_kind, beta_nms
Gaussian_yolo      the same and yolo_point (the point that x and y are of: center, left_top, right_bottom); entries
                   x, σx, y, σy, w, σw, h, σh, objectness, classes; x and y are 0 and 2
detection          classes, coords, num, side, softmax (bool: over each place's classes), sqrt

batch_normalize: scales·(x − means)/d + biases, where d = sqrt(variances) + 0.000001 under flavor "pjreddie" and
sqrt(variances + 0.00001) under "alexey" (`Network.flavor`). Parameters stand in the order of the weights file.
Without batch_normalize the biases are added. Names: biases, scales, means, variances, weights.

The definitions are those of the C sources of both forks: parser.c and the layers' own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, Literal

Shape = tuple[int, ...]
Flavor = Literal["alexey", "pjreddie"]
FLAVORS: tuple[Flavor, ...] = ("alexey", "pjreddie")
STATISTICS = ("means", "variances")  # parameters that Darknet collects while it trains; they are not trained


@dataclass(frozen=True, slots=True)
class Option:
    """One `key=value` line; `note` is what stood behind the value from the first # or ; on."""

    key: str
    value: str
    line: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a cfg file: its kind without brackets and aliases resolved, and its options by key."""

    kind: str
    written: str
    line: int
    source: str
    options: Mapping[str, Option]

    @property
    def where(self) -> str:
        """The beginning of an error about it: file, line and section."""
        return f"{self.source}, line {self.line}: [{self.written}]"


@dataclass(frozen=True, slots=True)
class SoftmaxTree:
    """A tree of classes: the `sizes` of the groups in order, each with its own softmax; a parent for each class."""

    parents: tuple[int, ...]
    sizes: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One float32 array of a layer.

    `leading` is how many entries of the first axis the weights file holds (all, none, or `numload`); the others are
    `fill`. `flipped` marks a convolution whose file order is [C·size·size, filters]. `shared_with` is the
    layer whose array it is, or None.
    """

    name: str
    shape: Shape
    leading: int
    fill: float = 0.0
    flipped: bool = False
    shared_with: int | None = None

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def stored(self) -> int:
        """How many values the weights file holds of it."""
        return self.leading * prod(self.shape[1:])


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: see the module's text for `settings`."""

    index: int
    kind: str
    line: int
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    parameters: tuple[Parameter, ...] = ()

    @property
    def name(self) -> str:
        """Its index and kind, as in `27_reorg`."""
        return f"{self.index}_{self.kind}"

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
    [net]. `upto` is set where the cfg has more layers than these. `warnings` are one line each.
    """

    flavor: Flavor
    source: str
    in_shape: Shape
    layers: tuple[Layer, ...]
    letterbox: bool = False
    upto: int | None = None
    warnings: tuple[str, ...] = ()

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

    def shape_of(self, index: int) -> Shape:
        """The output shape of layer `index`; of the network's input at -1."""
        return self.in_shape if index == -1 else self.layers[index].out_shape
