"""What TensorFlow's nodes are called by the names of Keras' layers.

TensorFlow puts a number behind a scope's name that was there before, and Keras opens a layer's scope twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


class LayerNames:
    """Called with a node's name, says what users call it: `names` are those of all nodes of `model`'s graph."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self._model = model.name
        self._layers = {layer.name for layer in _layers(model)}
        self._scopes = {name.rpartition("/")[0] for name in names}

    def __call__(self, name: str) -> str:
        """What users call the node of that name."""
        *scopes, last = name.split("/")
        told = []
        for place, scope in enumerate(scopes):
            layer = self._layer(scope, "/".join(scopes[:place]))
            if layer != self._model or place:
                told.append(layer)
        return "/".join((*told, last))

    def _layer(self, scope: str, above: str) -> str:
        before, _, number = scope.rpartition("_")
        if not number.isdigit() or before not in self._layers:
            return scope
        first = f"{above}/{before}" if above else before
        has_nodes = any(each == first or each.startswith(f"{first}/") for each in self._scopes)
        return scope if has_nodes and scope in self._layers else before


def _layers(model: Any) -> Iterator[Any]:
    """The model, and all layers in it."""
    left, seen = [model], set[int]()
    while left:
        layer = left.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer
        left += getattr(layer, "_layers", None) or getattr(layer, "layers", None) or []
