"""Copies against a plain reshape-transpose, by NumPy and by the compiled kernels, on every awkward kind of array."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge.copying import blocks, build_copier, compiled, numpy_copy
from layoutbridge.copying.plan import contiguous_strides, source_view, split_at

numba = importlib.util.find_spec("numba")
try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = np.float16

DTYPES = [
    np.dtype(t)
    for t in (
        np.uint8, np.int16, np.float16, np.float32, np.float64, np.complex64, np.complex128, np.int64, np.bool_,
        bfloat16, [("a", "i4"), ("b", "u1")], [("a", "i4"), ("b", "f8")], "M8[s]", "S3", ">i4", object,
    )
]  # fmt: skip

PATTERNS = {  # source digits, output digits
    "space_to_depth": ("nchpwq", "npqchw"),
    "space_to_depth_crd": ("nchpwq", "ncpqhw"),
    "focus": ("nchpwq", "nqpchw"),
    "depth_to_space": ("npqchw", "nchpwq"),
    "depth_to_space_crd": ("ncpqhw", "nchpwq"),
    "nchw_to_nhwc": ("nchw", "nhwc"),
    "nhwc_to_nchw": ("nhwc", "nchw"),
    "channel_shuffle": ("npchw", "ncphw"),
    "nhwc_space_to_depth": ("nhpwqc", "nhwpqc"),
    "mixed": ("nchpwq", "wnqhcp"),
}


@pytest.fixture(params=["numpy", "numba"])
def engine(request, monkeypatch):
    """NumPy alone, or kernels for every array that has at least two digits."""
    if request.param == "numba" and numba is None:
        pytest.skip("numba is not installed")
    use(request.param, monkeypatch)
    yield request.param
    assert compiled.state.enabled == (request.param == "numba"), "the kernels failed"


def use(name, monkeypatch):
    monkeypatch.setattr(compiled.state, "enabled", name == "numba")
    monkeypatch.setattr(compiled, "LOAD_BYTES", 0)
    monkeypatch.setattr(compiled, "USE_BYTES", 0)
    monkeypatch.setattr(compiled, "PIECE_BYTES", 64)


def minimal_digits(sizes, order):
    strides = contiguous_strides(tuple(sizes))
    digits = []
    for k in order:
        if sizes[k] == 1:
            continue
        if digits and digits[-1][1] == strides[k] * sizes[k]:
            digits[-1] = (digits[-1][0] * sizes[k], strides[k])
        else:
            digits.append((sizes[k], strides[k]))
    return tuple(digits)


def numbered(shape, dtype):
    """An array whose elements differ as far as the dtype can tell them apart."""
    count = prod(shape)
    if dtype.hasobject:
        flat = np.array([str(i) for i in range(count)], dtype)
    elif dtype == np.bool_:
        flat = np.random.default_rng(count).integers(0, 2, count).astype(bool)
    else:
        flat = np.random.default_rng(count).integers(0, 256, count * dtype.itemsize, np.uint8).view(dtype)
    return flat.reshape(shape)


def same(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    if a.dtype.hasobject:
        assert (a == b).all()
    else:  # bytes: not-a-numbers and all
        assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def expected(x, sizes, order, out_shape):
    return np.array(x, order="C").reshape(sizes).transpose(order).reshape(out_shape)


def check_all_ways(sizes, order, dtype, in_shape=None, out_shape=None):
    in_shape = in_shape or tuple(sizes)
    out_shape = out_shape or tuple(sizes[k] for k in order)
    copier = build_copier(in_shape, dtype, minimal_digits(sizes, order), out_shape)
    x = numbered(in_shape, dtype)
    want = expected(x, sizes, order, out_shape)

    y = copier(x)
    same(y, want)
    assert y.flags.c_contiguous
    assert not np.shares_memory(y, x)
    out = np.empty(out_shape, dtype)
    assert copier(x, out) is out
    same(out, want)

    frozen = x.copy()
    frozen.flags.writeable = False
    same(copier(frozen), want)
    padded = np.empty((*in_shape, 2), dtype)[..., 0]
    padded[...] = x
    same(copier(padded), want)
    same(copier(x.copy(order="F")), want)
    backwards = x[(..., *(slice(None, None, -1) for _ in in_shape))]
    same(copier(backwards), expected(backwards, sizes, order, out_shape))
    if in_shape:
        flat = np.broadcast_to(x[:1], in_shape)
        same(copier(flat), expected(flat, sizes, order, out_shape))

    spaced = np.empty((*out_shape, 3), dtype)[..., 1]
    assert copier(x, spaced) is spaced
    same(spaced, want)
    turned = np.empty(out_shape, dtype, order="F")
    copier(x, turned)
    same(turned, want)
    memory = x.copy()
    copier(memory, memory.reshape(out_shape))
    same(memory.reshape(out_shape), want)
    longer = np.empty(x.size + 1, dtype)
    longer[:-1] = x.ravel()
    copier(longer[:-1].reshape(in_shape), longer[1:].reshape(out_shape))
    same(longer[1:].reshape(out_shape), want)
    if not dtype.hasobject:
        raw = np.empty(2 * x.nbytes + 2, np.uint8)
        crooked = raw[1 : 1 + x.nbytes].view(dtype).reshape(in_shape)
        crooked[...] = x
        crooked_out = raw[2 + x.nbytes :].view(dtype).reshape(out_shape)
        copier(crooked, crooked_out)
        same(crooked_out, want)


@pytest.mark.sample(100)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PATTERNS)
def test_catalogue_patterns_for_every_dtype(name, dtype, engine):
    source, out = PATTERNS[name]
    for step, height, width, channels in ((2, 4, 21, 5), (3, 3, 17, 4), (4, 2, 5, 3)):
        sizes = {"n": 2, "c": channels, "h": height, "w": width, "p": step, "q": step}
        check_all_ways([sizes[d] for d in source], [source.index(d) for d in out], dtype)


@pytest.mark.parametrize("step", [2, 3])
def test_digits_that_cross_the_axes(step, engine):
    """Darknet's reorg and its inverse: the tensor's axes are not the digits'."""
    channels, size = 2 * step * step, 6
    forward = [2, channels // step**2, size, step, size, step], [0, 3, 5, 1, 2, 4]
    check_all_ways(
        *forward, np.dtype("f4"),
        in_shape=(2, channels, size * 1, size), out_shape=(2, channels * step**2, size // step, size // step),
    )  # fmt: skip
    back = [2, step, step, channels // step**2, size, size], [0, 3, 4, 1, 5, 2]
    check_all_ways(
        *back, np.dtype("f4"),
        in_shape=(2, channels * step**2, size // step, size // step), out_shape=(2, channels, size, size),
    )  # fmt: skip


def test_identity_and_single_element(engine):
    check_all_ways([6, 5], [0, 1], np.dtype("f4"))
    check_all_ways([6, 5], [0, 1], np.dtype("f4"), in_shape=(6, 5), out_shape=(5, 6))
    check_all_ways([1, 1], [1, 0], np.dtype("f4"))
    copier = build_copier((), np.dtype("f4"), (), ())
    assert copier(np.array(3, "f4")) == 3


@st.composite
def digit_permutations(draw, largest=40_000):
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 33, 48]), max_size=6))
    while prod(sizes) > largest:
        sizes = sizes[:-1]
    return sizes, draw(st.permutations(range(len(sizes))))


@settings(max_examples=60, deadline=None)
@given(case=digit_permutations(), dtype=st.sampled_from(DTYPES))
def test_random_digits_by_numpy(case, dtype):
    with pytest.MonkeyPatch.context() as monkeypatch:
        use("numpy", monkeypatch)
        check_all_ways(*case, dtype)


@pytest.mark.skipif(numba is None, reason="numba is not installed")
@settings(max_examples=100, deadline=None)
@given(
    case=digit_permutations(),
    dtype=st.sampled_from(DTYPES),
    block=st.sampled_from([64, 1000, 4096, blocks.BLOCK_BYTES]),
    streamed=st.booleans(),
)
def test_random_digits_by_kernels(case, dtype, block, streamed):
    with pytest.MonkeyPatch.context() as monkeypatch:
        use("numba", monkeypatch)
        monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
        if streamed:
            monkeypatch.setattr(blocks, "STREAM_BYTES", 0)
            monkeypatch.setattr(blocks, "STREAM_RUN_BYTES", 0)
        check_all_ways(*case, dtype)
        assert compiled.state.enabled, "the kernels failed"


@pytest.mark.parametrize("gather", [True, False])
@pytest.mark.parametrize("name", PATTERNS)
def test_each_numpy_way(name, gather, monkeypatch):
    """The cost model picks one way a size: here every one of them moves the same small arrays."""
    use("numpy", monkeypatch)
    monkeypatch.setattr(numpy_copy, "_GATHER_LIMIT", 1 << 30 if gather else 0)
    monkeypatch.setattr(numpy_copy, "_GATHER_COST", 0.0)
    source, out = PATTERNS[name]
    sizes = {"n": 2, "c": 3, "h": 5, "w": 7, "p": 2, "q": 2}
    lengths, order = [sizes[d] for d in source], [source.index(d) for d in out]
    for call_cost in (0.0, 1e9):
        monkeypatch.setattr(numpy_copy, "_CALL_COST", call_cost)
        check_all_ways(lengths, order, np.dtype("f4"))


def test_sizes_around_the_thresholds(monkeypatch):
    """The ends of rows, vectors and blocks, with the thresholds as they are."""
    monkeypatch.setattr(compiled, "LOAD_BYTES", 30_000)
    monkeypatch.setattr(compiled, "USE_BYTES", 30_000)
    for width in (83, 95, 97, 131):
        for sizes, order in (
            ([3, 10, 2, width, 2], [2, 4, 0, 1, 3]),
            ([2, 3, 11, width], [2, 3, 0, 1]),
            ([width, 61], [1, 0]),
        ):
            check_all_ways(sizes, order, np.dtype("f4"))


@pytest.mark.slow
def test_large_arrays(engine):
    for sizes, order in (
        ([8, 64, 52, 2, 52, 2], [0, 3, 5, 1, 2, 4]),
        ([8, 3, 3, 8, 70, 70], [0, 3, 4, 1, 5, 2]),
        ([4, 255, 80 * 80], [0, 2, 1]),
        ([4, 100 * 100, 96], [0, 2, 1]),
        ([4, 2, 32, 104 * 104], [0, 2, 1, 3]),
    ):
        x = numbered(tuple(sizes), np.dtype("f4"))
        copier = build_copier(x.shape, x.dtype, minimal_digits(sizes, order), tuple(sizes[k] for k in order))
        same(copier(x), np.ascontiguousarray(x.transpose(order)))


def large_case():
    sizes, order = [4, 16, 20, 2, 20, 2], [0, 3, 5, 1, 2, 4]
    x = numbered(tuple(sizes), np.dtype("f4"))
    copier = build_copier(x.shape, x.dtype, minimal_digits(sizes, order), tuple(sizes[k] for k in order))
    return copier, x, np.ascontiguousarray(x.transpose(order))


def test_two_threads_at_once(engine):
    copier, x, want = large_case()
    wrong = []

    def work():
        out = np.empty(want.shape, want.dtype)
        for _ in range(50):
            out[...] = 0
            copier(x, out)
            if not np.array_equal(out.view(np.uint8), want.view(np.uint8)):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork(engine):
    copier, x, want = large_case()
    same(copier(x), want)  # the parent has its pool now
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = copier(x).tobytes() == want.tobytes() and compiled.state.enabled == (engine == "numba")
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_numba_that_cannot_be_imported(monkeypatch):
    use("numba", monkeypatch)
    monkeypatch.setattr(compiled.state, "kernels", None)
    monkeypatch.setattr(compiled, "_ready", set())
    monkeypatch.setitem(sys.modules, "layoutbridge.copying.kernels", None)  # importing it raises ImportError
    monkeypatch.delattr("layoutbridge.copying.kernels", raising=False)
    copier, x, want = large_case()
    same(copier(x), want)
    assert not compiled.state.enabled
    same(copier(x), want)


def test_small_arrays_do_not_import_numba():
    code = (
        "import sys, numpy as np; from layoutbridge.copying import build_copier;"
        "c = build_copier((64, 64), np.dtype('f4'), ((64, 1), (64, 64)), (64, 64));"
        "x = np.arange(4096, dtype='f4').reshape(64, 64); assert (c(x) == x.T).all();"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(numba is None, reason="numba is not installed")
def test_a_cache_folder_that_cannot_be_written(tmp_path):
    """Where nothing can keep the machine code, it is compiled for this process alone."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    code = (
        "import numpy as np; from layoutbridge.copying import build_copier, compiled;"
        "compiled.LOAD_BYTES = compiled.USE_BYTES = 0;"
        "c = build_copier((64, 64), np.dtype('f4'), ((64, 1), (64, 64)), (64, 64));"
        "x = np.arange(4096, dtype='f4').reshape(64, 64); assert (c(x) == x.T).all();"
        "assert (c(x) == x.T).all()"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(blocker / "below")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_split_at_lets_strided_arrays_be_viewed():
    digits = minimal_digits([2, 3, 4, 5], [1, 0, 2, 3])  # the last two merge
    assert digits == ((3, 20), (2, 60), (20, 1))
    split = split_at(digits, (2, 3, 4, 5), (3, 2, 4, 5))
    assert split == ((3, 20), (2, 60), (4, 5), (5, 1))
    x = np.zeros((2, 3, 4, 10))[..., ::2]
    sizes, _ = source_view(split)
    assert np.shares_memory(x.reshape(sizes), x)
    assert split_at(((20, 1),), (4, 5), (3, 7)) == ((4, 5), (5, 1))
