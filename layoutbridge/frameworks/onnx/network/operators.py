"""Operators that ONNX changed on the way, in the form that a graph's opset has: numbers as attributes or as inputs."""

from __future__ import annotations

from collections.abc import Sequence

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.primitives import LazyArray

_BOUNDS_ARE_INPUTS, _SLICES_ARE_INPUTS = 11, 10  # of Clip and Pad; of Slice, which has steps from there on
_RESIZES, _RESIZES_EVERYWHERE = 10, 11  # Resize in place of Upsample, and with other ways to place pixels
_AXES_ARE_INPUTS = 13  # of Squeeze, Unsqueeze and ReduceSum; so are the sizes of Split
_LARGEST_AXES_ARE_INPUTS = 18  # of ReduceMax
_ONE_AXIS = 13  # from here on a Softmax is along one axis; before that it is over all from that axis on
_NO_REGION = 13  # from here on Resize may be left without the region that it reads in another mode


def split(graph: Graph, x: str, sizes: Sequence[int], axis: int) -> list[str]:
    """x in parts of these lengths along an axis."""
    if graph.opset < _AXES_ARE_INPUTS:
        return graph.add_several("Split", [x], len(sizes), axis=axis, split=list(sizes))
    return graph.add_several("Split", [x, graph.integers(sizes)], len(sizes), axis=axis)


def squeeze(graph: Graph, x: str, axis: int) -> str:
    """x without an axis of length 1."""
    return _along(graph, "Squeeze", x, axis, _AXES_ARE_INPUTS)


def unsqueeze(graph: Graph, x: str, axis: int) -> str:
    """x with an axis of length 1 more."""
    return _along(graph, "Unsqueeze", x, axis, _AXES_ARE_INPUTS)


def reduce_sum(graph: Graph, x: str, axis: int, *, keepdims: bool = True) -> str:
    """The sum along an axis."""
    return _along(graph, "ReduceSum", x, axis, _AXES_ARE_INPUTS, keepdims=int(keepdims))


def reduce_max(graph: Graph, x: str, axis: int) -> str:
    """The maximum along an axis, which stays."""
    return _along(graph, "ReduceMax", x, axis, _LARGEST_AXES_ARE_INPUTS, keepdims=1)


def softmax(graph: Graph, x: str, axis: int, rank: int) -> str:
    """Along one axis of `rank`: the last one, in older opsets, between two Transposes."""
    if graph.opset >= _ONE_AXIS or axis == rank - 1:
        return graph.add("Softmax", [x], axis=axis)
    order = [*(other for other in range(rank) if other != axis), axis]
    turned = graph.add("Softmax", [graph.add("Transpose", [x], perm=order)], axis=rank - 1)
    return graph.add("Transpose", [turned], perm=[order.index(other) for other in range(rank)])


def slices(
    graph: Graph, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int] = ()
) -> str:
    """x from starts to ends on these axes, with steps. Raises `UnsupportedError` for steps that the opset has not."""
    if graph.opset >= _SLICES_ARE_INPUTS:
        return graph.add("Slice", [x, *map(graph.integers, (starts, ends, axes, *([steps] if steps else [])))])
    if any(step != 1 for step in steps):
        raise UnsupportedError(
            f"{graph.where or 'the graph'} takes places at steps, which Slice does from opset {_SLICES_ARE_INPUTS} on: "
            f"opset is {graph.opset}"
        )
    return graph.add("Slice", [x], starts=list(starts), ends=list(ends), axes=list(axes))


def pad(graph: Graph, x: str, widths: Sequence[int]) -> str:
    """x with zeros: widths before each axis, then behind each."""
    if graph.opset >= _BOUNDS_ARE_INPUTS:
        return graph.add("Pad", [x, graph.integers(widths)])
    return graph.add("Pad", [x], pads=list(widths))


def clip(graph: Graph, x: str, low: float, high: float) -> str:
    """x within bounds."""
    if graph.opset >= _BOUNDS_ARE_INPUTS:
        return graph.add("Clip", [x, graph.number(low), graph.number(high)])
    return graph.add("Clip", [x], min=float(low), max=float(high))


def upsample(graph: Graph, x: str, factor: int) -> str:
    """Resize of [N, C, H, W] to the nearest, by a whole factor."""
    scales = LazyArray.of(f"constants/scales_{factor}", [1.0, 1.0, factor, factor])
    if graph.opset < _RESIZES_EVERYWHERE:
        operator = "Resize" if graph.opset >= _RESIZES else "Upsample"
        return graph.add(operator, [x, graph.parameter(scales)], mode="nearest")
    region = "" if graph.opset >= _NO_REGION else graph.parameter(LazyArray.of("constants/no_region", []))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.add("Resize", [x, region, graph.parameter(scales)], **how)


def _along(graph: Graph, operator: str, x: str, axis: int, axes_are_inputs: int, **attributes: int) -> str:
    if graph.opset < axes_are_inputs:
        return graph.add(operator, [x], axes=[axis], **attributes)
    return graph.add(operator, [x, graph.integers([axis])], **attributes)
