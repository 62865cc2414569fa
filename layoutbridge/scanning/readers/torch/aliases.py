"""Tensors that share memory: what writing into one of them does to the others.

Programs for training keep calls that write into a tensor, `x[:, ::2] = y` among them. A graph has none: there each
tensor whose elements changed is a new one, of the old one and what was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from layoutbridge.scanning.graphs.graph import Move

_SHARING = frozenset((
    "view", "_unsafe_view", "view_as", "alias", "detach", "detach_", "unflatten", "squeeze", "squeeze_", "unsqueeze",
    "unsqueeze_", "permute", "transpose", "transpose_", "t", "t_", "numpy_T", "mT", "movedim", "moveaxis", "swapaxes",
    "swapdims", "slice", "narrow", "select", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "expand",
    "expand_as", "broadcast_to", "unfold", "diagonal", "hsplit", "vsplit", "dsplit", "dropout",
))  # fmt: skip
_PERHAPS = frozenset(("reshape", "reshape_as", "flatten", "ravel", "contiguous", "to", "type_as", "as_strided"))
_ONLY_SEEN = frozenset(("detach_", "squeeze_", "unsqueeze_", "transpose_", "t_", "requires_grad_", "resize_"))


def shares(operator: str) -> bool | None:
    """Whether the output of an operator shares memory with its first tensor; None where that depends on strides.

    >>> shares("aten.slice"), shares("aten.clone"), shares("aten.reshape")
    (True, False, None)
    """
    name = operator.removeprefix("aten.")
    return None if name in _PERHAPS else name in _SHARING


def writes(operator: str) -> bool:
    """Whether an operator writes into its first tensor.

    >>> writes("aten.copy_"), writes("aten.copy"), writes("aten.t_")
    (True, False, False)
    """
    name = operator.rpartition(".")[2]
    return name.endswith("_") and not name.endswith("__") and name not in _ONLY_SEEN


@dataclass(slots=True)
class Aliases:
    """Which tensor was made of which by a view; the `Move` is None where it may be a copy, or is not known."""

    made_of: dict[str, tuple[str, Move | None]] = field(default_factory=dict)
    _views: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, source: str, move: Move | None) -> None:
        """`name` shares memory with `source`."""
        self.made_of[name] = (source, move)
        self._views.setdefault(source, []).append(name)

    def above(self, name: str) -> list[str]:
        """What `name` is a view of, and what that is one of, and so on."""
        found = []
        while name in self.made_of:
            name = self.made_of[name][0]
            found.append(name)
        return found

    def below(self, name: str) -> Iterator[str]:
        """The views of `name`, each behind what it is a view of."""
        for view in self._views.get(name, ()):
            yield view
            yield from self.below(view)

    def group(self, name: str) -> list[str]:
        """All that share memory with `name`, itself among them, what others are views of first."""
        top = [name, *self.above(name)][-1]
        return [top, *self.below(top)]

    def is_used(self, names: list[str], last_use: Mapping[str, int], position: int) -> bool:
        """Whether one of `names` is read after `position`."""
        return any(last_use.get(name, -1) > position for name in names)
