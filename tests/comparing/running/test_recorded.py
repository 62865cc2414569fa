"""Recorded outputs as a model's: their arrays in the file's order, and nothing but numbers."""

import zipfile

import numpy as np
import pytest

from layoutbridge.comparing.running.recorded import read, recorded_input, values
from layoutbridge.errors import UnusableInputError
from tests.comparing.running_checks import given_names
from tests.darknet_files import NETS
from tests.darknet_files import read as read_network

RECORDING = NETS / "pjreddie" / "passthrough" / "outputs.npz"


def test_darknets_own():
    _, x, layers = read_network("pjreddie/passthrough")
    graph = read(RECORDING)
    assert graph.inputs == ("input",)
    assert graph.outputs == (f"layer{len(layers) - 1:02d}",)
    np.testing.assert_array_equal(recorded_input(RECORDING), x)
    made = dict(values(RECORDING, graph, {"input": x}))
    assert list(made) == given_names(graph)
    for name, layer in zip(made, layers, strict=True):
        np.testing.assert_array_equal(made[name], layer)
        assert made[name].shape == graph.tensors[name].shape
        assert made[name].dtype.name == graph.tensors[name].dtype
    with pytest.raises(UnusableInputError, match=r"'outputs\.npz' was recorded for another input"):
        list(values(RECORDING, graph, {"input": x + 0.1}))


def test_any_names_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "mine.npz"
    arrays = {"z/last": np.arange(3.0), "a": np.arange(4, dtype=">i4"), "mask": np.array([True, False])}
    np.savez_compressed(path, **arrays, words=np.array(["text"]))
    graph = read(path)
    assert (graph.inputs, graph.outputs, recorded_input(path)) == ((), ("mask",), None)
    assert graph.notes == ("arrays that are no numbers were passed over: words",)
    assert {name: tensor.dtype for name, tensor in graph.tensors.items()} == {
        "z/last": "float64", "a": "int32", "mask": "bool"
    }  # fmt: skip
    made = dict(values(path, graph, {}))
    assert list(made) == list(arrays)
    assert all(np.array_equal(made[name], array) for name, array in arrays.items())


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, odd=np.array([object()], dtype=object), fields=np.zeros(2, "f4,i4"))
    with pytest.raises(UnusableInputError, match=r"'objects\.npz' records no outputs"):
        read(path)


def test_broken_files(tmp_path):
    path = tmp_path / "short.npz"
    path.write_bytes(RECORDING.read_bytes()[:-100])
    with pytest.raises(UnusableInputError, match="is no whole"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("layer00.npy", b"\x93NUMPY")
    with pytest.raises(UnusableInputError, match="is no whole archive of arrays"):
        read(path)
    np.savez(path, layer00=np.arange(100.0))
    graph = read(path)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match="is no whole archive of arrays: Bad CRC"):
        list(values(path, graph, {}))
