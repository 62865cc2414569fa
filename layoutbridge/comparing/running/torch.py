"""Exported programs and modules of PyTorch, one call after the other.

A program's graph is walked as its file has it, by PyTorch's own operators: a file is not given to PyTorch's reader,
which would run what a stranger pickled into it.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import fed, wanted
from layoutbridge.comparing.running.program_weights import read_weights
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes, filled_shapes
from layoutbridge.scanning.readers.torch.archive import DTYPES, read_archive
from layoutbridge.scanning.readers.torch.reading import archived, examples, export_module, shapes_given

if TYPE_CHECKING:
    import torch

Told = Mapping[str, Any]  # a part of a program's JSON
_OF_NUMBERS = {
    "_operator": (operator, ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow", "and_", "or_", "not_",
                             "eq", "ne", "lt", "le", "gt", "ge", "pos")),
    "math": (math, ("floor", "ceil", "trunc", "sqrt")),
}  # fmt: skip
_FORMATS = {1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"}
_REFUSED = ("aten.from_file",)  # which reads files of this machine
_AFTER = " after "  # in the name of a tensor that a call wrote into, as the reader tells it


def values(
    model: PathLike | torch.nn.Module | torch.export.ExportedProgram, graph: Graph, given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of a .pt2 file, an exported program or a live module, read as `graph`, for `given` inputs.

    A module computes in evaluation mode, and is left as it is. All is computed on the CPU, without gradients, and a
    tensor is let go when no call needs it any more. Raises `UnusableInputError` for a file that is not whole or lacks
    weights, a call that PyTorch does not know or cannot do, `ShapeError` for inputs that do not fit, and
    `MissingFrameworkError`.

    >>> import torch
    >>> from layoutbridge.scanning.readers.torch.reading import read_module
    >>> turn = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    >>> graph = read_module(turn, (1, 2, 2))
    >>> [(name, made.tolist()) for name, made in values(turn, graph, {"input": np.array([[[1, -1], [2, -2]]])})]
    [('0/flatten', [[1.0, -1.0, 2.0, -2.0]]), ('1/relu', [[1.0, 0.0, 2.0, 0.0]])]
    """
    require("torch", "PyTorch", "torch")
    taken = fed(graph, given)
    held = _written(model, taken) if not isinstance(model, str | os.PathLike) else (
        read_archive(model).content, read_weights(model),
    )  # fmt: skip
    yield from _walked(*held, graph, taken)


class LiveModule:
    """A module that is exported once, then read as a graph and run as that."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._last: tuple[Graph, Told, Mapping[str, torch.Tensor]] | None = None

    def at_shapes(self, shapes: Shapes) -> Graph:
        """The module as a graph; raises as `read_module` does, and `UnusableInputError` where the module raises.

        It is run first: of a module that raises while it is exported, the exporter writes a trace to stderr.
        """
        choices = list(filled_shapes(shapes_given(self._module, shapes), None))
        if len(choices) == 1:
            self._given(examples(self._module, choices[0]))
        graph, archive, program = export_module(self._module, shapes)
        self._last = graph, archive.content, _weights_of(program)
        return graph

    def values(self, graph: Graph, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
        """As the function `values`, of the graph that was read last without another export."""
        if self._last is None or self._last[0] is not graph:
            yield from values(self._module, graph, given)
            return
        _, program, weights = self._last
        yield from _walked(program, weights, graph, fed(graph, given))

    def outputs(self, graph: Graph, given: Mapping[str, NDArray[Any]]) -> list[tuple[str, NDArray[Any]]]:
        """What the module itself gives, without an export, by the names that `graph` has for it."""
        import torch

        from layoutbridge.frameworks.torch.emission import to_numpy, to_tensor

        like = next(chain(self._module.parameters(), self._module.buffers()), torch.zeros(()))
        taken = {name: to_tensor(np.array(x)).to(like.device) for name, x in fed(graph, given).items()}
        return [(name, to_numpy(each)) for name, each in zip(graph.outputs, self._given(taken), strict=False)]

    def _given(self, taken: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """The tensors that the module gives; raises `UnusableInputError` where it raises. Its buffers stay the same."""
        import torch

        from layoutbridge.frameworks.torch.evaluation import in_evaluation

        first, *rest = taken.items()
        with in_evaluation(self._module) as mode, torch.random.fork_rng([]), torch.no_grad():
            before = [(buffer, buffer.clone()) for buffer in mode.buffers()]
            try:
                made = torch.utils._pytree.tree_leaves(mode(first[1], **dict(rest)))
            except (Exception, SystemExit) as error:  # somebody else's forward function
                where = ", ".join(f"{name} [{', '.join(map(str, each.shape))}]" for name, each in taken.items())
                raise UnusableInputError(
                    f"{type(self._module).__name__}: the module raised {class_and_first_line(error)}, given {where}"
                ) from None
            finally:
                for buffer, held in before:
                    buffer.copy_(held)
        return [each for each in made if isinstance(each, torch.Tensor)]


def _written(
    model: torch.nn.Module | torch.export.ExportedProgram, taken: Mapping[str, NDArray[Any]]
) -> tuple[Told, Mapping[str, torch.Tensor]]:
    """A live model's program and weights, as a file has them."""
    import torch

    if isinstance(model, torch.nn.Module):
        _, archive, program = export_module(model, {name: x.shape for name, x in taken.items()})
    else:
        archive, program = archived(model), model
    return archive.content, _weights_of(program)


def _weights_of(program: torch.export.ExportedProgram) -> dict[str, torch.Tensor]:
    """Copies of the parameters, buffers and constants of a live program: calls may write into them."""
    import torch

    held = {**program.state_dict, **program.constants}
    return {name: each.detach().cpu().clone() for name, each in held.items() if isinstance(each, torch.Tensor)}


# ---------------------------------------------------------------------- the walk


def _walked(
    program: Told, weights: Mapping[str, torch.Tensor], graph: Graph, taken: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    from layoutbridge.frameworks.torch.emission import to_numpy

    held = program["graph_module"]
    names: dict[str, str] = {}  # by what the program calls a tensor: what the graph does
    renewed: dict[str, list[tuple[str, str]]] = {}  # by the call that wrote: the program's names, and the graph's then
    for told in wanted(graph):
        before, after, writer = told.partition(_AFTER)
        raw = before.rpartition("/")[2]
        if after:
            renewed.setdefault(writer, []).append((raw, told))
        else:
            names[raw] = told
    walk = _Walk(held["graph"], _inputs(held["signature"], weights, graph, taken))
    for node in held["graph"]["nodes"]:
        try:
            made = walk.step(node)
        except LayoutBridgeError:
            raise
        except Exception as error:  # what an operator says of its arguments
            where = names.get(node.get("name") or "", node["target"])
            raise UnusableInputError(
                f"PyTorch cannot run '{graph.name}' at {where}: {class_and_first_line(error)}"
            ) from None
        for raw in made:
            name = names.get(raw)
            for each, told in [*([(raw, name)] if name else ()), *renewed.get(name or raw, ())]:
                yield told, np.array(to_numpy(walk.held[each]))  # a copy: later calls may write into it
        walk.let_go()


def _inputs(
    signature: Told, weights: Mapping[str, torch.Tensor], graph: Graph, taken: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """All that a program takes, by its own names; raises `UnusableInputError` where weights are missing."""
    from layoutbridge.frameworks.torch.emission import to_tensor

    held: dict[str, Any] = {}
    for spec in signature["input_specs"]:
        ((kind, told),) = spec.items()
        arg = told.get("arg") or {}
        raw = arg.get("name") or (arg.get("as_tensor") or {}).get("name")
        if raw is None:
            continue
        if kind == "user_input":
            held[raw] = to_tensor(np.array(taken[raw]))  # a copy: calls may write into it
            continue
        name = told.get(f"{kind}_name", raw)
        if name not in weights:
            raise UnusableInputError(f"'{graph.name}' has no weights called {name}: export it again, with its weights")
        held[raw] = weights[name]
    return held


@dataclass(slots=True)
class _Walk:
    """The calls of `graph`, a dict of the program's JSON, on what is in `held`; what is not read again is let go."""

    graph: Told
    held: dict[str, Any]
    _uses: dict[str, int] = field(default_factory=dict)
    _done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for node in self.graph["nodes"]:
            for name in _names(node["inputs"]):
                self._uses[name] = self._uses.get(name, 0) + 1
        for name in _names(self.graph["outputs"]):
            self._uses[name] = self._uses.get(name, 0) + 1

    def step(self, node: Told) -> list[str]:
        """Do one call; the names of the tensors that it made."""
        import torch

        made: list[str] = []
        with torch.no_grad():
            result = self._called(node["target"], [(each["name"], self._value(each["arg"])) for each in node["inputs"]])
        outputs = node["outputs"]
        results = [result] if len(outputs) == 1 else list(result or ())
        for told, value in zip(outputs, results, strict=False):
            made += self._bind(told, value)
        for name in _names(node["inputs"]):
            self._uses[name] -= 1
            if not self._uses[name]:
                self._done.append(name)
        self._done += [name for name in made if not self._uses.get(name)]
        return made

    def let_go(self) -> None:
        """Drop what no later call reads."""
        for name in self._done:
            self.held.pop(name, None)
        self._done.clear()

    def results(self) -> tuple[Any, ...]:
        """What the graph gives."""
        return tuple(self._value(told) for told in self.graph["outputs"])

    def _bind(self, told: Told, value: Any) -> list[str]:
        import torch

        if "as_tensor" in told and isinstance(value, tuple | list):
            (value,) = value
        places, parts = _outputs(told), value if "as_tensors" in told or "as_optional_tensors" in told else [value]
        for name, part in zip(places, parts, strict=True):
            if name is not None:
                self.held[name] = part
        return [name for name in places if name is not None and isinstance(self.held[name], torch.Tensor)]

    def _called(self, target: str, arguments: Sequence[tuple[str, Any]]) -> Any:
        import torch

        plain = [value for _, value in arguments]
        if target == "torch.ops.higher_order.cond":
            chosen, yes, no, operands = (*plain, ())[:4]
            return (yes if chosen else no)(*operands)
        if target == "torch.ops.higher_order.wrap_with_set_grad_enabled":
            return plain[1](*plain[2:])
        module, _, name = target.rpartition(".")
        if module in _OF_NUMBERS and name in _OF_NUMBERS[module][1]:
            return getattr(_OF_NUMBERS[module][0], name)(*plain)
        if module == "torch" and name.startswith("sym_"):
            return getattr(torch, name)(*plain)
        return _operator(target)(**dict(arguments))

    def _value(self, told: Told) -> Any:
        import torch

        ((kind, value),) = told.items()
        if kind in ("as_tensor", "as_tensors", "as_optional_tensor", "as_optional_tensors", "as_nested_tensors"):
            return self._tensors(value)
        if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
            return self._number(value)
        if kind in ("as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return [self._number(each) for each in value]
        if kind == "as_scalar_type":
            return getattr(torch, DTYPES[value])
        if kind == "as_memory_format":
            return getattr(torch, _FORMATS[value])
        if kind == "as_device":
            return torch.device("cpu")
        if kind == "as_complex":
            return complex(value["real"], value["imag"])
        if kind == "as_graph":
            return self._function(value["graph"])
        if kind in ("as_float", "as_floats"):  # those that are no numbers in JSON stand in words
            return [float(each) for each in value] if isinstance(value, list) else float(value)
        if kind == "as_layout":
            return torch.strided
        return None if kind == "as_none" else value

    def _tensors(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self._tensors(each) for each in told]
        if "as_none" in told:
            return None
        return self.held[told["as_tensor"]["name"] if "as_tensor" in told else told["name"]]

    def _number(self, told: Told) -> Any:
        if told.get("as_name") is not None:
            return self.held[told["as_name"]]
        return next(value for kind, value in told.items() if kind != "as_name" and value is not None)

    def _function(self, graph: Told) -> Callable[..., tuple[Any, ...]]:
        def run(*given: Any) -> tuple[Any, ...]:
            names = [next(iter(_names([told]))) for told in graph["inputs"]]
            walk = _Walk(graph, dict(zip(names, given, strict=True)))
            for node in graph["nodes"]:
                walk.step(node)
                walk.let_go()
            return walk.results()

        return run


def _operator(target: str) -> Callable[..., Any]:
    """PyTorch's operator that a program calls `torch.ops.aten.relu.default`, or one that is registered here."""
    import torch

    space, _, rest = target.removeprefix("torch.ops.").partition(".")
    name, _, overload = rest.rpartition(".")
    try:
        found = getattr(getattr(getattr(torch.ops, space), name), overload)
    except (AttributeError, RuntimeError):
        found = None
    if not isinstance(found, torch._ops.OpOverload) or f"{space}.{name}" in _REFUSED:
        raise UnusableInputError(f"PyTorch here has no operator {target[:80]}: import what registers it first")
    return found


def _outputs(told: Told) -> list[str | None]:
    """The names that an output of a call gets; None for one that is not read."""
    for kind in ("as_tensors", "as_optional_tensors"):
        if kind in told:
            return [(each.get("as_tensor") or each).get("name") for each in told[kind]]
    return [next(iter(_names([told])), None)]


def _names(told: Any) -> Iterator[str]:
    """The names of tensors and numbers among arguments, those within graphs left out."""
    if isinstance(told, list):
        for each in told:
            yield from _names(each)
    elif isinstance(told, Mapping):
        if "arg" in told:  # a named argument of a call
            yield from _names(told["arg"])
            return
        for kind, value in told.items():
            if kind in ("name", "as_name") and isinstance(value, str):
                yield value
            elif kind.startswith("as_") and kind != "as_graph":
                yield from _names(value)
