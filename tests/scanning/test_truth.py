"""Models that public packages ship: what is known of them is found, and told right; nothing else is listed."""

import importlib.util
import json
import os
import subprocess
from functools import cache
from math import prod
from pathlib import Path

import einops
import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.algebra.table import gather_table
from tests.darknet_files import SHARED

TRUTH, FETCH = SHARED / "reports" / "scan_truth.json", SHARED / "tools" / "fetch_models.py"
KNOWN = json.loads(TRUTH.read_text()) if TRUTH.is_file() and FETCH.is_file() else {"places": [], "others": []}
PLACES, OTHERS = KNOWN["places"], KNOWN["others"]
NEEDED = {"onnx": "onnx", "tflite": "ai_edge_litert", "ncnn": "numpy"}
ONNX_FILES = sorted({(entry["package"], entry["file"]) for entry in PLACES})

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PLACES, reason=f"known places in public models are not at {TRUTH}, with {FETCH}"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The models' files by package and path within it; MODELS_CACHE names a folder where they stay."""
    spec = importlib.util.spec_from_file_location("fetch_models", FETCH)
    fetching = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fetching)
    folder = os.environ.get("MODELS_CACHE") or tmp_path_factory.mktemp("models")
    try:
        return fetching.fetch(KNOWN, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the packages of {TRUTH} cannot be had: {error}")


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


@pytest.mark.parametrize("entry", PLACES, ids=lambda entry: f"{Path(entry['file']).name}:{entry['nodes'][0]}")
def test_each_place(models, entry):
    (place,) = (place for place in scan_of(entry, models).places if place.nodes == tuple(entry["nodes"]))
    assert (place.inputs, place.output) == ((entry["input"],), entry["output"])
    assert (place.in_shapes, place.out_shape) == ((tuple(entry["in_shape"]),), tuple(entry["out_shape"]))
    assert place.bytes == entry["bytes"]
    check_elements(place, entry)


@pytest.mark.parametrize("file", ONNX_FILES, ids=lambda file: Path(file[1]).name)
def test_nothing_else_is_listed(models, file):
    """Joins of different tensors, arithmetic on shapes and expansions least of all; a part of a tensor may be."""
    entries = [entry for entry in PLACES if (entry["package"], entry["file"]) == file]
    listed = [place for place in scan_of(entries[0], models).places if not place.nodes[0].endswith("quantizedreshape")]
    assert {place.kind for place in listed} <= {"moves", "view", "drops"}
    assert [place.nodes for place in listed if place.kind != "drops"] == [tuple(entry["nodes"]) for entry in entries]


@pytest.mark.parametrize("entry", OTHERS, ids=lambda entry: Path(entry["file"]).name)
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
