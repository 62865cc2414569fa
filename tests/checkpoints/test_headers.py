"""Headers of safetensors files that are none: refused, and by safetensors itself, too."""

import io
import json
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.checkpoints.headers import read_header
from layoutbridge.errors import UnusableInputError

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file_of(header, data=b"12345678", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def read(content):
    return read_header(io.BytesIO(content), len(content), "a.safetensors")


BAD = {
    "nothing": (b"", "0 bytes"),
    "no header": (b"\0" * 7, "7 bytes"),
    "a header beyond the end": (file_of({"a": ONE}, length=1 << 20), "are there"),
    "a huge header": (file_of({"a": ONE}, length=2**63), "may have 100,000,000"),
    "no JSON": (file_of(b"{'a': 1}"), "no JSON"),
    "no UTF-8": (file_of(b'{"\xff": 1}'), "no JSON"),
    "a list": (file_of([ONE]), "brace"),
    "space in front": (file_of(b" " + json.dumps({"a": ONE}).encode()), "brace"),
    "more behind": (file_of(json.dumps({"a": ONE}).encode() + b"{}"), "behind it"),
    "no end": (file_of(json.dumps({"a": ONE}).encode()[:-1]), "no JSON"),
    "a name twice": (file_of(b'{"a":%s,"a":%s}' % ((json.dumps(ONE).encode(),) * 2)), "stands twice"),
    "a key twice": (file_of(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "twice"),
    "nested deep": (file_of(b'{"a":' + b"[" * 100_000), "no JSON"),
    "a long number": (file_of(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}'), "digits"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}, "a": ONE}), "texts"),
    "metadata that is a list": (file_of({"__metadata__": [], "a": ONE}), "texts"),
    "no shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}), "has no"),
    "a tensor that is a list": (file_of({"a": []}), "has no"),
    "a negative length": (file_of({"a": {**ONE, "shape": [-2]}}), "shape"),
    "a length that is a truth value": (file_of({"a": {**ONE, "shape": [True, 2]}}), "shape"),
    "a length with a point": (file_of({"a": {**ONE, "shape": [2.0]}}), "shape"),
    "three offsets": (file_of({"a": {**ONE, "data_offsets": [0, 4, 8]}}), "offsets"),
    "offsets backwards": (file_of({"a": {**ONE, "data_offsets": [8, 0]}}), "bytes"),
    "too few bytes": (file_of({"a": {**ONE, "shape": [3]}}), "has 8 bytes"),
    "more elements than can be": (file_of({"a": {**ONE, "shape": [2**60] * 1000}}), "has 8 bytes"),
    "bits that make no bytes": (file_of({"a": {**ONE, "dtype": "F4", "data_offsets": [0, 2]}}, b"12"), "2 bytes"),
    "an overlap": (file_of({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, b"1" * 12), "overlaps"),
    "the same bytes twice": (file_of({"a": ONE, "b": ONE}), "overlaps"),
    "a gap": (file_of({"a": ONE, "b": {**ONE, "data_offsets": [9, 17]}}, b"1" * 17), "gap"),
    "a gap in front": (file_of({"a": {**ONE, "data_offsets": [1, 9]}}, b"1" * 9), "gap"),
    "cut short": (file_of({"a": ONE}, b"1234567"), "it has"),
    "bytes behind": (file_of({"a": ONE}, b"123456789"), "it has"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused_here_and_by_safetensors(name):
    content, told = BAD[name]
    with pytest.raises(UnusableInputError, match=told) as error:
        read(content)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    if name not in (
        "a key twice",
        "a name twice",
        "space in front",
    ):  # of which safetensors takes the last, or minds none
        safetensors = pytest.importorskip("safetensors")
        with pytest.raises(safetensors.SafetensorError):
            safetensors.deserialize(content)


def test_headers_that_are_some():
    for content in (file_of({}, b""), file_of({"__metadata__": {}}, b""), file_of({"a": ONE}),
                    file_of(b'{ "a" : %s }  ' % json.dumps(ONE).encode()),
                    file_of({"b": {**ONE, "data_offsets": [8, 16]}, "a": ONE}, b"1" * 16),
                    file_of({"a": {**ONE, "shape": [0], "data_offsets": [0, 0]}, "b": ONE})):  # fmt: skip
        held = read(content)
        assert sum(tensor.size for tensor in held.tensors) == len(content) - 8 - held.length
    assert read(file_of({"a": {"dtype": "NEW", "shape": [5], "data_offsets": [0, 8]}})).tensors[0].itemsize is None


def test_a_header_that_would_take_much_memory_is_refused_at_once():
    text = b'{"a":[' + b"[]," * 20_000_000 + b"[]]}"
    start = time.perf_counter()
    with pytest.raises(UnusableInputError, match="LAYOUTBRIDGE_MEGABYTES"):
        read(file_of(text))
    assert time.perf_counter() - start < 2


@given(st.binary(max_size=60), st.data())
def test_any_bytes_are_read_or_refused(content, data):
    good = file_of({"a": ONE, "__metadata__": {"b": "c"}})
    at = data.draw(st.integers(0, len(good)))
    for each in (content, good[:at] + content, good[:at] + content + good[at + len(content) :]):
        try:
            read(each)
        except UnusableInputError as error:
            assert "\n" not in str(error)
