"""Surfaces of Darknet's files: cfg, weights, trees of classes, recorded outputs."""

from __future__ import annotations

import io
import re
import struct
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from layoutbridge.darknet import DarknetNetwork, load
from layoutbridge.darknet.reading.fitting import floats_of
from layoutbridge.darknet.reference.recorded import read_recorded
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.errors import LayoutBridgeError
from tests.darknet_files import built
from tests.drawn_networks import drawn
from tests.fuzzing.mutation import encoded, mutated, mutated_zip, number, word
from tests.fuzzing.surface import surface, written

_POOL = 40  # drawn networks of a flavour that sections come from: together they have every option
_VALUE = re.compile(r"=.*")
_MOST_VALUES = 1 << 20  # of a network whose weights are read
_TREE = b"".join(b"n%d %d\n" % (node, max(node // 3 - 1, -1)) for node in range(9))


@cache
def _pool() -> tuple[tuple[str, ...], ...]:
    """The sections of valid networks, [net] first."""
    texts = [drawn(seed, flavor)[0] for flavor in FLAVORS for seed in range(_POOL)]
    return tuple(tuple(re.split(r"\n(?=\[)", text.strip())) for text in texts)


def _hostile_option(random: Random) -> str:
    """A line of some section, of another value or written otherwise."""
    lines = [line for section in random.choice(_pool()) for line in section.split("\n") if "=" in line]
    if not lines:
        return word(random)
    line = random.choice(lines)
    deed = random.random()
    if deed < 0.5:
        line = _VALUE.sub(lambda _: "=" + ",".join(number(random) for _ in range(random.choice((1, 1, 2, 40)))), line)
    elif deed < 0.65:
        line += random.choice((" # ", ";", ",", " ", "\0", "#=", "=")) + random.choice((number, word))(random)
    elif deed < 0.75:
        line = _VALUE.sub(lambda _: "=" + word(random), line)
    return line


def drawn_cfg(random: Random) -> bytes:
    """Sections of valid networks in a new order, with options that do not belong there."""
    whole = random.choice(_pool())
    sections = list(whole) if random.random() < 0.7 else [whole[0]]
    for _ in range(random.choice((0, 0, 1, 2, 6))):
        sections.append(random.choice(random.choice(_pool())[1:]))
    for _ in range(random.choice((0, 1, 2, 5))):
        at = random.randrange(len(sections))
        lines = sections[at].split("\n")
        lines.insert(random.randrange(1, len(lines) + 1), _hostile_option(random))
        if len(lines) > 2 and random.random() < 0.5:
            del lines[random.randrange(1, len(lines))]
        sections[at] = "\n".join(lines)
    return encoded(random.choice(("\n", "\n", "\n\n", "\r\n")).join(sections))


def _loaded(folder: Path, cfg: bytes, weights: bytes | None = None) -> DarknetNetwork:
    """The network, read by the flavour that the input's length chooses, so that an input always does the same."""
    place = written(folder, "net.cfg", cfg)
    held = None if weights is None else written(folder, "net.weights", weights)
    return load(place, held, flavor=FLAVORS[len(cfg) % 2])


@surface(".cfg", drawn_cfg, share=4)
def cfg(data: bytes, folder: Path) -> None:
    """A cfg, the network's table, and what the other flavour makes of it."""
    net = _loaded(folder, data)
    assert net.summary()
    net.flavor_differences(), net.in_other_flavor(), net.warnings


@surface(".txt", lambda random: mutated(random, _TREE, (_TREE,)), share=0.5)
def tree(data: bytes, folder: Path) -> None:
    """A tree of classes that a cfg names."""
    written(folder, "tree.txt", data)
    text = b"[net]\ninputs=4\n[connected]\noutput=9\nactivation=linear\n[softmax]\ntree=tree.txt\n"
    assert _loaded(folder, text).summary()


def drawn_weights(random: Random) -> bytes:
    """A cfg, a NUL, and weights that nearly fit it."""
    text = random.choice(_pool_texts()) if random.random() < 0.5 else drawn_cfg(random).replace(b"\0", b"")
    try:
        floats = floats_of(built(text.decode("utf-8", "replace"), FLAVORS[len(text) % 2]))
    except LayoutBridgeError:
        floats = 8
    version = random.choice(((0, 2, 0), (0, 2, 5), (0, 1, 0), (1001, 0, 0), (0, 0, 0), (-1, 0, 0), (0, 1 << 30, 0)))
    seen = struct.pack("<Q", random.choice((0, 12345, (1 << 64) - 1)))[: random.choice((4, 8, 8))]
    count = min(max(floats + random.choice((0, 0, 0, 0, 1, -1, 100)), 0), 10_000)
    values = np.full(count, 0.5, "<f4")
    if count and random.random() < 0.2:
        values[random.randrange(count)] = random.choice((float("nan"), float("inf"), -1.0, 1e38, 1e-40))
    tail = random.choice((b"", b"", b"\0", b"abc"))
    return text + b"\0" + struct.pack("<3i", *version) + seen + values.tobytes() + tail


def _pool_texts() -> list[bytes]:
    return [encoded("\n".join(sections)) for sections in _pool()]


@surface(".cfg-and-weights", drawn_weights, share=3)
def weights(data: bytes, folder: Path) -> None:
    """A cfg and its weights, behind the first NUL; read, written and, where the network is small, run."""
    text, _, held = data.partition(b"\0")
    net = _loaded(folder, text, held)
    for array in net.parameters.values():
        assert not array.flags.writeable
    net.save_weights(folder / "again.weights")
    assert (folder / "again.weights").read_bytes() == held, "not what was read"
    net.flavor_differences(), net.in_other_flavor()


# ---------------------------------------------------------------------- recorded outputs

_RECORDED_CFG = "[net]\nwidth=4\nheight=4\nchannels=3\n[maxpool]\nsize=2\nstride=2\n"


def drawn_recorded(random: Random) -> bytes:
    """An .npz of outputs, of another shape, dtype or name now and then."""
    held = io.BytesIO()
    lengths = random.choice(((3, 4, 4), (1, 3, 4, 4), (0, 3, 4, 4), (3, 4, 5), ()))
    arrays: dict[str, Any] = {
        "input": np.zeros(lengths, random.choice(("f4", "f8", "i8", "c8", "U3", "bool"))),
        "layer00": np.zeros((3, 2, 2), "f4"),
    }
    if random.random() < 0.2:
        arrays[random.choice(("layer01", "layer99", "x"))] = np.zeros(3)
    np.savez(held, **arrays)
    return held.getvalue() if random.random() < 0.3 else mutated_zip(random, held.getvalue())


@surface(".npz", drawn_recorded, mutate=mutated_zip)
def recorded(data: bytes, folder: Path) -> None:
    """Recorded outputs of a small network."""
    read_recorded(written(folder, "outputs.npz", data), built(_RECORDED_CFG))
