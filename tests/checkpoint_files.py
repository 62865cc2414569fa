"""Safetensors files written and read after the format's description, without the library. Not a test itself."""

import json
import struct


def write(path, tensors, metadata=None, order=None, pad=8):
    """A file of raw tensors {name: (dtype, shape, bytes)}, written after the format's description."""
    header, at = {} if metadata is None else {"__metadata__": metadata}, 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(content)]}
        at += len(content)
    names = order or list(header)
    text = json.dumps({name: header[name] for name in names}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % pad)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(content for _, _, content in tensors.values()))
    return path


def read(path):
    """The header as JSON, and each tensor's bytes, read after the format's description."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data = raw[8 + length :]
    return header, {n: data[slice(*value["data_offsets"])] for n, value in header.items() if n != "__metadata__"}
