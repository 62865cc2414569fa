"""`carry`: a layer's weights for the network in which another rearrangement stands beside it, or none."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.pattern import whole_number
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import ONE, product
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, shown
from layoutbridge.weights.arrays import as_numpy
from layoutbridge.weights.relative import Order, Relative

Layer = Literal["conv", "conv_transpose", "depthwise", "dense", "channels"]
Side = Literal["input", "output"]
_LAYOUTS = {"conv": "OI", "conv_transpose": "IO", "depthwise": "OI", "dense": "OI", "channels": "O"}
_WHOLE_AXIS = {"conv": "O", "conv_transpose": "I"}  # the axis that groups do not shorten
_SPACE = "DHW"


def carry(
    op: Rearrangement,
    weight: Any,
    layer: Layer = "conv",
    side: Side = "input",
    *,
    instead: Rearrangement | None = None,
    layout: str | None = None,
    groups: int = 1,
    shape: Sequence[int] | None = None,
    channel_axis: int = 0,
) -> Any:
    """`weight` for the network in which `instead` (nothing by default) stands in place of `op`.

    With side "input" the layer reads what `op` gives: `layer(w, op(x)) == layer(carried, instead(x))`. With side
    "output" it writes what `op` reads: `op(layer(w, x)) == instead(layer(carried, x))`; its bias, a vector, is carried
    in the same way. Weights only change places, so both are the same numbers in another order of summation.

    `layer` says what reads or writes:

    - "conv", "conv_transpose": channels with space behind them, of any rank, in `groups`;
    - "dense": all elements of an item, flattened; `shape` is that of the item that `op` takes, without the batch;
    - "depthwise", and "channels" for vectors with one value a channel (biases, batch norm): what they write is in the
      order of what they read, so that what reads them is carried, too. `groups` is the number of channels where a
      depthwise weight has several outputs for each.

    Where `instead` is None and `op` puts blocks into channels (focus, space_to_depth, pixel_unshuffle), the weight of a
    convolution comes back with a kernel that many times larger: stride and padding are multiplied by the block, too. It
    must have no dilation.

    `layout` names the weight's axes, O for outputs and I for inputs: "OIHW" and "OI" by default, "IOHW" for
    conv_transpose, as PyTorch has them; Keras' are "HWIO", "IO" and "HWOI". `channel_axis` is where the items of `op`
    have their channels: -1 for patterns written channels last.

    A NumPy array comes back as one, a PyTorch tensor as one of its dtype and device, without gradient; TensorFlow's,
    Keras' and JAX' come back as arrays. Raises `UnsupportedError` with the smallest example where `op` and `instead`
    differ by more than an order of channels, for all sizes or else at `shape`, and where groups would mix; `ShapeError`
    for a weight that does not fit, `ParameterError` for other words than these.

    YOLOv5's first convolution, trained behind Focus, behind space_to_depth:

    >>> from layoutbridge.operations.catalog import op
    >>> weight = np.arange(12.0).reshape(1, 12, 1, 1)
    >>> carry(op("focus"), weight, instead=op("space_to_depth")).ravel().astype(int).tolist()
    [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]
    >>> carry(op("focus"), weight).shape  # on the picture itself, with stride 2
    (1, 3, 2, 2)
    """
    _check(op, instead, layer, side)
    held, back = as_numpy(weight, layout)
    groups = whole_number(groups, "groups")
    if held.ndim == 1 and layer in (*_WHOLE_AXIS, "dense") and side == "input":
        raise ParameterError(f"a bias belongs to what its {layer} layer writes: with side='input' it stays as it is")
    names = _axes_of(held, layer, layout)
    writes = side == "output"
    if layer == "dense":
        axis = names.index("O" if writes or held.ndim == 1 else "I")
        return back(held.take(_flat_order(op, instead, held.shape[axis], shape, writes=writes), axis))
    relative = Relative(op, instead, writes=writes, channel_axis=channel_axis)
    if layer in ("depthwise", "channels") or held.ndim == 1:
        return back(_by_channel(held, names, relative, shape, groups if layer == "depthwise" else 1, writes=writes))
    if instead is None and not relative.keeps_shape:
        if writes or layer != "conv":
            raise UnsupportedError(
                f"{op.label} changes the shape, and no {layer} layer of other weights "
                f"{'writes its result' if writes else 'reads what it reads'}: give the operation that stands there "
                "instead"
            )
        return back(_with_larger_kernel(op, held, names, groups, shape, channel_axis))
    return back(_carried(held, names, relative, layer, groups, shape, writes=writes))


def _check(op: object, instead: object, layer: object, side: object) -> None:
    for given in (op, instead):
        if not isinstance(given, Rearrangement) and (given is op or given is not None):
            raise ParameterError(f"carry takes Rearrangements, not {shown(given)}: lb.op(name) makes one of a name")
    for value, known, what in ((layer, tuple(_LAYOUTS), "layer"), (side, ("input", "output"), "side")):
        if value not in known:
            raise ParameterError(f"{what} is one of {', '.join(known)}, not {shown(value)}")


def _axes_of(weight: NDArray[Any], layer: str, layout: str | None) -> str:
    """The letters of the weight's axes; raises where they are not those of such a layer's weight."""
    rank = weight.ndim
    if rank == 1:
        return "O"
    if layer == "channels":
        raise ShapeError(f"layer 'channels' is for vectors, one value a channel, not for shape {list(weight.shape)}")
    names = _LAYOUTS[layer] + _SPACE[max(0, len(_SPACE) + 2 - rank) :] if layout is None else layout
    if not isinstance(names, str) or {"O", "I"} - set(names) or len(set(names)) < len(names):
        raise ParameterError(f"layout names each axis once, O and I among them, as in 'HWIO', not {shown(layout)}")
    if len(names) != rank or (layer == "dense" and rank != 2):
        raise ShapeError(f"a {layer} weight with axes {names} has {len(names)} of them, not shape {list(weight.shape)}")
    return names


# ---------------------------------------------------------------------- which order


def _weight_order(order: Order, *, writes: bool) -> Order:
    """The order to take a layer's weights in: that of what it writes, or the inverse of that of what it reads."""
    return order if writes else np.argsort(order)


def _flat_order(
    op: Rearrangement, instead: Rearrangement | None, features: int, shape: Sequence[int] | None, *, writes: bool
) -> Order:
    """The order for a layer that reads or writes all elements of an item."""
    if shape is None:
        if op.rank > 1:
            raise ParameterError(
                f"a dense layer sees all elements: give shape=, that of the item that {op.label} takes"
            )
        shape = (features,)
    item = op.bind(shape).in_shape[-op.rank :]
    if prod(item) != features:
        raise ShapeError(f"an item of shape {list(item)} has {prod(item)} elements, and the weight {features}")
    table = op.table(item)
    if instead is None:
        return _weight_order(table, writes=writes)
    if writes:
        return op.then(instead.inverse()).table(item)
    return np.argsort(table)[instead.table(item)]


# ---------------------------------------------------------------------- taken in that order


def _by_channel(
    weight: NDArray[Any], names: str, relative: Relative, shape: Sequence[int] | None, channels: int, *, writes: bool
) -> NDArray[Any]:
    """A vector, or a depthwise weight, channel by channel; so many channels where that is more than 1."""
    axis = names.index("O")
    if len(names) > 1 and weight.shape[names.index("I")] > 1:
        axis = names.index("I")
    length = weight.shape[axis]
    channels = channels if channels > 1 else length
    if length == 0 or length % channels:
        raise ShapeError(f"a weight of shape {list(weight.shape)} has no {channels} channels on axis {axis}")
    each = length // channels
    order = _weight_order(relative.order(channels, shape), writes=writes)
    return weight.take((order[:, None] * each + np.arange(each)).reshape(-1), axis)


def _carried(
    weight: NDArray[Any],
    names: str,
    relative: Relative,
    layer: str,
    groups: int,
    shape: Sequence[int] | None,
    *,
    writes: bool,
) -> NDArray[Any]:
    """A convolution's weight with the channels of one side in another order, groups kept apart."""
    side, whole = "O" if writes else "I", _WHOLE_AXIS[layer]
    axis, whole_axis = names.index(side), names.index(whole)
    channels = weight.shape[axis] * (1 if side == whole else groups)
    if channels == 0 or weight.shape[whole_axis] % groups or channels % groups:
        raise ShapeError(f"a {layer} weight of shape {list(weight.shape)} ({names}) has no {groups} groups of channels")
    order = _weight_order(relative.order(channels, shape), writes=writes)
    each = channels // groups
    if groups > 1:
        _refuse_mixed(order // each, groups, layer)
    if side == whole or groups == 1:
        return weight.take(order, axis)
    parts = np.split(weight, groups, whole_axis)
    return np.concatenate(
        [part.take(order[g * each : (g + 1) * each] - g * each, axis) for g, part in enumerate(parts)], whole_axis
    )


def _refuse_mixed(owners: Order, groups: int, layer: str) -> None:
    """Raise where the channels of a group come from another one."""
    rows = owners.reshape(groups, -1)
    wrong = np.flatnonzero((rows != np.arange(groups)[:, None]).any(1))
    if wrong.size:
        group = int(wrong[0])
        told = " and ".join(map(str, np.unique(rows[group]).tolist()[:3]))
        raise UnsupportedError(
            f"the channels of group {group} of {groups} would come from group {told}: write the {layer} layer with one "
            f"group first, zeros between the groups{', or take layer depthwise' if rows.shape[1] == 1 else ''}"
        )


def _with_larger_kernel(
    op: Rearrangement,
    weight: NDArray[Any],
    names: str,
    groups: int,
    shape: Sequence[int] | None,
    channel_axis: int,
) -> NDArray[Any]:
    """The weight of a convolution behind blocks that are put into channels, for what these blocks are taken of."""
    blocks, sizes = _blocks_like(op, channel_axis)
    relative = Relative(op, blocks, writes=False, channel_axis=channel_axis)
    held = _carried(weight, names, relative, "conv", groups, shape, writes=False)
    inputs = held.shape[names.index("I")]
    if inputs % prod(sizes):
        raise UnsupportedError(
            f"a group reads {inputs} channels, which are no whole blocks of {'×'.join(map(str, sizes))}: write the "
            "conv layer with one group first, zeros between the groups"
        )
    if len(names) != 2 + len(sizes):
        raise ShapeError(f"{op.label} has {len(sizes)} axes of space, and the weight {names} has {len(names) - 2}")
    plain = [names.index("O"), names.index("I"), *(k for k, name in enumerate(names) if name not in "OI")]
    unfold = _blocks(sizes).inverse()
    return np.ascontiguousarray(unfold(held.transpose(plain)).transpose(np.argsort(plain)))


def _blocks_like(op: Rearrangement, channel_axis: int) -> tuple[Rearrangement, tuple[int, ...]]:
    """Blocks into channels, each channel's side by side, of the sizes that `op` divides space by, and those sizes."""
    axis = channel_axis % op.rank
    ratios = [before / after for before, after in zip(op.in_shape, op.result_shape, strict=False)]
    space = [ratio for k, ratio in enumerate(ratios) if k != axis]
    whole = all(ratio.is_constant and ratio.coefficient.denominator == 1 for ratio in space)
    if len(op.in_shape) != len(op.result_shape) or not whole or product(ratios) != ONE:
        raise UnsupportedError(
            f"{op.label} does not put blocks of space into channels, and no convolution of other weights takes its "
            "place: give the operation that stands there instead"
        )
    sizes = tuple(int(ratio.coefficient) for ratio in space)
    return _blocks(sizes, axis), sizes


def _blocks(sizes: Sequence[int], axis: int = 0) -> Rearrangement:
    """Blocks of these sizes into channels, which stand at `axis`."""
    before, after = [f"(a{k} b{k})" for k in range(len(sizes))], [f"a{k}" for k in range(len(sizes))]
    before.insert(axis, "c")
    after.insert(axis, f"(c {' '.join(f'b{k}' for k in range(len(sizes)))})")
    lengths = {f"b{k}": size for k, size in enumerate(sizes)}
    made = Rearrangement(f"{' '.join(before)} -> {' '.join(after)}", **lengths)
    return made.named(f"blocks of {'×'.join(map(str, sizes))} into channels")
