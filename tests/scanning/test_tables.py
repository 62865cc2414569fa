"""What a part of a tensor is, as NumPy's own indexing has it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.scanning.tables import kept_part


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
