"""Movements of a graph beside what a runtime computes. Not a test itself."""

import numpy as np


def followed(graph, values):
    """The operators of the nodes that move elements, each of them compared with the runtime's `values`, by tensor."""
    moving = []
    for node in graph.nodes:
        if node.movement is None:
            assert node.kind == "other"
            continue
        given = [values[name] for name in node.inputs]
        found = node.movement(*given)
        np.testing.assert_array_equal(found, values[node.output], err_msg=f"{node.operator} {node.name}")
        if node.kind == "view":
            np.testing.assert_array_equal(given[0].ravel(), found.ravel())
        if node.kind == "transpose":
            np.testing.assert_array_equal(given[0].transpose(node.order), found)
        moving.append(node.operator)
    return moving
