"""Which columns `verify` prints: the maps that one of its ops may be taken for."""

import pytest

import layoutbridge as lb
from layoutbridge.operations import catalog
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form
from layoutbridge.recognition.matrix import comparable_maps, native_matrix, same_maps, taken_for
from layoutbridge.recognition.rows import Row


@pytest.fixture
def another_family(monkeypatch):
    """Two entries that no op is, one of them with the shapes of channel_shuffle."""
    for name, pattern in (("test_turned", "c h w -> c h w[::-1]"), ("test_weights", "o i h w -> h w i o")):
        made = CatalogEntry(name, (Form(pattern),), "", "here", family="of nobody")
        monkeypatch.setitem(catalog._registry, name, made)


def ops(*names):
    rows = [
        Row("torch", "torch 2", name, False, "NCHW", (1, 4, 4, 4), 2, "float32", "forward", (name,), "matches", "")
        for name in names
    ]
    return native_matrix(rows)


def test_only_families_and_shapes_of_an_op_have_a_column(another_family):
    natives = ops("pixel_unshuffle", "channel_shuffle")
    columns = [name for group in comparable_maps(natives) for name in group]
    assert {"pixel_unshuffle", "space_to_depth", "channel_shuffle", "darknet_reorg"} <= set(columns)
    assert not {"test_turned", "test_weights", "nchw_to_nhwc", "pixel_shuffle"} & set(columns)
    assert len(columns) < sum(map(len, same_maps()))
    name, example = taken_for(natives[0]) or ("", None)
    assert name in columns and name not in natives[0].names
    assert example is not None and example.reads is not None
    assert (taken_for(natives[1]) or ("darknet_flatten",))[0] not in ("test_turned", "identity")


def test_every_column_is_compared_with_every_op():
    for group in comparable_maps(ops("focus", "pixel_shuffle")):
        for native in ops("focus", "pixel_shuffle"):
            same = bool(lb.prove(lb.op(native.names[0]), lb.op(group[0])))
            assert (native.relations[group[0]] == "same") == same


def test_no_ops_no_columns():
    assert comparable_maps(()) == ()
