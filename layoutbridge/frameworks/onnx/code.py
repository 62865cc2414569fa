"""ONNX: a rearrangement as code to paste."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from layoutbridge.algebra.moves import Lowering, Move, Shape, lower, own_blocks
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.spelling import Spelling, spelled
from layoutbridge.frameworks.onnx.versions import DEFAULT_OPSET
from layoutbridge.frameworks.source_text import (
    Bracketed,
    Lengths,
    call,
    docstring,
    function_name,
    function_text,
    laid_out,
    listed,
    views_between,
)

_IMPORT = "from onnx import ModelProto, TensorProto, helper"
_TAKEN = ("ModelProto", "TensorProto", "helper", "dtype", "nodes", "graph")
_IR_VERSION = 8  # that of the opset, which older runtimes load as well
_BEFORE_ALL = "-(2**63)"
_RESULTS = {"Reshape": "reshaped", "Transpose": "transposed", "Slice": "flipped", "Gather": "ordered"}


def write_code(op: Rearrangement, *, batch: bool) -> str:
    """A function that builds a model with `onnx.helper`: SpaceToDepth, DepthToSpace or Transpose where it is that map.

    The batch stays open. Where the graph has views, the function takes the lengths of the other axes.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("flip_width"), batch=True).splitlines()[3])
    def flip_width(dtype: int = TensorProto.FLOAT) -> ModelProto:
    >>> print(write_code(op("focus"), batch=True).splitlines()[3])
    def focus(c: int, h: int, w: int, dtype: int = TensorProto.FLOAT) -> ModelProto:
    """
    spelling = spelled(op, batch=batch)
    lowering = _native(op, batch) or spelling.lowering
    graph = _Graph(spelling, batch, open_lengths=all(view is None for view, _ in views_between(lowering)))
    graph.write(lowering)
    name = function_name(op, _TAKEN)
    shapes = (spelling.in_shape, spelling.result)
    values = [line for value, shape in zip("xy", shapes, strict=True) for line in graph.value_info(value, shape)]
    made = call("helper.make_graph", "nodes", f'"{name}"', "[x]", "[y]")
    opsets = f'opset_imports=[helper.make_opsetid("", {DEFAULT_OPSET})]'
    model = call("helper.make_model", "graph", opsets, f"ir_version={_IR_VERSION}")
    body = [*laid_out("nodes = ", graph.nodes), *values, *laid_out("graph = ", made), *laid_out("return ", model)]
    parameters = [*graph.parameters, "dtype: int = TensorProto.FLOAT"]
    return function_text([_IMPORT], name, parameters, "ModelProto", [*docstring(op), *body])


def _native(op: Rearrangement, batch: bool) -> Lowering[Size] | None:
    """SpaceToDepth or DepthToSpace on the tensor as it is; SpaceToDepth has no mode yet, and is DCR."""
    lowering = lower(op, [None] * (op.rank + batch))
    if len(lowering.moves) != 1:
        return None
    blocks = own_blocks(lowering.moves[0], lowering.in_shape, lowering.result)
    if blocks is None or (blocks.kind, blocks.mode) == ("space_to_depth", "CRD"):
        return None
    return replace(lowering, moves=(blocks,))


@dataclass(slots=True)
class _Node:
    operator: str
    inputs: Sequence[str]
    output: str
    attributes: tuple[str | Bracketed, ...]

    @property
    def text(self) -> Bracketed:
        inputs = ", ".join(f'"{name}"' for name in self.inputs)
        return call("helper.make_node", f'"{self.operator}"', f"[{inputs}]", f'["{self.output}"]', *self.attributes)


class _Graph:
    """The nodes of a graph from `x` to `y`, as text."""

    def __init__(self, spelling: Spelling, batch: bool, *, open_lengths: bool) -> None:
        self._spelling, self._batch, self._open = spelling, batch, open_lengths
        self._lengths = Lengths(spelling.axes, _TAKEN)
        self._nodes: list[_Node] = []
        self._named: Counter[str] = Counter()
        self._made = "x"  # what the last node gives

    @property
    def nodes(self) -> Bracketed:
        """All nodes; the last one gives `y`."""
        if self._made == "x":
            self._node("Identity")
        self._nodes[-1].output = "y"
        return Bracketed("[", tuple(node.text for node in self._nodes), "]", display=True)

    @property
    def parameters(self) -> list[str]:
        """The lengths that the function takes."""
        axes = [axis for axis, size in enumerate(self._spelling.in_shape) if size.powers and not self._is_batch(size)]
        return [] if self._open else [f"{self._lengths.names[axis]}: int" for axis in axes]

    def write(self, lowering: Lowering[Size]) -> None:
        """The nodes of all moves and the views between them."""
        for view, move in views_between(lowering):
            if view is not None:
                lengths = ["0" if self._is_batch(size) else self._lengths(size) for size in view]
                self._node("Reshape", [self._constant("shape", lengths)])
            if move is not None:
                self._move(move)

    def value_info(self, name: str, shape: Shape) -> list[str]:
        """The statement that says what the graph takes or gives."""
        lengths = listed(map(self._length, shape))
        return laid_out(f"{name} = ", call("helper.make_tensor_value_info", f'"{name}"', "dtype", lengths))

    def _length(self, size: Size) -> str:
        if size.is_constant or not (self._open or self._is_batch(size)):
            return self._lengths(size)
        axis = size.single_axis
        return "None" if axis is None or size.coefficient != 1 else f'"{self._lengths.names[axis].upper()}"'

    def _is_batch(self, size: Size) -> bool:
        return self._batch and size == Size.axis(0)

    def _move(self, move: Move[Size]) -> None:
        match move.kind:
            case "transpose":
                self._node("Transpose", [], Bracketed("perm=[", tuple(map(str, move.order)), "]", display=True))
            case "flip":
                step = self._constant("backwards", ["-1"] * len(move.flipped))
                end = self._constant("before_all", [_BEFORE_ALL] * len(move.flipped))
                self._node("Slice", [step, end, self._constant("axes", map(str, move.flipped)), step])
            case "gather":
                self._node("Gather", [self._constant("order", map(str, move.indices))], f"axis={move.axis}")
            case "space_to_depth":
                self._node("SpaceToDepth", [], f"blocksize={move.block}")
            case _:
                self._node("DepthToSpace", [], f"blocksize={move.block}", f'mode="{move.mode}"')

    def _constant(self, name: str, values: Iterable[str]) -> str:
        output = self._fresh(name)
        held = Bracketed("value_ints=[", tuple(values), "]", display=True)
        self._nodes.append(_Node("Constant", [], output, (held,)))
        return output

    def _node(self, operator: str, constants: Sequence[str] = (), *attributes: str | Bracketed) -> None:
        """A node that takes what the one before it gives."""
        inputs = [self._made, *constants]
        self._made = self._fresh(_RESULTS.get(operator, "y"))
        self._nodes.append(_Node(operator, inputs, self._made, attributes))

    def _fresh(self, name: str) -> str:
        self._named[name] += 1
        return name if self._named[name] == 1 else f"{name}{self._named[name]}"
