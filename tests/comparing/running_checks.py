"""What must hold of a model that was run once, whatever its format. Not a test itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.graphs.graph import Graph
from tests.darknet_files import read

TOLERANCE = 5e-5


def passthrough() -> tuple[Any, NDArray[np.float32], NDArray[np.float64]]:
    """A small recorded network with a reorg and routes, its input [1, C, H, W], and the reference's last layer."""
    net, picture, _ = read("pjreddie/passthrough")
    return net, picture[None], net.run(picture[None].astype(np.float64), every_layer=True)[-1]


def given_names(graph: Graph) -> list[str]:
    """The tensors that should be given: what nodes make and what is no constant."""
    return list(dict.fromkeys(node.output for node in graph.nodes if not graph.tensors[node.output].is_constant))


def held(
    made: Iterable[tuple[str, NDArray[Any]]],
    graph: Graph,
    given: Mapping[str, NDArray[Any]],
    *,
    share: float = 1.0,
    moves: bool = True,
) -> dict[str, NDArray[Any]]:
    """The tensors by name, after a look at their names, order and shapes, and at what every movement does."""
    pairs = list(made)
    values = dict(pairs)
    names = [name for name, _ in pairs]
    order = given_names(graph)
    assert len(names) == len(values)
    assert [name for name in order if name in values] == names
    assert len(names) >= share * len(order) > 0, [name for name in order if name not in values]
    assert {name: array.shape for name, array in values.items()} == {name: graph.tensors[name].shape for name in names}
    everything = {**given, **values}
    moved = 0
    for node in graph.nodes:
        if node.movement is not None and all(name in everything for name in (*node.inputs, node.output)):
            found = node.movement(*(everything[name] for name in node.inputs))
            np.testing.assert_array_equal(found, everything[node.output], err_msg=node.name)
            moved += 1
    assert bool(moved) or not moves
    return values


def close(found: NDArray[Any], reference: NDArray[Any], tolerance: float = TOLERANCE) -> None:
    """The same values to within the tolerance, whatever the shape."""
    np.testing.assert_allclose(found.reshape(reference.shape), reference, rtol=0, atol=tolerance)
