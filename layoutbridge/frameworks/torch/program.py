"""What a layer does in PyTorch, as a list of plain calls: recorded once, run by an `nn.Module` at every forward pass.

A call reads results of earlier calls by number, and the module's own parameters, buffers and submodules by name. So
the pass is a loop over PyTorch's functions alone, which autograd, `torch.compile` and `torch.export` follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Source = int | str  # the number of a result (the inputs are the first ones), or the name of something of the module's


class Call(NamedTuple):
    """`function(*sources, *rest, **keywords)`; the results in `done` are not read afterwards."""

    function: Callable[..., Any]
    sources: tuple[Source, ...]
    rest: tuple[Any, ...]
    keywords: Mapping[str, Any]
    done: tuple[int, ...] = ()


@dataclass(slots=True)
class Program:
    """Calls while they are recorded, with the constants and modules that they read by name."""

    inputs: int
    calls: list[Call] = field(default_factory=list)
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    modules: dict[str, torch.nn.Module] = field(default_factory=dict)

    def record(self, function: Callable[..., Any], *sources: Source, rest: Sequence[Any] = (), **keywords: Any) -> int:
        """The number of the result of `function(*sources, *rest, **keywords)`."""
        self.calls.append(Call(function, sources, tuple(rest), keywords))
        return self.inputs + len(self.calls) - 1

    def constant(self, name: str, values: NDArray[np.float32]) -> str:
        """The name of a constant tensor with `values`: `name`, or that with a number where it is taken."""
        name = _free(name, self.constants)
        self.constants[name] = values
        return name

    def module(self, name: str, module: torch.nn.Module) -> str:
        """The name of a submodule: `name`, or that with a number where it is taken."""
        name = _free(name, self.modules)
        self.modules[name] = module
        return name

    def finished(self, result: int) -> tuple[Call, ...]:
        """The calls that `result` needs, each with what may be freed after it; other numbers stay as they are."""
        needed: set[int] = {result}
        last_use: dict[int, int] = {}
        for number in range(self.inputs + len(self.calls) - 1, self.inputs - 1, -1):
            if number not in needed:
                continue
            for source in self.calls[number - self.inputs].sources:
                if isinstance(source, int):
                    needed.add(source)
                    last_use.setdefault(source, number)
        done: dict[int, list[int]] = {}
        for source, number in last_use.items():
            done.setdefault(number, []).append(source)
        return tuple(
            call._replace(done=tuple(done.get(number, ()))) if number in needed else _NOTHING
            for number, call in enumerate(self.calls, self.inputs)
        )


class ProgramModule(torch.nn.Module):
    """Runs a program on its inputs. Its constants are buffers outside the state dict, and move and cast with it."""

    def __init__(self, program: Program, result: int) -> None:
        super().__init__()
        self.result = result
        self.calls = program.finished(result)
        for name, values in program.constants.items():
            self.register_buffer(name, torch.from_numpy(np.array(values, np.float32, order="C")), persistent=False)
        for name, module in program.modules.items():
            self.add_module(name, module)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The result for `inputs`, each [N, ...]."""
        values: list[Any] = list(inputs)
        for function, sources, rest, keywords, done in self.calls:
            arguments = [values[source] if isinstance(source, int) else getattr(self, source) for source in sources]
            values.append(function(*arguments, *rest, **keywords))
            for number in done:
                values[number] = None
        return values[self.result]


def called(module: torch.nn.Module, x: torch.Tensor) -> Any:
    """What a submodule makes of x."""
    return module(x)


def _nothing() -> None:
    return None


_NOTHING = Call(_nothing, (), (), {})


def _free(name: str, taken: Mapping[str, object]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{k}" for k in range(2, len(taken) + 3) if f"{name}_{k}" not in taken)
