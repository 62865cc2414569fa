"""From a lowering to an `onnx.ModelProto`: its nodes, and the lengths that Reshape needs where sizes are dynamic.

A Reshape is given numbers where lengths are known, 0 where an axis stays, and one -1. Only what is left is computed
in the graph, from Shape. Where a dynamic length must divide by something, the last Reshape multiplies rounded-down
quotients, so that a length that does not divide is refused there instead of giving a wrong shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm, prod
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from layoutbridge.algebra.moves import Lowering, Move, Shape
from layoutbridge.algebra.sizes import Size
from layoutbridge.frameworks.onnx.moves import OPERATORS

_SHAPE_RANGE_OPSET = 15  # from here on Shape has start and end
_COPY, _INFER = 0, -1
_BEFORE_THE_FIRST = -(2**63)  # where a Slice that steps back ends


class GraphBuilder:
    """Adds nodes and constants one after another; `current` is the tensor that is being rearranged."""

    def __init__(self, name: str, lowering: Lowering[Size], opset: int) -> None:
        self.name = name
        self.lowering = lowering
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.constants: dict[tuple[int, ...], TensorProto] = {}
        self.computed: dict[object, str] = {}
        self.current = "input"
        self.shape = lowering.in_shape

    def build(self) -> tuple[list[NodeProto], list[TensorProto]]:
        """All nodes, the last one giving "output", and the constants that they use."""
        for move in self.lowering.moves:
            self.view_as(move.view)
            self.apply(move)
        self.view_as(self.lowering.result, last=True)
        if self.current == "input":
            self.current = self.add("Identity", [self.current])
        self.nodes[-1].output[0] = "output"
        return self.nodes, list(self.constants.values())

    def apply(self, move: Move[Size]) -> None:
        """The move's own node."""
        inputs = [self.current]
        attributes: dict[str, Any] = {}
        if move.kind == "transpose":
            attributes["perm"] = list(move.order)
        elif move.kind == "gather":
            inputs.append(self.constant(move.indices))
            attributes["axis"] = move.axis
        elif move.kind == "flip":  # from the last position to before the first, a step back each
            count = len(move.flipped)
            numbers = ([-1] * count, [_BEFORE_THE_FIRST] * count, move.flipped, [-1] * count)
            inputs += [self.constant(each) for each in numbers]
        else:
            attributes["blocksize"] = move.block
            if move.mode:
                attributes["mode"] = move.mode
        self.current = self.add(OPERATORS[move.kind], inputs, **attributes)
        self.shape = move.written

    def view_as(self, shape: Shape, *, last: bool = False) -> None:
        """A Reshape to `shape`, where the tensor does not have it yet."""
        if shape != self.shape:
            self.current = self.add("Reshape", [self.current, self.target(shape, checked=last)])
            self.shape = shape

    # ------------------------------------------------------------------ the lengths for a Reshape

    def target(self, shape: Shape, *, checked: bool) -> str:
        """The tensor that holds `shape`; `checked` where lengths that do not divide must not get past the Reshape."""
        entries: list[int | Size] = []
        for position, size in enumerate(shape):
            if size.is_constant:
                entries.append(int(size.coefficient))
            elif self._stays(position, size) and not (checked and self._unchecked(size)):
                entries.append(_COPY)
            else:
                entries.append(size)
        open_positions = [position for position, entry in enumerate(entries) if isinstance(entry, Size)]
        hardest = max(open_positions, key=lambda position: _cost(shape[position]), default=None)
        if hardest is not None and (not checked or self._inference_checks(shape, open_positions, hardest)):
            entries[hardest] = _INFER
        if all(isinstance(entry, int) for entry in entries):
            return self.constant([entry for entry in entries if isinstance(entry, int)])
        axes = [size.single_axis for size in shape]
        if axes[0] is not None and axes == list(range(axes[0], axes[0] + len(axes))):
            return self._multiples(shape, checked)
        return self._pieces(entries, checked)

    def _stays(self, position: int, size: Size) -> bool:
        return position < len(self.shape) and self.shape[position] == size

    def _unchecked(self, size: Size) -> bool:
        """Whether a length that does not divide could have come this far: SpaceToDepth and DepthToSpace refuse it."""
        return self._must_divide(size) != 1 and self.nodes[-1].op_type not in ("SpaceToDepth", "DepthToSpace")

    def _inference_checks(self, shape: Shape, open_positions: Sequence[int], inferred: int) -> bool:
        """Whether -1 there fails for every length that does not divide as it must: then nothing else is needed."""
        if any(self._must_divide(shape[position]) for position in open_positions if position != inferred):
            return False
        axis = shape[inferred].single_axis
        needed = self._must_divide(shape[inferred])
        return needed == 1 or (axis is not None and shape[inferred].coefficient.denominator % needed == 0)

    def _must_divide(self, size: Size) -> int:
        return prod(self.lowering.domain.divisor(axis) for axis, _ in size.powers)

    def _pieces(self, entries: Sequence[int | Size], checked: bool) -> str:
        """Numbers as they are, neighbouring axes together, anything else by itself, and a Concat of it all."""
        pieces: list[str] = []
        position = 0
        while position < len(entries):
            end = position + 1
            entry = entries[position]
            if isinstance(entry, int):
                while end < len(entries) and isinstance(entries[end], int):
                    end += 1
                pieces.append(self.constant([number for number in entries[position:end] if isinstance(number, int)]))
            elif entry.single_axis is not None:
                run = [entry]
                while end < len(entries):
                    following = entries[end]
                    if isinstance(following, int) or following.single_axis != run[-1].single_axis + 1:  # type: ignore[operator]
                        break
                    run.append(following)
                    end += 1
                pieces.append(self._multiples(tuple(run), checked))
            else:
                pieces.append(self._monomial(entry))
            position = end
        if len(pieces) == 1:
            return pieces[0]
        return self.computed_once(("Concat", *pieces), "Concat", pieces, axis=0)

    def _multiples(self, run: Shape, checked: bool) -> str:
        """int64 [len(run)]: multiples of neighbouring input axes; `checked`, of what is left after rounding down."""
        axes = [axis for size in run for axis, _ in size.powers]
        below = [size.coefficient.denominator for size in run]
        if checked:
            below = [lcm(under, self.lowering.domain.divisor(axis)) for under, axis in zip(below, axes, strict=True)]
        times = [int(size.coefficient * under) for size, under in zip(run, below, strict=True)]
        lengths = self._lengths(axes[0], axes[-1] + 1)
        for operator, numbers in (("Div", below), ("Mul", times)):
            if any(number != 1 for number in numbers):
                numbers_name = self.constant(numbers)
                lengths = self.computed_once((operator, lengths, numbers_name), operator, [lengths, numbers_name])
        return lengths

    def _monomial(self, size: Size) -> str:
        """int64 [1]: a product of several axes, divided at the end by all that stands below."""
        over: list[str] = []
        under: list[str] = []
        for axis, exponent in size.powers:
            (over if exponent > 0 else under).extend([self._lengths(axis, axis + 1)] * abs(exponent))
        if size.coefficient.numerator != 1 or not over:
            over.append(self.constant([size.coefficient.numerator]))
        if size.coefficient.denominator != 1:
            under.append(self.constant([size.coefficient.denominator]))
        result = over[0]
        for operator, factors in (("Mul", over[1:]), ("Div", under)):
            for factor in factors:
                result = self.computed_once((operator, result, factor), operator, [result, factor])
        return result

    def _lengths(self, start: int, end: int) -> str:
        """int64 [end - start]: lengths of the model's input."""
        every = (start, end) == (0, len(self.lowering.in_shape))
        if self.opset >= _SHAPE_RANGE_OPSET and not every:
            return self.computed_once(("Shape", start, end), "Shape", ["input"], start=start, end=end)
        shape = self.computed_once("Shape", "Shape", ["input"])
        if every:
            return shape
        axes = self.constant(range(start, end))
        return self.computed_once(("Gather", axes), "Gather", [shape, axes], axis=0)

    # ------------------------------------------------------------------ nodes and constants

    def computed_once(self, key: object, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The output of a node, which is made the first time that `key` is asked for."""
        if key not in self.computed:
            self.computed[key] = self.add(operator, inputs, **attributes)
        return self.computed[key]

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node named after the operation and the operator; returns the name of its output."""
        before = sum(node.op_type == operator for node in self.nodes)
        name = f"{self.name}/{operator}" + (f"_{before + 1}" if before else "")
        self.nodes.append(helper.make_node(operator, list(inputs), [f"{name}:0"], name=name, **attributes))
        return f"{name}:0"

    def constant(self, numbers: Sequence[int]) -> str:
        """The name of an int64 constant [len(numbers)]; equal ones are stored once."""
        key = tuple(numbers)
        if key not in self.constants:
            name = f"{self.name}/numbers_{len(self.constants) + 1}"
            self.constants[key] = helper.make_tensor(name, TensorProto.INT64, [len(key)], key)
        return self.constants[key].name


def build_model(
    lowering: Lowering[Size], *, name: str, names: Sequence[str], elem_type: int, opset: int, doc: str, version: str
) -> onnx.ModelProto:
    """The model of `lowering`: "input" and "output" of `elem_type`, dynamic axes called `names`."""
    nodes, constants = GraphBuilder(name, lowering, opset).build()
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", elem_type, _declared(lowering.in_shape, names))],
        [helper.make_tensor_value_info("output", elem_type, _declared(lowering.result, names))],
        constants,
        doc_string=doc,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="layoutbridge",
        producer_version=version,
        doc_string=doc,
    )


def _declared(shape: Shape, names: Sequence[str]) -> list[int | str]:
    return [int(size.coefficient) if size.is_constant else size.format(names) for size in shape]


def _cost(size: Size) -> tuple[int, int]:
    """How much work it would be to compute `size`: the best one to leave to -1 costs most."""
    return len(size.powers), size.coefficient.denominator
