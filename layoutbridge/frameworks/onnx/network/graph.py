"""An ONNX graph while it grows: nodes with names that a person recognises, and what they read, still unread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from onnx import NodeProto, TensorProto, helper

from layoutbridge.frameworks.primitives import LazyArray, Shape
from layoutbridge.frameworks.scopes import Scopes

_SLICES_ARE_INPUTS_OPSET = 10
_SHAPE_RANGE_OPSET = 15  # from here on Shape has start and end


@dataclass(frozen=True, slots=True)
class Initializer:
    """A tensor that the file will hold; `values(dtype=...)` gives its numbers in order, in arrays of that dtype."""

    name: str
    shape: Shape
    elem_type: int
    values: Callable[..., Iterable[NDArray[Any]]]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of its numbers in the file, little-endian."""
        return np.dtype(helper.tensor_dtype_to_np_dtype(self.elem_type)).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""
        return prod(self.shape) * self.dtype.itemsize

    def chunks(self) -> Iterator[Any]:
        """Its bytes, one piece after another."""
        for part in self.values(dtype=self.dtype):
            yield np.ascontiguousarray(part).reshape(-1).view(np.uint8).data


class Graph(Scopes):
    """Nodes and initializers in the order in which they were asked for.

    In a `body`, the graph of a Loop, constants are nodes: initializers of it would have to bear other names than all of
    the model's.
    """

    def __init__(self, opset: int, *, body: bool = False) -> None:
        super().__init__()
        self.opset, self.body = opset, body
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, Initializer] = {}
        self._made_once: dict[object, str] = {}
        self._renamed: dict[str, str] = {}

    # ------------------------------------------------------------------ nodes

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node of one output; returns the output's name, which is the node's too."""
        name = self.unique(operator)
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def add_several(self, operator: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """A node of `count` outputs; returns their names."""
        name = self.unique(operator)
        outputs = [f"{name}:{position}" for position in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name=name, **attributes))
        return outputs

    def add_once(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The output of such a node, made the first time that one with these inputs is asked for."""
        key = (operator, *inputs, *sorted(attributes.items()))
        if key not in self._made_once:
            self._made_once[key] = self.add(operator, inputs, **attributes)
        return self._made_once[key]

    def add_made(self, nodes: Sequence[NodeProto], constants: Iterable[TensorProto], tensors: Mapping[str, str]) -> str:
        """Nodes and constants that somebody else made, under names of this scope; returns that of the last output.

        `tensors` says what the tensors are called here that they read from outside.
        """
        names = dict(tensors)
        for constant in constants:
            names[constant.name] = constant.name = self.unique(constant.name.lstrip("/"))
            self.add_tensor(constant)
        for node in nodes:
            node.name = self.unique(node.op_type)
            made = [node.name, *(f"{node.name}:{place}" for place in range(1, len(node.output)))]
            names.update(zip(node.output, made, strict=True))
            node.input[:] = [names[name] for name in node.input]
            node.output[:] = made
            self.nodes.append(node)
        return self.nodes[-1].output[0]

    def lengths(self, tensor: str, start: int, end: int) -> str:
        """int64 [end - start]: lengths of the tensor's axes."""
        if self.opset >= _SHAPE_RANGE_OPSET:
            return self.add_once("Shape", [tensor], start=start, end=end)
        shape = self.add_once("Shape", [tensor])
        if self.opset < _SLICES_ARE_INPUTS_OPSET:
            return self.add_once("Slice", [shape], starts=(start,), ends=(end,))
        return self.add_once("Slice", [shape, self.integers([start]), self.integers([end])])

    # ------------------------------------------------------------------ what nodes read

    def parameter(self, array: LazyArray, shape: Shape | None = None) -> str:
        """The name of an initializer with the array's values, as `shape` where given; nothing is read yet."""
        name, shape = array.name, array.shape if shape is None else shape
        held = self.initializers.get(name)
        if held is not None and held.shape == shape:
            return name
        if held is not None:
            name = self.unique(f"{name}_{'x'.join(map(str, shape))}")
        self.initializers[name] = Initializer(name, shape, TensorProto.FLOAT, array.chunks)
        return name

    def integers(self, numbers: Sequence[int]) -> str:
        """The name of an int64 constant [len(numbers)]; equal ones are stored once."""
        values = np.asarray(numbers, "<i8")
        return self._constant(("int64", *values.tolist()), values, TensorProto.INT64)

    def integer(self, number: int) -> str:
        """The name of an int64 constant without axes; equal ones are stored once."""
        return self._constant(("int64 without axes", number), np.asarray(number, "<i8"), TensorProto.INT64)

    def number(self, value: float) -> str:
        """The name of a float32 constant without axes; equal ones are stored once."""
        return self._constant(("float32", float(value)), np.asarray(value, "<f4"), TensorProto.FLOAT)

    def add_tensor(self, tensor: TensorProto) -> None:
        """An initializer that somebody else made, with raw data or int64 data."""
        from onnx import numpy_helper

        values = partial(whole, numpy_helper.to_array(tensor))
        self.initializers[tensor.name] = Initializer(tensor.name, tuple(tensor.dims), tensor.data_type, values)

    def _constant(self, key: object, values: Any, elem_type: int) -> str:
        if key not in self._made_once and self.body:
            held = helper.make_tensor("", elem_type, values.shape, values.reshape(-1))
            self._made_once[key] = self.add("Constant", [], value=held)
        elif key not in self._made_once:
            name = f"constants/{len(self._made_once) + 1}"
            self._made_once[key] = name
            self.initializers[name] = Initializer(name, values.shape, elem_type, partial(whole, values))
        return self._made_once[key]

    # ------------------------------------------------------------------ the end

    def rename(self, tensor: str, name: str) -> None:
        """Give a tensor that a node makes another name, wherever it stands."""
        self._renamed[tensor] = name

    def needed_for(self, outputs: Iterable[str]) -> tuple[list[NodeProto], list[Initializer]]:
        """The nodes and initializers that `outputs` (names after renaming) depend on, under their final names."""
        nodes: list[NodeProto] = []
        wanted = set(outputs)
        for node in reversed(self.nodes):
            names = [self._renamed.get(name, name) for name in node.output]
            if wanted.isdisjoint(names):
                continue
            made = NodeProto()
            made.CopyFrom(node)
            made.output[:] = names
            made.input[:] = [self._renamed.get(name, name) for name in node.input]
            wanted.update(made.input)
            nodes.append(made)
        return nodes[::-1], [held for name, held in self.initializers.items() if name in wanted]


def whole(values: NDArray[Any], dtype: DTypeLike) -> tuple[NDArray[Any]]:
    """Values that are there, as `Initializer.values` gives them."""
    return (values.astype(dtype, copy=False),)
