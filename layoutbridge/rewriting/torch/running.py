"""A program and what was made of it, run side by side on one random input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, InputSpec, TensorArgument
from torch.fx import GraphModule, Interpreter, Node

from layoutbridge.errors import UnusableInputError, class_and_first_line, visible
from layoutbridge.scanning.graphs.graph import Graph

_WITHOUT = "--no-check, check=False, leaves the trial out"
_COND = torch.ops.higher_order.cond
Reads = Mapping[str, str]  # the node that reads a tensor, and whose tensor that is


@dataclass(frozen=True, slots=True)
class Run:
    """What a program gave, in its order; the tensors of some nodes, what some read, and the strides of all by name."""

    outputs: tuple[Any, ...]
    values: Mapping[str, torch.Tensor]
    read: Mapping[str, torch.Tensor]
    strides: Mapping[str, tuple[int, ...]]


class Trial:
    """A program's inputs at the sizes of its `graph`, random, on which it and what is made of it are run."""

    def __init__(self, program: ExportedProgram, graph: Graph) -> None:
        self.name = graph.name
        random = torch.Generator().manual_seed(0)
        values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
        self.given = {
            spec.arg.name: self._made_up(spec, values[spec.arg.name], graph, random)
            for spec in program.graph_signature.input_specs
            if spec.kind is InputKind.USER_INPUT
        }

    def run(self, program: ExportedProgram, wanted: Sequence[str] = (), reads: Reads | None = None) -> Run:
        """One forward pass; the program's own buffers stay as they are."""
        recorder = _Recorder(program.graph_module, set(wanted), reads or {})
        arguments = [self._argument(program, spec) for spec in program.graph_signature.input_specs]
        try:
            with torch.no_grad(), torch.random.fork_rng([]):
                torch.manual_seed(0)
                outputs = recorder.run(*arguments, enable_io_processing=False)
        except Exception as error:  # what an operator says of its arguments
            raise UnusableInputError(
                f"PyTorch cannot run '{self.name}': {class_and_first_line(error.__cause__ or error)} ({_WITHOUT})"
            ) from None
        return Run(tuple(outputs), recorder.values, recorder.read, recorder.strides)

    def _made_up(self, spec: InputSpec, value: Any, graph: Graph, random: torch.Generator) -> Any:
        if isinstance(spec.arg, ConstantArgument):
            return spec.arg.value
        held = graph.tensors.get(spec.arg.name)
        if held is None or not isinstance(spec.arg, TensorArgument):
            name = visible(spec.arg.name[:80])
            raise UnusableInputError(f"'{self.name}' takes a number '{name}', which is not made up: {_WITHOUT}")
        try:
            if value.dtype.is_floating_point or value.dtype.is_complex:
                kind = torch.complex64 if value.dtype.is_complex else torch.float32
                made = torch.randn(held.shape, generator=random, dtype=kind)
            else:
                made = torch.randint(0, 2, held.shape, generator=random)
            return made.to(value.device, value.dtype)
        except RuntimeError as error:  # a device that is not here
            raise UnusableInputError(f"{class_and_first_line(error)}: {_WITHOUT}") from None

    def _argument(self, program: ExportedProgram, spec: InputSpec) -> Any:
        if spec.kind is InputKind.USER_INPUT:
            found = self.given[spec.arg.name]
        elif spec.target in program.state_dict:
            found = program.state_dict[spec.target]
        else:
            found = program.constants.get(spec.target)
        is_parameter = spec.kind is InputKind.PARAMETER
        return found.clone() if isinstance(found, torch.Tensor) and not is_parameter else found


class _Recorder(Interpreter):
    def __init__(self, module: GraphModule, wanted: set[str], reads: Reads) -> None:
        super().__init__(module)
        self.wanted, self.reads = wanted, reads
        self.values: dict[str, torch.Tensor] = {}
        self.read: dict[str, torch.Tensor] = {}
        self.strides: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: Node) -> Any:
        if n.name in self.reads:
            source = next(held for held in n.all_input_nodes if held.name == self.reads[n.name])
            self.read[n.name] = self.env[source].clone()
        made = super().run_node(n)
        if isinstance(made, torch.Tensor):
            self.strides[n.name] = made.stride()
            if n.name in self.wanted:
                self.values[n.name] = made.clone()
        return made

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is _COND:  # which compiles its branches when it is called by itself
            chosen, yes, no, *operands = args
            branch: Callable[..., Any] = yes if bool(chosen) else no
            return branch(*(operands[0] if operands else ()))
        return super().call_function(target, args, kwargs)
