"""ONNX models: their layers with weights in the order of the graph, with batch norms that are nodes or were folded.

Nothing of the model runs. Weights are followed through what exporters put before them: Constant, Identity, Cast,
Transpose, Reshape, Squeeze, Unsqueeze.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.returning.source import Kind, Normalization, Part, Source, Tensor, loose_tensors, plain
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_PRODUCTS: Mapping[str, Kind] = {
    "Conv": "convolution", "ConvTranspose": "transposed", "Gemm": "dense", "MatMul": "dense",
}  # fmt: skip
_THROUGH = ("Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze")
_BETWEEN = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze")  # that may stand between a product and its biases
_FIXED = "constants/"  # filters in our exports that gather windows
_BINARY = "/binary_weights"  # signs, in our exports of layers with xnor=1
_GATES = {"LSTM": "iofg", "GRU": "zrh"}


def source_of_onnx(model: str | os.PathLike[str] | ModelProto) -> Source:
    """The layers of an ONNX file or of a model in memory.

    Raises `UnusableInputError` for a file that is not whole, or whose data lie elsewhere, `MissingFrameworkError`.
    """
    require("onnx", "onnx", "onnx")
    if isinstance(model, str | os.PathLike):
        from layoutbridge.frameworks.onnx.reading import read_sparing

        held, folder = read_sparing(model)
        told, base = f"'{os.fspath(model)}'", os.fspath(folder)
    else:
        held, told, base = model, "the ONNX model", ""
    try:
        return _Reader(held, base).source()
    except LayoutBridgeError:
        raise
    except Exception as error:  # whatever an invalid model runs into
        raise UnusableInputError(f"{told} cannot be read: {first_line(error)}") from None


@dataclass
class _Reader:
    """A model while it is read."""

    model: ModelProto
    folder: str

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.makers: dict[str, NodeProto] = {output: node for node in graph.node for output in node.output}
        self.takers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        self.known: dict[str, NDArray[Any] | None] = {}
        self.used: set[str] = set()
        self.done: set[int] = set()

    def source(self) -> Source:
        """All of it."""
        parts: list[Part] = []
        for node in self.model.graph.node:
            if node.op_type in _PRODUCTS and node.domain == "":
                part = self.product(node)
                parts += [] if part is None else [part]
            elif node.op_type in _GATES:
                parts += self.recurrent(node)
            elif node.op_type == "BatchNormalization" and id(node) not in self.done:
                norm = self.normalization(node)
                parts += [] if norm is None else [Part(_layer_of(node), "normalization", normalization=norm)]
        parts = _named_apart(parts)
        initializers = {name: self.value(name) for name in self.initializers if name not in self.used}
        loose = loose_tensors({name: values for name, values in initializers.items() if values is not None})
        given = {name: self.value(name) for name in self.used}
        beside = loose_tensors({name: values for name, values in given.items() if values is not None})
        notes = self.halves()
        return Source("ONNX", tuple(parts), {**beside, **loose}, "the order of its graph", notes)

    def halves(self) -> tuple[str, ...]:
        """A note where weights are of less than 32 bits."""
        half = [name for name in self.used if (v := self.value(name)) is not None and v.dtype.itemsize < 4]
        return (f"{len(half)} of its tensors are float16: what that rounds off stays lost",) if half else ()

    # ------------------------------------------------------------------ constants

    def value(self, name: str) -> NDArray[Any] | None:
        """The array called `name`, where it depends on no input."""
        if name not in self.known:
            self.known[name] = None  # while it is looked for
            self.known[name] = self._computed(name)
        return self.known[name]

    def _computed(self, name: str) -> NDArray[Any] | None:
        if name in self.initializers:
            return self._array(self.initializers[name])
        node = self.makers.get(name)
        if node is None:
            return None
        options = {each.name: each for each in node.attribute}
        if node.op_type == "Constant":
            return self._array(options["value"].t) if "value" in options else None
        if node.op_type not in _THROUGH:
            return None
        values = self.value(node.input[0])
        if values is None or node.op_type in ("Identity", "Cast"):
            return values
        if node.op_type == "Transpose":
            return values.transpose(list(options["perm"].ints) if "perm" in options else None)
        axes: Any = options["axes"].ints if "axes" in options else None
        if axes is None and len(node.input) > 1:
            axes = self.value(node.input[1])
        if node.op_type == "Reshape":
            assert axes is not None
            lengths = [values.shape[k] if length == 0 else int(length) for k, length in enumerate(axes)]
            return values.reshape(lengths)
        chosen = None if axes is None else tuple(int(axis) for axis in axes)
        made: NDArray[Any] = (
            np.squeeze(values, chosen) if node.op_type == "Squeeze" else np.expand_dims(values, chosen or ())
        )
        return made

    def _array(self, tensor: Any) -> NDArray[Any] | None:
        from onnx import numpy_helper

        values: NDArray[Any] = numpy_helper.to_array(tensor, self.folder)
        if values.dtype.kind == "V" or values.dtype.name == "bfloat16":
            return values.astype(np.float32)
        return values

    def tensor(self, name: str) -> Tensor | None:
        """The tensor of a name, under that of the initializer that it comes from."""
        values = self.value(name)
        if values is None:
            return None
        told = name
        while told not in self.initializers and told in self.makers and self.makers[told].input:
            told = self.makers[told].input[0]
        self.used.add(told)
        return Tensor(told, values)

    # ------------------------------------------------------------------ layers

    def product(self, node: NodeProto) -> Part | None:
        """The part that a product with weights is, with the biases and the batch norm that follow."""
        kind = _PRODUCTS[node.op_type]
        weights = self.tensor(node.input[1])
        if weights is None or weights.values.ndim != (2 if kind == "dense" else 4):
            return None
        if weights.name.startswith(_FIXED) or weights.name.endswith(_BINARY):
            return None
        options = {each.name: each for each in node.attribute}
        scale, share = 1.0, 1.0
        if node.op_type == "Gemm":
            scale = options["alpha"].f if "alpha" in options else 1.0
            share = options["beta"].f if "beta" in options else 1.0
        if kind == "dense" and not (node.op_type == "Gemm" and "transB" in options and options["transB"].i):
            weights = replace(weights, values=weights.values.T)
        if scale != 1:
            weights = replace(weights, values=weights.values * np.float32(scale))
        bias = self.tensor(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if bias is not None and share != 1:
            bias = replace(bias, values=bias.values * np.float32(share))
        last = kind == "dense" and self.takes_channels_last(node.input[0])
        part = Part(_owner(weights.name) or _layer_of(node), kind, weights, bias, channels_last=last)
        return self.followed(part, node.output[0])

    def takes_channels_last(self, name: str) -> bool:
        """Whether a tensor is a picture made flat with its channels last, as TensorFlow's exporters have it."""
        node = self.makers.get(name)
        while node is not None and node.op_type in (*_BETWEEN, "Flatten") and node.input:
            node = self.makers.get(node.input[0])
        if node is None or node.op_type != "Transpose":
            return False
        return any(each.name == "perm" and list(each.ints) == [0, 2, 3, 1] for each in node.attribute)

    def followed(self, part: Part, output: str) -> Part:
        """The part with a bias that is added, and a batch norm, where they are all that takes its output."""
        while True:
            after = self.takers.get(output, [])
            if len(after) != 1:
                return part
            node = after[0]
            if node.op_type == "BatchNormalization" and node.input[0] == output:
                norm = self.normalization(node)
                if norm is None or norm.channels != part.channels:
                    return part
                self.done.add(id(node))
                return replace(part, normalization=norm)
            if node.op_type == "Add" and part.bias is None and part.normalization is None:
                other = next((name for name in node.input if name != output), "")
                values = self.value(other)
                if values is None or values.size != part.channels or not _is_along_channels(values, part):
                    return part
                part = replace(part, bias=self.tensor(other))
            elif node.op_type not in _BETWEEN or node.input[0] != output:
                return part
            output = node.output[0]

    def normalization(self, node: NodeProto) -> Normalization | None:
        """The batch norm that a node is, None where its numbers are computed."""
        held = [self.tensor(name) for name in node.input[1:5]]
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        scales, biases, means, variances = held
        if scales is None or biases is None or means is None or variances is None:
            return None
        return Normalization(scales, biases, means, variances, epsilon)

    def recurrent(self, node: NodeProto) -> Sequence[Part]:
        """The gates of an LSTM or a GRU, called as Darknet's parts: u are those of the input, w of the state."""
        held = [self.tensor(name) if name else None for name in node.input[1:4]]
        of_input, of_state, biases = (*held, None, None, None)[:3]
        gates = _GATES[node.op_type]
        if of_input is None or of_state is None or of_input.shape[0] != 1:
            return []
        scope = _owner(of_input.name) or _layer_of(node)
        made = []
        for side, tensor, half in (("u", of_input, 0), ("w", of_state, 1)):
            rows = tensor.values[0].reshape(len(gates), -1, tensor.shape[-1])
            for k, gate in enumerate(gates):
                bias = None
                if biases is not None:
                    count = rows.shape[1]
                    start = (half * len(gates) + k) * count
                    bias = Tensor(f"{biases.name}[{start}:{start + count}]", biases.values[0, start : start + count])
                name = f"{tensor.name}[{k * rows.shape[1]}:{(k + 1) * rows.shape[1]}]"
                made.append(Part(f"{scope}/{side}{gate}", "dense", Tensor(name, rows[k]), bias))
        return made


def _is_along_channels(values: NDArray[Any], part: Part) -> bool:
    """Whether numbers that are added stand one a channel."""
    lengths = [length for length in values.shape if length > 1]
    if values.size == 1 or part.kind == "dense":
        return len(lengths) <= 1
    return len(lengths) == 1 and values.ndim >= 3 and values.shape[-3] == values.size


def _owner(name: str) -> str:
    """The layer whose tensor a name tells of: what stands before the last point or stroke; "" where none does.

    >>> _owner("7_convolutional/weights"), _owner("module_list.0.Conv2d.weight"), _owner("onnx::Conv_12")
    ('7_convolutional', 'module_list.0.Conv2d', '')
    """
    if "::" in name:
        return ""
    cut = max(name.rfind("/"), name.rfind("."))
    return name[:cut] if cut > 0 else ""


def _layer_of(node: NodeProto) -> str:
    """What a node is called: by its name, or by what it makes."""
    return node.name or (node.output[0] if node.output else node.op_type)


def _named_apart(parts: Sequence[Part]) -> list[Part]:
    """The parts, a second use of weights left out: layers that share them have them once."""
    seen: set[str] = set()
    kept = []
    for part in parts:
        key = plain(part.weights.name if part.weights is not None else part.name)
        if key not in seen:
            kept.append(part)
        seen.add(key)
    return kept
