"""Exported programs and modules of PyTorch as graphs.

A node is called as the program calls it, behind the path of the module that it belongs to: "backbone.focus/cat". So
are tensors; parameters and buffers have the names of the state dict, inputs those of the forward function.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from layoutbridge.errors import ShapeError, UnsupportedError, UnusableInputError, class_and_first_line, shown
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.limits import refuse_more_nodes
from layoutbridge.scanning.graphs.sizes import Shapes, filled_shapes
from layoutbridge.scanning.readers.torch.archive import Archive, read_archive
from layoutbridge.scanning.readers.torch.building import Builder
from layoutbridge.scanning.readers.torch.lengths import Formula, Unknown

if TYPE_CHECKING:
    import torch

Lengths: TypeAlias = Mapping[str, Sequence[int | Formula]]
_LEAST = 2  # a symbol that no input has


def read_program(source: PathLike | torch.export.ExportedProgram, shapes: Shapes = None) -> Graph:
    """The program in the .pt2 file at a path, of which nothing is run, or a live `ExportedProgram`.

    Open sizes are those of `shapes`, else numbers within the program's ranges. A file needs no PyTorch. Raises
    `UnusableInputError` for what is no readable program, and `ShapeError` where the shapes do not fit.

    >>> import torch
    >>> class Turn(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.permute(0, 2, 1)
    >>> graph = read_program(torch.export.export(Turn(), (torch.zeros(1, 2, 3),)))
    >>> [(node.name, node.operator, node.order) for node in graph.nodes]
    [('permute', 'aten.permute', (0, 2, 1))]
    """
    return read_archived(read_archive(source) if isinstance(source, str | os.PathLike) else archived(source), shapes)


def read_archived(archive: Archive, shapes: Shapes = None) -> Graph:
    """As `read_program`, of a program that was read as its file has it."""
    try:
        return _graph(archive, shapes)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        if isinstance(error, ShapeError | UnusableInputError):
            raise
        raise UnusableInputError(
            f"'{archive.path}' is no program that is understood ({class_and_first_line(error)}): export it again"
        ) from None


def read_module(module: torch.nn.Module, shapes: Shapes = None) -> Graph:
    """A live module in evaluation mode, exported with inputs of `shapes`; it is left as it is.

    `shapes` are by the names of the forward function's arguments, or the one of its only argument. Open lengths in
    them are filled in. Raises `ShapeError` without shapes and where none fit,
    `UnusableInputError` where PyTorch cannot export the module, and `MissingFrameworkError`.

    >>> import torch
    >>> graph = read_module(torch.nn.Sequential(torch.nn.PixelShuffle(2)), (1, 4, 3, 3))
    >>> [(node.name, graph.tensors[node.output].shape) for node in graph.nodes]
    [('0/pixel_shuffle', (1, 1, 6, 6))]
    """
    return export_module(module, shapes)[0]


def export_module(
    module: torch.nn.Module, shapes: Shapes = None
) -> tuple[Graph, Archive, torch.export.ExportedProgram]:
    """As `read_module`, with the program that was exported, and what its file would hold."""
    require("torch", "PyTorch", "torch")
    given = shapes_given(module, shapes)
    reason = ""
    for filled in filled_shapes(given, None):
        try:
            program = _exported(module, filled)
            archive = archived(program)
            return read_archived(archive), archive, program
        except UnusableInputError as error:
            reason = reason or str(error)
    raise UnusableInputError(reason)


# ---------------------------------------------------------------------- live modules


def shapes_given(module: torch.nn.Module, shapes: Shapes) -> dict[str, tuple[int | str | None, ...]]:
    """The shapes by the names of the arguments of `module`.

    Raises `ShapeError` without any, `UnsupportedError` for a module that is no longer Python's, as TorchScript's are.
    """
    import inspect

    kind = type(module).__name__
    if shapes is None:
        raise ShapeError(f"a {kind} does not say what it takes: give the shape of its input (--shape 1,3,640,640)")
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:  # of what TorchScript compiled
        raise UnsupportedError(
            f"{kind} is compiled, and not to be looked into: give the module it was made of"
        ) from None
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if not isinstance(shapes, Mapping):
        return {names[0] if names else "input": tuple(shapes)}
    for name in shapes:
        if name not in names:
            raise ShapeError(f"{kind} takes nothing called {shown(name)}; it takes {', '.join(names)}")
    return {name: tuple(shape) for name, shape in shapes.items()}


def examples(module: torch.nn.Module, filled: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Zeros of some shapes, of the dtype and on the device of what `module` computes with."""
    import torch

    held_by_it = chain(module.parameters(), module.buffers())
    like = next((held for held in held_by_it if held.is_floating_point()), torch.zeros(()))
    return {name: torch.zeros(shape, dtype=like.dtype, device=like.device) for name, shape in filled.items()}


def _exported(module: torch.nn.Module, filled: Mapping[str, tuple[int, ...]]) -> torch.export.ExportedProgram:
    import torch

    from layoutbridge.frameworks.torch.emission import exporting
    from layoutbridge.frameworks.torch.evaluation import in_evaluation

    try:
        with in_evaluation(module) as mode, _drawing_kept(), torch.no_grad(), exporting():
            first, *rest = examples(module, filled).items()
            return torch.export.export(mode, (first[1],), dict(rest), strict=False)
    except (Exception, SystemExit) as error:  # somebody else's forward function, or what the exporter says of it
        raise UnusableInputError(
            f"PyTorch cannot export {type(module).__name__} at {_told(filled)}: {class_and_first_line(error)}"
        ) from None


@contextmanager
def _drawing_kept() -> Iterator[None]:
    """What draws random numbers goes on afterwards as if nothing was drawn."""
    import torch

    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def archived(program: torch.export.ExportedProgram) -> Archive:
    """A live program as its file would have it, without its weights."""
    import torch

    from layoutbridge.frameworks.torch.emission import exporting

    slim = copy.copy(program)
    slim._state_dict = {name: _placeholder(held) for name, held in program.state_dict.items()}
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "program.pt2"
        try:
            with exporting():
                torch.export.save(slim, path)
        except Exception as error:
            raise UnusableInputError(f"PyTorch cannot write the program: {class_and_first_line(error)}") from None
        found = read_archive(path)
    return Archive("program", found.content, found.constants)


def _placeholder(held: torch.Tensor) -> torch.Tensor:
    import torch

    small = torch.zeros((), dtype=held.dtype)
    return torch.nn.Parameter(small, requires_grad=False) if isinstance(held, torch.nn.Parameter) else small


# ---------------------------------------------------------------------- sizes


def _graph(archive: Archive, shapes: Shapes) -> Graph:
    program = archive.content["graph_module"]
    refuse_more_nodes(archive.path, len(program["graph"]["nodes"]))
    labels, constant, values, taken = _placeholders(program["signature"], archive)
    told = program["graph"]["tensor_values"]
    lengths = {labels[raw]: [_length(each) for each in told[raw]["sizes"]] for raw in taken}
    open_shapes = {
        name: tuple(each if isinstance(each, int) else str(each) for each in shape) for name, shape in lengths.items()
    }
    filled = next(filled_shapes(open_shapes, shapes))
    ranges = archive.content.get("range_constraints") or {}
    numbers = _solved(lengths, filled, _asked(lengths, shapes), ranges)
    notes = []
    if numbers:
        shown_shapes = {name: [_at(each, numbers) for each in shape] for name, shape in lengths.items()}
        made_up = [f"{name} {shape}" for name, shape in shown_shapes.items() if _is_open(lengths[name])]
        notes = [f"open sizes are filled in: {', '.join(made_up)}"] if made_up else []
    builder = Builder(program["graph"], numbers, labels, constant, values)
    return builder.built(archive.path, tuple(taken), tuple(notes))


def _placeholders(
    signature: Mapping[str, Any], archive: Archive
) -> tuple[dict[str, str], set[str], dict[str, Any], list[str]]:
    """What users call the tensors that a program takes, which are constant, what is in those, which are inputs."""
    labels: dict[str, str] = {}
    constant: set[str] = set()
    values: dict[str, Any] = {}
    taken = []
    for spec in signature["input_specs"]:
        ((kind, told),) = spec.items()
        arg = told.get("arg") or {}
        raw = arg.get("name") or (arg.get("as_tensor") or {}).get("name")
        if raw is None:
            continue
        if kind == "user_input":
            taken.append(raw)
            labels[raw] = raw
            continue
        name = told.get(f"{kind}_name", raw)
        labels[raw] = name
        constant.add(raw)
        if name in archive.constants:
            values[raw] = archive.constants[name]
    for raw in constant:
        labels[raw] = f"{labels[raw]} (constant)" if labels[raw] in taken else labels[raw]
    return labels, constant, values, taken


def _length(told: Mapping[str, Any]) -> int | Formula:
    return Formula(told["as_expr"]["expr_str"]) if told.get("as_int") is None else int(told["as_int"])


def _is_open(shape: Sequence[int | Formula]) -> bool:
    return any(isinstance(each, Formula) for each in shape)


def _at(length: int | Formula, numbers: Mapping[str, int]) -> int:
    return length if isinstance(length, int) else length.at(numbers)


def _asked(lengths: Lengths, shapes: Shapes) -> dict[tuple[str, int], int]:
    """The numbers that the caller gave, by input and axis."""
    given = shapes if isinstance(shapes, Mapping) else ({} if shapes is None else {next(iter(lengths)): shapes})
    return {
        (name, axis): length
        for name, shape in given.items()
        for axis, length in enumerate(shape)
        if isinstance(length, int)
    }


def _solved(
    lengths: Lengths,
    filled: Mapping[str, tuple[int, ...]],
    asked: Mapping[tuple[str, int], int],
    ranges: Mapping[str, Any],
) -> dict[str, int]:
    """Numbers for the symbols: such that the shapes are those in `filled` as far as the program's ranges allow it."""
    numbers: dict[str, int] = {}
    places = [
        ((name, axis), length, filled[name][axis])
        for name, shape in lengths.items()
        for axis, length in enumerate(shape)
        if isinstance(length, Formula)
    ]
    for _, length, wanted in sorted(places, key=lambda place: (place[0] not in asked, len(str(place[1])))):
        _solve(length, wanted, numbers, ranges)
    for (name, axis), length, wanted in places:
        if (name, axis) in asked and length.at(numbers) != wanted:
            allowed = ", ".join(f"{symbol} {_range_told(ranges.get(symbol))}" for symbol in length.symbols)
            raise ShapeError(f"axis {axis} of input {name} is {length}, with {allowed}, and cannot be {wanted}")
    return numbers


def _solve(length: Formula, wanted: int, numbers: dict[str, int], ranges: Mapping[str, Any]) -> None:
    """Set the symbols of `length` that have no number yet, the last so that it is `wanted`, or near it."""
    unknown = [symbol for symbol in length.symbols if symbol not in numbers]
    for symbol in unknown[:-1]:
        numbers[symbol] = _within(ranges.get(symbol), _LEAST)
    for symbol in unknown[-1:]:
        try:
            one, two = (length.at({**numbers, symbol: number}) for number in (1000, 2000))
            slope = (two - one) / 1000
            number = round((wanted - (one - 1000 * slope)) / slope) if slope else _LEAST
        except Unknown:
            number = wanted
        numbers[symbol] = _within(ranges.get(symbol), number)


def _within(bounds: Mapping[str, int | None] | None, number: int) -> int:
    least, most = _bounds(bounds)
    return max(number, least) if most is None else min(max(number, least), most)


def _bounds(bounds: Mapping[str, int | None] | None) -> tuple[int, int | None]:
    bounds = bounds or {}
    return max(bounds.get("min_val") or 1, 1), bounds.get("max_val")


def _range_told(bounds: Mapping[str, int | None] | None) -> str:
    least, most = _bounds(bounds)
    return f"at least {least}" if most is None else f"from {least} to {most}"


def _told(filled: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in filled.items())
