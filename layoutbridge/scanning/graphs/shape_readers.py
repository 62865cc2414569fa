"""Which nodes depend on which tensors' shapes, through the arithmetic that a reader works out and leaves away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GIVEN_BACK = "what the graph gives back"  # depends on a shape, and is no node
_MOST = 16  # tensors whose shapes are in one number: sets of more would take quadratic time


@dataclass(slots=True)
class ShapeReaders:
    """Filled while a graph is read, in its order. A node stands for itself by its output's name.

    >>> readers = ShapeReaders()
    >>> readers.ask(["wide"], ["shape"])
    >>> readers.work_out(["shape", "two"], ["half"])
    >>> readers.use(["x", "half"], ["y"])
    >>> readers.by_tensor()
    {'wide': frozenset({'y'})}
    """

    _origins: dict[str, frozenset[str]] = field(default_factory=dict)
    _users: dict[str, set[str]] = field(default_factory=dict)

    def ask(self, tensors: Iterable[str], values: Iterable[str]) -> None:
        """`values` are the shapes of `tensors`, or parts of them."""
        self._origins.update(dict.fromkeys(values, frozenset(tensors)))

    def work_out(self, inputs: Iterable[str], values: Iterable[str]) -> None:
        """`values` are worked out from `inputs`, shapes among them."""
        origins = self._origins_of(inputs)
        if len(origins) > _MOST:  # then this step stands for all who take what comes out of it
            values = list(values)
            self._note(origins, values)
        elif origins:
            self._origins.update(dict.fromkeys(values, origins))

    def use(self, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        """The node of these `outputs` takes `inputs`, values worked out from shapes among them."""
        self._note(self._origins_of(inputs), outputs)

    def within(self) -> ShapeReaders:
        """For a graph within a node, which sees the values around it."""
        return ShapeReaders(dict(self._origins))

    def by_tensor(self) -> Mapping[str, frozenset[str]]:
        """The outputs of the nodes that depend on a tensor's shape, by the tensor's name."""
        return {tensor: frozenset(users) for tensor, users in self._users.items()}

    def _origins_of(self, inputs: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._origins.get(entry, ()) for entry in inputs))

    def _note(self, tensors: Iterable[str], outputs: Iterable[str]) -> None:
        for tensor in tensors:
            self._users.setdefault(tensor, set()).update(outputs)
