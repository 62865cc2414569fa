"""Models that public packages ship, made native: onnxruntime gives the same, and a second run does nothing."""

from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from tests.public_models import ONNX_FILES, OTHERS, PLACES, WHERE_TRUTH, public_models

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PLACES, reason=WHERE_TRUTH)]
FILES = [*ONNX_FILES, *((entry["package"], entry["file"]) for entry in OTHERS if entry["format"] == "onnx")]
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
OPEN = (1, 64, 96)  # what open lengths are, in turns


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return public_models(tmp_path_factory.mktemp("models"))


def shapes_of(file):
    """The sizes at which the places of a file are known."""
    known = [entry for entry in (*PLACES, *OTHERS) if (entry["package"], entry["file"]) == file]
    return next((entry["model_inputs"] for entry in known if entry.get("model_inputs")), {})


def opened(content):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file[1]).name)
def test_each_model_gives_the_same(models, file):
    path, shapes, rng = models[file], shapes_of(file), np.random.default_rng(0)
    done = lb.rewrite(path, native=True)
    assert not lb.rewrite(done.model, native=True, check=False).changed
    assert done.bytes_moved_after <= done.bytes_moved_before and done.nodes_after <= done.nodes_before
    before, after = opened(str(path)), opened(done.model.SerializeToString())
    assert [(each.name, each.shape) for each in before.get_inputs()] == [
        (each.name, each.shape) for each in after.get_inputs()
    ]
    given = {}
    for each in before.get_inputs():
        shape = shapes.get(each.name) or [
            OPEN[k % 3] if not isinstance(n, int) else n for k, n in enumerate(each.shape)
        ]
        values = rng.standard_normal(shape) if each.type == "tensor(float)" else rng.integers(0, 2, shape)
        given[each.name] = values.astype(DTYPES[each.type])
    is_exact = not any("kernels" in each.proof or "order of channels" in each.proof for each in done.passes)
    for one, two in zip(before.run(None, given), after.run(None, given), strict=True):
        assert one.shape == two.shape and one.dtype == two.dtype
        assert one.tobytes() == two.tobytes() or (not is_exact and np.abs(one - two).max() <= 1e-5 * np.abs(one).max())
