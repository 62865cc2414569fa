"""A matrix of its own at every place of a picture, as locally connected layers multiply by."""

from __future__ import annotations

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.values import OnnxValue
from layoutbridge.frameworks.primitives import LazyArray, Target


def products_by_place(
    target: Target[OnnxValue], graph: Graph, columns: OnnxValue, weights: LazyArray, *, by_matrices: bool
) -> OnnxValue:
    """(filters, places) of columns (K, places) and weights [places, filters, K].

    By a MatMul with the batch in its columns, or by a Conv whose groups are the places.
    """
    places, filters, length = weights.shape
    if by_matrices:
        turned = graph.add("Transpose", [columns.name], perm=[2, 1, 0])
        product = graph.add("MatMul", [graph.parameter(weights), turned])  # [places, filters, N]
        return OnnxValue(graph.add("Transpose", [product], perm=[2, 1, 0]), (filters, places))
    apart = target.rearrange(columns, Rearrangement("k places -> (places k)"))
    values = target.reshape(apart, (places * length, 1, 1)).name
    held = graph.parameter(weights, (places * filters, length, 1, 1))
    summed = graph.add("Conv", [values, held], group=places, kernel_shape=[1, 1])
    by_place = target.reshape(OnnxValue(summed, (places * filters, 1, 1)), (places, filters))
    return target.rearrange(by_place, Rearrangement("places f -> f places"))
