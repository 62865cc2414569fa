"""Names that nothing in a model has yet."""

from __future__ import annotations

import onnx_ir as ir


class FreshNames:
    """Gives names that no tensor and no node of a model has, nor any that was given before.

    >>> names = FreshNames(ir.Model(ir.Graph([], [], nodes=[], name="g", opset_imports={"": 17}), ir_version=8))
    >>> names("reorg"), names("reorg")
    ('reorg', 'reorg_2')
    """

    def __init__(self, model: ir.Model) -> None:
        graphs = (model.graph, *model.graph.subgraphs())
        self._taken: set[str | None] = set()
        for graph in graphs:
            self._taken.update(value.name for value in (*graph.inputs, *graph.initializers.values()))
            for node in graph:
                self._taken.update((node.name, *(value.name for value in node.outputs)))

    def __call__(self, name: str) -> str:
        """`name`, or with a number behind it."""
        made, number = name, 1
        while made in self._taken:
            number += 1
            made = f"{name}_{number}"
        self._taken.add(made)
        return made
