"""An exported program while it is rewritten: a copy of its graph, put together again as a program of its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry
from torch.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    TensorArgument,
)
from torch.fx import GraphModule, Node

from layoutbridge.errors import UnsupportedError, class_and_first_line

_CONSTANT = "layoutbridge_order"  # of channels, that a new operation reads


@dataclass(frozen=True, slots=True)
class Work:
    """A copy of a program's graph, and of what belongs to it, to be changed; `program` stays as it is."""

    program: ExportedProgram
    module: GraphModule
    signature: ExportGraphSignature
    constants: dict[str, Any]

    def rename_output(self, old: Node, new: Node) -> None:
        """The program gives `new` where it gave `old`, which is no input of it."""
        for spec in self.signature.output_specs:
            if spec.arg.name == old.name:
                spec.arg.name = new.name

    def with_constant(self, value: torch.Tensor) -> Node:
        """An input of the graph that is this constant."""
        for held in _placeholders(self.module):
            spec = next(each for each in self.signature.input_specs if each.arg.name == held.name)
            known = self.constants.get(spec.target or "")
            if spec.kind is InputKind.CONSTANT_TENSOR and isinstance(known, torch.Tensor) and _equal(known, value):
                return held
        name = next(name for k in range(len(self.constants) + 1) if (name := f"{_CONSTANT}_{k}") not in self.constants)
        users = {spec.arg.name for spec in self.signature.input_specs if spec.kind is InputKind.USER_INPUT}
        first = next(node for node in self.module.graph.nodes if node.op != "placeholder" or node.name in users)
        with self.module.graph.inserting_before(first):
            node = self.module.graph.placeholder(f"c_{name}")
        node.meta["val"] = _fake_like(value, self.module)
        place = next(k for k, held in enumerate(_placeholders(self.module)) if held is node)
        spec = InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), name, None)
        self.signature.input_specs.insert(place, spec)
        self.constants[name] = value
        return node


def work_on(program: ExportedProgram) -> Work:
    """A copy of a program's graph."""
    module = copy.deepcopy(program.graph_module)
    for copied, own in zip(_all_nodes(module), _all_nodes(program.graph_module), strict=True):
        copied.name = own.name  # which the copy may have numbered anew
    return Work(program, module, copy.deepcopy(program.graph_signature), dict(program.constants))


def looked_at(program: ExportedProgram) -> Work:
    """A program's own graph, to be read and not to be changed."""
    return Work(program, program.graph_module, program.graph_signature, program.constants)


def finished(work: Work) -> ExportedProgram:
    """The program that a changed graph makes, with all else as it was.

    Raises `UnsupportedError` where PyTorch's own checks refuse it, or it has lost a tensor that it speaks of.
    """
    program, module = work.program, work.module
    for inner in _all_modules(module):
        inner.graph.lint()
        inner.recompile()
    _refuse_lost(work)
    try:
        made = ExportedProgram(
            root=module,
            graph=module.graph,
            graph_signature=work.signature,
            state_dict=_own_buffers(program.state_dict, work.signature),
            range_constraints=copy.copy(program.range_constraints),
            module_call_graph=[_copied(entry) for entry in program.module_call_graph],
            example_inputs=program.example_inputs,
            constants=_own_buffers(work.constants, work.signature),
            verifiers=program.verifiers,
        )
    except Exception as error:  # what its verifier says
        raise UnsupportedError(f"the rewritten program would not be sound: {class_and_first_line(error)}") from None
    if hasattr(program, "_guards_code"):  # what is asked of the inputs, which PyTorch works out anew
        made._guards_code = program._guards_code
    return made


def inner_modules(module: GraphModule) -> Iterator[tuple[Node, GraphModule]]:
    """The graphs within control flow, each with the node that it belongs to, in the order in which they are read."""
    for node in module.graph.nodes:
        for held in node.all_input_nodes:
            inner = getattr(module, held.target, None) if held.op == "get_attr" else None
            if isinstance(inner, GraphModule):
                yield node, inner


def graphs_within(module: GraphModule, root: Node | None = None) -> Iterator[tuple[GraphModule, Node | None]]:
    """A graph and those within it, in the order in which a scan lists their places.

    With each comes the node of the program's own graph that it lies in.
    """
    yield module, root
    for node, inner in inner_modules(module):
        yield from graphs_within(inner, root or node)


def _own_buffers(held: Mapping[str, Any], signature: ExportGraphSignature) -> dict[str, Any]:
    """The same tensors, but for buffers: a program writes into these, and must not write into another's."""
    buffers = set(signature.buffers)
    return {name: value.clone() if name in buffers else value for name, value in held.items()}


def _copied(entry: ModuleCallEntry) -> ModuleCallEntry:
    """The same with lists of names of its own, which PyTorch may change."""
    told = entry.signature
    if told is None:
        return entry
    return replace(
        entry, signature=replace(told, inputs=copy.deepcopy(told.inputs), outputs=copy.deepcopy(told.outputs))
    )


def _all_modules(module: GraphModule) -> Iterator[GraphModule]:
    return (each for each in module.modules() if isinstance(each, GraphModule))


def _all_nodes(module: GraphModule) -> Iterator[Node]:
    for each in _all_modules(module):
        yield from each.graph.nodes


def _placeholders(module: GraphModule) -> list[Node]:
    return [node for node in module.graph.nodes if node.op == "placeholder"]


def _equal(one: torch.Tensor, two: torch.Tensor) -> bool:
    return one.dtype == two.dtype and one.device == two.device and torch.equal(one, two)


def _fake_like(value: torch.Tensor, module: GraphModule) -> torch.Tensor:
    known = next(node.meta["val"] for node in module.graph.nodes if hasattr(node.meta.get("val"), "fake_mode"))
    made: torch.Tensor = known.fake_mode.from_tensor(value, static_shapes=True)
    return made


def _refuse_lost(work: Work) -> None:
    """Raise `UnsupportedError` where a module whose own signature was to be kept gave or took what is gone."""
    names = {node.name for node in work.module.graph.nodes}
    for entry in work.program.module_call_graph:
        told = entry.signature
        for each in (*told.inputs, *told.outputs) if told is not None else ():
            if not isinstance(each, ConstantArgument) and each.name not in names:
                raise UnsupportedError(
                    f"'{each.name}' would be gone, which the kept signature of module '{entry.fqn}' speaks of: export "
                    "without preserve_module_call_signature"
                )
