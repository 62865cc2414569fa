"""A layer of another framework as Darknet's parameters: layouts, and batch norms, of which each framework has its own.

Darknet divides by d(v) = sqrt(v) + 0.000001 in the original, sqrt(v + 0.00001) in its main fork, other frameworks by
sqrt(v + epsilon). The variance v' with d(v') = sqrt(v + epsilon) makes Darknet compute the same; where no variance is
small enough for it, it is 0 and the scale makes up for the rest. A batch norm that was folded into its weights becomes
scales of 1, means of 0, and the variance with d(v) = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning.normalization import divisor, kept_epsilon
from layoutbridge.darknet.returning.slots import Slot
from layoutbridge.darknet.returning.source import Normalization, Part, Tensor, plain
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.kinds import Batchnorm, Connected, Deconvolutional, Local
from layoutbridge.darknet.structure.model import Shape

Values = NDArray[np.float64]
_LEAST_ROOT = 1e-12  # of a variance: what rounding a square to float32 leaves where it is 0
_ALIKE = 1e-9  # between two epsilons: what rounding to float32 leaves
AS_IT_IS, FOLDED = "as it is", "was folded: 1"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A parameter's values, the tensor that they are of (None: they are made up) and what was done to them."""

    values: NDArray[np.float32]
    source: str | None
    how: str = AS_IT_IS


def fits(slot: Slot, part: Part) -> bool:
    """Whether a layer of the other framework has weights of the slot's shape, and a batch norm of its channels."""
    settings, shape = slot.layer.settings, slot.shape
    norm, held = part.normalization, part.weights
    if isinstance(settings, Batchnorm):
        return part.kind == "normalization" and norm is not None and (norm.channels,) == shape
    if held is None or (slot.is_binary and slot.normalized and norm is None):  # signs cannot be unfolded
        return False
    if norm is not None and norm.channels not in (part.channels, shape[0]):
        return False
    given = held.shape
    if isinstance(settings, Local):
        if part.kind != "local":
            return False
        places, filters, window = shape
        return given == ((places, window, filters) if part.channels_last else shape)
    if isinstance(settings, Connected):
        return part.kind in ("dense", "convolution") and given[:1] == shape[:1] and prod(given) == prod(shape)
    if isinstance(settings, Deconvolutional):
        return part.kind in ("transposed", "convolution") and given == shape
    if part.kind == "dense":
        return shape == (*given, 1, 1)
    return part.kind == "convolution" and (given == shape or _is_depthwise(given, shape))


def _is_depthwise(given: Shape, shape: Shape) -> bool:
    """Whether these are filters [each, C, H, W] of C groups of one channel, of a layer whose class is not told."""
    return len(given) == 4 and shape == (given[0] * given[1], 1, *given[2:]) and given[1] > 1


def converted(
    slot: Slot, part: Part, flavor: Flavor, present: Mapping[str, NDArray[np.float32]] | None = None
) -> dict[str, Given]:
    """The slot's parameters by name, of a part that `fits`; `present` are those that it has now, where it has any."""
    variances = (present or {}).get("variances")
    found = _normalized(slot, part, flavor, variances) if slot.normalized else _plain(slot, part)
    return {name: found[name] for name in slot.parameters}


def _normalized(slot: Slot, part: Part, flavor: Flavor, present: NDArray[np.float32] | None) -> dict[str, Given]:
    """The parameters of a slot with batch norm."""
    norm = part.normalization
    found = {} if part.weights is None else {"weights": _weights(slot, part, part.weights)}
    if norm is None:
        count = part.channels
        bias = part.bias
        one = np.full(count, variance_for(np.ones(1), flavor)[0])
        found["biases"] = Given(np.zeros(count, np.float32), None, "none there: 0") if bias is None else _given(bias)
        found["scales"] = Given(np.ones(count, np.float32), None, FOLDED)
        found["means"] = Given(np.zeros(count, np.float32), None, "was folded: 0")
        found["variances"] = Given(one.astype(np.float32), None, FOLDED)
        return found
    variances, factor = _variances(norm, flavor, present)
    found["variances"] = variances
    found["scales"] = _scales(norm, factor)
    found["biases"] = _or(norm.biases, norm.channels, 0.0)
    found["means"] = _given(norm.means)
    if part.bias is not None and part.bias.values.any():
        moved = _wide(norm.means) - _wide(part.bias)
        found["means"] = Given(moved.astype(np.float32), norm.means.name, f"less the bias {part.bias.name}")
    return found


def _plain(slot: Slot, part: Part) -> dict[str, Given]:
    """The parameters of a slot without batch norm: one that the part has is folded."""
    assert part.weights is not None
    weights, norm = _weights(slot, part, part.weights), part.normalization
    if norm is None:
        if part.bias is None:
            biases = Given(np.zeros(slot.parameters["biases"].shape, np.float32), None, "none there: 0")
        elif isinstance(slot.layer.settings, Local) and part.channels_last:
            biases = Given(_float32(part.bias.values.transpose(2, 0, 1)), part.bias.name, "channels first")
        else:
            biases = _given(part.bias)
            biases = Given(biases.values.reshape(slot.parameters["biases"].shape), biases.source, biases.how)
        return {"weights": weights, "biases": biases}
    scales = np.ones(norm.channels) if norm.scales is None else _wide(norm.scales)
    factor = scales / np.sqrt(_wide(norm.variances) + norm.epsilon)
    axis = 1 if isinstance(slot.layer.settings, Deconvolutional) else 0
    lengths = [1] * weights.values.ndim
    lengths[axis] = -1
    bias = 0.0 if part.bias is None else _wide(part.bias)
    shift = (0.0 if norm.biases is None else _wide(norm.biases)) + (bias - _wide(norm.means)) * factor
    told = "its batch norm folded: the cfg has none"
    product = (weights.values.astype(np.float64) * factor.reshape(lengths)).astype(np.float32)
    return {
        "weights": Given(product, weights.source, told),
        "biases": Given(shift.astype(np.float32), None if norm.biases is None else norm.biases.name, told),
    }


def _weights(slot: Slot, part: Part, held: Tensor) -> Given:
    """The weights in Darknet's order and the slot's shape."""
    values, how = held.values, AS_IT_IS
    in_shape = slot.layer.in_shapes[0] if slot.layer.in_shapes else ()
    if isinstance(slot.layer.settings, Local) and part.channels_last:
        values, how = _local(values, slot.shape, in_shape), "channels first"
    elif part.channels_last and part.kind == "dense" and len(in_shape) == 3 and prod(in_shape[1:]) > 1:
        channels, rows, columns = in_shape
        lying = values.reshape(-1, rows, columns, channels).transpose(0, 3, 1, 2)
        values, how = lying, f"of [{rows}, {columns}, {channels}], for [{channels}, {rows}, {columns}]"
    elif values.shape != slot.shape and len(slot.shape) == 4 and _is_depthwise(values.shape, slot.shape):
        values, how = values.transpose(1, 0, 2, 3), "a filter for each channel"
    return Given(_float32(values).reshape(slot.shape), held.name, how)


def _local(values: NDArray[np.float32], shape: Shape, in_shape: Shape) -> NDArray[np.float32]:
    """Weights [places, windows of places and channels, filters] as [places, filters, windows of channels first]."""
    places, filters, window = shape
    channels = in_shape[0]
    parts = values.reshape(places, window // channels, channels, filters)
    return parts.transpose(0, 3, 2, 1).reshape(shape)


def split_norms(slots: Sequence[Slot], wanted: Sequence[Slot], parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, batch norms by themselves that Darknet has as a layer, [batchnorm], behind a product without one."""
    alone = [slot for slot in slots if isinstance(slot.layer.settings, Batchnorm)]
    if not alone:
        return tuple(parts)
    names = {plain(slot.name) for slot in alone}
    made: list[Part] = []
    for part in parts:
        norm = part.normalization
        if part.weights is None or norm is None:
            made.append(part)
            continue
        owner = norm.variances.name.rpartition("/")[0] or norm.variances.name.rpartition(".")[0]
        place = len(made)
        behind = wanted[place : place + 2]
        in_order = (
            len(behind) == 2
            and not behind[0].normalized
            and behind[1] in alone
            and fits(behind[0], replace(part, normalization=None))
        )
        if plain(owner) in names or in_order:
            made += [replace(part, normalization=None), Part(owner, "normalization", normalization=norm)]
        else:
            made.append(part)
    return tuple(made)


def joined_norms(wanted: Sequence[Slot], parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, batch norms that are all by themselves put behind products, where nothing told behind which.

    Products are taken by their shapes, and batch norms in turn for the slots that have one.
    """
    norms = [part for part in parts if part.kind == "normalization"]
    left = [part for part in parts if part.kind != "normalization"]
    normalized = [slot for slot in wanted if slot.normalized and not isinstance(slot.layer.settings, Batchnorm)]
    if not norms or len(norms) != len(normalized) or len(left) != len(wanted):
        return tuple(parts)
    behind = dict(zip((slot.name for slot in normalized), norms, strict=True))
    made: list[Part] = []
    for slot in wanted:
        norm = behind[slot.name].normalization if slot.name in behind else None
        found = next((part for part in left if fits(slot, replace(part, normalization=norm))), None)
        if found is None or found.normalization is not None:
            return tuple(parts)
        left.remove(found)
        made.append(replace(found, normalization=norm))
    return tuple(made)


# ---------------------------------------------------------------------- batch norm


def _variances(norm: Normalization, flavor: Flavor, present: NDArray[np.float32] | None) -> tuple[Given, Values | None]:
    """Variances with which Darknet divides by what the part divides by, and what its scales are to be multiplied by."""
    name, values = norm.variances.name, norm.variances.values
    if flavor == "alexey" and abs(norm.epsilon - kept_epsilon(flavor)) < _ALIKE:
        return Given(_float32(values), name), None
    if flavor == "pjreddie" and norm.epsilon == 0:  # as in our own exports
        return variances_of_squares(norm.variances, flavor, present), None
    divided = np.sqrt(_wide(norm.variances) + norm.epsilon)
    wanted = variance_for(divided, flavor)
    held = np.maximum(wanted, 0.0)
    told = f"for an epsilon of {norm.epsilon:g}"
    factor = None
    if (wanted < 0).any():
        factor = np.where(wanted < 0, divisor(held, flavor) / np.where(divided > 0, divided, 1.0), 1.0)
        told += f"; {int((wanted < 0).sum())} would be negative: 0, and the scales make up for it"
    return Given(held.astype(np.float32), name, told), factor


def variances_of_squares(tensor: Tensor, flavor: Flavor, present: NDArray[np.float32] | None) -> Given:
    """Variances of the squares of what the original divides by; those that are `present` where they give the same."""
    if present is not None and present.shape == tensor.shape:
        squared = divisor(present.astype(np.float64), flavor) ** 2
        if (squared.astype(np.float32) == _float32(tensor.values)).all():
            return Given(present, tensor.name, "the square of what Darknet divides by: unchanged")
    roots = np.sqrt(_wide(tensor)) - divisor(np.zeros(1), flavor)
    roots[np.abs(roots) < _LEAST_ROOT] = 0.0
    return Given((roots**2).astype(np.float32), tensor.name, "of the square of what Darknet divides by")


def variance_for(divided: Values, flavor: Flavor) -> Values:
    """The variances for which Darknet divides by these numbers; below 0 where there are none.

    >>> variance_for(np.array([1.0, 0.001]), "alexey").round(6).tolist()
    [0.99999, -9e-06]
    """
    if flavor == "alexey":
        return divided**2 - kept_epsilon(flavor)
    smallest = divisor(np.zeros(1), flavor)[0]
    return np.where(divided < smallest, -1.0, (divided - smallest) ** 2)


def _scales(norm: Normalization, factor: Values | None) -> Given:
    given = _or(norm.scales, norm.channels, 1.0)
    if factor is None:
        return given
    moved = (given.values.astype(np.float64) * factor).astype(np.float32)
    return Given(moved, given.source, "times what the variances lack")


def _or(tensor: Tensor | None, count: int, fill: float) -> Given:
    if tensor is None:
        return Given(np.full(count, fill, np.float32), None, f"none there: {fill:g}")
    return _given(tensor)


def _given(tensor: Tensor) -> Given:
    return Given(_float32(tensor.values).reshape(-1), tensor.name)


def _wide(tensor: Tensor) -> Values:
    return tensor.values.astype(np.float64).reshape(-1)


def _float32(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)
