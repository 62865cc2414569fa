"""A model as a graph of tensors and nodes, whatever format it came from, at numbers for all sizes.

A reader fills open sizes in before it makes a graph, and works out what only computes shapes: a node here says what it
does to elements, in a function of arrays, or nothing where values change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["view", "transpose", "join", "moves", "other"]
Movement = Callable[..., NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor by the name that the user knows it by, its `shape` in numbers, its dtype as NumPy names it.

    `open_shape` is what the file says of it: a name, or None, for a length that is open. `is_constant` is on for
    weights, and for what only depends on shapes, which the reader computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    open_shape: tuple[int | str | None, ...] | None = None
    is_constant: bool = False

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        size = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize
        return prod(self.shape) * size


class Move(NamedTuple):
    """What an operator does to elements, for one of its outputs, as `Node` has it."""

    movement: Movement
    kind: Kind = "moves"
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One step from `inputs` to one `output`, tensors by name.

    `operator` is what the format calls it. `movement` takes an array for each of `inputs`, of the tensors' shapes and
    any dtype, and gives the output's: it moves elements, drops or repeats them, and does nothing else. None where
    values change, or where this is not known; then `inputs` are all tensors that it reads. What a movement reads beside
    elements, such as the constant shape of a reshape, is not among its `inputs`. A node with several outputs is one
    `Node` for each, of the same name, that takes the output's part.

    `kind` is "view" where the elements keep their flat order, "transpose" where `order` says how axes change places,
    "join" where all inputs lie one behind the other along the one axis in `order`, "moves" for other movements.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    movement: Movement | None = None
    kind: Kind = "other"
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes so that what computes a tensor stands before what reads it, the tensors by name, and those given back.

    `node_count` is how many nodes the file has. `inner` are the graphs within control flow, by the name of the node
    that they belong to. `notes` are sentences for the user: custom ops that were passed over, sizes that were made up.
    `shape_readers` are the outputs of the nodes that depend on a tensor's shape, by the tensor's name, where the reader
    worked out what a node makes of it; a name that no node gives is something else that does.
    """

    name: str
    format: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node_count: int
    inner: tuple[Graph, ...] = ()
    notes: tuple[str, ...] = field(default=())
    shape_readers: Mapping[str, frozenset[str]] = field(default_factory=dict)
