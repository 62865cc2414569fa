"""How fast rearrangements are copied: ratios of medians, each pair timed in turns within one run.

    python -m pytest benchmarks/test_apply_speed.py -q

Three tables come at the end: large arrays with the compiled kernels against torch's copy of the same bytes, and
large and small arrays with NumPy alone against the fastest of einops, a reshape-transpose copy and strided slices.
A ratio is the other's time over ours: above 1 is faster. Small calls count a caller that looks the copier up.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from math import prod

import numpy as np
import pytest

from layoutbridge.copying import build_copier, compiled, threads
from layoutbridge.copying.plan import contiguous_strides

einops = pytest.importorskip("einops")

TABLES: dict[str, list[tuple[str, ...]]] = defaultdict(list)
SECONDS_A_CASE = 1.0  # for large arrays; many rounds, since others may use the machine


def _reorg(c, h, w, s):
    return {"n": 0, "c": c // s**2, "h": h, "p": s, "w": w, "q": s}


def _fold(c, h, w, s):
    return {"n": 0, "c": c, "h": h // s, "p": s, "w": w // s, "q": s}


def _grow(c, h, w, s):
    return {"n": 0, "c": c // s**2, "h": h, "p": s, "w": w, "q": s}


def _plain(c, h, w, s):
    return {"n": 0, "c": c, "h": h, "w": w}


def _groups(c, h, w, s):
    return {"n": 0, "g": s, "k": c // s, "h": h, "w": w}


ENTRIES = {  # name: digits of the source, of the output, their sizes, einops' source axes and output axes
    "space_to_depth": ("nchpwq", "npqchw", _fold, "n c (h p) (w q)", "n (p q c) h w"),
    "space_to_depth_crd": ("nchpwq", "ncpqhw", _fold, "n c (h p) (w q)", "n (c p q) h w"),
    "focus": ("nchpwq", "nqpchw", _fold, "n c (h p) (w q)", "n (q p c) h w"),
    "depth_to_space": ("npqchw", "nchpwq", _grow, "n (p q c) h w", "n c (h p) (w q)"),
    "depth_to_space_crd": ("ncpqhw", "nchpwq", _grow, "n (c p q) h w", "n c (h p) (w q)"),
    "darknet_reorg": ("nchpwq", "npqchw", _reorg, "n c (h p) (w q)", "n (p q c) h w"),
    "darknet_reorg inverse": ("npqchw", "nchpwq", _reorg, "n (p q c) h w", "n c (h p) (w q)"),
    "channel_shuffle": ("ngkhw", "nkghw", _groups, "n (g k) h w", "n (k g) h w"),
    "nchw_to_nhwc": ("nchw", "nhwc", _plain, "n c h w", "n h w c"),
    "nhwc_to_nchw": ("nhwc", "nchw", _plain, "n h w c", "n c h w"),
}
STRIDES = {"channel_shuffle": (2, 3, 4, 8), "nchw_to_nhwc": (1,), "nhwc_to_nchw": (1,)}
CASES = [(name, s) for name in ENTRIES for s in STRIDES.get(name, (2, 3))]
SMALL = [(1, 4, 4, 4), (1, 16, 26, 26), (1, 64, 26, 26), (8, 64, 26, 26)]
LARGE = (8, 64, 208, 208)


def fit(shape, s):
    """The shape with its channels and sides divisible by what stride 3 asks for."""
    n, c, h, w = shape
    return (n, -(-c // 9) * 9, -(-h // 3) * 3, -(-w // 3) * 3) if s == 3 else shape


class Case:
    """One entry at one size: the digits, the arrays and the rivals."""

    def __init__(self, name, shape, s, dtype=np.float32):
        source, out, sizes, read, write = ENTRIES[name]
        n, c, h, w = fit(shape, s)
        lengths = {**sizes(c, h, w, s), "n": n}
        self.digit_sizes = tuple(lengths[d] for d in source)
        self.order = tuple(source.index(d) for d in out)
        self.lengths = {d: lengths[d] for d in "gpq" if d in lengths}
        self.pattern = f"{read} -> {write}"
        self.small_axes = tuple(k for k, d in enumerate(out) if d in "pqg")
        total = prod(self.digit_sizes)
        values = np.random.default_rng(0).standard_normal(total).astype(dtype)
        # einops wants the axes of its pattern; reorg's are the digits', of which the tensor's shape is a view
        self.x = values.reshape(self._joined(read, lengths))
        self.out_shape = self._joined(write, lengths)
        self.out_digits = tuple(self.digit_sizes[k] for k in self.order)
        strides = contiguous_strides(self.digit_sizes)
        digits = []
        for k in self.order:
            if self.digit_sizes[k] == 1:
                continue
            if digits and digits[-1][1] == strides[k] * self.digit_sizes[k]:
                digits[-1] = (digits[-1][0] * self.digit_sizes[k], strides[k])
            else:
                digits.append((self.digit_sizes[k], strides[k]))
        self.copier = build_copier(self.x.shape, self.x.dtype, tuple(digits), self.out_shape)
        self.want = self.x.reshape(self.digit_sizes).transpose(self.order).reshape(self.out_shape)

    @staticmethod
    def _joined(axes, lengths):
        shape, inside = [], None
        for word in axes.replace("(", "( ").replace(")", " )").split():
            if word == "(":
                inside = 1
            elif word == ")":
                shape.append(inside)
                inside = None
            elif inside is None:
                shape.append(lengths[word])
            else:
                inside *= lengths[word]
        return tuple(shape)

    def rivals(self, out):
        """The three, into `out` or into a new array."""
        x, sizes, order, shape = self.x, self.digit_sizes, self.order, self.out_shape
        out_digits, axes = self.out_digits, self.small_axes
        pattern, lengths = self.pattern, self.lengths

        def by_einops():
            y = einops.rearrange(x, pattern, **lengths)
            if out is None:
                return np.ascontiguousarray(y)
            np.copyto(out, y)
            return out

        def by_transpose():
            if out is None:
                return x.reshape(sizes).transpose(order).copy().reshape(shape)
            np.copyto(out.reshape(out_digits), x.reshape(sizes).transpose(order))
            return out

        moved = axes + tuple(k for k in range(len(order)) if k not in axes)
        source_moved = tuple(order[k] for k in moved)
        indices = list(np.ndindex(*(out_digits[k] for k in axes)))

        def by_slices():
            y = np.empty(shape, x.dtype) if out is None else out
            target = y.reshape(out_digits).transpose(moved)
            source = x.reshape(sizes).transpose(source_moved)
            for index in indices:
                target[index] = source[index]
            return y

        return [by_einops, by_transpose, *([by_slices] if axes else [])]


class Caller:
    """What stands in front of a copier: checks and a look-up."""

    def __init__(self, case):
        self.copiers = {(case.x.shape, case.x.dtype): case.copier}
        self.out_shape = case.out_shape

    def __call__(self, x, out=None):
        if not isinstance(x, np.ndarray):
            raise TypeError
        if out is None:
            return self.copiers[x.shape, x.dtype](x)
        if not isinstance(out, np.ndarray) or out.shape != self.out_shape or out.dtype != x.dtype:
            raise TypeError
        return self.copiers[x.shape, x.dtype](x, out)


def medians(calls, seconds, least=7):
    """Median seconds of each call, timed in turns; short calls are looped to a tenth of a millisecond."""
    loops = []
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        loops.append(max(1, int(1e-4 / (time.perf_counter() - start))))
    times = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < least:
        for call, loop, kept in zip(calls, loops, times, strict=True):
            start = time.perf_counter()
            for _ in range(loop):
                call()
            kept.append((time.perf_counter() - start) / loop)
    return [statistics.median(kept) for kept in times]


@pytest.fixture(scope="module", autouse=True)
def report(request):
    yield
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        for title, rows in TABLES.items():
            print("", title, *("  " + "  ".join(row) for row in rows), sep="\n")


@pytest.mark.parametrize(("name", "s"), CASES)
def test_large_with_kernels(name, s, benchmark):
    pytest.importorskip("numba")
    torch = pytest.importorskip("torch")
    case = Case(name, LARGE, s)
    out = np.zeros(case.out_shape, case.x.dtype)
    source = torch.from_numpy(case.x.reshape(-1))
    copied = torch.empty_like(source)
    case.copier(case.x, out)
    assert compiled.state.kernels is not None
    assert np.array_equal(out, case.want)
    # torch's threads go on spinning for some milliseconds after a copy: measured with and without that neighbour.
    pause = [lambda: time.sleep(0.01)]
    theirs, ours = medians([lambda: copied.copy_(source), lambda: case.copier(case.x, out)], SECONDS_A_CASE)
    quiet_theirs, _, quiet_ours, _ = medians(
        [lambda: copied.copy_(source), *pause, lambda: case.copier(case.x, out), *pause], SECONDS_A_CASE
    )
    benchmark.pedantic(case.copier, (case.x, out), rounds=3)
    benchmark.extra_info["ratio"] = theirs / ours
    workers = f"{threads.worker_count()} threads"
    TABLES[f"kernels / torch copy_, float32, {workers}: in turns | with a pause between"].append(
        (f"{name} {s}".ljust(26), f"{theirs / ours:5.2f}", f"{quiet_theirs / quiet_ours:5.2f}")
    )


@pytest.mark.parametrize(
    ("dtype", "channels"), [("u1", 64), ("f2", 64), ("f8", 64), ("f4", 12), ("f4", 255), ("f4", 256)]
)
@pytest.mark.parametrize("name", ["space_to_depth", "depth_to_space", "nchw_to_nhwc", "nhwc_to_nchw"])
def test_large_other_dtypes_and_channels(name, dtype, channels, benchmark):
    pytest.importorskip("numba")
    torch = pytest.importorskip("torch")
    if channels % 4 and name == "depth_to_space":
        pytest.skip("the channels do not divide")
    case = Case(name, (8, channels, 208, 208) if channels <= 64 else (2, channels, 208, 208), 2, dtype)
    out = np.zeros(case.out_shape, case.x.dtype)
    source = torch.from_numpy(case.x.reshape(-1))
    copied = torch.empty_like(source)
    case.copier(case.x, out)
    assert np.array_equal(out, case.want)
    theirs, ours = medians([lambda: copied.copy_(source), lambda: case.copier(case.x, out)], SECONDS_A_CASE / 2)
    benchmark.pedantic(case.copier, (case.x, out), rounds=3)
    TABLES["kernels / torch copy_, other dtypes and channels, in turns"].append(
        (f"{name} {dtype} C={channels}".ljust(32), f"{theirs / ours:5.2f}")
    )


@pytest.mark.parametrize(("name", "s"), CASES)
def test_large_with_numpy(name, s, benchmark, monkeypatch):
    monkeypatch.setattr(compiled.state, "enabled", False)
    case = Case(name, LARGE, s)
    out = np.zeros(case.out_shape, case.x.dtype)
    assert np.array_equal(case.copier(case.x, out), case.want)
    ours, *theirs = medians([lambda: case.copier(case.x, out), *case.rivals(out)], SECONDS_A_CASE, 5)
    benchmark.pedantic(case.copier, (case.x, out), rounds=3)
    TABLES["NumPy alone / best of einops, transpose, slices, [8, 64, 208, 208] into out"].append(
        (f"{name} {s}".ljust(26), f"{min(theirs) / ours:5.2f}")
    )


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize(("name", "s"), CASES)
def test_small(name, s, shape, benchmark, monkeypatch):
    monkeypatch.setattr(compiled.state, "enabled", False)
    if name == "channel_shuffle" and shape[1] < s:
        pytest.skip("fewer channels than groups")
    case = Case(name, fit(shape, s), s)
    call = Caller(case)
    x, out = case.x, np.zeros(case.out_shape, case.x.dtype)
    assert np.array_equal(call(x, out), case.want)
    assert np.array_equal(call(x), case.want)
    row = []
    for target in (None, out):
        ours, *theirs = medians([lambda target=target: call(x, target), *case.rivals(target)], 0.15)
        row.append(min(theirs) / ours)
    benchmark(call, x, out)
    TABLES["small: NumPy alone / best of three: a new array | into out"].append(
        (f"{name} {s} {list(x.shape)}".ljust(48), f"{row[0]:5.2f}", f"{row[1]:5.2f}")
    )
