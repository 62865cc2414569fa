"""Surfaces of text and of tables: patterns, shapes, names of classes, .npy, .csv and .json."""

from __future__ import annotations

import io
import json
import warnings
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

import layoutbridge as lb
from layoutbridge.cli.shared.arguments import listed, open_shape, picture_size, whole_shape
from layoutbridge.cli.shared.kinds import UnfitValue, share
from layoutbridge.darknet.detection.names import GuessedEncoding, read_names
from layoutbridge.darknet.evaluation.datasets import data_options, read_coco, read_data
from layoutbridge.darknet.evaluation.labels import read_labels
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.frameworks.table import WRITTEN
from layoutbridge.recognition.targets.table_files import read_table
from tests.fuzzing.mutation import encoded, hostile_value, mutated_json, number, word
from tests.fuzzing.surface import surface, written

_LETTERS = "abchpqswxyBCHW_é0"
_MOST_COMPARED = 20_000  # elements of a table that is made to see whether it is one


def _size(random: Random, depth: int = 0) -> str:
    part = random.choice(("C", "H", "W", "s", "c", "2", "3", number(random), random.choice(_LETTERS)))
    if depth < 3 and random.random() < 0.4:
        return part + random.choice("**//^") + _size(random, depth + 1)
    return part


def _side(random: Random) -> str:
    parts = []
    for _ in range(random.randint(1, 5)):
        names = [random.choice(_LETTERS) for _ in range(random.randint(1, 3))]
        sized = [name if random.random() < 0.7 else f"{name}:{_size(random)}" for name in names]
        parts.append(f"({' '.join(sized)})" if len(sized) > 1 else sized[0])
    return " ".join(parts)


def drawn_pattern(random: Random) -> bytes:
    """A pattern of the catalogue, one that is nearly right, or words in a pattern's order; lengths behind."""
    deed = random.random()
    if deed < 0.4:
        text = random.choice([str(lb.op(name).pattern) for name in lb.catalog()])
    elif deed < 0.8:
        text = _near(random)
    else:
        bars = (f"{_side(random)} | ", f" | {_side(random)}") if random.random() < 0.5 else ("", "")
        text = f"{bars[0]}{_side(random)} -> {_side(random)}{bars[1]}"
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        text += f", {random.choice(_LETTERS)}={number(random)}"
    return encoded(text)


def _near(random: Random) -> str:
    """Axes of one or two digits, which the other side has in another order, the second one's length given."""
    names = random.sample("abchpqswxyBW", random.choice((1, 2, 3, 5, 8, 12)))
    axes = [names[at : at + 2] if random.random() < 0.5 else names[at : at + 1] for at in range(0, len(names), 2)]
    digits = [name for axis in axes for name in axis]
    random.shuffle(digits)
    cuts = sorted({0, len(digits), *(random.randint(0, len(digits)) for _ in range(random.randint(0, 3)))})
    result = [digits[start:end] for start, end in pairwise(cuts)]
    lengths = "".join(f", {axis[1]}={random.choice(('2', '3', number(random)))}" for axis in axes if len(axis) > 1)
    sides = (" ".join(f"({' '.join(axis)})" if len(axis) != 1 else axis[0] for axis in side) for side in (axes, result))
    return " -> ".join(sides) + lengths


@surface(".txt", drawn_pattern, share=2)
def pattern(data: bytes, folder: Path) -> None:
    """A pattern, its inverse, its proof against another, its tables, and code for it."""
    made = lb.Rearrangement(data.decode("utf-8", "surrogateescape"))
    repr(made), made.pattern, made.canonical, hash(made)
    with suppress(LayoutBridgeError):
        inverse = made.inverse()
        lb.prove(made.then(inverse), made).explain()
    lb.prove(made, lb.op("darknet_reorg")).explain()
    shape = [6] * made.rank
    made.out_shape(shape)
    if 6**made.rank <= _MOST_COMPARED:
        assert np.array_equal(np.sort(made.table(shape)), np.arange(6**made.rank)), "no permutation"
    for target in WRITTEN:
        compile(lb.code(made, target), target, "exec")


def drawn_shape(random: Random) -> bytes:
    """Lengths, and an operation with its stride before them."""
    name = random.choice([*lb.catalog(), word(random)])
    lengths = random.choice((",", "x", ", ")).join(
        random.choice((number(random), number(random), "2", "4", "64", "N", "?"))
        for _ in range(random.choice((3, 4, 5, 66)))
    )
    return encoded("\n".join((name, number(random), random.choice((lengths, lengths, word(random))))))


@surface(".txt", drawn_shape)
def shape(data: bytes, folder: Path) -> None:
    """An operation by name and stride, at a shape: as the command line reads these words, and as the library does."""
    name, stride, lengths, *_ = [*data.decode("utf-8", "surrogateescape").split("\n"), "", "", ""]
    for read in (open_shape, picture_size, whole_shape):
        with suppress(LayoutBridgeError):
            read(lengths)
    for text in (name, stride, lengths):
        with suppress(UnfitValue):
            share("--threshold")["parser"](text)
        with suppress(LayoutBridgeError):
            listed(text, "--ops")
    with suppress(ValueError):
        made = lb.op(name, stride=int(stride[:300]))
        given = whole_shape(lengths)
        result = made.out_shape(given)
        if np.prod(result, dtype=object) <= _MOST_COMPARED:
            made.table(given)


def drawn_names(random: Random) -> bytes:
    """Names, a line each."""
    ends = random.choice(("\n", "\n", "\r\n", "\r", "\u2028"))
    return encoded(
        ends.join(random.choice((word(random), "person", "traffic light")) for _ in range(random.randint(0, 90)))
    )


@surface(".names", drawn_names, share=0.5)
def names(data: bytes, folder: Path) -> None:
    """A file of the classes' names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessedEncoding)
        read_names(written(folder, "x.names", data))


def drawn_labels(random: Random) -> bytes:
    """Boxes, a line each: class, x, y, w, h, or nearly so."""
    lines = []
    for _ in range(random.randint(0, 9)):
        words = [str(random.randint(0, 3)), *(f"{random.random():.3f}" for _ in range(4))]
        if random.random() < 0.3:
            words[random.randrange(5)] = number(random)
        lines.append(" ".join(words[: random.choice((5, 5, 5, 4)) or None]))
    return encoded("\n".join(lines))


@surface(".txt", drawn_labels, share=0.5)
def labels(data: bytes, folder: Path) -> None:
    """A file of a picture's labels."""
    read_labels(written(folder, "x.txt", data), 4)


def drawn_data(random: Random) -> bytes:
    """Options, a line each."""
    names = ("valid", "names", "classes", "difficult", "train", word(random))
    values = ("a.txt", "4", "x.data", ".", number(random), word(random))
    lines = [f"{random.choice(names)} = {random.choice(values)}" for _ in range(random.randint(0, 5))]
    return encoded("\n".join(["valid = a.txt", *lines] if random.random() < 0.7 else lines))


@surface(".data", drawn_data, share=0.5)
def data_files(data: bytes, folder: Path) -> None:
    """Darknet's .data, which names lists beside it."""
    path = written(folder, "x.data", data)
    written(folder, "a.txt", b"x.png\n")
    written(folder, "x.txt", b"0 .5 .5 .1 .1\n")
    read_data(path, data_options(path), 4)


def drawn_annotations(random: Random) -> bytes:
    """COCO's annotations, or nearly so."""
    made = {
        "images": [{"id": random.randint(0, 3), "file_name": word(random), "width": 9, "height": 7} for _ in range(2)],
        "annotations": [
            {"image_id": random.randint(0, 3), "category_id": random.randint(0, 2), "bbox": [1, 2, 3, 4], "iscrowd": k}
            for k in range(2)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(("dog", "cat"))],
    }
    if random.random() < 0.5:
        part = random.choice([*made])
        made[part] = random.choice((made[part][:1], [*made[part], hostile_value(random)], hostile_value(random)))
    text = json.dumps(made, default=str)
    return encoded(mutated_json(random, text) if random.random() < 0.5 else text)


@surface(".json", drawn_annotations, share=0.5)
def coco_annotations(data: bytes, folder: Path) -> None:
    """COCO's annotations."""
    read_coco(written(folder, "x.json", data), folder, ["dog", "cat"])


# ---------------------------------------------------------------------- tables


def _table(random: Random) -> np.ndarray:
    made = lb.op(random.choice(("darknet_reorg", "space_to_depth", "nchw_to_nhwc"))).table((4, 4, 4))
    if random.random() < 0.5:
        made = made.copy()
        made[random.randrange(64)] = random.choice((0, -1, 63, 64, 1 << 40))
    return made.astype(random.choice(("<i8", ">i4", "u1", "<u8", "f4", "bool"))) if random.random() < 0.5 else made


def drawn_npy(random: Random) -> bytes:
    """A table as NumPy writes it, or a header that promises something else."""
    held = io.BytesIO()
    table = _table(random)
    if random.random() < 0.5:
        np.save(held, table.reshape(random.choice(((-1,), (4, 4, 4), (8, 8), (1, -1)))))
        return held.getvalue()
    order, lengths = (
        random.choice(("True", "False", number(random))),
        ",".join(number(random) for _ in range(random.randint(0, 3))),
    )
    kind = random.choice(("'<i8'", "'|O'", "'<U9'", "'V0'", "[('a','<i4')]", "'<M8[ns]'", "'>i2'", number(random)))
    header = encoded(f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': ({lengths},), }}".ljust(118) + "\n")
    version = random.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    length = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + length + header + table.tobytes()


@surface(".npy", drawn_npy)
def table_npy(data: bytes, folder: Path) -> None:
    """A table in NumPy's form, read and identified."""
    _identify_table(written(folder, "t.npy", data))


def drawn_csv(random: Random) -> bytes:
    """Rows of numbers, some of which are none."""
    cells = [str(value) if random.random() < 0.98 else number(random) for value in _table(random).tolist()]
    width, between, ends = (
        random.choice((1, 8, 64)),
        random.choice((",", ",", ";", "\t", ", ")),
        random.choice(("\n", "\n", "\r\n", "\r")),
    )
    rows = [between.join(cells[at : at + width]) for at in range(0, len(cells), width)]
    return encoded(random.choice(("", "", "\ufeff", '"')) + ends.join(rows) + random.choice(("", ends, word(random))))


@surface(".csv", drawn_csv)
def table_csv(data: bytes, folder: Path) -> None:
    """A table as text, read and identified."""
    _identify_table(written(folder, "t.csv", data))


def drawn_json(random: Random) -> bytes:
    """A list of numbers, or an object that has one, with a value that does not belong there."""
    value = _table(random).tolist()
    text = json.dumps(random.choice((value, {"table": value}, {"table": hostile_value(random)}, hostile_value(random))))
    return encoded(text if random.random() < 0.4 else mutated_json(random, text))


@surface(".json", drawn_json)
def table_json(data: bytes, folder: Path) -> None:
    """A table in JSON, read and identified."""
    _identify_table(written(folder, "t.json", data))


def _identify_table(path: Path) -> None:
    table = read_table(str(path))
    lb.factorize(table).explain()
    if table.size <= _MOST_COMPARED:
        lb.identify(path).explain()
