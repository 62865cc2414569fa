"""Which shapes of a model are known, and the numbers that it computes from shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnusableInputError
from layoutbridge.scanning.readers.tflite.model import Model, Operator, Subgraph
from layoutbridge.scanning.readers.tflite.movements import moved_by

Array = NDArray[Any]
_MOST_ROUNDS = 60
_LARGEST = 4096  # elements of what is computed from shapes
_SETTLED_WHEN_RUN = frozenset((
    "RESHAPE", "FILL", "RANGE", "WHERE", "UNIQUE", "BROADCAST_TO", "TILE", "PAD", "PADV2", "MIRROR_PAD", "SLICE",
    "STRIDED_SLICE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE_CONV", "EXPAND_DIMS", "SPLIT_V", "SUM",
    "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "ONE_HOT", "TOPK_V2", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND",
    "SPARSE_TO_DENSE", "IF", "WHILE",
))  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": lambda a, b: np.trunc(np.divide(a, b)),
    "FLOOR_DIV": np.floor_divide,
    "FLOOR_MOD": np.mod,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "CAST": lambda a: a,
    "RANGE": np.arange,
    "REDUCE_PROD": lambda a, axes: np.prod(a, axis=tuple(np.ravel(axes))),
}


@dataclass(slots=True)
class Known:
    """The shapes of a graph's tensors, what is in constants and in what is computed from shapes, and what is open."""

    shapes: Mapping[int, tuple[int, ...]]
    values: dict[int, Array]
    computed: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)


def known_at(model: Model, filled: Mapping[int, tuple[int, ...]]) -> Known:
    """What is known of the main graph where its inputs have these shapes.

    Raises `UnusableInputError` where LiteRT cannot plan the model so.
    """
    graph, written = model.subgraphs[0], set[tuple[int, int]]()
    for _ in range(_MOST_ROUNDS):
        known, pending = settled(graph, model.shapes_at(filled), written)
        if not pending:
            return known
        model.write_constants(pending)
        written |= {(place, position) for place, position, _ in pending}
    raise UnusableInputError(f"'{model.path}' computes shapes from shapes more than {_MOST_ROUNDS} times over")


def settled(
    graph: Subgraph, shapes: Mapping[int, tuple[int, ...]], written: set[tuple[int, int]]
) -> tuple[Known, list[tuple[int, int, Array]]]:
    """What is known where shapes are these as far as nothing is computed, and the operands that would tell more.

    `written` are the operands that have been made constant, each the operator's place and which input.
    """
    known, pending = Known(shapes, dict(graph.values)), []
    for place, operator in enumerate(graph.operators):
        if known.unknown.intersection(operator.inputs):
            known.unknown.update(operator.outputs)
            continue
        value = _value(operator, graph, known)
        if value is not None:
            known.values[operator.outputs[0]] = value
            known.computed.add(operator.outputs[0])
            continue
        wanted = [
            (place, position, known.values[number])
            for position, number in enumerate(operator.inputs)
            if number in known.computed and (place, position) not in written
        ]
        pending += wanted
        if wanted or _is_open(operator, graph, known):
            known.unknown.update(operator.outputs)
    return known, pending


def _is_open(operator: Operator, graph: Subgraph, known: Known) -> bool:
    """Whether the shape of what comes out depends on what is computed when the model runs."""
    given = [number for number in operator.inputs if number >= 0]
    if operator.name in ("WHERE", "UNIQUE"):
        return True
    operands = given[:-1] if operator.name == "TRANSPOSE_CONV" else given[1:]
    inner = operator.name in ("FILL", "RANGE", "IF", "WHILE")
    return operator.name in _SETTLED_WHEN_RUN and any(
        number not in known.values and number not in graph.constants for number in (given if inner else operands)
    )


def _value(operator: Operator, graph: Subgraph, known: Known) -> Array | None:
    """What comes out, where it is a few whole numbers that only depend on shapes."""
    if len(operator.outputs) != 1:
        return None
    (output,) = operator.outputs
    if operator.name in ("SHAPE", "RANK"):
        shape = known.shapes[operator.inputs[0]]
        return np.array(shape if operator.name == "SHAPE" else len(shape), graph.dtypes[output])
    values = [known.values.get(number) for number in operator.inputs if number >= 0]
    small = all(value is not None and value.size <= _LARGEST for value in values)
    if not values or not small or graph.dtypes[output] not in ("int32", "int64"):
        return None
    try:
        if operator.name in _FUNCTIONS:
            made = _FUNCTIONS[operator.name](*values)
        elif (moved := moved_by(operator, known.shapes, known.values)) is not None:
            made = moved.moves[0].movement(*(known.values[number] for number in moved.sources))
        else:
            return None
    except (ValueError, TypeError, LookupError, ArithmeticError):
        return None
    made = np.asarray(made).astype(graph.dtypes[output])
    return made if made.size <= _LARGEST else None
