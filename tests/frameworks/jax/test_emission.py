"""JAX: emitted functions under its transformations, exported files, and somebody's own functions."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError
from layoutbridge.frameworks import emit, export
from layoutbridge.frameworks.base import DTYPE_NAMES, FLOAT_NAMES, numpy_dtype
from layoutbridge.frameworks.table import framework
from tests.command_line import refused, run
from tests.pictures import pictures

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

ROOT = Path(__file__).parents[3]
REORG = lb.op("darknet_reorg")
SHAPE = (2, 16, 8, 12)


def values(shape, dtype="float32"):
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(numpy_dtype(dtype))


@pytest.mark.sample(6)
@pytest.mark.parametrize("name", sorted(pictures()))
@pytest.mark.parametrize("shape", [(2, 64, 8, 12), (64, 8, 12)])
def test_every_entry_is_its_table(name, shape):
    operation = lb.op(name)
    x = values(shape)
    for function in (emit(operation, "jax"), jax.jit(emit(operation, "jax"))):
        y = function(jnp.asarray(x))
        assert isinstance(y, jax.Array)
        assert np.array_equal(np.asarray(y).reshape(-1), x.reshape(-1)[operation.table(shape)])
        assert y.shape == operation.out_shape(shape)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_any_dtype_passes_through(dtype):
    x = values(SHAPE, dtype)
    with jax.enable_x64(True):
        y = emit(REORG, "jax")(x)
    assert y.dtype == x.dtype
    assert np.array_equal(np.asarray(y), REORG(x))


@pytest.mark.sample(2, slow=3)
@pytest.mark.parametrize("name", ["darknet_reorg", "focus", "channel_shuffle", "nchw_to_nhwc"])
@pytest.mark.parametrize("dtype", FLOAT_NAMES)
def test_the_gradient_is_the_inverse(name, dtype):
    operation = lb.op(name)
    function = emit(operation, "jax")
    upstream = values(operation.out_shape(SHAPE), dtype)
    _, pullback = jax.vjp(function, jnp.zeros(SHAPE, dtype))
    assert np.array_equal(np.asarray(pullback(jnp.asarray(upstream))[0]), operation.inverse()(upstream))
    weighted = jax.jit(jax.grad(lambda x: (function(x) * upstream).sum()))
    assert np.array_equal(np.asarray(weighted(jnp.zeros(SHAPE, dtype))), operation.inverse()(upstream))


def test_it_may_be_mapped_over_other_axes():
    x = values((3, 5, *SHAPE))
    y = jax.vmap(jax.vmap(emit(REORG, "jax")))(jnp.asarray(x))
    assert np.array_equal(np.asarray(y[2, 4]), REORG(x[2, 4]))
    items = jax.vmap(emit(REORG, "jax"), in_axes=-1, out_axes=-1)(jnp.asarray(x[0, 0].transpose(1, 2, 3, 0)))
    assert np.array_equal(np.asarray(items).transpose(3, 0, 1, 2), REORG(x[0, 0]))


def test_a_chain_without_common_digits():
    operation = lb.op("nhwc_to_nchw").then(REORG).then(lb.op("nchw_to_nhwc"))
    x = values((2, 26, 6, 8))
    assert np.array_equal(np.asarray(emit(operation, "jax")(x)), operation(x))


@pytest.mark.parametrize("shape", [(1, 3, 26, 26), (16, 5, 8), (16, 8), (1, 1, 16, 8, 8), (0, 16, 8, 8)])
def test_a_misfit_reads_as_in_numpy(shape):
    with pytest.raises(ShapeError) as wanted:
        REORG.bind(shape)
    for function in (emit(REORG, "jax"), jax.jit(emit(REORG, "jax"))):
        with pytest.raises(ShapeError) as caught:
            function(jnp.zeros(shape))
        assert str(caught.value) == str(wanted.value)


def test_the_function_says_what_it_is():
    function = emit(REORG, "jax")
    assert (function.__name__, REORG.pattern in function.__doc__) == ("darknet_reorg", True)
    assert emit(lb.Rearrangement("c h w -> w c h"), "jax").__name__ == "rearrange"


# ---------------------------------------------------------------------- symbolic lengths and files


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize("name", sorted(pictures()))
@pytest.mark.parametrize(
    ("shape", "fitting"),
    [
        ((2, 144, 36, 36), [(2, 144, 36, 36)]),
        ((144, None, 36), [(144, 36, 36), (144, 72, 36)]),
        ((None, 144, 36, None), [(2, 144, 36, 72), (1, 144, 36, 36)]),
        (None, [(2, 144, 36, 36), (1, 288, 72, 36)]),
    ],
)
def test_files_run_without_us_at_any_length(name, shape, fitting, tmp_path):
    operation = lb.op(name)
    path = tmp_path / "op.jax"
    export(operation, "jax", path, shape=shape)
    exported = jax.export.deserialize(path.read_bytes())
    assert set(exported.platforms) >= {"cpu", "cuda", "tpu"}
    for concrete in fitting:
        x = values(concrete)
        assert np.array_equal(np.asarray(exported.call(x)), operation(x))


def test_a_file_has_its_gradient_with_it(tmp_path):
    export(REORG, "jax", tmp_path / "op.jax", shape=(None, *SHAPE[1:]))
    exported = jax.export.deserialize((tmp_path / "op.jax").read_bytes())
    upstream = values(REORG.out_shape(SHAPE))
    gradient = jax.grad(lambda x: (exported.call(x) * upstream).sum())(jnp.zeros(SHAPE))
    assert np.array_equal(np.asarray(gradient), REORG.inverse()(upstream))


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("dtype", [*DTYPE_NAMES, "float64", "uint64"])
def test_files_of_every_dtype_are_read_again(dtype, tmp_path):
    export(REORG, "jax", tmp_path / "op.jax", shape=SHAPE, dtype=dtype)
    function = framework("jax").reads[".jax"](tmp_path / "op.jax")
    assert function.dtype == dtype
    x = values(SHAPE, dtype)
    assert np.array_equal(np.asarray(function(x)), REORG(x))
    assert "darknet_reorg" in lb.identify(function, SHAPE).names
    assert jnp.arange(2).dtype == "int32"  # the program's own setting stays


@pytest.mark.parametrize(
    ("operation", "shape", "says"),
    [
        (REORG, "n, 64, h, 2*w", "H/2 must be a whole number"),
        (REORG, "n, c, 2*h, 2*w", "C/4 must be a whole number"),
        (lb.Rearrangement("c (h p) w -> (c p) h w, p=2, w=3"), "n, 4, 6, 2*w", "W = 2*w must be 3"),
    ],
)
def test_a_length_that_may_not_fit_is_refused_when_it_is_traced(operation, shape, says):
    struct = jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), "float32")
    with pytest.raises(ShapeError) as caught:
        jax.export.export(jax.jit(emit(operation, "jax")))(struct)
    assert f"{operation.label} does not take shape ({shape}): {says}" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"shape": (1, 3, 26, 26)}, ShapeError, "C = 3 is not a multiple of 4"),
        ({"shape": (None, 64, 25, None)}, ShapeError, r"\(\?, 64, 25, \?\)"),
        ({"dtype": "float31"}, ParameterError, "JAX has no dtype 'float31'; it has float32"),
        ({"dtype": "U8"}, ParameterError, "JAX has no dtype 'U8'"),
        ({"opset": 17}, ParameterError, "export for jax takes no 'opset'; it takes shape, dtype"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(options, error, says, tmp_path):
    path = tmp_path / "op.jax"
    path.write_bytes(b"old")
    with pytest.raises(error, match=says):
        export(REORG, "jax", path, **options)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ParameterError, match=r"must end in \.jax"):
        export(REORG, "jax", tmp_path / "op.bin", shape=SHAPE)


@pytest.mark.slow
def test_files_that_are_none_are_refused(tmp_path):
    export(REORG, "jax", tmp_path / "op.jax", shape=SHAPE)
    content = (tmp_path / "op.jax").read_bytes()
    two = jax.export.export(jax.jit(lambda x, y: x + y))(*[jax.ShapeDtypeStruct(SHAPE, "float32")] * 2)
    for name, held, says in (
        ("empty.jax", b"", "is no function that this JAX can read"),
        ("text.jax", b"not a function at all, but a text of some length", "is no function that this JAX can read"),
        ("cut.jax", content[:100], "is no function that this JAX can read"),
        ("two.jax", two.serialize(), "takes 2 arrays and gives 1: one is wanted"),
    ):
        (tmp_path / name).write_bytes(held)
        with pytest.raises(UnusableInputError, match=says) as caught:
            lb.identify(tmp_path / name, SHAPE)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnusableInputError, match="there is no exported function"):
        lb.identify(tmp_path / "none.jax", SHAPE)


# ---------------------------------------------------------------------- on the command line and in programs


RUN_AGAIN = """
import sys
from pathlib import Path
import jax, numpy
exported = jax.export.deserialize(Path(sys.argv[1]).read_bytes())
y = exported.call(numpy.load(sys.argv[2]))
numpy.save(sys.argv[3], numpy.asarray(y))
assert not any(name.startswith("layoutbridge") for name in sys.modules)
"""


@pytest.mark.slow
def test_the_command_line_writes_what_a_fresh_process_runs(capfd, tmp_path):
    path = str(tmp_path / "reorg.jax")
    code, out, err = run(capfd, "export", "darknet_reorg", "--shape", "N,64,H,26", "--to", "jax", "-o", path)
    assert (code, out, err) == (0, "", f"layoutbridge: wrote {path}: darknet_reorg (stride 2) for jax\n")
    x = values((3, 64, 52, 26))
    np.save(tmp_path / "x.npy", x)
    arguments = [path, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    done = subprocess.run([sys.executable, "-c", RUN_AGAIN, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert np.array_equal(np.load(tmp_path / "y.npy"), lb.op("darknet_reorg")(x))
    code, out, _ = run(capfd, "identify", path, "--shape", "1,64,26,26")
    assert code == 0
    assert "reorg.jax: darknet_reorg" in out
    assert "--opset is for --to onnx, not --to jax" in refused(
        capfd, "export", "focus", "--to", "jax", "--opset", "17", "-o", path
    )


PORTS = """
import jax
import jax.numpy as jnp

def in_place(x):
    return jnp.zeros_like(x).at[...].set(x).transpose(0, 2, 3, 1)

def needs_jax(x):
    return x.at[...].get().transpose(0, 2, 3, 1)

@jax.jit
def jitted(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)

class Port:
    def __call__(self, x):
        return jax.lax.transpose(x, (0, 2, 3, 1))

def relu(x):
    return jax.nn.relu(x)
"""


@pytest.mark.slow
def test_functions_of_jax_are_identified(capfd, tmp_path, monkeypatch):
    (tmp_path / "jax_ports.py").write_text(PORTS)
    monkeypatch.chdir(tmp_path)
    for place in ("jax_ports.py", "jax_ports"):
        for function, names in (
            ("in_place", "nchw_to_nhwc"),
            ("needs_jax", "nchw_to_nhwc"),
            ("jitted", "pixel_unshuffle, space_to_depth_crd"),
            ("Port", "nchw_to_nhwc"),
        ):
            code, out, err = run(capfd, "identify", f"{place}:{function}", "--shape", "1,4,6,8")
            assert (code, err) == (0, "")
            assert f"{place}:{function}: {names}\n" in out
        code, out, _ = run(capfd, "identify", f"{place}:relu", "--shape", "1,4,6,8")
        assert (code, "depends on sign" in out) == (1, True)
    assert "darknet_reorg" in lb.identify(jax.jit(emit(REORG, "jax")), SHAPE).names


def test_verify_runs_every_dtype_forward_and_backward_and_sets_nothing():
    verdict = lb.verify(frameworks=("jax",), ops=("darknet_reorg", "focus"), strides=(2,))
    assert verdict.ok
    assert {row.status for row in verdict.rows} == {"matches"}
    assert {row.dtype for row in verdict.rows if row.direction == "forward"} == set(DTYPE_NAMES)
    assert {row.dtype for row in verdict.rows if row.direction == "backward"} == set(FLOAT_NAMES)
    assert jnp.arange(2).dtype == "int32"


def test_an_xla_without_one_of_our_options_compiles_all_the_same(monkeypatch):
    from layoutbridge.frameworks.jax import running

    monkeypatch.setattr(running, "_COMPILER_OPTIONS", {"xla_has_no_such_option": True})
    running._compiled.cache_clear()
    verdict = lb.verify(frameworks=("jax",), ops=("focus",), strides=(2,), dtypes=("int64",))
    assert {row.status for row in verdict.rows} == {"matches"}


@pytest.mark.slow
def test_it_is_quiet_and_imported_only_on_use():
    program = (
        "import sys, layoutbridge as lb, layoutbridge.frameworks.jax.record\n"
        "assert 'jax' not in sys.modules\n"
        "assert lb.verify(frameworks=('jax',), ops=('focus',), strides=(2,), dtypes=('float32',)).ok\n"
        "assert 'jax' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
