"""Surfaces of checkpoints: rules, headers of safetensors files, indexes of shards, archives of arrays."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import layoutbridge as lb
from layoutbridge.checkpoints.rearranging import open_checkpoint
from layoutbridge.checkpoints.rules import read_rules
from layoutbridge.errors import LayoutBridgeError
from tests.fuzzing.mutation import encoded, hostile_value, mutated, mutated_json, mutated_zip, number, word
from tests.fuzzing.surface import surface, written

_NAMES = ("layers.0.q.weight", "layers.1.q.weight", "conv", "bias", "é")
_DTYPES = ("F32", "BF16", "U8", "F8_E4M3", "F4", "F6_E2M3", "C64", "BOOL", "F99")
_BITS = {"F32": 32, "BF16": 16, "F4": 4, "F6_E2M3": 6, "C64": 64}
_GLOBS = ("*", "layers.*.q.weight", "{conv,bias}", "conv", "*.{q,k}.weight", "layers.[0]", "{a,{b,c}}*", "{" * 20)
_OPERATIONS = (
    'apply = "rotary_halves_to_pairs"\nheads = 2', 'apply = "oihw_to_hwio"', 'apply = "transpose"',
    'apply = ["transpose", "transpose"]', 'pattern = "a b -> b a"', 'pattern = "(h e r:2) d -> (h r e) d"\nh = 2',
    'pattern = "n -> n[::-1]"', 'apply = "lstm_gates"\nsource = "keras"\ntarget = "onnx"\naxes = 1',
    'apply = "inverse(focus)"', 'pattern = "(g:4 d) k -> (g[0 2 3 1] d) k"',
)  # fmt: skip
_FITTING = (("layers.{0,1}.q.weight", (0, 2, 4, 5, 9)), ("conv", (1,)), ("bias", (6, 7)))  # names, operations
_KEYS = ("heads", "h", "inverse", "axes", "stride", "regex", "order", "then")


# ---------------------------------------------------------------------- rules


def drawn_rules(random: Random) -> bytes:
    """Rules that fit some tensors, with keys that do not belong there."""
    rules = []
    for names, fitting in random.sample(_FITTING, random.choice((1, 1, 2, 3))):
        operation, kind = _OPERATIONS[random.choice(fitting)], "tensors"
        if random.random() < 0.2:
            names, kind = random.choice((*_GLOBS, word(random))), random.choice(("tensors", "regex"))
        if random.random() < 0.2:
            operation = random.choice(_OPERATIONS)
        lines = ["[[rule]]", f"{kind} = {json.dumps(names)}", operation]
        if random.random() < 0.2:
            value = random.choice((number(random), json.dumps(word(random)), "true", "[1, 2]", "{a = 1}", "2026-01-01"))
            lines.append(f"{random.choice(_KEYS)} = {value}")
        rules.append("\n".join(lines))
    return encoded("\n".join(rules))


@surface(".toml", drawn_rules)
def rules(data: bytes, folder: Path) -> None:
    """A file of rules, applied to arrays of several ranks and undone."""
    source = folder / "in.npz"
    if not source.exists():
        shapes = dict(zip(_NAMES, ((8, 2), (8, 2), (4, 3, 2, 2), (8,), ()), strict=True))
        arrays: dict[str, Any] = {name: np.arange(np.prod(each)).reshape(each) for name, each in shapes.items()}
        np.savez(source, **arrays)
    path = written(folder, "r.toml", data)
    read_rules(path)
    lb.rearrange_checkpoint(source, folder / "out.npz", path)
    _undone(source, folder / "out.npz", folder / "back.npz", path)


def _undone(source: Path, moved: Path, back: Path, rules: Path) -> None:
    """Undo; what comes back must be what there was."""
    try:
        lb.rearrange_checkpoint(moved, back, rules, undo=True)
    except LayoutBridgeError:  # a pattern alone may not tell the lengths
        return
    told = [[(t.name, t.dtype, t.shape, t.size) for t in open_checkpoint(path).tensors] for path in (source, back)]
    assert told[0] == told[1], "not undone"


# ---------------------------------------------------------------------- safetensors


def _tensors(random: Random) -> tuple[dict[str, Any], int]:
    """What a header says of some tensors, and how many bytes they have."""
    header: dict[str, Any] = {}
    end = 0
    for name in random.sample(_NAMES, random.randint(0, len(_NAMES))):
        shape = random.choice(((8, 2), (4, 3, 2, 2), (8,), (), (0, 4), (2, 8, 2)))
        dtype = random.choice(_DTYPES)
        begin, end = end, end + int(np.prod(shape)) * _BITS.get(dtype, 8) // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return header, end


def drawn_safetensors(random: Random) -> bytes:
    """A file as its header says, or nearly."""
    header, size = _tensors(random)
    if random.random() < 0.3:
        header["__metadata__"] = {"format": "pt"} if random.random() < 0.8 else hostile_value(random)
    text = json.dumps(header, separators=random.choice(((",", ":"), (", ", ": "))))
    raw = encoded(mutated_json(random, text) if random.random() < 0.3 else text)
    raw += b" " * (-len(raw) % random.choice((1, 8, 8, 64)))
    length = len(raw) if random.random() < 0.9 else random.choice((0, 1, len(raw) - 1, 1 << 32, (1 << 64) - 1))
    return length.to_bytes(8, "little", signed=False) + raw + bytes(k % 251 for k in range(size))


@surface(".safetensors", drawn_safetensors, mutate=mutated)
def safetensors(data: bytes, folder: Path) -> None:
    """A file rearranged by rules that leave some tensors out; lengths of names and headers may change."""
    _rearranged(written(folder, "in.safetensors", data), folder, "out.safetensors", "back.safetensors")


def _rearranged(source: Path, folder: Path, output: str, back: str) -> None:
    """Apply a rule to each tensor that it fits, and undo it."""
    held = open_checkpoint(source).tensors
    fitting = [t.name for t in held if len(t.shape) == 2 and 0 not in t.shape and t.itemsize is not None]
    if not fitting:
        return
    path, names = folder / "r.toml", "|".join(map(_escaped, fitting))
    path.write_bytes(encoded(f"[[rule]]\nregex = {json.dumps(names)}\npattern = 'a b -> b a'\n"))
    lb.rearrange_checkpoint(source, folder / output, path)
    told = [[(t.name, t.dtype, t.size) for t in each] for each in (held, open_checkpoint(folder / output).tensors)]
    assert told[0] == told[1], "other tensors"
    _undone(source, folder / output, folder / back, path)


def _escaped(name: str) -> str:
    return "".join(f"\\U{ord(char):08x}" for char in name)


# ---------------------------------------------------------------------- shards, archives


def drawn_index(random: Random) -> bytes:
    """An index of two shards, with names of files and tensors that are elsewhere or nowhere."""
    owners: dict[str, object] = {"a": "m-0.safetensors", "b": "m-1.safetensors"}
    if random.random() < 0.5:
        owners[random.choice(("a", "b", "c", word(random)))] = random.choice(
            ("m-0.safetensors", "../m-0.safetensors", "m-0", f"{word(random)}.safetensors", hostile_value(random))
        )
    text = json.dumps({"metadata": {"total_size": 8}, "weight_map": owners})
    return encoded(mutated_json(random, text) if random.random() < 0.4 else text)


@surface(".json", drawn_index, share=0.5)
def shards_index(data: bytes, folder: Path) -> None:
    """An index and its shards, read."""
    for number_, name in enumerate("ab"):
        text = json.dumps({name: {"dtype": "U8", "shape": [2, 2], "data_offsets": [0, 4]}}).encode()
        (folder / f"m-{number_}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"abcd")
    open_checkpoint(written(folder, "m.safetensors.index.json", data))


def drawn_npz(random: Random) -> bytes:
    """Arrays of several kinds, packed or not."""
    held = io.BytesIO()
    save = random.choice((np.savez, np.savez_compressed))
    kinds = ("f4", ">i2", "?", "U3", "c16", "i4,f8", "S0", "M8[s]")
    shapes = ((2, 3), (3, 2), (4,), (), (0, 2), (2, 1))
    named: dict[str, Any] = {
        f"{name}{k}": np.zeros(random.choice(shapes), random.choice(kinds)) for k, name in enumerate("abc")
    }
    save(held, **named)
    return held.getvalue()


@surface(".npz", drawn_npz, mutate=mutated_zip)
def weights_npz(data: bytes, folder: Path) -> None:
    """An archive, of which arrays with two axes are turned round."""
    _rearranged(written(folder, "in.npz", data), folder, "out.npz", "back.npz")
