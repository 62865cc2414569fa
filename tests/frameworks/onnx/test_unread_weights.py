"""Large weights stay in the file that a model is read from, and all of them are in the one that is written."""

import os
import subprocess
import sys

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed

from layoutbridge.frameworks.onnx.protobuf.unread_weights import without_weights  # noqa: E402
from layoutbridge.frameworks.onnx.reading import read_model, read_sparing  # noqa: E402

RNG = np.random.default_rng(0)
DTYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16}


def saved(path, weights, *, outside=None):
    """A SpaceToDepth in front of a dense layer, and other constants that nobody reads."""
    nodes = [
        helper.make_node("SpaceToDepth", ["x"], ["deep"], blocksize=2, name="port"),
        helper.make_node("Conv", ["deep", "first"], ["y"], name="conv"),
    ]
    first = RNG.standard_normal((64, 32, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(array, name) for name, array in {"first": first, **weights}.items()]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
             for name, shape in (("x", (1, 8, 12, 12)), ("y", (1, 64, 4, 4)))]  # fmt: skip
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if outside:
        onnx.save(model, path, save_as_external_data=True, location=outside, size_threshold=100_000)
    else:
        onnx.save(model, path)
    return model


def values(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def same(one, two):
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and np.array_equal(one[name], two[name]) for name in one
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_left_in_the_file_is_found_there(dtype, tmp_path):
    weights = {
        "large": RNG.standard_normal(40_000).astype(dtype),
        "positions": np.arange(40_000),
        "one of each": np.eye(300, dtype=dtype),
        "none": np.zeros(0, dtype),
        "small": RNG.standard_normal(9).astype(dtype),
    }
    whole = saved(tmp_path / "a.onnx", weights)
    read, folder = read_sparing(tmp_path / "a.onnx")
    left = [tensor.name for tensor in read.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    assert left == ["first", "large"] and folder == tmp_path
    onnx.load_external_data_for_model(read, str(folder))
    assert same(values(read), values(whole))


def test_nothing_is_left_of_what_is_small_or_no_model(tmp_path):
    lb.export(lb.op("focus"), "onnx", tmp_path / "small.onnx", shape=(1, 3, 8, 8))
    assert without_weights(tmp_path / "small.onnx") is None
    for content in (b"", b"\x3a", os.urandom(5000), b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"):
        (tmp_path / "none.onnx").write_bytes(content)
        assert without_weights(tmp_path / "none.onnx") is None


def test_a_file_cut_short_is_refused_as_it_was(tmp_path):
    saved(tmp_path / "a.onnx", {"large": np.ones(40_000, np.float32) / 3})
    content = (tmp_path / "a.onnx").read_bytes()
    for length in (len(content) - 1, len(content) // 2, 100):
        (tmp_path / "cut.onnx").write_bytes(content[:length])
        for read in (read_model, read_sparing):
            with pytest.raises(lb.LayoutBridgeError, match="no ONNX model, or only a part of one"):
                read(tmp_path / "cut.onnx")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("outside", [None, "data.bin"])
def test_a_rewritten_model_has_all_weights(linked, outside, tmp_path):
    pytest.importorskip("onnx_ir")
    deep = tmp_path / "deep"
    deep.mkdir()
    saved(deep / "a.onnx", {"large": RNG.standard_normal(40_000).astype(np.float32)}, outside=outside)
    whole = onnx.load(deep / "a.onnx")
    path = deep / "a.onnx"
    if linked:  # as caches of hubs have them
        (tmp_path / "links").mkdir()
        path = tmp_path / "links" / "link.onnx"
        path.symlink_to(deep / "a.onnx")
        if outside:
            (tmp_path / "links" / outside).symlink_to(deep / outside)
            with pytest.raises(lb.LayoutBridgeError, match="a link that leads outside"):
                lb.rewrite(path, fix={"port": "pixel_unshuffle"})
            return
    done = lb.rewrite(path, fix={"port": "pixel_unshuffle"})
    done.save(tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    known = values(whole)
    assert all(np.array_equal(values(written)[name], known[name]) for name in known)
    assert (tmp_path / "out.onnx.data").exists() == (outside is not None)
    if outside is None:
        assert same(values(done.model), values(written))
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)


def test_a_file_that_changed_meanwhile_is_not_mixed_in(tmp_path):
    pytest.importorskip("onnx_ir")
    saved(tmp_path / "a.onnx", {"large": RNG.standard_normal(40_000).astype(np.float32)})
    done = lb.rewrite(tmp_path / "a.onnx", fix={"port": "pixel_unshuffle"})
    saved(tmp_path / "a.onnx", {"large": RNG.standard_normal(40_001).astype(np.float32)})
    with pytest.raises(lb.LayoutBridgeError, match="has changed since it was read"):
        done.save(tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
    with pytest.raises(lb.LayoutBridgeError, match="has changed since it was read"):
        assert done.model


MEASURED = """
import resource, sys, onnx, onnx_ir, layoutbridge as lb
from layoutbridge.rewriting import checking, fixing
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lb.rewrite(sys.argv[1], fix={"port": "pixel_unshuffle"}, check=False).save(sys.argv[2])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_memory_stays_under_the_files_size(tmp_path):
    pytest.importorskip("onnx_ir")
    saved(tmp_path / "a.onnx", {f"large{k}": RNG.standard_normal(5_000_000).astype(np.float32) for k in range(5)})
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "a.onnx", tmp_path / "b.onnx"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < (tmp_path / "a.onnx").stat().st_size
