"""What every test may use: the tables of the real Darknet, quiet frameworks, repeatable examples."""

import gc
import os

# Before any framework is imported, here and in the programs that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MPLBACKEND", "Agg")

import importlib.util
import json
import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.samples import mark_samples

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

# A run is the same every time in CI; at a desk, new examples are drawn and failing ones remembered.
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")

PACKAGE, TESTS, DOCS = (FIXTURES.parent / name for name in ("layoutbridge", "tests", "docs"))
# What the examples of a module need: those in a framework's folder that framework, those of a port what runs it.
PORTS_NEED = {"keras": "tensorflow", "torch": "torch", "torch_module": "torch", "onnx": "onnx"}
READERS_NEED = {"onnx": ("onnx",), "openvino": ("openvino",), "models": ("onnx",), "expecting": ("onnx",)}
READERS_NEED |= {"torch": ("torch",), "tensorflow": ("tensorflow",), "tflite": ("ai_edge_litert",)}
RUNNERS_NEED = READERS_NEED | {"ncnn": ("ncnn",)}
PAGES_NEED = {
    "README.md": ("onnxruntime",),
    "scan.md": ("onnx",),
    "compare.md": ("onnx", "onnx_ir", "onnxruntime"),
    "rewrite.md": ("onnx", "onnx_ir", "onnxruntime"),
    "audit.md": ("pebble", "onnx"),
    "runtimes.md": ("onnx",),
    "networks.md": ("torch", "tensorflow"),
    "detect.md": ("PIL",),
    "leaving.md": ("PIL", "ncnn"),
    "evaluate.md": ("PIL",),
    "start/opencv.md": ("PIL",),
    "start/accuracy.md": ("onnx", "onnx_ir", "onnxruntime"),
    "making/docstrings.py": ("griffe",),
}


@cache
def load_golden_cases() -> tuple[dict[str, Any], ...]:
    """Read every case of the real reorg layers, each with its table (see fixtures/README.md)."""
    cases = json.loads((FIXTURES / "darknet_reorg_tables.json").read_text())
    with np.load(FIXTURES / "darknet_reorg_tables.npz") as tables:
        for case in cases:
            table = tables[case["key"]].astype(np.int64)
            table.flags.writeable = False  # shared between tests
            case |= {
                "in_shape": tuple(case["in_shape"]),
                "out_shape": tuple(case["out_shape"]),
                "table": table,
            }
    return tuple(cases)


def describe_case(case: dict[str, Any]) -> str:
    """A case in a test's name: fork, layer, direction, sizes."""
    layer = case["layer"] + "-reverse" * case["reverse"] + "-gradient" * case["gradient"]
    shape = "x".join(map(str, (case["batch"], *case["in_shape"])))
    return f"{case['key']}-{case['fork']}-{layer}-{shape}-s{case['stride']}"


@pytest.fixture(scope="session")
def golden_cases() -> list[dict[str, Any]]:
    """All cases of the real Darknet: ``key, fork, layer, reverse, gradient, batch, stride, in_shape,
    out_shape, bijective`` and ``table``, a flat, read-only int64 array over the whole batch."""
    return [dict(case) for case in load_golden_cases()]


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> None:
    """Let no test search what was in memory before for garbage: with all frameworks that is a second each time."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``golden_case`` runs once for each case."""
    if "golden_case" in metafunc.fixturenames:
        metafunc.parametrize("golden_case", load_golden_cases(), ids=describe_case)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a module of tests that cannot be imported be an error: pytest would take the half that it left for whole."""
    report = yield
    if report.skipped and "unable to import module" in str(report.longrepr) and collector.path.is_relative_to(TESTS):
        sys.modules.pop(".".join(collector.path.relative_to(TESTS.parent).with_suffix("").parts), None)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share out long lists of cases, before any are left out by their marks, and skip examples that cannot run.

    Those are the examples of a framework's own modules where that framework is not installed.
    """
    mark_samples(items)
    for item in items:
        for framework in frameworks_needed(item.path) if isinstance(item, pytest.DoctestItem) else ():
            if not importlib.util.find_spec(framework):
                item.add_marker(pytest.mark.skip(reason=f"{framework} is not installed"))


def frameworks_needed(path: Path) -> tuple[str, ...]:
    """The frameworks that the examples in a module of the package, or on a page, import."""
    if not path.is_relative_to(PACKAGE):
        return PAGES_NEED.get(path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) else path.name, ())
    *rooms, _ = path.relative_to(PACKAGE).parts
    if rooms[:1] == ["scanning"]:
        name = rooms[2] if len(rooms) > 2 else path.stem  # a reader is a module, or a folder of its own
        return next((needed for start, needed in READERS_NEED.items() if name.startswith(start)), ())
    if rooms == ["comparing", "running"]:
        return RUNNERS_NEED.get(path.stem, ())
    if rooms[:1] == ["rewriting"]:
        return ("onnx", "onnx_ir", "onnxruntime")
    if rooms == ["atlas"]:
        return ("torch", "ml_dtypes")
    if rooms[:1] == ["auditing"]:
        return ("fsspec", "pebble", "pyarrow", "onnx")
    if rooms[:1] == ["frameworks"] and len(rooms) == 2:
        return (rooms[1],)  # a framework's folder is called as the module that programs import
    if rooms[:1] == ["darknet"] and rooms[1:] in (["detectors"], ["classification"], ["evaluation"], ["quantization"]):
        return ("PIL",)
    if rooms in (["darknet", "benchmarking"], ["darknet", "tuning"]):
        return ("onnx", "onnxruntime")
    return (PORTS_NEED[path.stem],) if rooms == ["darknet", "ports"] and path.stem in PORTS_NEED else ()
