"""From a lowering to an `onnx.ModelProto`: its nodes, and the lengths that Reshape needs where sizes are dynamic.

A Reshape is given numbers where lengths are known, 0 where an axis stays, and one -1. Only what is left is computed
in the graph, from Shape. Where a dynamic length must divide by something, the last Reshape multiplies rounded-down
quotients, so that a length that does not divide is refused there instead of giving a wrong shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import lcm, prod
from string import ascii_lowercase
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from layoutbridge.algebra.moves import Lowering, Move, Shape
from layoutbridge.algebra.sizes import Size
from layoutbridge.frameworks.onnx.moves import OPERATORS
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits

_SHAPE_RANGE_OPSET = 15  # from here on Shape has start and end
_SPLIT_COUNT_OPSET = 18  # from here on Split is told how many parts there are
_COPY, _INFER = 0, -1
_BEFORE_THE_FIRST = -(2**63)  # where a Slice that steps back ends
_END = (1 << 63) - 1  # "to the end" of a Slice


class GraphBuilder:
    """Adds nodes and constants one after another; `parts` are the tensors that are being rearranged, most often one.

    Of the operators that do the same, those stand that `limits` allow.
    """

    def __init__(self, name: str, lowering: Lowering[Size], opset: int, limits: Limits = UNLIMITED) -> None:
        self.name = name
        self.lowering = lowering
        self.opset = opset
        self.limits = limits
        self.nodes: list[NodeProto] = []
        self.constants: dict[tuple[int, ...], TensorProto] = {}
        self.computed: dict[object, str] = {}
        self.parts = ["input"]
        self.shape = lowering.in_shape

    def build(self) -> tuple[list[NodeProto], list[TensorProto]]:
        """All nodes, the last one giving "output", and the constants that they use."""
        for move in self.lowering.moves:
            self.view_as(move.view)
            self.apply(move)
        self.view_as(self.lowering.result, last=True)
        if self.limits.allows("Reshape") and self.lets_pass():
            self.shape = ()
            self.view_as(self.lowering.result, last=True)
        if self.parts == ["input"]:
            self.parts = [self.same()]
        self.nodes[-1].output[0] = "output"
        return self.nodes, list(self.constants.values())

    def lets_pass(self) -> bool:
        """Whether views were computed, and no last one would refuse an open length that does not divide as it must."""
        kinds = [node.op_type for node in self.nodes]
        must_divide = any(self._must_divide(size) != 1 for size in self.lowering.in_shape if not size.is_constant)
        return bool(self.limits) and must_divide and "Reshape" in kinds and kinds[-1] != "Reshape"

    def same(self) -> str:
        """The input itself, by whatever operator copies it."""
        if self.limits.allows("Identity") or not self.limits.allows("Reshape"):
            return self.add("Identity", self.parts)
        return self.add("Reshape", [*self.parts, self.constant([_COPY] * len(self.shape))])

    def apply(self, move: Move[Size]) -> None:
        """The move's own nodes, one for each part or more."""
        match move.kind:
            case "split":
                self.parts = [made for part in self.parts for made in self.split(part, move)]
            case "slice":
                ranges = [range(count) for _, count, _ in move.cuts]
                every = [self.slice(move, places) for places in product(*ranges)]
                self.parts = [self.add("Slice", [part, *numbers]) for part in self.parts for numbers in every]
            case "join":
                joined = [[self.parts[number] for number in group] for group in move.groups]
                self.parts = [self.add("Concat", group, axis=move.axis) for group in joined]
            case _:
                operator, inputs, attributes = self.operation(move)
                self.parts = [self.add(operator, [part, *inputs], **attributes) for part in self.parts]
        self.shape = move.written

    def operation(self, move: Move[Size]) -> tuple[str, list[str], dict[str, Any]]:
        """The operator that does a move to one tensor, its other inputs, and its attributes."""
        operator = OPERATORS[move.kind]
        if move.kind == "transpose":
            if self.limits.allows(operator):
                return operator, [], {"perm": list(move.order)}
            letters = ascii_lowercase[: len(move.order)]
            return "Einsum", [], {"equation": f"{letters}->{''.join(letters[axis] for axis in move.order)}"}
        if move.kind == "gather":
            return operator, [self.constant(move.indices)], {"axis": move.axis}
        if move.kind == "flip":  # from the last position to before the first, a step back each
            count = len(move.flipped)
            numbers = ([-1] * count, [_BEFORE_THE_FIRST] * count, move.flipped, [-1] * count)
            return operator, [self.constant(each) for each in numbers], {}
        return operator, [], {"blocksize": move.block} | ({"mode": move.mode} if move.mode else {})

    def split(self, part: str, move: Move[Size]) -> list[str]:
        """The equal parts of a tensor along one axis."""
        ((axis, count, _),) = move.cuts
        attributes = {"axis": axis} | ({"num_outputs": count} if self.opset >= _SPLIT_COUNT_OPSET else {})
        first = self.add("Split", [part], **attributes)
        more = [f"{first}:{number}" for number in range(1, count)]
        self.nodes[-1].output.extend(more)
        return [first, *more]

    def slice(self, move: Move[Size], places: Sequence[int]) -> list[str]:
        """What a Slice reads for the part at these places of the move's cuts."""
        numbers = []
        for (axis, count, outer), place in zip(move.cuts, places, strict=True):
            length = int(move.written[axis].coefficient) if outer else 1
            span = (place * length, (place + 1) * length, 1) if outer else (place, _END, count)
            numbers.append((*span[:2], axis, span[2]))
        starts, ends, axes, steps = zip(*numbers, strict=True)
        return [self.constant(each) for each in (starts, ends, axes, *([steps] if set(steps) != {1} else []))]

    def view_as(self, shape: Shape, *, last: bool = False) -> None:
        """A Reshape of each part to `shape`, where they do not have it yet."""
        if shape != self.shape:
            target = self.target(shape, checked=last)
            self.parts = [self.add("Reshape", [part, target]) for part in self.parts]
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
        """Whether a length that does not divide could have come this far: SpaceToDepth and DepthToSpace refuse it.

        Within limits there may be views of other lengths before them.
        """
        last = self.nodes[-1].op_type if self.nodes else ""
        refused = not self.limits and last in ("SpaceToDepth", "DepthToSpace")
        return self._must_divide(size) != 1 and not refused

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
    lowering: Lowering[Size],
    nodes: Sequence[NodeProto],
    constants: Sequence[TensorProto],
    *,
    name: str,
    names: Sequence[str],
    elem_type: int,
    opset: int,
    doc: str,
    version: str,
) -> onnx.ModelProto:
    """The model of these nodes of `lowering`: "input" and "output" of `elem_type`, dynamic axes called `names`."""
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
