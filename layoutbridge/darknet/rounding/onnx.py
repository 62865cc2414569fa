"""An ONNX graph of a network in int8: ranges measured in onnxruntime, over the pictures given."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError
from layoutbridge.frameworks.rounding import Follows, Range, Sample, leaky, swish

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from layoutbridge.frameworks.onnx.network.graph import Initializer
    from layoutbridge.frameworks.onnx.network.int8 import Int8Graph

_TOGETHER = 1 << 28  # bytes of tensors that a run gives
_GATES = ("Sigmoid", "Softplus", "Exp", "Tanh")  # what swish and mish multiply their input by is made of these


def int8_graph(
    network: Network,
    model: ModelProto,
    initializers: Sequence[Initializer],
    int8: Int8,
    stays: Callable[[NodeProto], bool],
    *,
    behind_products: bool,
) -> Int8Graph:
    """The graph of `model`, whose `initializers` are not in it yet, in int8; nodes that `stays` names stay as they are.

    `behind_products` is that of `rounded_tensors`: for onnxruntime, which has biases in whole numbers, too. Raises
    `ParameterError` for an opset that is too old, and as
    `Int8.check` and onnxruntime's sessions do.
    """
    from layoutbridge.frameworks.onnx.network.half import scope_of
    from layoutbridge.frameworks.onnx.network.int8 import LEAST_OPSET, in_int8, rounded_tensors

    int8.check(network)
    shortcuts = {layer.name for layer in network.layers if layer.kind == "shortcut"}

    def stays_float(node: NodeProto) -> bool:
        """Sums within activations too, whose parts have ranges that no 8 bits hold."""
        return stays(node) or (node.op_type == "Add" and scope_of(node) not in shortcuts)

    opset = model.opset_import[0].version
    if opset < LEAST_OPSET:
        raise ParameterError(f"int8 needs opset {LEAST_OPSET}, which has a scale for each filter: opset is {opset}")
    nodes, inputs = list(model.graph.node), [given.name for given in model.graph.input]
    kept = {network.layers[index].name for index in int8.in_float}
    makers = {name: scope_of(node) for node in nodes for name in node.output}

    def chosen(keeps: Callable[[str], bool]) -> tuple[str, ...]:
        return rounded_tensors(nodes, inputs, stays_float, keeps, behind_products=behind_products)

    every = chosen(lambda _: False)
    key = ("onnx", tuple(every))
    if key not in int8.measured:
        follows = _following(nodes, every)
        samples = _measured(model, initializers, every, int8.pictures)
        int8.measured[key] = {
            name: sample.fitting_range(follows.get(name)) for name, sample in samples.items() if sample.finite
        }
    ranges: dict[str, Range] = int8.measured[key]
    rounded = [name for name in chosen(lambda name: makers.get(name) in kept) if name in ranges]
    outputs = [made.name for made in model.graph.output]
    return in_int8(
        nodes,
        initializers,
        outputs,
        {name: ranges[name] for name in rounded},
        stays_float,
        inputs,
        biases=behind_products,
    )


def _measured(
    model: ModelProto, initializers: Sequence[Initializer], names: Collection[str], pictures: NDArray[np.float32]
) -> dict[str, Sample]:
    """What these tensors of the model hold for the pictures, one after another."""
    from onnx import ModelProto, ValueInfoProto

    from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
    from layoutbridge.frameworks.onnx.writer import write_model

    samples = {name: Sample(len(pictures)) for name in names}
    given = model.graph.input[0]
    if given.name in samples:
        for picture in pictures:
            samples[given.name].see(picture)
    told = ModelProto()
    told.CopyFrom(model)
    del told.graph.output[:]
    made = [name for name in names if name != given.name]
    told.graph.output.extend(ValueInfoProto(name=name) for name in made)
    batch = given.type.tensor_type.shape.dim[0].dim_value or 1
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "measured.onnx"
        write_model(told, initializers, path)
        with refusals_of(path, "run"):
            session = open_session(path)
            for group in _groups(session, given.name, made, pictures[:1], batch):
                for picture in pictures:
                    x = np.repeat(picture[None], batch, axis=0)
                    for name, values in zip(group, session.run(group, {given.name: x}), strict=True):
                        samples[name].see(values)
    return samples


def _groups(
    session: object, given: str, names: Sequence[str], picture: NDArray[np.float32], batch: int
) -> Iterator[list[str]]:
    """The tensors in groups whose values lie in memory together, the sizes found a few at a time."""
    group: list[str] = []
    bytes_held = 0
    for start in range(0, len(names), 8):
        some = list(names[start : start + 8])
        values = session.run(some, {given: np.repeat(picture, batch, axis=0)})  # type: ignore[attr-defined]
        for name, value in zip(some, values, strict=True):
            if group and bytes_held + value.nbytes > _TOGETHER:
                yield group
                group, bytes_held = [], 0
            group.append(name)
            bytes_held += value.nbytes
    if group:
        yield group


def _following(nodes: Sequence[NodeProto], names: Collection[str]) -> dict[str, Follows]:
    """What a tensor goes through next, where that is an activation which hardly lets negative values through."""
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: dict[str, Follows] = {}
    for name in names:
        reading = readers.get(name, [])
        if len(reading) == 1 and reading[0].op_type == "LeakyRelu":
            slope = next((a.f for a in reading[0].attribute if a.name == "alpha"), 0.01)
            found[name] = leaky(slope)
        elif len(reading) > 1 and any(node.op_type in _GATES for node in reading):
            found[name] = swish
    return found
