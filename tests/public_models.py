"""Models that public packages ship, and the places in them that are known. Not a test itself."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.darknet_files import SHARED

TRUTH, FETCH = SHARED / "reports" / "scan_truth.json", SHARED / "tools" / "fetch_models.py"
KNOWN = json.loads(TRUTH.read_text()) if TRUTH.is_file() and FETCH.is_file() else {"places": [], "others": []}
PLACES, OTHERS = KNOWN["places"], KNOWN["others"]
WHERE_TRUTH = f"known places in public models are not at {TRUTH}, with {FETCH}"
ONNX_FILES = sorted({(entry["package"], entry["file"]) for entry in PLACES})


def public_models(made: Path) -> dict[tuple[str, str], Path]:
    """The models' files by package and path within it; MODELS_CACHE names a folder where they stay, else `made`."""
    spec = importlib.util.spec_from_file_location("fetch_models", FETCH)
    assert spec is not None and spec.loader is not None
    fetching = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fetching)
    try:
        return fetching.fetch(KNOWN, os.environ.get("MODELS_CACHE") or made)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the packages of {TRUTH} cannot be had: {error}")
