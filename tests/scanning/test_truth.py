"""Models that public packages ship: what is known of them is found, and told right; nothing else is listed."""

import importlib.util
import json
from functools import cache
from math import prod
from pathlib import Path

import einops
import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.algebra.table import gather_table
from tests.public_models import ONNX_FILES, OTHERS, PLACES, WHERE_TRUTH, public_models

NEEDED = {"onnx": "onnx", "tflite": "ai_edge_litert", "ncnn": "numpy"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PLACES, reason=WHERE_TRUTH)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return public_models(tmp_path_factory.mktemp("models"))


@cache
def scanned(path: Path, inputs: str):
    return lb.scan(path, json.loads(inputs))


def scan_of(entry, models):
    if not importlib.util.find_spec(NEEDED[entry["format"]]):
        pytest.skip(f"{NEEDED[entry['format']]} is not installed")
    return scanned(models[entry["package"], entry["file"]], json.dumps(entry.get("model_inputs")))


def table_of(place):
    return place.seen.table.reshape(-1) if place.seen.table is not None else gather_table(place.seen.digits)


def check_elements(place, entry):
    """That a place moves elements as the entry's einops pattern does, which einops itself says."""
    seen = place.seen
    x = np.arange(prod(seen.in_shape)).reshape(seen.in_shape)
    wanted = einops.rearrange(x, entry["einops"], **entry["lengths"])
    assert wanted.shape == seen.out_shape
    np.testing.assert_array_equal(table_of(place), wanted.reshape(-1))
    if place.pattern is not None and not place.wrapping:
        np.testing.assert_array_equal(lb.Rearrangement(place.pattern)(x), wanted)
    assert (place.kind == "view") == entry["moves_nothing"]


def _title(entry):
    """Its file and place; without the report there is no entry, and older versions of pytest ask for a name even so."""
    if not isinstance(entry, dict):
        return None
    return Path(entry["file"]).name + (f":{entry['nodes'][0]}" if "nodes" in entry else "")


@pytest.mark.parametrize("entry", PLACES, ids=_title)
def test_each_place(models, entry):
    (place,) = (place for place in scan_of(entry, models).places if place.nodes == tuple(entry["nodes"]))
    assert (place.inputs, place.output) == ((entry["input"],), entry["output"])
    assert (place.in_shapes, place.out_shape) == ((tuple(entry["in_shape"]),), tuple(entry["out_shape"]))
    assert place.bytes == entry["bytes"]
    check_elements(place, entry)


@pytest.mark.parametrize("file", ONNX_FILES, ids=lambda file: Path(file[1]).name if isinstance(file, tuple) else None)
def test_nothing_else_is_listed(models, file):
    """Joins of different tensors, arithmetic on shapes and expansions least of all; a part of a tensor may be."""
    entries = [entry for entry in PLACES if (entry["package"], entry["file"]) == file]
    listed = [place for place in scan_of(entries[0], models).places if not place.nodes[0].endswith("quantizedreshape")]
    assert {place.kind for place in listed} <= {"moves", "view", "drops"}
    assert [place.nodes for place in listed if place.kind != "drops"] == [tuple(entry["nodes"]) for entry in entries]


@pytest.mark.parametrize("entry", OTHERS, ids=_title)
def test_each_other_file(models, entry):
    found = scan_of(entry, models)
    if entry["format"] == "tflite":
        listed = [((str(number),), "view") for number in entry["nodes"]]
        assert [(place.nodes, place.kind) for place in found.places] == listed
    elif entry["format"] == "ncnn":
        (place,) = found.places
        assert place.nodes == tuple(entry["nodes"])
        assert (place.in_shapes, place.out_shape) == ((tuple(entry["in_shape"]),), tuple(entry["out_shape"]))
        assert place.names[0] == "pixel_shuffle" and dict(place.parameters) == {"stride": 4}
        check_elements(place, entry)
    elif "nodes" in entry:
        biases = [place for place in found.places if place.nodes[0].endswith("quantizedreshape")]
        assert len(biases) == int(entry["nodes"].split()[0])
        for place in biases:
            assert place.kind == "view" and place.out_shape == (1, *place.in_shapes[0], 1, 1)
    else:
        (same,) = {known["file"] for known in PLACES if Path(known["file"]).name == "common_det.onnx"}
        known = [tuple(each["nodes"]) for each in PLACES if each["file"] == same]
        assert [place.nodes for place in found.places] == known
