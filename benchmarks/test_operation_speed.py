"""`op(x, out=y)` as a user calls it, for every catalogue entry: ratios of medians, timed in turns within one run.

    python -m pytest benchmarks/test_operation_speed.py -q

Large: float32 [8, 64, 208, 208] (stride 3: [8, 72, 210, 210]) against torch's two-thread `copy_` of the same bytes.
Small: against the best of einops, a reshape-transpose copy and strided slices, made into a new array. Above 1 is
faster than the other.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest

import layoutbridge as lb

einops = pytest.importorskip("einops")
ROWS: list[tuple[str, float]] = []
NATIVE = {name: entry for name, entry in lb.catalog().items() if entry.is_native}
STRIDES = {name: (2, 3) if entry.parameters else (None,) for name, entry in NATIVE.items()}
CASES = [(name, stride) for name, strides in STRIDES.items() for stride in strides]
SMALL = ((1, 144, 6, 6), (1, 144, 24, 24), (4, 144, 24, 24), (8, 144, 48, 48))


def operation(name, stride):
    return NATIVE[name].build_at(stride) if stride else lb.op(name)


def in_turns(functions, seconds, block=8):
    """The median time of each function, in blocks of calls by turns until the time is over.

    Between blocks there is a pause: torch's threads spin on for some milliseconds after a copy, and would take a core
    away from what is measured next.
    """
    times = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3 * block:
        for function, own in zip(functions, times, strict=True):
            time.sleep(0.02 if block > 1 else 0)
            for _ in range(block):
                start = time.perf_counter()
                function()
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    print("\n\nratio to the other (above 1: faster)")
    for label, ratio in ROWS:
        print(f"  {label:<55} {ratio:5.2f}")


@pytest.mark.parametrize(("name", "stride"), CASES)
def test_large_against_a_copy(benchmark, name, stride):
    torch = pytest.importorskip("torch")
    pytest.importorskip("numba")
    torch.set_num_threads(2)
    shape = (8, 81 if name == "darknet_reorg3d_reverse" else 72, 210, 210) if stride == 3 else (8, 64, 208, 208)
    op = operation(name, stride)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    y = np.zeros(op.out_shape(shape), np.float32)
    source, target = torch.from_numpy(x), torch.zeros(shape)
    op(x, out=y)
    copy, ours = in_turns((lambda: target.copy_(source), lambda: op(x, out=y)), 1.0)
    ROWS.append((f"large {op.label}", copy / ours))
    benchmark.extra_info["ratio"] = copy / ours
    benchmark.pedantic(op, (x, y), rounds=3)


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize(("name", "stride"), CASES)
def test_small_against_the_best_of_three(benchmark, name, stride, shape):
    op = operation(name, stride)
    if name == "darknet_reorg3d_reverse" and stride == 3:
        shape = (shape[0], 162, *shape[2:])
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    bound = op.bind(shape)
    read = sorted(range(len(bound.digits)), key=lambda k: -bound.digits[k][1])
    sizes, order = tuple(bound.digits[k][0] for k in read), tuple(read.index(k) for k in range(len(read)))
    names = [f"d{k}" for k in range(len(sizes))]
    pattern = f"({' '.join(names)}) -> ({' '.join(names[k] for k in order)})"
    lengths = dict(zip(names, sizes, strict=True))
    written = tuple(size for size, _ in bound.digits)

    def slices():
        """A copy for each value of the two shortest digits, as people write Focus."""
        out = np.empty(written, x.dtype)
        source = x.reshape(sizes).transpose(order)
        short = sorted(range(len(written)), key=lambda k: written[k])[: max(len(written) - 2, 1)][:2]
        for index in np.ndindex(*(written[k] for k in short)):
            place = [slice(None)] * len(written)
            for k, i in zip(short, index, strict=True):
                place[k] = i
            out[tuple(place)] = source[tuple(place)]
        return out.reshape(bound.out_shape)

    rivals = (
        lambda: np.ascontiguousarray(einops.rearrange(x.reshape(-1), pattern, **lengths)).reshape(bound.out_shape),
        lambda: np.ascontiguousarray(x.reshape(sizes).transpose(order)).reshape(bound.out_shape),
        slices,
    )
    assert all(np.array_equal(rival(), op(x)) for rival in rivals)
    *others, ours = in_turns((*rivals, lambda: op(x)), 0.15, block=1)
    ROWS.append((f"small {op.label} {list(shape)}", min(others) / ours))
    benchmark.extra_info["ratio"] = min(others) / ours
    benchmark.pedantic(op, (x,), rounds=3)
