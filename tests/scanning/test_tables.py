"""What a part of a tensor is, as NumPy's own indexing has it, and the digits of a region beside its table."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge import op
from layoutbridge.algebra.table import gather_table
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.tables import digits_through, kept_part, table_of

NAMES = ("darknet_reorg", "space_to_depth", "depth_to_space", "space_to_depth_crd", "focus", "channel_shuffle")


@given(st.data())
def test_a_kept_part_is_what_it_is_told_to_be(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    x = np.arange(np.prod(shape)).reshape(shape)
    places = tuple(data.draw(st.one_of(st.integers(0, length - 1), st.slices(length))) for length in shape)
    table = np.asarray(x[places])
    table = table.transpose(data.draw(st.permutations(range(table.ndim))))
    part = kept_part(table, shape)
    assert (part is None) == (table.size == 0)
    if part is not None:
        kept = np.asarray(eval(f"x{part.text}", {"x": x}))
        assert kept.size == np.prod(part.shape)
        order = np.arange(kept.size) if part.table is None else part.table
        np.testing.assert_array_equal(np.ravel(kept)[order], table.reshape(-1))


def test_what_is_no_slice_has_no_words():
    x = np.arange(24).reshape(4, 6)
    for table in (x[[0, 1, 3]], x[:, [0, 3, 1]], x[[0, 1], [1, 2]], np.array([[0, 1], [6, 8]])):
        assert kept_part(table, (4, 6)) is None


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", NAMES)
def test_operations_are_followed_by_their_digits(first, second):
    """A region of views, transposes and operations needs no table of every element, which takes 8 bytes for each."""
    shapes, nodes, shape = {"0": (2, 16, 16, 8)}, [], (2, 16, 16, 8)

    def add(movement, shape, kind="moves", order=()):
        source, output = str(len(nodes)), str(len(nodes) + 1)
        nodes.append(Node(output, kind, (source,), output, movement, kind, order))
        shapes[output] = shape

    for name in (first, second):
        operation = op(name, groups=4) if name == "channel_shuffle" else op(name, stride=2)
        shape = operation.out_shape(shape)
        add(operation, shape)
        shape = tuple(shape[axis] for axis in (0, 2, 3, 1))
        add(partial(np.transpose, axes=(0, 2, 3, 1)), shape, "transpose", (0, 2, 3, 1))
        shape = (2, 16, 16, 8)
        add(lambda x: x.reshape(2, 16, 16, 8), shape, "view")
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    output = str(len(nodes))
    graph = Graph("drawn", "none", tuple(nodes), tensors, ("0",), (output,), len(nodes))
    region = Region(tuple(nodes), ("0",), output)
    digits = digits_through(graph, region)
    assert digits is not None
    np.testing.assert_array_equal(gather_table(digits), table_of(graph, region).reshape(-1))
