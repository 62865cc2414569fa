"""Operators whose first axes are the batch and the channels: axes of space may change places among themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from layoutbridge.rewriting.layouts.cases import Case, Unruled
from layoutbridge.rewriting.layouts.editing import Editor
from layoutbridge.rewriting.layouts.forms import Axes, Frame
from layoutbridge.rewriting.layouts.layout import Layout

_BY_AXIS = ("kernel_shape", "strides", "dilations", "output_padding", "output_shape")


def _never(_: Layout) -> bool:
    return False


def convolution(case: Case) -> Frame:
    """Channels may be stored in another order, if the weights are."""
    return _weighted(case, is_transposed=False)


def transposed_convolution(case: Case) -> Frame:
    """The same with the input's channels first in the weights."""
    return _weighted(case, is_transposed=True)


def _weighted(case: Case, *, is_transposed: bool) -> Frame:
    """The frame's axes: batch, then in the order of the weights what comes out and what goes in, then space."""
    taken, weights, result = case.input(0), case.input(1), case.output()
    rank, groups = taken.rank, case.number("group", 1)
    if not weights.rank == result.rank == rank >= 3:
        raise Unruled
    space = tuple(range(3, rank + 1))
    inner, outer = (1, 2) if is_transposed else (2, 1)
    in_channels, out_channels = taken.shape[1], result.shape[1]
    solid = {0, *space}
    lengths = [taken.shape[0], out_channels, in_channels, *taken.shape[2:]]
    if is_transposed:
        lengths[1:3] = in_channels, out_channels
    if groups == 1:
        own, read, made = (0, inner, *space), (1, 2, *space), (0, outer, *space)
    elif groups == in_channels == out_channels == weights.shape[0]:  # each channel on its own
        own, read, made = (0, 1, *space), (1, 2, *space), (0, 1, *space)
        inner, outer = 2, 1
        solid.add(2)
    else:
        own, read, made = (0, inner, *space), (1, 2, *space), (0, outer, *space)
        solid |= {1, 2}
    bias = ((outer,),) if len(case.node.inputs) > 2 else ()

    def orders(_: int, given: Axes) -> Iterable[Axes]:
        turned = tuple(each for each in given if each in space)
        return [(0, 1, 2, *(turned or space))]

    return Frame(
        (own, read, *bias), (made,), tuple(lengths), _turned_space(case, 3), frozenset(solid), lambda _: True, orders,
        _never,
    )  # fmt: skip


def _turned_space(case: Case, first: int) -> Callable[[Layout, Editor], None]:
    """Attributes that have a number for each axis of space, the first of which is `first` in the frame."""

    def write(frame: Layout, editor: Editor) -> None:
        order = [axis - first for axis in frame.order if axis >= first]
        if order == sorted(order):
            return
        for name in _BY_AXIS:
            held = case.ints(name)
            if held is not None and len(held) == len(order):
                editor.say(name, [held[axis] for axis in order])
        pads = case.ints("pads")
        if pads is not None:
            editor.say("pads", [pads[axis] for axis in (*order, *(axis + len(order) for axis in order))])

    return write


def pool(case: Case) -> Frame:
    """Each channel on its own."""
    taken = case.input(0)
    if taken.rank < 3 or any(case.gives(number) for number in range(1, len(case.node.outputs))):
        raise Unruled
    exact = case.operator in ("MaxPool", "GlobalMaxPool")
    axes, others = tuple(range(taken.rank)), (None,) * (len(case.node.outputs) - 1)
    return Frame(
        (axes,), (axes, *others), taken.shape, _turned_space(case, 2), frozenset({0, *axes[2:]}), _channels_second,
        is_exact=lambda _: exact,
    )  # fmt: skip


def _channels_second(order: Axes) -> bool:
    return order[:2] == (0, 1)


def normalized(case: Case) -> Frame:
    """Batch norm with the statistics of the file, and what norms each item on its own; parameters by the channel."""
    taken = case.input(0)
    is_batch = case.operator == "BatchNormalization"
    if taken.rank < 2 or case.number("training_mode", 0) or not case.number("spatial", 1):
        raise Unruled
    if any(case.gives(number) for number in range(1, len(case.node.outputs))):
        raise Unruled
    axes, others = tuple(range(taken.rank)), (None,) * (len(case.node.outputs) - 1)
    by_channel: tuple[Axes | None, ...] = ((1,),) * (len(case.node.inputs) - 1)
    solid: frozenset[int] = frozenset()
    if case.operator in ("GroupNormalization", "LRN"):
        by_channel, solid = (None,) * len(by_channel), frozenset([1])

    def accepts(order: Axes) -> bool:
        return order[1] == 1 and (is_batch or order[0] == 0)

    return Frame((axes, *by_channel), (axes, *others), taken.shape, accepts=accepts, solid=solid, is_exact=_never)


# ---------------------------------------------------------------------- resampling


def resize(case: Case) -> Frame:
    """Scales or sizes for each axis; which axes runtimes interpolate along depends on where they stand."""
    return _resampled(case, scales=2 if case.opset > 10 else 1, sizes=3)


def upsample(case: Case) -> Frame:
    """The same in older opsets."""
    return _resampled(case, scales=1, sizes=None)


def _resampled(case: Case, *, scales: int, sizes: int | None) -> Frame:
    taken, result = case.input(0), case.output()
    rank, every = taken.rank, tuple(range(taken.rank))
    mode = case.text("mode", "nearest")
    if case.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" or case.number("antialias", 0):
        raise Unruled
    told = {name: case.ints(name) for name in ("axes", "scales")}
    if case.node.attributes.get("scales") is not None or told["axes"] is not None:  # one by one, as floats: rare
        raise Unruled
    places = [place for place in (scales, sizes) if place is not None and case.has(place)]
    places = [place for place in places if case.input(place).shape != (0,)]
    if any(case.input(place).shape != (rank,) for place in places):
        raise Unruled
    changed = _resized_axes(case, places, scales)
    linear = mode in ("linear", "bilinear")

    def where(order: Axes) -> list[int]:
        return sorted(order.index(axis) for axis in changed)

    last = list(range(rank - len(changed), rank))

    def accepts(order: Axes) -> bool:
        return mode == "nearest" or where(order) == last or (linear and rank == 4 and where(order) == [1, 2])

    def write(frame: Layout, editor: Editor) -> None:
        for place in places:
            editor.reorder(place, frame.order)

    def hidden(frame: Layout) -> int:
        """Runtimes are at their best where space comes last."""
        return result.bytes if changed == last != where(frame.order) else 0

    return Frame(
        (every, *[None] * (len(case.node.inputs) - 1)), (every,), taken.shape, write, frozenset(changed), accepts,
        is_exact=lambda _: mode == "nearest", hidden=hidden,
    )  # fmt: skip


def _resized_axes(case: Case, places: Sequence[int], scales: int) -> list[int]:
    taken, result = case.input(0), case.output()
    if places == [scales] and case.is_constant(scales):
        return [axis for axis, scale in enumerate(np.asarray(case.constant(scales), np.float64)) if scale != 1]
    return [
        axis
        for axis in range(taken.rank)
        if (taken.shape[axis], taken.second[axis]) != (result.shape[axis], result.second[axis])
    ]


RULES: Mapping[str, Callable[[Case], Frame]] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"), pool),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"), normalized),
    "Resize": resize,
    "Upsample": upsample,
}
CHANNELS_SECOND = frozenset(
    {*RULES, "SpaceToDepth", "DepthToSpace", "QLinearConv", "ConvInteger", "RoiAlign", "MaxUnpool"}
    - {"Resize", "Upsample"}
)  # whose first tensor has batch and channels in front, and then space
