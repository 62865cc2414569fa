"""The ONNX model of a Darknet network while it is made: its graph, the outputs, float16, what Winograd's form takes.

`ports.onnx` writes it. onnx is imported when a model is built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layoutbridge.darknet.meaning import Arrays, Memory, Variant, write_layers
from layoutbridge.darknet.meaning.boxes import Suppression
from layoutbridge.darknet.ports.outputs import check_head, check_steps, head_outputs
from layoutbridge.darknet.ports.port import next_state, state_name
from layoutbridge.darknet.ports.records.winograd import IN_HALF, WinogradUse, tiles_by_name, use_of
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import ParameterError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.limits import refuse_beyond
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.frameworks.onnx.programs.table import profile_of
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.frameworks.winograd import Tile

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

    from layoutbridge.frameworks.onnx.network.graph import Initializer
    from layoutbridge.frameworks.onnx.network.values import OnnxValue
    from layoutbridge.frameworks.onnx.target import OnnxTarget

ENDINGS = ("deepstream", "efficient_nms")  # heads of programs: `ports.onnx_endings`
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # their sums are kept in float32 by the runtimes themselves


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model, with its weights still unread; the rest as of `Export`."""

    model: ModelProto
    initializers: list[Initializer]
    outputs: Mapping[str, tuple[int | None, ...]]
    batch: int | None
    unbatched: frozenset[str]
    states: Mapping[str, tuple[int | None, ...]]
    warnings: tuple[str, ...]
    winograd: WinogradUse | None


def build_model(
    network: Network,
    parameters: Arrays,
    *,
    head: str,
    opset: int | None,
    batch: int | None,
    dynamic_size: bool,
    keep_batch_norm: bool,
    half: bool,
    winograd: bool | Mapping[int, Tile],
    store_winograd: bool,
    runtime: str | None,
    limits: Limits,
    every_layer: bool,
    nms: Suppression | None,
    steps: int | None,
) -> BuiltModel:
    """The model; the options are those of `onnx.write_onnx`, `nms` what is to be suppressed. Raises as that does."""
    profile = profile_of(runtime)
    if head not in ENDINGS:
        check_head(head)
    of_boxes = head in (*HEAD_LAYOUTS, *ENDINGS)
    flat_steps = steps is not None and len(network.in_shape) == 1
    profile.refuse(
        {
            "half": half,
            "dynamic_size": dynamic_size,
            "steps": flat_steps,
            "nms": nms is not None,
            "head of boxes": of_boxes,
        }
    )
    limits |= profile.network_limits
    batch = profile.batch if batch is None else batch
    opset = profile.opset if opset is None else opset
    if winograd and half:
        raise ParameterError(IN_HALF)
    if nms is not None and head not in (*HEAD_LAYOUTS, *ENDINGS):
        raise ParameterError(f"nms needs boxes: choose the head boxes, yolov5 or yolov8 instead of {head}")
    require("onnx", "onnx", EXTRA)
    from layoutbridge.frameworks.onnx.target import OnnxTarget

    check_steps(network, steps)
    if store_winograd and not winograd:
        raise ParameterError("store_winograd stores the weights of Winograd's form: ask for winograd, too")
    target = OnnxTarget(
        network.in_shape,
        opset=opset,
        batch=batch,
        open_size=dynamic_size,
        forms=profile.forms,
        winograd=tiles_by_name(network, winograd),
        store_winograd=store_winograd,
        steps=steps,
        limits=limits,
    )
    memory: Memory[OnnxValue] = Memory(1 if steps is None else steps)
    if steps is None:
        memory.before = {
            (layer.index, state.name): target.state(state_name(layer, state), state.shape)
            for layer, state in network.states
        }
    written: dict[str, OnnxValue] = {}

    def finish(layer: Layer, value: OnnxValue) -> OnnxValue:
        if not every_layer and (not value.batched or target.has_name(value)):
            return value
        with target.scope(layer.name):
            written[layer.name] = named = target.as_output(value, layer.name)
        return named if value.batched and steps is None else value

    variant = Variant(keep_batch_norm=keep_batch_norm, open_size=dynamic_size)
    values = write_layers(target, network, parameters, target.input, variant=variant, finish=finish, memory=memory)
    if head in ENDINGS:
        from layoutbridge.darknet.ports.onnx_endings import ending_outputs

        returned = ending_outputs(target, network, values, head, nms)
    else:
        returned = head_outputs(target, network, target.input, values, head, nms=nms)
    outputs = {
        output.name: written[output.name] if output.name in written else target.as_output(output.value, output.name)
        for output in returned
    }
    if every_layer:
        outputs |= written
    if steps is None:
        for layer, state in network.states:
            with target.scope(layer.name):
                name = next_state(state_name(layer, state))
                outputs[name] = target.named(memory.after[layer.index, state.name], name)
    return _assemble(target, network, values, outputs, half)


def _assemble(
    target: OnnxTarget, network: Network, values: Sequence[OnnxValue], outputs: Mapping[str, OnnxValue], half: bool
) -> BuiltModel:
    from onnx import TensorProto, helper

    from layoutbridge.frameworks.onnx.network.half import in_half
    from layoutbridge.version import __version__

    nodes, initializers = target.graph.needed_for(outputs)
    types: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    if half:
        given = [target.given.name, *target.states]
        converted = in_half(nodes, initializers, given, outputs, _stays_in_float32(network))
        nodes, initializers, types = converted.nodes, converted.initializers, converted.types
        warnings = tuple(_unfit_warnings(network, converted.unfit))
    if target.forms.copies_outputs:
        nodes = list(_copied_before_joining(nodes, outputs))
    batch = "N" if target.batch is None else target.batch // (target.steps or 1)
    leading = [batch] if target.steps is None else [target.steps, batch]

    def describe(name: str, value: OnnxValue) -> ValueInfoProto:
        if value.integer:
            return helper.make_tensor_value_info(name, TensorProto.INT64, ["kept", *value.shape[1:]])
        words = {0: "height", 1: "width"}
        lengths = [
            (words[axis - 1] if name == "input" else None) if axis in value.open else length
            for axis, length in enumerate(value.shape)
        ]
        kind = TensorProto.FLOAT if name in outputs else types.get(name, TensorProto.FLOAT)
        kind = TensorProto.INT32 if value.counts else kind
        return helper.make_tensor_value_info(name, kind, [*leading, *lengths])

    held = {initializer.name for initializer in initializers}
    beside = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, lengths)
        for name, lengths in target.defaults.items()
        if name in held
    ]
    made = {name for node in nodes for name in node.output}
    inner = {target.name_of(value): value for value in values if value.batched}
    graph = helper.make_graph(
        nodes,
        Path(network.source).stem or "darknet",
        [*(describe(value.name, value) for value in (target.given, *target.states.values())), *beside],
        [describe(name, value) for name, value in outputs.items()],
        value_info=[describe(name, v) for name, v in inner.items() if name in made and name not in outputs]
        if target.steps is None
        else [],
    )
    opsets = [helper.make_opsetid("", target.graph.opset)]
    opsets += [helper.make_opsetid(domain, 1) for domain in sorted({node.domain for node in nodes} - {""})]
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets, ignore_unknown=True),
        producer_name="layoutbridge",
        producer_version=__version__,
        doc_string=f"Darknet network {network.source}, flavor {network.flavor}",
    )
    after = set(map(next_state, target.states))
    shapes = {name: _open_shape(value) for name, value in outputs.items() if name not in after}
    states = {name: _open_shape(value) for name, value in target.states.items()}
    unbatched = frozenset(name for name, value in outputs.items() if value.integer)
    if target.limits:
        refuse_beyond(target.limits, model, initializers, lambda scope: _told_scope(network, scope))
    written, stored = target.in_winograd, target.store_winograd
    used = use_of(network, target.winograd, written, stored=stored) if target.winograd else None
    return BuiltModel(
        model, initializers, shapes, None if isinstance(batch, str) else batch, unbatched, states, warnings, used
    )


def _copied_before_joining(nodes: Iterable[NodeProto], outputs: Collection[str]) -> Iterator[NodeProto]:
    """`nodes` with an Identity between each of the `outputs` and the Concats that read it."""
    from onnx import helper

    copies: set[str] = set()
    for node in nodes:
        for place, name in enumerate(node.input if node.op_type == "Concat" else ()):
            if name not in outputs:
                continue
            node.input[place] = copy = f"{name}/joined"
            if copy not in copies:
                copies.add(copy)
                yield helper.make_node("Identity", [name], [copy], name=copy)
        yield node


def in_whole_numbers(built: BuiltModel, network: Network, int8: Int8, *, behind_products: bool) -> BuiltModel:
    """A model in int8: `rounding.onnx` says how, and what is raised."""
    from onnx import ModelProto

    from layoutbridge.darknet.rounding.onnx import int8_graph

    made = int8_graph(
        network, built.model, built.initializers, int8, _stays_in_float32(network), behind_products=behind_products
    )
    model = ModelProto()
    model.CopyFrom(built.model)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(made.nodes)
    return replace(built, model=model, initializers=made.initializers)


def _told_scope(network: Network, scope: str) -> str:
    """What a message calls the outermost scope of nodes: a layer with its line, or what stands behind the layers."""
    layer = next((layer for layer in network.layers if scope in (layer.name, f"{layer.name}_boxes")), None)
    return f"{network.where(layer)}: {scope}" if layer is not None else f"{network.source}: {scope or 'the graph'}"


def _open_shape(value: OnnxValue) -> tuple[int | None, ...]:
    return tuple(None if axis in value.open else length for axis, length in enumerate(value.shape))


def _stays_in_float32(network: Network) -> Callable[[NodeProto], bool]:
    """Whether a node of the network's graph is computed in float32 where the others are in float16."""
    from layoutbridge.frameworks.onnx.network.half import scope_of

    layers = {layer.name: layer for layer in network.layers}

    def stays(node: NodeProto) -> bool:
        layer = layers.get(scope_of(node))  # None for what decodes boxes, which stands behind the layers
        if layer is None or layer.settings.in_float32 or node.op_type == "BatchNormalization":
            return True
        return layer.settings.activation_in_float32 and node.op_type not in _PRODUCTS

    return stays


def _unfit_warnings(network: Network, unfit: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    for layer in network.layers:
        if layer.name in unfit:
            name, largest = unfit[layer.name]
            yield (
                f"{network.where(layer)}: {layer.name} stays in float32: '{name}' reaches {largest:.3g}, "
                "which float16 (6.1e-05 to 65504) cannot hold"
            )
