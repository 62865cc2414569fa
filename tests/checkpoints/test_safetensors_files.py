"""Safetensors files rearranged: read by safetensors itself, moved by einops, undone to the same bytes."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.checkpoints import safetensors_files, transfer
from layoutbridge.checkpoints.headers import _BITS_OF
from tests.checkpoint_files import read, write

einops = pytest.importorskip("einops")
safetensors = pytest.importorskip("safetensors")
RULES = [
    {"tensors": "layers.*.{q,k}.weight", "pattern": "(h e r:2) d -> (h r e) d", "h": 3},
    {"regex": r"conv\d+", "pattern": "o i h w -> h w i o"},
]
CODES = ("f4", "f2", "f8", "i8", "i4", "i2", "i1", "u1", "?")  # of what safetensors reads for NumPy


def halves(array):
    return einops.rearrange(array, "(h e r) d -> (h r e) d", h=3, r=2)


def last(array):
    return einops.rearrange(array, "o i h w -> h w i o")


@st.composite
def checkpoints(draw):
    kinds = ["q", "k", "conv", *draw(st.lists(st.sampled_from(["q", "conv", "other"]), max_size=4))]
    tensors, small = {}, st.integers(1, 4)
    for number, kind in enumerate(draw(st.permutations(kinds))):
        dtype = draw(st.sampled_from([name for name, bits in _BITS_OF.items() if kind == "other" or bits % 8 == 0]))
        if kind in ("q", "k"):
            name, shape = f"layers.{number}.{kind}.weight", (6 * draw(small), draw(small))
        elif kind == "conv":
            name, shape = f"conv{number}", tuple(draw(small) for _ in range(4))
        else:
            name = draw(st.text(st.characters(codec="utf-8"), max_size=8)) + f"/{number}"
            shape = (4, draw(st.sampled_from([0, 2])))
        size = int(np.prod(shape)) * _BITS_OF[dtype] // 8
        tensors[name] = (dtype, shape, draw(st.binary(min_size=size, max_size=size)))
    metadata = draw(st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2))
    order = draw(st.permutations([*tensors, *(["__metadata__"] if metadata is not None else [])]))
    return tensors, metadata, order


@pytest.mark.slow
@given(checkpoints())
def test_drawn_files_are_moved_as_einops_says_and_undone_to_the_same_bytes(tmp_path_factory, drawn):
    tensors, metadata, order = drawn
    folder = tmp_path_factory.mktemp("drawn")
    source = write(folder / "in.safetensors", tensors, metadata, order)
    done = lb.rearrange_checkpoint(source, folder / "out.safetensors", RULES)
    header, contents = read(folder / "out.safetensors")
    assert list(header) == order
    assert header.get("__metadata__") == metadata
    assert [change.name for change in done.changes] == [n for n in tensors if n.startswith(("layers", "conv"))]
    for name, (dtype, shape, content) in tensors.items():
        kind = "conv" if name.startswith("conv") else "q" if name.startswith("layers.") else None
        assert header[name]["dtype"] == dtype
        if kind is None:
            assert (header[name]["shape"], contents[name]) == (list(shape), content)
            continue
        array = np.frombuffer(content, f"u{_BITS_OF[dtype] // 8}").reshape(shape)
        expected = last(array) if kind == "conv" else halves(array)
        assert (header[name]["shape"], contents[name]) == (list(expected.shape), expected.tobytes())
    size = (folder / "out.safetensors").read_bytes()[:8]
    assert struct.unpack("<Q", size)[0] % 8 == 0
    lb.rearrange_checkpoint(folder / "out.safetensors", folder / "back.safetensors", RULES, undo=True)
    assert (folder / "back.safetensors").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["back.safetensors", "in.safetensors", "out.safetensors"]


def test_what_safetensors_writes_and_reads(tmp_path):
    from safetensors.numpy import load_file, save_file

    draw = np.random.default_rng(0)
    arrays = {f"layers.{k}.q.weight": draw.integers(0, 2, (12, 5)).astype(code) for k, code in enumerate(CODES)}
    arrays |= {"conv1": draw.random((8, 3, 5, 5)), "other": draw.random(7)}
    save_file(arrays, tmp_path / "in.safetensors", metadata={"format": "pt"})
    lb.rearrange_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", RULES)
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        expected = {"l": halves, "c": last}.get(name[0], np.asarray)(array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, expected.shape)
        assert np.array_equal(found[name], expected)
    with safetensors.safe_open(tmp_path / "out.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
    lb.rearrange_checkpoint(tmp_path / "out.safetensors", tmp_path / "back.safetensors", RULES, undo=True)
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


def test_torch_dtypes(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    dtypes = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    tensors = {f"layers.{k}.q.weight": torch.randn(12, 8).to(dtype) for k, dtype in enumerate(dtypes)}
    save_file(tensors, tmp_path / "in.safetensors")
    lb.rearrange_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", RULES[:1])
    for name, found in load_file(tmp_path / "out.safetensors").items():
        assert found.dtype == tensors[name].dtype
        assert torch.equal(found.float(), halves(tensors[name].float()))


def test_headers_written_with_spaces_or_filled_up_further_come_back_too(tmp_path):
    q = np.arange(12, dtype="u1").tobytes()
    header = {"conv1": {"dtype": "U8", "shape": [10, 1, 1, 1], "data_offsets": [0, 10]}}
    for fill in (0, 3, 64):
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8 + 8 * fill)
        (tmp_path / "in.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + q[:10])
        lb.rearrange_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", RULES[1:])
        assert read(tmp_path / "out.safetensors")[0]["conv1"]["shape"] == [1, 1, 1, 10]
        lb.rearrange_checkpoint(tmp_path / "out.safetensors", tmp_path / "back.safetensors", RULES[1:], undo=True)
        assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="this system has no reads at a position")
def test_where_a_call_moves_fewer_bytes_than_it_was_asked_for(tmp_path, monkeypatch):
    source = write(
        tmp_path / "in.safetensors",
        {"a": ("U8", (5000,), bytes(range(250)) * 20), "conv1": ("U8", (2, 3, 1, 1), b"abcdef")},
    )
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(transfer, "_BUFFER", 999)
    monkeypatch.setattr(os, "pwrite", lambda file, view, at: pwrite(file, view[:7], at))
    monkeypatch.setattr(os, "preadv", lambda file, views, at: preadv(file, [views[0][:5]], at))
    lb.rearrange_checkpoint(source, tmp_path / "out.safetensors", RULES[1:])
    assert read(tmp_path / "out.safetensors")[1] == {"a": bytes(range(250)) * 20, "conv1": b"adbecf"}


def test_where_a_file_has_no_positions(tmp_path, monkeypatch):
    """As on Windows: one thread reads and writes, one thing after another."""
    layers = {f"layers.{k}.q.weight": ("U8", (12, 8), bytes(range(96))) for k in range(20)}
    source = write(tmp_path / "in.safetensors", layers | {"a": ("U8", (5000,), bytes(range(250)) * 20)})
    lb.rearrange_checkpoint(source, tmp_path / "usual.safetensors", RULES[:1])
    monkeypatch.setattr(transfer, "_BY_POSITION", False)
    monkeypatch.setattr(transfer, "_BUFFER", 999)
    lb.rearrange_checkpoint(source, tmp_path / "out.safetensors", RULES[:1])
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "usual.safetensors").read_bytes()


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    source = write(tmp_path / "in.safetensors", {"conv1": ("U8", (2, 3, 1, 1), b"abcdef"), "b": ("U8", (2,), b"xy")})

    def meddle(*_):
        source.write_bytes(source.read_bytes())

    with pytest.raises(lb.LayoutBridgeError, match="changed while it was read"):
        lb.rearrange_checkpoint(source, tmp_path / "out.safetensors", RULES[1:], progress=meddle)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]
    held = safetensors_files.read_safetensors(source)
    source.write_bytes(source.read_bytes()[:-3])  # cut short behind our back
    with pytest.raises(lb.LayoutBridgeError):
        held.write(tmp_path / "x", {}, lambda *_: None)
