"""Exported functions that nobody vouches for: what they call must be in them."""

import numpy as np
import pytest

from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.jax.files import load_exported, refuse_calls, save
from layoutbridge.operations.catalog import op

jax = pytest.importorskip("jax", reason="JAX is not installed")
export = pytest.importorskip("jax.export", reason="JAX is not installed")


@pytest.mark.slow
def test_a_file_that_calls_code_outside_of_it_is_not_run(tmp_path):
    """LAPACK's here, by its name: JAX reads a file with any other name in its place, a Python function's too."""
    program = jax.jit(lambda x: jax.numpy.linalg.cholesky(x @ x.T))
    content = export.export(program)(jax.ShapeDtypeStruct((4, 4), "float32")).serialize()
    (tmp_path / "calls.jax").write_bytes(content)
    with pytest.raises(UnusableInputError, match=r"calls\.jax' calls lapack_spotrf_ffi, which is code outside"):
        load_exported(tmp_path / "calls.jax")
    renamed = bytes(content).replace(b"lapack_spotrf_ffi", b"xla_python_call_x")
    assert renamed != content
    (tmp_path / "other.jax").write_bytes(renamed)
    with pytest.raises(UnusableInputError, match="which is code outside"):
        load_exported(tmp_path / "other.jax")


@pytest.mark.parametrize(
    "call", ['custom_call @"a b"(', '"stablehlo.custom_call"(%0) <{call_target_name = "Sharding"}>']
)
def test_a_call_that_is_written_in_another_way_is_refused(call):
    with pytest.raises(UnusableInputError, match="calls something, which is code outside"):
        refuse_calls(call, "it")


@pytest.mark.slow
def test_what_jax_marks_for_its_compiler_is_read(tmp_path):
    save(op("darknet_reorg"), tmp_path / "open.jax")
    x = np.arange(2 * 4 * 6 * 8, dtype=np.float32).reshape(2, 4, 6, 8)
    assert np.array_equal(load_exported(tmp_path / "open.jax")(x), op("darknet_reorg")(x))
