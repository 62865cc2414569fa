"""Which ONNX nodes move elements, and what they do to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.operations.catalog import op
from layoutbridge.scanning.graphs.graph import Kind, Movement, Tensor
from layoutbridge.scanning.graphs.movements import (
    einsum_order,
    gathered,
    gathered_along,
    joined,
    one_hot_convolution,
    python_slice,
    sliced,
)
from layoutbridge.scanning.readers.onnx_arithmetic import attributes

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

Found = tuple[tuple[str, ...], Movement, Kind, tuple[int, ...]]
_VIEWS = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout"}
_SELDOM = {"Cast", "Conv", "Dropout", "Expand", "Identity", "Pad"}  # what moves elements as an exception
_MOST_POSITIONS = 1 << 22  # of a table by which elements are gathered
_MOST_WEIGHTS = 1 << 20  # of a convolution that is looked at: whether each output is one of the inputs


@dataclass(frozen=True)
class Case:
    """The `number`-th output of a node, and what is known around it; raises `KeyError` for what is not."""

    node: NodeProto
    number: int
    tensors: Mapping[str, Tensor]
    known: Mapping[str, NDArray[Any]]
    weights: Mapping[str, TensorProto]

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The node's attributes by name."""
        return attributes(self.node)

    @property
    def shape(self) -> tuple[int, ...]:
        """The first input's shape."""
        return self.tensors[self.node.input[0]].shape

    @property
    def result(self) -> tuple[int, ...]:
        """The output's shape."""
        return self.tensors[self.node.output[self.number]].shape

    @property
    def axis(self) -> int:
        """The attribute `axis`, from the front."""
        return int(self.attributes.get("axis", 0)) % max(1, len(self.shape))

    @property
    def table(self) -> NDArray[np.int64]:
        """The positions in the second input, a constant that may be larger than those that shapes are made of."""
        from onnx import numpy_helper

        name = self.node.input[1]
        if name in self.known:
            return self.known[name].astype(np.int64)
        tensor = self.weights[name]
        if tensor.data_location == tensor.EXTERNAL or prod(tensor.dims) > _MOST_POSITIONS:
            raise KeyError(name)
        return numpy_helper.to_array(tensor).astype(np.int64)

    def operand(self, place: int, attribute: str) -> Any:
        """What stands in an input, or in older opsets in an attribute; None where it is left out."""
        if len(self.node.input) > place and self.node.input[place]:
            return self.known[self.node.input[place]].reshape(-1).tolist()
        return self.attributes.get(attribute)


def moved(case: Case) -> Found | None:
    """What an output of a node is: its inputs, the movement, its kind and a transpose's order.

    None for what changes values, and where it cannot be told: an operand that is computed from values, a shape that is
    not known.
    """
    node = case.node
    bind = _BINDERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if bind is None or not node.input or node.output[case.number] not in case.tensors:
        return None
    try:
        found = bind(case)
    except (KeyError, IndexError, TypeError, ValueError):  # an operand that is not known, or does not fit
        return None
    return found if found is not None and all(entry in case.tensors for entry in found[0]) else None


def is_movement(node: NodeProto) -> bool:
    """Whether an operator is there to move elements, whatever its operands are."""
    return node.domain in ("", "ai.onnx") and node.op_type in _BINDERS.keys() - _SELDOM


def _alone(case: Case, movement: Movement, kind: Kind = "moves", order: tuple[int, ...] = ()) -> Found:
    return (case.node.input[0],), movement, kind, order


def _view(case: Case) -> Found | None:
    if case.number or prod(case.shape) != prod(case.result):
        return None
    return _alone(case, methodcaller("reshape", case.result), "view")


def _cast(case: Case) -> Found | None:
    same = case.tensors[case.node.input[0]].dtype == case.tensors[case.node.output[0]].dtype
    return _view(case) if same else None


def _padded(case: Case) -> Found | None:
    return _view(case) if case.shape == case.result and not any(case.operand(1, "pads")) else None


def _transpose(case: Case) -> Found:
    rank = len(case.shape)
    order = tuple(case.attributes.get("perm", range(rank - 1, -1, -1)))
    if sorted(order) != list(range(rank)):
        raise ValueError
    return _alone(case, partial(np.transpose, axes=order), "transpose", order)


def _slice(case: Case) -> Found:
    starts, ends = case.operand(1, "starts"), case.operand(2, "ends")
    axes = case.operand(3, "axes")
    steps = case.operand(4, "steps") or [1] * len(starts)
    places = [slice(None)] * len(case.shape)
    for axis, start, end, step in zip(range(len(starts)) if axes is None else axes, starts, ends, steps, strict=True):
        places[axis] = python_slice(start, end, step, case.shape[axis])
    return _alone(case, partial(sliced, places=tuple(places)))


def _split(case: Case) -> Found:
    lengths = [case.tensors[output].shape[case.axis] if output else 0 for output in case.node.output]
    start = sum(lengths[: case.number])
    places = [slice(None)] * len(case.shape)
    places[case.axis] = slice(start, start + lengths[case.number])
    return _alone(case, partial(sliced, places=tuple(places)))


def _concat(case: Case) -> Found | None:
    inputs = tuple(case.node.input)
    if len(inputs) == 1:
        return _view(case)
    axis = int(case.attributes["axis"]) % len(case.shape)
    return inputs, partial(joined, axis=axis), "join", (axis,)


def _gather(case: Case) -> Found | None:
    return _alone(case, partial(np.take, indices=case.table, axis=case.axis))


def _gather_elements(case: Case) -> Found:
    return _alone(case, partial(gathered_along, indices=case.table, axis=case.axis))


def _gather_nd(case: Case) -> Found:
    leading = int(case.attributes.get("batch_dims", 0))
    return _alone(case, partial(gathered, indices=case.table, leading=leading))


def _tile(case: Case) -> Found | None:
    repeats = case.known[case.node.input[1]].reshape(-1).tolist()
    if case.shape == case.result:
        return _view(case)
    return _alone(case, partial(np.tile, reps=tuple(repeats)))


def _expand(case: Case) -> Found | None:
    """Without repeating anything, which is no movement that one looks for."""
    return _view(case)


def _space_to_depth(case: Case) -> Found:
    is_crd = case.attributes.get("mode", b"DCR") == b"CRD"
    return _alone(case, op("space_to_depth_crd" if is_crd else "space_to_depth", stride=case.attributes["blocksize"]))


def _depth_to_space(case: Case) -> Found:
    is_crd = case.attributes.get("mode", b"DCR") == b"CRD"
    return _alone(case, op("depth_to_space_crd" if is_crd else "depth_to_space", stride=case.attributes["blocksize"]))


def _einsum(case: Case) -> Found | None:
    order = einsum_order(case.attributes["equation"].decode())
    if order is None or len(case.node.input) != 1:
        return None
    return _alone(case, partial(np.transpose, axes=order), "transpose", order)


def _convolution(case: Case) -> Found | None:
    """One whose weights give each output channel one of the inputs, as it is."""
    from onnx import numpy_helper

    tensor = case.weights.get(case.node.input[1])
    padded = any(case.attributes.get("pads", ())) or case.attributes.get("auto_pad", b"NOTSET") not in (
        b"NOTSET",
        b"VALID",
    )
    if tensor is None or padded or tensor.data_location == tensor.EXTERNAL:
        return None
    if prod(tensor.dims) > _MOST_WEIGHTS:
        return None
    weights = numpy_helper.to_array(tensor)
    if np.count_nonzero(weights) != len(weights) or not np.all(weights[weights != 0] == 1):
        return None
    places = np.argwhere(weights)
    if places[:, 0].tolist() != list(range(len(weights))):
        return None
    if len(case.node.input) > 2 and case.node.input[2]:
        bias = case.weights.get(case.node.input[2])
        if bias is None or bias.data_location == tensor.EXTERNAL or np.any(numpy_helper.to_array(bias)):
            return None
    spatial = len(case.shape) - 2
    groups = int(case.attributes.get("group", 1))
    if not 1 <= groups <= len(weights):
        return None
    channels = places[:, 1] + np.arange(len(weights)) // (len(weights) // groups) * weights.shape[1]
    dilations = np.array(case.attributes.get("dilations", [1] * spatial))
    strides = tuple(case.attributes.get("strides", [1] * spatial))
    return _alone(
        case,
        partial(
            one_hot_convolution,
            channels=channels,
            offsets=places[:, 2:] * dilations,
            strides=strides,
            shape=case.result,
        ),
    )


_BINDERS: Mapping[str, Callable[[Case], Found | None]] = {
    **dict.fromkeys(_VIEWS, _view),
    "Cast": _cast,
    "Pad": _padded,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Tile": _tile,
    "Expand": _expand,
    "SpaceToDepth": _space_to_depth,
    "DepthToSpace": _depth_to_space,
    "Einsum": _einsum,
    "Conv": _convolution,
}
