"""`identify` of a callable: what it takes beyond the calls that it makes, and beside one run of the op.

    python -m pytest benchmarks/test_identify_speed.py -q

Small: [1, 64, 26, 26], the milliseconds beyond the calls, once what it looks up has been built. Large: float32
[8, 64, 208, 208], the ratio to one run of the op in NumPy, by turns in one run.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import layoutbridge as lb

SMALL, LARGE = (1, 64, 26, 26), (8, 64, 208, 208)
MOST_BEYOND, MOST_RUNS = 5e-3, 10
SPENT = [0.0]


def space_to_depth(x):
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 3, 5, 1, 2, 4)).reshape(
        n, 4 * c, h // 2, w // 2
    )


def channels_last(x):
    return np.ascontiguousarray(space_to_depth(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1))


def without_a_name(x):
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 3, 1, 5, 4, 2)).reshape(
        n, 4 * c, w // 2, h // 2
    )


def timed(function):
    """The function, its time added to what is spent in calls."""

    def call(x):
        start = time.perf_counter()
        y = function(x)
        SPENT[0] += time.perf_counter() - start
        return y

    return call


@pytest.mark.parametrize("function", [space_to_depth, channels_last, without_a_name])
def test_small_beyond_its_calls(benchmark, function, record):
    shape = (1, 26, 26, 64) if function is channels_last else SMALL
    target, beyond = timed(function), []
    for _ in range(30):
        SPENT[0], start = 0.0, time.perf_counter()
        lb.identify(target, shape)
        beyond.append(time.perf_counter() - start - SPENT[0])
    benchmark.extra_info["beyond, ms"] = round(1e3 * sorted(beyond)[15], 2)
    steady = [1e3 * each for each in sorted(beyond[1:])][2:-2]
    record("identify", f"{function.__name__}, beyond its calls", steady, "ms", 1e3 * MOST_BEYOND)
    benchmark(lb.identify, target, shape)
    told = 1e3 * sorted(beyond)[15]
    print(f"\n{function.__name__}: first {1e3 * beyond[0]:.1f} ms, then {told:.2f} ms beyond its calls")
    assert sorted(beyond)[15] <= MOST_BEYOND


def test_large_beside_one_run(benchmark, record):
    x = np.arange(np.prod(LARGE), dtype=np.float32).reshape(LARGE)
    ratios = []
    for _ in range(7):
        start = time.perf_counter()
        space_to_depth(x)
        between = time.perf_counter()
        lb.identify(space_to_depth, LARGE)
        ratios.append((time.perf_counter() - between) / (between - start))
    ratio = sorted(ratios)[3]
    record("identify", "float32 [8, 64, 208, 208]", ratios, "runs of the op", MOST_RUNS)
    benchmark.extra_info["ratio"] = round(ratio, 2)
    benchmark.pedantic(lb.identify, (space_to_depth, LARGE), rounds=1)
    print(f"\n[8, 64, 208, 208]: {ratio:.1f} runs of the op")
    assert ratio <= MOST_RUNS
